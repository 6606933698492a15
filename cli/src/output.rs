//! Printing on standard output.

use std::io::{self, IsTerminal as _, Write as _};

use clap::error::ErrorKind;

use crate::failure::Failure;
use crate::values::Style;
use crate::{exit, logging};

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

/// Whether nobody may ever see what is printed, because standard output was closed when the command
/// began: the runtime of Rust opens `/dev/null` in its place then, to read and to write. So do some
/// programs for those they start, and nothing tells one from the other; a shell's `>/dev/null` is
/// open to write alone. It is therefore no error.
#[cfg(unix)]
pub(crate) fn may_be_closed() -> bool {
    use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, stat};
    let out = io::stdout();
    let reads = fcntl_getfl(&out).is_ok_and(|flags| flags.contains(OFlags::RDWR));
    let device = |stat: rustix::fs::Stat| {
        let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
        is_device.then_some(stat.st_rdev)
    };
    let null = stat("/dev/null").ok().and_then(device);
    reads && null.is_some() && fstat(&out).ok().and_then(device) == null
}

/// Prints `text` and a line feed.
///
/// # Errors
/// The system's refusal; a reader that has gone away is none.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// Tells people something on standard error, after what was logged before.
pub(crate) fn note(text: &str) {
    logging::note(text);
}

/// Prints what the reader of the command line has to say, help or a mistake; returns the exit code.
///
/// # Errors
/// The system's refusal of what was asked for, and a mistake that is to be told `as_json`; others
/// have their exit code whoever reads them.
pub(crate) fn told(told: &clap::Error, as_json: bool) -> Result<u8, Failure> {
    if as_json && told.use_stderr() {
        return Err(mistake(told));
    }
    let printed = told.print().and_then(|()| io::stdout().flush());
    if !told.use_stderr() {
        is_read(printed)?;
    }
    Ok(u8::try_from(told.exit_code()).unwrap_or(exit::USAGE))
}

/// What is told in paragraphs: the mistake, tips, how the command is used.
fn mistake(told: &clap::Error) -> Failure {
    use ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingSubcommand};
    if matches!(told.kind(), DisplayHelpOnMissingArgumentOrSubcommand | MissingSubcommand) {
        return Failure::usage("the verb is missing", "--help lists the verbs there are");
    }
    let text = told.render().to_string();
    let mut paragraphs = text.split("\n\n").map(|paragraph| {
        let words: Vec<_> = paragraph.split_whitespace().collect();
        words.join(" ")
    });
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
    let next: Vec<_> = paragraphs.filter(|paragraph| !paragraph.is_empty()).collect();
    Failure::usage(message, next.join("; "))
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
    is_read(out.write_all(bytes).and_then(|()| out.flush()))
}

fn is_read(printed: io::Result<()>) -> Result<bool, Failure> {
    match printed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::unprinted(&error)),
    }
}
