//! `lanc join`, `lanc get`, `lanc cancel`: one call in the background.

use lanc::{ErrorCode, Executed};
use serde_json::json;

use super::{Cancelled, Outcome, ended};
use crate::args::JobArgs;
use crate::control::{Answer, Ask, Entry, Fate, Folder, Kind, Unanswered, ask};
use crate::failure::Failure;
use crate::signals::Interrupts;
use crate::{escape, exit, output, values};

/// The fewest digits of an id that stand for it, as for sessions.
const FEWEST_DIGITS: usize = 8;

/// Waits for the outcome and prints it as `lanc call` would; returns the exit code.
///
/// # Errors
/// The call's failure, or why nothing more is known of it.
pub(crate) async fn join(args: &JobArgs, as_json: bool) -> Result<u8, Failure> {
    fetch(args, Ask::Join, as_json).await
}

/// The same without waiting.
///
/// # Errors
/// As [`join`]; `not_ready` while there is no outcome.
pub(crate) async fn get(args: &JobArgs, as_json: bool) -> Result<u8, Failure> {
    fetch(args, Ask::Get, as_json).await
}

async fn fetch(args: &JobArgs, how: Ask, as_json: bool) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let entry = find(&args.id)?;
    tracing::debug!("asking the process that holds {}", entry.id);
    let answer = tokio::select! {
        answer = asked(&entry, how) => answer?,
        () = interrupts.next() => {
            let text = format!("nobody waits for {} any more, and the call goes on", entry.id);
            let next = "`lanc join` waits again, `lanc cancel` gives the call up";
            return Err(Failure::interrupted(text, Executed::Maybe).next(next));
        }
    };
    match serde_json::from_str(answer.get()).map_err(|error| broken(&error.to_string()))? {
        Outcome::Result(result) => {
            let printed = output::line(&values::show_raw(&result, output::style(as_json)));
            // What could not be printed is kept.
            let kept = "make room where the output goes and ask again: the result is kept";
            printed.map_err(|failure| failure.after_call().next(kept))?;
            if !output::may_be_closed() {
                forget(&entry).await;
            }
            Ok(exit::OK)
        }
        Outcome::Failure(failure) => {
            forget(&entry).await;
            Err(Failure::from_json(&failure).unwrap_or_else(|| broken("a failure")))
        }
    }
}

/// Lets the process end. If it does not hear this, the result stays until its time is up.
async fn forget(entry: &Entry) {
    if let Err(Unanswered::Failed(failure)) = ask(&entry.path, Ask::Forget).await {
        tracing::debug!("{}", failure.headline());
    }
}

/// Gives the call up and says whether the function may have run; returns the exit code.
///
/// # Errors
/// Nothing is known of the call.
pub(crate) async fn cancel(args: &JobArgs, as_json: bool) -> Result<u8, Failure> {
    let entry = find(&args.id)?;
    let Cancelled { cancelled, executed } = match entry.kind {
        // Giving it up again changes nothing.
        Kind::Ended(Fate::Cancelled, executed) => Cancelled::new(true, executed),
        Kind::Ended(Fate::Fetched | Fate::Expired, executed) => Cancelled::new(false, executed),
        _ => {
            let answer = asked(&entry, Ask::Cancel).await?;
            serde_json::from_str(answer.get()).map_err(|error| broken(&error.to_string()))?
        }
    };
    if as_json {
        let object = json!({ "exe_id": entry.id, "cancelled": cancelled, "executed": executed });
        output::line(&escape::json(&object))?;
        return Ok(exit::OK);
    }
    let what = if cancelled { "cancelled" } else { "it was over already" };
    let ran = match executed.as_str() {
        "no" => "the function did not run",
        "yes" => "the function ran",
        _ => "the function may have run",
    };
    output::line(&format!("{what}; {ran}"))?;
    Ok(exit::OK)
}

/// An answer that another version may understand.
fn broken(why: &str) -> Failure {
    let text = format!("the process in the background answered what makes no sense here: {why}");
    Failure::before_call(ErrorCode::PROTOCOL, text).executed(Executed::Maybe)
}

/// Asks the process that holds the call.
async fn asked(entry: &Entry, what: Ask) -> Answer {
    if let Kind::Ended(fate, executed) = entry.kind {
        return Err(ended(&entry.id, fate, executed));
    }
    match ask(&entry.path, what).await {
        Ok(answer) => answer,
        Err(Unanswered::Failed(failure)) => Err(failure),
        Err(Unanswered::Gone) => match find(&entry.id)?.kind {
            // It ended in order since it was looked for.
            Kind::Ended(fate, executed) => Err(ended(&entry.id, fate, executed)),
            _ => {
                entry.end(Fate::Lost, Executed::Maybe);
                Err(ended(&entry.id, Fate::Lost, Executed::Maybe))
            }
        },
    }
}

/// The call that a person means, by its id or the first digits of it.
fn find(text: &str) -> Result<Entry, Failure> {
    if text.len() < FEWEST_DIGITS {
        let text = format!("`{text}` is too short for a call");
        let next = format!("write {FEWEST_DIGITS} digits of it or more; `lanc jobs` lists them");
        return Err(Failure::usage(text, next));
    }
    let mut found = Vec::new();
    for folder in Folder::existing()? {
        found.extend(folder.entries()?);
    }
    let is_call = |kind| matches!(kind, Kind::Job | Kind::Ended(..));
    found.retain(|entry| is_call(entry.kind) && is_meant(&entry.id, text));
    match found.as_slice() {
        [_] => {}
        [] => {
            let text = format!("no call `{text}` is or was in the background here");
            let failure = Failure::before_call(ErrorCode::UNKNOWN_CALL, text);
            return Err(failure
                .executed(Executed::Maybe)
                .hint("`lanc jobs` lists the calls in the background"));
        }
        [first, second, ..] => {
            let text = format!("`{text}` may be {} or {}", first.id, second.id);
            return Err(Failure::usage(text, "write more digits of it"));
        }
    }
    found.pop().ok_or_else(|| Failure::before_call(ErrorCode::UNKNOWN_CALL, ""))
}

fn is_meant(id: &str, text: &str) -> bool {
    id == text || (text.len() >= FEWEST_DIGITS && id.starts_with(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_digits_stand_for_an_id() {
        let id = "1011121314151617.1.9f2c4e1a";
        for text in [id, "10111213", "1011121314151617.1"] {
            assert!(is_meant(id, text), "{text}");
        }
        for text in ["", "1011121", "20111213", "1011121314151617.1.9f2c4e1a0"] {
            assert!(!is_meant(id, text), "{text}");
        }
    }
}
