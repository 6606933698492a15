//! Logs and notes, on standard error.

mod lines;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _, Write as _};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lanc::ErrorCode;
use tracing_subscriber::EnvFilter;

use crate::args::OutputArgs;
use crate::failure::Failure;
use lines::Lines;

static LINES: Lines = Lines::new();

/// Whether notes go the way of the log.
static TAKES_NOTES: AtomicBool = AtomicBool::new(false);

/// How long somebody who reads the log may hold up the end of the command, or a note.
const PATIENCE: Duration = Duration::from_secs(1);

/// Starts logging: as the options say, else as `LANC_LOG` says (in the syntax of `RUST_LOG`),
/// else warnings, and for a node that `serves` also who comes and goes.
///
/// # Errors
/// `LANC_LOG` makes no sense, or the system has no thread left.
pub(crate) fn start(options: &OutputArgs, serves: bool) -> Result<(), Failure> {
    let variable = std::env::var("LANC_LOG").ok().filter(|value| !value.trim().is_empty());
    let directives = directives(options, variable.as_deref(), serves);
    let filter = EnvFilter::try_new(directives).map_err(|error| {
        let text = format!("LANC_LOG is `{directives}`: {error}");
        Failure::usage(text, "write a level (error, warn, info, debug, trace) or module=level")
    })?;
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let writer = std::thread::Builder::new().name("log".to_owned());
    writer.spawn(|| LINES.write_to(io::stderr())).map_err(|error| {
        let text = format!("cannot start the thread that writes the log: {error}");
        Failure::before_call(ErrorCode::INTERNAL, text)
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| &LINES)
        // They are told by `eprintln!`, which panics where standard error is what fails.
        .log_internal_errors(false)
        .with_ansi(colours)
        .with_target(false)
        .init();
    Ok(())
}

/// From now on notes, and what is said of a panic, go the way of the log: others wait for this
/// command, and must not wait for who reads its standard error. To be called once logging has
/// started.
pub(crate) fn take_notes() {
    TAKES_NOTES.store(true, Ordering::Relaxed);
    // The usual hook writes by itself, and a node whose driver panicked would never be closed.
    std::panic::set_hook(Box::new(|panic| note(&told(panic))));
}

/// Writes to standard error, after what was logged before; see [`take_notes`]. Where that cannot
/// be written nobody reads it.
pub(crate) fn note(text: &str) {
    if TAKES_NOTES.load(Ordering::Relaxed) {
        let _ = (&LINES).write_all(text.as_bytes());
        flush();
    } else {
        flush();
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

fn told(panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let told = format!("thread '{}' {panic}\n", thread.name().unwrap_or("<unnamed>"));
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => format!("{told}{backtrace}"),
        _ => told,
    }
}

/// Waits until what was logged is written. A reader that does not read is not waited for.
pub(crate) fn flush() {
    LINES.flush(PATIENCE);
}

fn directives<'v>(options: &OutputArgs, variable: Option<&'v str>, serves: bool) -> &'v str {
    match (options.quiet, options.verbose, variable) {
        (true, ..) => "error",
        (_, 1, _) => "debug",
        (_, 2.., _) => "trace",
        (_, 0, Some(variable)) => variable,
        (_, 0, None) if serves => "info",
        (_, 0, None) => "warn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_panic_does_not_wait_for_who_reads_of_it() {
        use std::os::fd::OwnedFd;
        use std::os::unix::net::UnixStream;
        use std::process::{Command, Stdio};
        use std::sync::mpsc;

        /// Has this test panic where nobody reads it.
        const PANICS: &str = "TEST_PANICS_UNREAD";
        if std::env::var_os(PANICS).is_some() {
            take_notes();
            std::thread::spawn(|| panic!("nobody reads this")).join().unwrap_err();
            return;
        }
        let (mut log, unread) = UnixStream::pair().unwrap();
        log.set_nonblocking(true).unwrap();
        while log.write(&[b'x'; 4096]).is_ok() {}
        log.set_nonblocking(false).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        let test = "logging::tests::a_panic_does_not_wait_for_who_reads_of_it";
        command.args([test, "--exact", "--nocapture"]).env(PANICS, "1");
        command.stdout(Stdio::null()).stderr(OwnedFd::from(log));
        let (sender, receiver) = mpsc::sync_channel(1);
        std::thread::spawn(move || sender.send(command.status()));
        let status = receiver.recv_timeout(Duration::from_secs(30));
        // A child that hangs in spite of all goes on now.
        drop(unread);
        assert!(status.unwrap().unwrap().success());
    }

    #[test]
    fn options_come_before_the_variable() {
        let options = |quiet, verbose| OutputArgs { json: false, quiet, verbose };
        for (quiet, verbose, variable, serves, expected) in [
            (false, 0, None, false, "warn"),
            (false, 0, None, true, "info"),
            (false, 0, Some("lanc_node=trace"), true, "lanc_node=trace"),
            (true, 0, Some("trace"), true, "error"),
            (false, 1, Some("error"), false, "debug"),
            (false, 3, None, false, "trace"),
        ] {
            assert_eq!(directives(&options(quiet, verbose), variable, serves), expected);
        }
    }
}
