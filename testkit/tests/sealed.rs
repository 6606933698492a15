//! Keyed mode in the simulator: everything works as in the open, and nothing is said or heard
//! that is not sealed.

#[path = "sealed/altered.rs"]
mod altered;
#[path = "sealed/copies.rs"]
mod copies;
#[path = "sealed/elsewhere.rs"]
mod elsewhere;
#[path = "sealed/keys.rs"]
mod keys;
#[path = "sealed/members.rs"]
mod members;
#[path = "sealed/pair.rs"]
mod pair;
#[path = "sealed/plans.rs"]
mod plans;
