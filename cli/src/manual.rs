//! Completion scripts and manual pages, made from the command line's own definition.

use clap::CommandFactory as _;
use clap_mangen::Man;
use lanc::ErrorCode;

use crate::args::Cli;
use crate::failure::Failure;
use crate::settings::explained;
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
    let is_whole = command.get_name() == "lanc";
    render(&Man::new(command), is_whole, &mut page).map_err(|error| {
        Failure::before_call(ErrorCode::INTERNAL, format!("cannot write the page: {error}"))
    })?;
    output::bytes(&page)?;
    Ok(exit::OK)
}

/// The page of the command itself says as well what may be set beside options.
fn render(man: &Man, is_whole: bool, page: &mut Vec<u8>) -> std::io::Result<()> {
    if !is_whole {
        return man.render(page);
    }
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    man.render_subcommands_section(page)?;
    explained::sections().to_writer(page)?;
    man.render_extra_section(page)?;
    man.render_version_section(page)
}

fn unknown(word: &str, command: &clap::Command) -> Failure {
    let known = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let known: Vec<_> = known.map(clap::Command::get_name).filter(|name| *name != "help").collect();
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
