//! The lanc command.
