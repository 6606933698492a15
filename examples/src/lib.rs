//! Programs to read first: see `examples/` beside this folder's `README.md`.
