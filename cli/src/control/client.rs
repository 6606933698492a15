//! The asking end of a control socket.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lanc::{ErrorCode, Executed};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use super::path::with_short;
use super::protocol::{self, Answer, Ask, MAX_ANSWER};
use super::server::is_same_user;
use crate::failure::Failure;

/// How long a process that lives may take to answer, and how often one that has nothing to answer
/// yet is asked whether it lives.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// Nobody listens: the process has ended, or was killed.
    Gone,
    /// Anything else.
    Failed(Failure),
}

/// Asks the process that listens at `path`; [`Ask::Join`] waits as long as it takes, while the
/// process answers other questions: one that was stopped does not. Cancel safe: the process
/// notices that nobody waits.
///
/// # Errors
/// [`Unanswered`]. What the process itself refuses is an answer.
pub(crate) async fn ask(path: &Path, ask: Ask) -> Result<Answer, Unanswered> {
    if ask != Ask::Join {
        return in_time(path, ask).await.unwrap_or_else(|silent| Err(Unanswered::Failed(silent)));
    }
    let mut pid = None;
    tokio::select! {
        biased;
        answer = exchange(path, ask, &mut pid) => answer,
        silent = silence(path) => Err(Unanswered::Failed(silent)),
    }
}

/// The same within `patience`, and whose answer it is, once that is known. `None`: there was none
/// in that time. Not for [`Ask::Join`].
pub(crate) async fn ask_within(
    path: &Path,
    ask: Ask,
    patience: Duration,
) -> (Option<i32>, Option<Result<Answer, Unanswered>>) {
    let mut pid = None;
    let answer = tokio::time::timeout(patience, exchange(path, ask, &mut pid)).await;
    (pid, answer.ok())
}

/// Waits until the process is silent. What it answers, and that it is gone, is no silence.
async fn silence(path: &Path) -> Failure {
    loop {
        if let Err(silent) = in_time(path, Ask::Status).await {
            return silent;
        }
        tokio::time::sleep(ANSWER_TIME).await;
    }
}

/// # Errors
/// There was no answer in time.
async fn in_time(path: &Path, ask: Ask) -> Result<Result<Answer, Unanswered>, Failure> {
    let (pid, answer) = ask_within(path, ask, ANSWER_TIME).await;
    answer.ok_or_else(|| silent(pid))
}

fn silent(pid: Option<i32>) -> Failure {
    let pid = pid.map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
    let text = format!("the process in the background ({pid}) is silent for {ANSWER_TIME:?}");
    let next = format!("if it was stopped, `kill -CONT {pid}` lets it go on; then ask again");
    Failure::before_call(ErrorCode::TIMEOUT, text).executed(Executed::Maybe).next(next)
}

/// Asks and waits for the answer; `pid` is whose it will be, once that is known.
async fn exchange(path: &Path, ask: Ask, pid: &mut Option<i32>) -> Result<Answer, Unanswered> {
    let mut stream = connect(path.to_owned()).await.map_err(unreachable)?;
    *pid = stream.peer_cred().ok().and_then(|credentials| credentials.pid());
    if !is_same_user(&stream) {
        let text = format!("{} is another user's", path.display());
        return Err(failed(ErrorCode::UNAUTHORISED, text));
    }
    // One that is full of others answers before it reads.
    let _ = stream.write_all(&protocol::request(ask)).await;
    match protocol::read_line(&mut stream, MAX_ANSWER).await {
        Ok(Some(line)) => protocol::read_answer(&line).map_err(Unanswered::Failed),
        Ok(None) => Err(Unanswered::Gone),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(Unanswered::Gone),
        Err(error) => Err(failed(ErrorCode::INTERNAL, format!("cannot read the answer: {error}"))),
    }
}

/// A process that does not accept holds up `connect` itself, which therefore has its own thread.
async fn connect(path: PathBuf) -> io::Result<UnixStream> {
    let connect = move || with_short(&path, |path| StdStream::connect(path));
    let stream = tokio::task::spawn_blocking(connect).await.map_err(io::Error::other)??;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

fn unreachable(error: io::Error) -> Unanswered {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => Unanswered::Gone,
        _ => failed(ErrorCode::INTERNAL, format!("cannot reach the background: {error}")),
    }
}

fn failed(code: ErrorCode, text: String) -> Unanswered {
    Unanswered::Failed(Failure::before_call(code, text).executed(Executed::Maybe))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::test_folder::TestFolder;

    #[tokio::test(start_paused = true)]
    async fn whoever_is_stopped_is_not_waited_for() {
        let folder = TestFolder::new();
        let path = folder.path().join("socket");
        // The system accepts for a process that does nothing itself.
        let _listener = UnixListener::bind(&path).unwrap();
        for what in [Ask::Join, Ask::Get] {
            let Err(Unanswered::Failed(failure)) = ask(&path, what).await else { panic!() };
            assert_eq!(
                (failure.code(), failure.ran()),
                (Some(ErrorCode::TIMEOUT), Executed::Maybe)
            );
            let advice = format!("kill -CONT {}", std::process::id());
            assert!(failure.advice().contains(&advice), "{failure:?}");
        }
    }
}
