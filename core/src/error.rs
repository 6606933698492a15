//! The error taxonomy: one stable number per kind, the same on the wire, in the API and in the
//! command's exit codes.

use std::fmt;
use std::time::Duration;

/// Whether the function ran, as far as the one who reports can know.
///
/// `No` is only said when nothing ever left this host, or when the callee itself said that it
/// did not and will not start the call. A missing answer proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Executed {
    /// It did not run and never will.
    No,
    /// Nobody here can tell.
    Maybe,
    /// It ran, to its end or not.
    Yes,
}

impl fmt::Display for Executed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::Maybe => "maybe",
            Self::Yes => "yes",
        })
    }
}

/// The kinds of failure. Numbers are stable; 0 and 1 keep their meaning from S1. An unknown
/// number from a peer is passed through, never mapped to success.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub u16);

/// When a call may go to another provider after a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Elsewhere {
    /// Another provider would say the same, or the call is over.
    Never,
    /// If the function did not run; wherever it ran, if it may run more than once.
    IfNotRun,
    /// If it may run more than once.
    IfIdempotent,
}

use Elsewhere::{IfIdempotent, IfNotRun, Never};

macro_rules! codes {
    ($($(#[$doc:meta])* $constant:ident = $number:literal, $name:literal, $elsewhere:ident, $advice:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $constant: Self = Self($number);)*

            /// Every code that LANC itself uses, in order.
            pub const ALL: &'static [Self] = &[$(Self($number)),*];

            /// Its name on the wire; `application` for a code of the user's own, `unknown` for one of
            /// a later version.
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($number => $name,)*
                    number if number >= Self::FIRST_APPLICATION => "application",
                    _ => "unknown",
                }
            }

            /// What a person can do about it.
            pub fn advice(self) -> &'static str {
                match self.0 { $($number => $advice,)* _ => "see the function's own documentation" }
            }

            fn elsewhere(self) -> Elsewhere {
                match self.0 { $($number => $elsewhere,)* _ => Never }
            }
        }
    };
}

codes! {
    /// Success.
    OK = 0, "ok", Never, "";
    /// The callee has no such function.
    NOT_FOUND = 1, "not_found", IfNotRun, "check the name with `lanc functions`";
    /// The function is not part of that service.
    SERVICE_NOT_FOUND = 2, "service_not_found", IfNotRun, "check the service's name";
    /// The arguments do not fit the function.
    INVALID_ARGUMENTS = 3, "invalid_arguments", Never, "ask whoever wrote the function which arguments it takes";
    /// The function ran and failed.
    EXECUTION_ERROR = 4, "execution_error", Never, "the message says why the function failed; mend the cause or the arguments";
    /// The caller may not use it.
    UNAUTHORISED = 5, "unauthorised", Never, "ask the operator for access or use the right key";
    /// A queue or a limit is full.
    BUSY = 6, "busy", IfNotRun, "try again after the time it names, or call another provider";
    /// The deadline passed.
    TIMEOUT = 7, "timeout", IfNotRun, "allow more time, or check that the provider is alive with `lanc ping`";
    /// The caller gave up.
    CANCELLED = 8, "cancelled", Never, "call again if you still want the result";
    /// A message would be larger than a limit.
    TOO_LARGE = 9, "too_large", Never, "keep arguments and results within the limit it names";
    /// Another major version of the protocol.
    INCOMPATIBLE_VERSION = 10, "incompatible_version", IfNotRun, "bring both sides to the same major version";
    /// Bytes could not be read as what they should be.
    DECODE_ERROR = 11, "decode_error", Never, "compare the types on both sides";
    /// Nobody offers the function.
    NO_PROVIDER = 12, "no_provider", Never, "start a provider, wait longer (`--wait`, `Call::wait`), or list what there is with `lanc functions`";
    /// The callee died, restarted or left.
    LOST = 13, "lost", IfIdempotent, "call again if the function may run twice";
    /// The result is no longer kept.
    RESULT_EXPIRED = 14, "result_expired", Never, "fetch results sooner, or raise the limit on kept results";
    /// The callee is going down.
    SHUTTING_DOWN = 15, "shutting_down", IfNotRun, "call another provider, or this one once it is back";
    /// A codec, compression or feature the callee does not know.
    UNSUPPORTED = 16, "unsupported", IfNotRun, "use what both sides speak";
    /// The result cannot be written in the wire format.
    UNENCODABLE = 17, "unencodable", Never, "return a value the format can express";
    /// A bug in LANC or a panic it caught.
    INTERNAL = 18, "internal", Never, "please report it with the log of both sides";
    /// The peer broke the rules of the protocol.
    PROTOCOL = 19, "protocol", Never, "check which program answers there, and its version";
    /// Sending failed for good.
    NETWORK = 20, "network", IfNotRun, "try again; if it fails again, check the interface and the address";
    /// This node is shut down.
    CLOSED = 21, "closed", Never, "open a new node";
    /// The result is not there yet.
    NOT_READY = 22, "not_ready", Never, "ask again later, or wait for it longer with join";
    /// Nobody knows this call.
    UNKNOWN_CALL = 23, "unknown_call", Never, "check the call id";
}

impl ErrorCode {
    /// Application codes begin here.
    pub const FIRST_APPLICATION: u16 = 1000;

    /// What a callee's answer with this code says about execution.
    pub fn executed_by_callee(self) -> Executed {
        match self {
            Self::OK | Self::EXECUTION_ERROR | Self::RESULT_EXPIRED | Self::UNENCODABLE => {
                Executed::Yes
            }
            Self::LOST | Self::INTERNAL | Self::PROTOCOL | Self::UNKNOWN_CALL => Executed::Maybe,
            code if code.0 >= Self::FIRST_APPLICATION => Executed::Yes,
            code if code.0 > Self::UNKNOWN_CALL.0 => Executed::Maybe,
            _ => Executed::No,
        }
    }
}

/// As it is shown where a program ends with an error: its name, and its number.
impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failure as a callee reports it, or as a function returns it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which kind.
    pub code: ErrorCode,
    /// What happened, in words. Cut to the configured length before it is sent.
    pub message: String,
    /// Overrides what the code says about execution (a deadline that passed while running).
    pub executed: Executed,
    /// When trying again makes sense, if the callee can tell.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A fault that says about execution what its code says.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            executed: code.executed_by_callee(),
            retry_after: None,
        }
    }

    /// The same, returned by a function that had begun: it ran, although its code alone would
    /// say that the call may go to another provider.
    #[must_use]
    pub fn from_function(mut self) -> Self {
        if self.executed == Executed::No && self.code.elsewhere() != Never {
            self.executed = Executed::Yes;
        }
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Fault {}

/// Why a call has no result. Its text has three parts: what happened, whether the function
/// ran, what to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallError {
    /// Which kind.
    pub code: ErrorCode,
    /// What happened, in words.
    pub message: String,
    /// Whether the function ran.
    pub executed: Executed,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
}

impl CallError {
    /// A failure of this side.
    pub fn new(code: ErrorCode, executed: Executed, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), executed, retry_after: None }
    }

    /// The failure a callee reported.
    pub fn from_fault(fault: Fault) -> Self {
        Self {
            code: fault.code,
            message: fault.message,
            executed: fault.executed,
            retry_after: fault.retry_after,
        }
    }

    /// What a person can do about it.
    pub fn advice(&self) -> &'static str {
        self.code.advice()
    }

    /// Whether the call may go to another provider after this. Without `idempotent` that needs
    /// a function that did not run, and a reason that is the provider's own.
    pub fn may_move(&self, idempotent: bool) -> bool {
        match self.code.elsewhere() {
            Never => false,
            IfNotRun => idempotent || self.executed == Executed::No,
            IfIdempotent => idempotent,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match self.executed {
            Executed::No => write!(f, "; the function did not run")?,
            Executed::Maybe => write!(f, "; the function may have run")?,
            Executed::Yes => write!(f, "; the function ran")?,
        }
        if let Some(after) = self.retry_after {
            write!(f, "; try again in {} ms", after.as_millis())?;
        }
        if !self.advice().is_empty() {
            write!(f, "; {}", self.advice())?;
        }
        Ok(())
    }
}

impl std::error::Error for CallError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_numbered_without_gaps() {
        for (number, code) in (0u16..).zip(ErrorCode::ALL) {
            assert_eq!(code.0, number);
            assert_ne!(code.name(), "application");
        }
        assert_eq!(ErrorCode(999).name(), "unknown");
        assert_eq!(ErrorCode(999).executed_by_callee(), Executed::Maybe);
        assert_eq!(ErrorCode(1000).name(), "application");
        assert_eq!(ErrorCode(1000).executed_by_callee(), Executed::Yes);
    }

    #[test]
    fn a_call_moves_where_the_function_did_not_run_or_may_run_again() {
        let movable = |executed, idempotent| {
            let may = |code: &&ErrorCode| CallError::new(**code, executed, "").may_move(idempotent);
            ErrorCode::ALL.iter().filter(may).map(|code| code.name()).collect::<Vec<_>>()
        };
        let not_run = [
            "not_found",
            "service_not_found",
            "busy",
            "timeout",
            "incompatible_version",
            "shutting_down",
            "unsupported",
            "network",
        ];
        assert_eq!(movable(Executed::No, false), not_run);
        assert!(movable(Executed::Maybe, false).is_empty());
        assert!(movable(Executed::Yes, false).is_empty());
        let mut repeatable = not_run.to_vec();
        repeatable.insert(5, "lost");
        assert_eq!(movable(Executed::Maybe, true), repeatable);
    }

    #[test]
    fn what_a_function_returns_never_says_that_it_did_not_run_and_may_move() {
        for code in ErrorCode::ALL {
            let fault = Fault::new(*code, "").from_function();
            assert!(!CallError::from_fault(fault).may_move(false), "{code}");
        }
    }

    #[test]
    fn text_has_three_parts() {
        let error = CallError::new(ErrorCode::TIMEOUT, Executed::Maybe, "no answer in 1 s");
        let text = error.to_string();
        assert!(text.starts_with("timeout: no answer in 1 s; the function may have run; "));
    }
}
