//! Simulator and contract suites for LANC.
