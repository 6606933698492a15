//! The steps of calls in the log, under the target `lanc::call`: a line for each call that has
//! ended at the level `debug`, every step of it at `trace`. One `exe_id` joins both sides.

use std::time::Duration;

use lanc_core::message::WireId;
use lanc_core::note::Note;
use tracing::{Level, debug, enabled, trace};

/// Whether anybody reads these lines. Costs a comparison where nobody does.
pub(crate) fn is_wanted() -> bool {
    enabled!(target: "lanc::call", Level::DEBUG)
}

/// Writes one step.
pub(crate) fn log(note: Note) {
    match note {
        Note::Begun { id, function } => {
            trace!(target: "lanc::call", exe_id = %id, %function, "call begun");
        }
        Note::Sent { id, to, again: false } => {
            trace!(target: "lanc::call", exe_id = %id, to = ?to, "call sent");
        }
        Note::Sent { id, to, again: true } => {
            debug!(target: "lanc::call", exe_id = %id, to = ?to, "call sent again");
        }
        Note::Ended { id, function, from, code, took } => {
            let took = shown(took);
            debug!(target: "lanc::call", exe_id = %id, %function, callee = ?from, %took, outcome = %code, "called");
        }
        Note::Received { id, function, caller } => {
            trace!(target: "lanc::call", exe_id = %name(&id), %function, caller = ?caller, "call received");
        }
        Note::Refused { id, caller, code } => {
            debug!(target: "lanc::call", exe_id = %name(&id), caller = ?caller, outcome = %code, "call refused");
        }
        Note::Started { id, function } => {
            trace!(target: "lanc::call", exe_id = %name(&id), %function, "function started");
        }
        Note::Finished { id, function, caller, code, waited, ran } => {
            let (waited, ran) = (shown(waited), shown(ran));
            debug!(target: "lanc::call", exe_id = %name(&id), %function, caller = ?caller, %waited, %ran, outcome = %code, "served");
        }
        Note::Answered { id } => {
            trace!(target: "lanc::call", exe_id = %name(&id), "answer sent");
        }
        _ => {}
    }
}

fn name(id: &Option<WireId<'static>>) -> String {
    id.as_ref().map_or_else(|| "-".to_owned(), WireId::to_string)
}

/// A duration to the microsecond.
fn shown(took: Duration) -> String {
    format!("{:?}", Duration::from_micros(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)))
}
