//! What a caller may rely on: promises of calls.

#[path = "sim_calls/answers.rs"]
mod answers;
#[path = "sim_calls/bounds.rs"]
mod bounds;
#[path = "sim_calls/ends.rs"]
mod ends;
#[path = "sim_calls/given_up.rs"]
mod given_up;
#[path = "sim_calls/pair.rs"]
mod pair;
#[path = "sim_calls/providers.rs"]
mod providers;
#[path = "sim_calls/results.rs"]
mod results;
#[path = "sim_calls/several.rs"]
mod several;
