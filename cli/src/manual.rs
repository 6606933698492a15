//! Completion scripts and manual pages, made from the command line's own definition.

use clap::CommandFactory as _;
use lanc::ErrorCode;

use crate::args::Cli;
use crate::failure::Failure;
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

/// Prints the manual page of the command, or of one verb.
///
/// # Errors
/// There is no such verb, or the system refuses to print.
pub(crate) fn page(verb: Option<&str>) -> Result<u8, Failure> {
    let mut command = Cli::command();
    command.build();
    if let Some(verb) = verb {
        let Some(found) = command.find_subcommand(verb) else {
            let known = command.get_subcommands().map(clap::Command::get_name);
            let failure = Failure::usage(format!("there is no verb `{verb}`"), "see `lanc --help`");
            return Err(match suggest::nearest(verb, known) {
                Some(near) => failure.hint(&format!("did you mean `{near}`?")),
                None => failure,
            });
        };
        command = found.clone();
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(|error| {
        Failure::before_call(ErrorCode::INTERNAL, format!("cannot write the page: {error}"))
    })?;
    output::bytes(&page)?;
    Ok(exit::OK)
}
