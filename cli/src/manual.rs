//! Completion scripts and manual pages, made from the command line's own definition.

use std::io::{self, IsTerminal as _};
use std::process::Stdio;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use lanc::ErrorCode;
use tokio::io::AsyncWriteExt as _;

use crate::args::Cli;
use crate::failure::Failure;
use crate::settings::explained;
use crate::signals::{self, Interrupts};
use crate::{exit, output, suggest};

/// Prints the completion script for a shell.
///
/// # Errors
/// The system's refusal to print.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lanc", &mut script);
    output::bytes(&script)?;
    Ok(exit::OK)
}

/// Prints the manual page of the command, or of one verb: `call`, `key rotate`.
///
/// # Errors
/// There is no such verb, or the system refuses to print.
pub(crate) fn page(verb: &[String]) -> Result<u8, Failure> {
    let mut command = Cli::command();
    command.build();
    for word in verb.iter().flat_map(|words| words.split_whitespace()) {
        let Some(found) = command.find_subcommand(word) else {
            return Err(unknown(word, &command));
        };
        command = found.clone();
    }
    let mut page = Vec::new();
    render(command, &mut page).map_err(|error| {
        Failure::before_call(ErrorCode::INTERNAL, format!("cannot write the page: {error}"))
    })?;
    if !(io::stdout().is_terminal() && is_shown_by_man(&page)) {
        output::bytes(&page)?;
    }
    Ok(exit::OK)
}

/// Has the system's `man` show a page on the terminal. `false`: there is none, or it cannot.
fn is_shown_by_man(page: &[u8]) -> bool {
    let shown = async {
        // An interrupt is for the pager, which goes on.
        let _ours = Interrupts::listen().ok()?;
        let mut man = tokio::process::Command::new("man");
        man.args(["-l", "-"]).stdin(Stdio::piped()).stderr(Stdio::null());
        let mut man = man.spawn().ok()?;
        // Whoever has seen enough reads no more.
        let _ = man.stdin.take()?.write_all(page).await;
        man.wait().await.ok()
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().ok();
    let runtime = signals::check_room().ok().and_then(|()| runtime());
    runtime.and_then(|runtime| runtime.block_on(shown)).is_some_and(|status| status.success())
}

/// The page of the command itself says as well what may be set beside options, that of `call`
/// what errors there are.
fn render(command: Command, page: &mut Vec<u8>) -> io::Result<()> {
    let own = match command.get_bin_name() {
        Some("lanc call") => errors(),
        _ if command.get_name() == "lanc" => explained::sections(),
        _ => return Man::new(command).render(page),
    };
    let has_verbs = command.has_subcommands();
    let man = Man::new(command);
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if has_verbs {
        man.render_subcommands_section(page)?;
    }
    own.to_writer(page)?;
    man.render_extra_section(page)?;
    man.render_version_section(page)
}

/// Every error with its code and what the command exits with.
fn errors() -> Roff {
    let mut page = Roff::default();
    page.control("SH", ["ERRORS"]);
    page.text([roman(
        "An error has a name and a code, which --json prints and which other programs see; the exit \
         code is another number, as a process has few of them. Names that have no code are of this \
         command alone.",
    )]);
    page.control("PP", []);
    page.control("nf", []);
    page.text([bold(error_row("name", "code", "exit code"))]);
    for code in ErrorCode::ALL.iter().filter(|code| **code != ErrorCode::OK) {
        let row = error_row(code.name(), &code.0.to_string(), &exit::of(*code).to_string());
        page.text([roman(row)]);
    }
    let application = ErrorCode(ErrorCode::FIRST_APPLICATION);
    let codes = format!("{} and more", application.0);
    let exits = exit::of(application).to_string();
    page.text([roman(error_row(application.name(), &codes, &exits))]);
    for (name, code) in [
        ("usage", exit::USAGE),
        ("output", exit::OUTPUT),
        ("partial", exit::PARTIAL),
        ("interrupted", exit::INTERRUPTED),
    ] {
        page.text([roman(error_row(name, "-", &code.to_string()))]);
    }
    page.control("fi", []);
    page
}

fn error_row(name: &str, code: &str, exit: &str) -> String {
    format!("{name:<22}{code:<15}{exit}")
}

fn unknown(word: &str, command: &Command) -> Failure {
    let known = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let known: Vec<_> = known.map(Command::get_name).filter(|name| *name != "help").collect();
    let of = command.get_bin_name().unwrap_or("lanc");
    if known.is_empty() {
        return Failure::usage(
            format!("`{of}` has no verbs of its own, such as `{word}`"),
            format!("its page is: {}", of.replacen("lanc", "lanc man", 1)),
        );
    }
    let next = format!("the verbs of `{of}` are: {}", known.join(", "));
    let failure = Failure::usage(format!("there is no verb `{word}`"), next);
    match suggest::nearest(word, known) {
        Some(near) => failure.hint(&format!("did you mean `{near}`?")),
        None => failure,
    }
}
