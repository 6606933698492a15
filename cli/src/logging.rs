//! Logs, on standard error.

mod lines;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use lanc::ErrorCode;
use tracing_subscriber::EnvFilter;

use crate::args::OutputArgs;
use crate::failure::Failure;
use lines::Lines;

static LINES: Lines = Lines::new();

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
