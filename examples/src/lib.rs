//! Nothing but a place for the programs beside it: see `README.md`.
