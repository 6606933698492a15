//! A failure as the command tells it: what happened, whether the function ran (where one was to
//! be called), what to do next.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use lanc::{CallError, ErrorCode, Executed};
use serde_json::{Value, json};

use crate::{duration, escape, exit, output};

const MEND_OUTPUT: &str = "make room where the output goes, or have it go elsewhere";

/// Why the command did not do what it was asked to.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    executed: Executed,
    retry_after: Option<Duration>,
    next: String,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    /// A call failed, with its code.
    Call(ErrorCode),
    /// The person asked for something that makes no sense.
    Usage,
    /// Some of several calls failed.
    Partial,
    /// Ctrl-C.
    Interrupted,
    /// Standard output cannot be written.
    Output,
}

impl Failure {
    /// A mistake on the command line or in the configuration.
    pub(crate) fn usage(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message, next)
    }

    /// Something failed before any function could run.
    pub(crate) fn before_call(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(Kind::Call(code), message, code.advice())
    }

    /// Some of several calls failed; each has told why.
    pub(crate) fn partial(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { executed: Executed::Maybe, ..Self::new(Kind::Partial, message, next) }
    }

    /// The person gave up.
    pub(crate) fn interrupted(message: impl Into<String>, executed: Executed) -> Self {
        let next = "call again if you still want the result";
        Self { executed, ..Self::new(Kind::Interrupted, message, next) }
    }

    /// Standard output cannot be written.
    pub(crate) fn unprinted(error: &io::Error) -> Self {
        let text = format!("cannot write to standard output: {error}");
        Self::new(Kind::Output, text, format!("{MEND_OUTPUT}, and run the command again"))
    }

    fn new(kind: Kind, message: impl Into<String>, next: impl Into<String>) -> Self {
        let executed = Executed::No;
        Self { kind, message: message.into(), executed, retry_after: None, next: next.into() }
    }

    /// The code of a failed call.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self.kind {
            Kind::Call(code) => Some(code),
            _ => None,
        }
    }

    /// The same failure, met after the function had run.
    #[must_use]
    pub(crate) fn after_call(self) -> Self {
        Self { executed: Executed::Yes, ..self }
    }

    /// A result that could not be printed is gone, and whoever runs the command again has the
    /// function run again.
    #[must_use]
    pub(crate) fn after_unprinted_call(self) -> Self {
        let text = format!("{MEND_OUTPUT}; calling again has the function run once more");
        self.after_call().next(text)
    }

    /// Whether the function ran.
    pub(crate) fn ran(&self) -> Executed {
        self.executed
    }

    /// The same failure, with what is known about the function.
    #[must_use]
    pub(crate) fn executed(self, executed: Executed) -> Self {
        Self { executed, ..self }
    }

    /// The same failure, with other advice.
    #[must_use]
    pub(crate) fn next(self, next: impl Into<String>) -> Self {
        Self { next: next.into(), ..self }
    }

    /// What to do next.
    pub(crate) fn advice(&self) -> &str {
        &self.next
    }

    /// What happened.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Adds a reason to what happened.
    #[must_use]
    pub(crate) fn because(self, reason: &str) -> Self {
        Self { message: format!("{}; {reason}", self.message), ..self }
    }

    /// Puts a better hint before the general advice.
    #[must_use]
    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.next =
            if self.next.is_empty() { hint.into() } else { format!("{hint}; {}", self.next) };
        self
    }

    /// What the command exits with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Call(code) => exit::of(code),
            Kind::Usage => exit::USAGE,
            Kind::Partial => exit::PARTIAL,
            Kind::Interrupted => exit::INTERRUPTED,
            Kind::Output => exit::OUTPUT,
        }
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Call(code) => code.name(),
            Kind::Usage => "usage",
            Kind::Partial => "partial",
            Kind::Interrupted => "interrupted",
            Kind::Output => "output",
        }
    }

    /// The three lines for standard error, each free of control characters. A verb that `calls`
    /// no function says nothing about one, unless it may have run.
    pub(crate) fn to_text(&self, calls: bool) -> String {
        let ran = match self.executed {
            Executed::No => "no, the function did not run",
            Executed::Maybe => "maybe, nobody here can tell",
            Executed::Yes => "yes, the function ran",
        };
        let mut text = format!("error: {}: {}\n", self.name(), escape::line(&self.message));
        if calls || self.executed != Executed::No {
            let _ = writeln!(text, "  ran: {ran}");
        }
        let mut next = escape::line(&self.next).into_owned();
        if let Some(after) = self.retry_after {
            let _ = write!(next, " (try again in {} ms)", after.as_millis());
        }
        let _ = writeln!(text, " next: {}", next.trim());
        text
    }

    /// The error's fields, as they stand under `error` and in lists of results.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "code": self.code().map(|code| code.0),
            "name": self.name(),
            "message": self.message,
            "executed": self.executed.to_string(),
            "retry_ms": self.retry_after.and_then(|after| u64::try_from(after.as_millis()).ok()),
            "next": self.next,
        })
    }

    /// Reads what [`Failure::to_json`] wrote. `None`: it is something else.
    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key)?.as_str().map(str::to_owned);
        let kind = match value.get("code")?.as_u64() {
            Some(code) => Kind::Call(ErrorCode(u16::try_from(code).ok()?)),
            None => match text("name")?.as_str() {
                "usage" => Kind::Usage,
                "partial" => Kind::Partial,
                "interrupted" => Kind::Interrupted,
                "output" => Kind::Output,
                _ => return None,
            },
        };
        let executed = text("executed")?;
        let all = [Executed::No, Executed::Maybe, Executed::Yes];
        let executed = all.into_iter().find(|known| known.to_string() == executed)?;
        let retry_after = value.get("retry_ms").and_then(Value::as_u64);
        Some(Self {
            kind,
            message: text("message")?,
            executed,
            retry_after: retry_after.map(Duration::from_millis),
            next: text("next")?,
        })
    }

    /// What happened, in one line, for lists of results.
    pub(crate) fn headline(&self) -> String {
        format!("error: {}: {}", self.name(), escape::line(&self.message))
    }

    /// Tells it on standard error; `calls`: see [`Failure::to_text`].
    pub(crate) fn report(&self, as_json: bool, calls: bool) {
        if as_json {
            let error = json!({ "error": self.to_json() });
            output::note(&format!("{}\n", escape::json(&error)));
        } else {
            output::note(&self.to_text(calls));
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let mut next = error.advice();
        let CallError { code, message, executed, retry_after, .. } = error;
        // It may be anybody's number: nobody waits longer than a call can take.
        let mut retry_after = retry_after.filter(|after| *after <= duration::LONGEST);
        let is_refusal = matches!(code, ErrorCode::BUSY | ErrorCode::SHUTTING_DOWN);
        if is_refusal && executed != Executed::No {
            // Its usual advice is for calls that were refused before the function ran.
            next = ErrorCode::LOST.advice();
        } else if code == ErrorCode::BUSY && retry_after.is_none() {
            next = "try again later, or call another provider";
        }
        if executed == Executed::Yes {
            retry_after = None;
        }
        Self { kind: Kind::Call(code), message, executed, retry_after, next: next.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> Failure {
        let error = CallError {
            retry_after: Some(Duration::from_millis(250)),
            ..CallError::new(ErrorCode::BUSY, Executed::No, "queue \x1b[31mfull\n")
        };
        error.into()
    }

    #[test]
    fn text_is_three_harmless_lines() {
        let text = busy().to_text(true);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0], "error: busy: queue \\u{1b}[31mfull\\n");
        assert_eq!(lines[1], "  ran: no, the function did not run");
        assert!(lines[2].starts_with(" next: try again after"), "{text}");
        assert!(lines[2].ends_with("(try again in 250 ms)"), "{text}");
    }

    #[test]
    fn whoever_ran_is_not_to_be_tried_again_and_nobody_waits_for_ever() {
        let refused = |executed, ms| {
            let retry_after = Some(Duration::from_millis(ms));
            let error = CallError::new(ErrorCode::BUSY, executed, "full");
            Failure::from(CallError { retry_after, ..error }).to_text(true)
        };
        let day = 86_400_000;
        for (executed, ms, next) in [
            (Executed::No, day, "provider (try again in 86400000 ms)\n"),
            (Executed::No, day + 1, " next: try again later, or call another provider\n"),
            (Executed::No, u64::MAX, " next: try again later, or call another provider\n"),
            (Executed::Maybe, u64::MAX, " next: call again if the function may run twice\n"),
            (Executed::Yes, 1, " next: call again if the function may run twice\n"),
        ] {
            let text = refused(executed, ms);
            assert!(text.ends_with(next), "{text}");
        }
        assert!(!refused(Executed::Yes, 1).contains("try again"));
    }

    #[test]
    fn output_that_cannot_be_written_is_no_bug() {
        let failure = Failure::unprinted(&io::ErrorKind::StorageFull.into());
        assert_eq!((failure.exit_code(), failure.code()), (exit::OUTPUT, None));
        assert_eq!(failure.to_text(false).lines().count(), 2);
        let ran = failure.after_unprinted_call();
        let text = ran.to_text(true);
        assert!(text.starts_with("error: output: cannot write to standard output: "), "{text}");
        assert!(text.contains("\n  ran: yes") && text.contains("run once more"), "{text}");
        assert_eq!(Failure::from_json(&ran.to_json()), Some(ran));
    }

    #[test]
    fn a_verb_that_calls_nothing_says_nothing_about_a_function() {
        let text = busy().to_text(false);
        assert!(text.lines().count() == 2 && !text.contains("ran:"), "{text}");
        let text = Failure::interrupted("", Executed::Maybe).to_text(false);
        assert!(text.contains("\n  ran: maybe"), "{text}");
    }

    #[test]
    fn json_has_every_field() {
        let value = busy().to_json();
        assert_eq!(value["code"], 6);
        assert_eq!(value["name"], "busy");
        assert_eq!(value["message"], "queue \x1b[31mfull\n");
        assert_eq!(value["executed"], "no");
        assert_eq!(value["retry_ms"], 250);
        assert!(value["next"].as_str().unwrap().starts_with("try again"));
        let usage = Failure::usage("what", "do").to_json();
        assert!(usage["code"].is_null() && usage["retry_ms"].is_null());
    }

    #[test]
    fn json_is_read_back() {
        for failure in [
            busy(),
            Failure::usage("what", "do"),
            Failure::partial("", ""),
            Failure::interrupted("", Executed::Yes),
            Failure::before_call(ErrorCode(1234), "").hint("hint"),
        ] {
            assert_eq!(Failure::from_json(&failure.to_json()), Some(failure));
        }
        for (key, value) in
            [("code", json!(70_000)), ("executed", json!("perhaps")), ("name", json!("x"))]
        {
            let mut broken = Failure::usage("", "").to_json();
            broken[key] = value;
            assert_eq!(Failure::from_json(&broken), None, "{key}");
        }
    }

    #[test]
    fn each_kind_has_its_exit_code() {
        assert_eq!(busy().exit_code(), 9);
        assert_eq!(Failure::usage("", "").exit_code(), 2);
        assert_eq!(Failure::before_call(ErrorCode::NETWORK, "").exit_code(), 7);
        assert_eq!(Failure::partial("", "").exit_code(), 8);
        assert_eq!(Failure::interrupted("", Executed::No).exit_code(), 130);
    }

    #[test]
    fn a_hint_comes_before_the_advice() {
        let text = busy().hint("did you mean `add`?").to_text(true);
        assert!(text.contains(" next: did you mean `add`?; try again"), "{text}");
    }
}
