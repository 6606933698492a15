//! LANC frames over UDP.
