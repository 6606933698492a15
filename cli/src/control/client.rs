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

/// How long a process that lives may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// Nobody listens: the process has ended, or was killed.
    Gone,
    /// Anything else.
    Failed(Failure),
}

/// Asks the process that listens at `path`; [`Ask::Join`] waits as long as it takes. Cancel
/// safe: the process notices that nobody waits.
///
/// # Errors
/// [`Unanswered`]. What the process itself refuses is an answer.
pub(crate) async fn ask(path: &Path, ask: Ask) -> Result<Answer, Unanswered> {
    if ask == Ask::Join {
        return exchange(path, ask).await;
    }
    match tokio::time::timeout(ANSWER_TIME, exchange(path, ask)).await {
        Ok(answer) => answer,
        Err(_) => {
            let text = format!("the process in the background is silent for {ANSWER_TIME:?}");
            Err(failed(ErrorCode::TIMEOUT, text))
        }
    }
}

async fn exchange(path: &Path, ask: Ask) -> Result<Answer, Unanswered> {
    let mut stream = connect(path.to_owned()).await.map_err(unreachable)?;
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
