//! Scenarios, golden vectors and real sockets.
