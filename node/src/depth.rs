//! How deep the values may nest that a node sends: what is deeper would be dropped where it
//! arrives, and its caller would wait for the deadline.

use lanc_core::Config;
use lanc_core::error::{CallError, ErrorCode, Executed, Fault};
use lanc_core::ports::EncodeError;

use crate::call::invalid;

/// What `max_depth` leaves to values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depth {
    max_depth: u32,
    /// Of a result, and of arguments with the list or the map that they stand in.
    pub(crate) body: u32,
    /// Of a value in a list: an argument, or one of many that a function returns.
    pub(crate) value: u32,
}

impl Depth {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            max_depth: config.max_depth(),
            body: config.max_result_depth(),
            value: config.max_argument_depth(),
        }
    }

    /// Arguments that cannot be sent. `all`: what was encoded; `one`: what of it nests.
    pub(crate) fn unsent(self, all: &str, one: &str, error: &EncodeError) -> CallError {
        match error {
            EncodeError::TooDeep => {
                let text = self.exceeded(one, self.value);
                CallError::new(ErrorCode::TOO_LARGE, Executed::No, text)
            }
            error => invalid(format!("{all} {error}")),
        }
    }

    /// What a function returned cannot be sent; it ran. `most`: how deep it might have been.
    pub(crate) fn unanswered(self, most: u32, error: &EncodeError) -> Fault {
        match error {
            EncodeError::TooDeep => {
                let text = self.exceeded("what the function returned", most);
                Fault { executed: Executed::Yes, ..Fault::new(ErrorCode::TOO_LARGE, text) }
            }
            error => Fault::new(ErrorCode::UNENCODABLE, error.to_string()),
        }
    }

    fn exceeded(self, what: &str, most: u32) -> String {
        let max_depth = self.max_depth;
        format!(
            "{what} nests deeper than the {most} levels that are sent (`max_depth` {max_depth})"
        )
    }
}
