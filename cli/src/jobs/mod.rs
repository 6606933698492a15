//! Calls in the background: `call --async`, `join`, `get`, `cancel`, `jobs`.
//!
//! `call --async` starts `lanc background`, hands it the call over a pipe, and waits until it
//! says that a provider has the call. That process holds the result until `join` or `get` has
//! printed it, or its time is up.

mod background;
mod fetch;
mod job;
mod list;
mod start;

use std::path::PathBuf;

use lanc::{ErrorCode, Executed};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::args::CallArgs;
use crate::control::{Answer, Fate};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::values::Arguments;

pub(crate) use background::run as background;
pub(crate) use fetch::{cancel, get, join};
pub(crate) use list::list;
pub(crate) use start::start;

/// The argument that makes `lanc` the process behind `call --async`.
pub(crate) const BACKGROUND: &str = "background";

/// What the process in the background is told to do.
#[derive(Serialize, Deserialize)]
struct Order {
    /// Which call; its arguments are in `arguments`, and only the names of named ones here.
    args: CallArgs,
    arguments: Arguments,
    /// The caller's, whole: the process reads no configuration of its own. Its keys are among
    /// them, over a pipe that nobody else can open.
    settings: Settings,
    /// Where its control socket goes.
    folder: PathBuf,
}

/// What a call came to, as it stands in an answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// Its result, as JSON.
    Result(Box<RawValue>),
    /// Its failure, as [`Failure::to_json`] writes it.
    Failure(Value),
}

impl Outcome {
    /// As an answer carries it.
    fn of(answer: &Answer) -> Self {
        match answer {
            Ok(result) => Self::Result(result.clone()),
            Err(failure) => Self::Failure(failure.to_json()),
        }
    }
}

/// What a process in the background says about itself.
#[derive(Debug, Serialize, Deserialize)]
struct Status {
    exe_id: String,
    function: String,
    /// `running`, `done` or `failed`; `silent` when it does not answer.
    state: String,
    pid: Option<u32>,
    age_ms: Option<u64>,
    /// Until the call's deadline, or until its result is kept no longer.
    left_ms: Option<u64>,
}

/// What came of a request to cancel.
#[derive(Debug, Serialize, Deserialize)]
struct Cancelled {
    /// Not when the call was over already.
    cancelled: bool,
    executed: String,
}

impl Cancelled {
    fn new(cancelled: bool, executed: Executed) -> Self {
        Self { cancelled, executed: executed.to_string() }
    }
}

/// The failure of a call whose process has ended.
fn ended(id: &str, fate: Fate, executed: Executed) -> Failure {
    let (code, text) = match fate {
        Fate::Fetched => (ErrorCode::RESULT_EXPIRED, "was fetched already"),
        Fate::Expired => (ErrorCode::RESULT_EXPIRED, "was not fetched in time"),
        Fate::Cancelled => (ErrorCode::CANCELLED, "will not come: the call was cancelled"),
        Fate::Lost => (ErrorCode::LOST, "is lost: the process that held the call was ended"),
    };
    let failure = Failure::before_call(code, format!("the result of {id} {text}"));
    let failure = failure.executed(executed);
    match fate {
        Fate::Fetched => failure.next(
            "a result can be fetched once, and whoever did so has it; call again for another",
        ),
        Fate::Expired => {
            failure.next("fetch results sooner, or have them kept longer: `call --async --keep 1h`")
        }
        _ => failure,
    }
}
