//! `lanc jobs`: the calls in the background.

use std::time::Duration;

use lanc::Executed;
use serde_json::json;
use tokio::task::JoinSet;

use super::Status;
use crate::control::{Ask, Entry, Fate, Folder, Kind, Unanswered, ask};
use crate::failure::Failure;
use crate::values::Style;
use crate::{duration, exit, output, table, values};

/// How many processes are asked at once.
const AT_ONCE: usize = 64;

/// Lists the calls in the background; returns the exit code.
///
/// # Errors
/// The folder of control sockets cannot be read.
pub(crate) async fn list(as_json: bool) -> Result<u8, Failure> {
    let mut jobs = Vec::new();
    for folder in Folder::existing()? {
        folder.prune();
        jobs.extend(statuses(&folder).await?);
    }
    if as_json {
        output::line(&values::show(&json!(jobs), Style::Json))?;
    } else if jobs.is_empty() {
        output::note("no calls are in the background; `lanc call --async` leaves one there\n");
    } else {
        let rows: Vec<_> = jobs.iter().map(row).collect();
        let heading = ["EXE ID", "FUNCTION", "STATE", "AGE", "LEFT"];
        output::bytes(table::render(heading, &rows).as_bytes())?;
    }
    Ok(exit::OK)
}

/// How many calls are in the background, those of killed processes among them.
pub(super) fn count(folder: &Folder) -> Result<usize, Failure> {
    Ok(jobs(folder)?.len())
}

/// How many there are once those of killed processes have been marked as lost.
pub(super) async fn swept(folder: &Folder) -> Result<usize, Failure> {
    Ok(statuses(folder).await?.len())
}

fn jobs(folder: &Folder) -> Result<Vec<Entry>, Failure> {
    let mut entries = folder.entries()?;
    entries.retain(|entry| entry.kind == Kind::Job);
    Ok(entries)
}

/// Asks every process how far it is.
async fn statuses(folder: &Folder) -> Result<Vec<Status>, Failure> {
    let mut statuses = Vec::new();
    for some in jobs(folder)?.chunks(AT_ONCE) {
        let asked: JoinSet<_> = some.iter().cloned().map(status).collect();
        statuses.extend(asked.join_all().await.into_iter().flatten());
    }
    statuses.sort_by(|a, b| a.age_ms.cmp(&b.age_ms).then_with(|| a.exe_id.cmp(&b.exe_id)));
    Ok(statuses)
}

/// `None`: its process has ended, or was killed.
async fn status(entry: Entry) -> Option<Status> {
    let answer = match ask(&entry.path, Ask::Status).await {
        Ok(answer) => answer.ok().and_then(|raw| serde_json::from_str(raw.get()).ok()),
        Err(Unanswered::Gone) => {
            // Renamed by itself it is not there any more, and this does nothing.
            entry.end(Fate::Lost, Executed::Maybe);
            return None;
        }
        Err(Unanswered::Failed(_)) => None,
    };
    Some(answer.unwrap_or_else(|| Status {
        exe_id: entry.id,
        function: "-".to_owned(),
        state: "silent".to_owned(),
        pid: None,
        age_ms: None,
        left_ms: None,
    }))
}

fn row(job: &Status) -> [String; 5] {
    let time = |ms: Option<u64>| {
        ms.map_or_else(|| "-".to_owned(), |ms| duration::show(Duration::from_millis(ms)))
    };
    let Status { exe_id, function, state, age_ms, left_ms, .. } = job;
    [exe_id.clone(), function.clone(), state.clone(), time(*age_ms), time(*left_ms)]
}
