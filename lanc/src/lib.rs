//! Remote function calls between the devices of a LAN, with nothing to configure.
