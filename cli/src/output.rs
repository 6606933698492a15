//! Printing on standard output.

use std::io::{self, IsTerminal as _, Write as _};

use lanc::ErrorCode;

use crate::failure::Failure;
use crate::logging;
use crate::values::Style;

/// How results are printed here.
pub(crate) fn style(as_json: bool) -> Style {
    if as_json {
        Style::Json
    } else if io::stdout().is_terminal() {
        Style::Terminal
    } else {
        Style::Plain
    }
}

/// Prints `text` and a line feed.
///
/// # Errors
/// The system's refusal; a reader that has gone away is none.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// Tells people something on standard error, after what was logged before. Where that cannot be
/// written nobody reads it.
pub(crate) fn note(text: &str) {
    logging::flush();
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Prints bytes as they are.
///
/// # Errors
/// The system's refusal; a reader that has gone away is none.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    while_read(bytes).map(drop)
}

/// Prints bytes as they are. `false`: the reader has gone away.
///
/// # Errors
/// The system's refusal.
pub(crate) fn while_read(bytes: &[u8]) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            let text = format!("cannot write to standard output: {error}");
            Err(Failure::before_call(ErrorCode::INTERNAL, text)
                .hint("make room where the output goes"))
        }
        Ok(()) => Ok(true),
    }
}
