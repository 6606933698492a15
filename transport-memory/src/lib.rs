//! LANC frames between nodes of one process.
