//! A LANC node: the driver that joins core, transports and functions.
