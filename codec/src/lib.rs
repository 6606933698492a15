//! Data formats of LANC.
