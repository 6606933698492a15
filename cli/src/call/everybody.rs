//! What the providers answered to `lanc call --all`.

use lanc::{Answer, Executed, Node};
use serde_json::{Value, json};

use crate::as_json::AsJson;
use crate::failure::Failure;
use crate::naming::Names;
use crate::values::{self, Style};
use crate::{escape, exit, output};

/// What one provider said.
struct Said {
    /// As `lanc peers` shows it.
    shown: String,
    peer: String,
    session: String,
    result: Result<Value, Failure>,
}

/// Prints one line, or one object, for each provider; returns the exit code.
///
/// # Errors
/// [`Failure`] of some or all of them, or of printing.
pub(super) fn print(
    node: &Node,
    answers: Vec<Answer<AsJson>>,
    as_json: bool,
) -> Result<u8, Failure> {
    let mut names = Names::of(&node.peers());
    answers.iter().for_each(|answer| names.add(&answer.peer, answer.session));
    let said: Vec<_> = answers.into_iter().map(|answer| said(answer, &names)).collect();
    let ran = |said: &Said| said.result.as_ref().map_or_else(Failure::ran, |_| Executed::Yes);
    let has_run = said.iter().any(|said| ran(said) == Executed::Yes);
    let unprinted = |failure: Failure| match has_run {
        true => failure.after_unprinted_call(),
        false => failure.executed(Executed::Maybe),
    };
    if as_json {
        let objects = said.iter().map(object).collect();
        output::line(&values::show(&objects, Style::Json)).map_err(unprinted)?;
    } else {
        for one in &said {
            output::line(&line(one)).map_err(unprinted)?;
        }
    }
    verdict(said)
}

fn said(answer: Answer<AsJson>, names: &Names) -> Said {
    Said {
        shown: names.show(&answer.peer, answer.session),
        session: answer.session.to_string(),
        peer: answer.peer,
        result: answer.result.map(|value| value.0).map_err(Failure::from),
    }
}

fn object(said: &Said) -> Value {
    let Said { peer, session, .. } = said;
    match &said.result {
        Ok(value) => json!({ "peer": peer, "session": session, "result": value }),
        Err(failure) => json!({ "peer": peer, "session": session, "error": failure.to_json() }),
    }
}

fn line(said: &Said) -> String {
    let text = match &said.result {
        Ok(value) => values::show_in_line(value),
        Err(failure) => failure.headline(),
    };
    format!("{}\t{text}", escape::line(&said.shown))
}

fn verdict(said: Vec<Said>) -> Result<u8, Failure> {
    let asked = said.len();
    let failures: Vec<_> = said.into_iter().filter_map(|said| said.result.err()).collect();
    let failed = failures.len();
    // Of several the one that says most about execution: the others did not run it more surely.
    let says_more = |told: Failure, other: Failure| match other.ran() > told.ran() {
        true => other,
        false => told,
    };
    let Some(told) = failures.into_iter().reduce(says_more) else { return Ok(exit::OK) };
    if failed == asked {
        return Err(told);
    }
    Err(Failure::partial(
        format!("{failed} of {asked} providers failed"),
        "see the error of each; `--on PEER` calls one of them again, by its name or the digits \
         beside it",
    ))
}
