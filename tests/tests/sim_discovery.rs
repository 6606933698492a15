//! Who is there and what they offer: promises of discovery.

#[path = "sim_discovery/functions.rs"]
mod functions;
#[path = "sim_discovery/networks.rs"]
mod networks;
#[path = "sim_discovery/offers.rs"]
mod offers;
#[path = "sim_discovery/parts.rs"]
mod parts;
#[path = "sim_discovery/presence.rs"]
mod presence;
