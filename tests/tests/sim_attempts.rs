//! When a call goes to another provider, or to several, and when it must not.

#[path = "sim_attempts/copies.rs"]
mod copies;
#[path = "sim_attempts/crowd.rs"]
mod crowd;
#[path = "sim_attempts/moved.rs"]
mod moved;
#[path = "sim_attempts/nested.rs"]
mod nested;
#[path = "sim_attempts/newcomers.rs"]
mod newcomers;
#[path = "sim_attempts/restarts.rs"]
mod restarts;
#[path = "sim_attempts/room.rs"]
mod room;
#[path = "sim_attempts/silence.rs"]
mod silence;
#[path = "sim_attempts/twice.rs"]
mod twice;
