//! LANC 0.2 in few bytes: what the messages of a frame share is said once, in the frame's head;
//! a message is a map with one-letter keys and whole numbers.
//!
//! Only MessagePack frames are lean, and only between nodes with
//! [`Features::LEAN`](crate::message::Features::LEAN). What anybody must be able to read (hello,
//! func, bye) has no lean form, nor have ids that are not native.

mod head;
mod read;
mod write;

pub use head::{Head, begins_with, is_claimed_by};
pub use read::{Fields, read_into};
pub use write::write;
pub(crate) use write::write_bulk_last;

use crate::error::Executed;
use crate::message::{CallState, Method};

/// The number of a method: its row in the table of messages, from 1, which gives call and
/// callback the numbers that the published package has for them. `None`: it has no lean form.
fn number_of(method: Method) -> Option<u64> {
    Some(match method {
        Method::Hello | Method::Func | Method::Bye => return None,
        Method::Call => 3,
        Method::Callback => 4,
        Method::Error => 5,
        Method::Ack => 6,
        Method::Probe => 7,
        Method::Cancel => 8,
        Method::Ping => 10,
        Method::Pong => 11,
    })
}

fn method_of(number: u64) -> Option<Method> {
    Method::ALL.into_iter().find(|method| number_of(*method) == Some(number))
}

fn number_of_state(state: CallState) -> u64 {
    match state {
        CallState::Queued => 0,
        CallState::Running => 1,
        CallState::Done => 2,
        CallState::Unknown => 3,
    }
}

fn state_of(number: u64) -> Option<CallState> {
    [CallState::Queued, CallState::Running, CallState::Done, CallState::Unknown]
        .into_iter()
        .find(|state| number_of_state(*state) == number)
}

fn number_of_executed(executed: Executed) -> u64 {
    match executed {
        Executed::No => 0,
        Executed::Maybe => 1,
        Executed::Yes => 2,
    }
}
