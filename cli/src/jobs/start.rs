//! `lanc call --async`, the part in the foreground.

use std::process::Stdio;
use std::time::Duration;

use lanc::{ErrorCode, Executed};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdout, Command};
use zeroize::Zeroizing;

use super::{BACKGROUND, Order, list};
use crate::args::CallArgs;
use crate::control::{Answer, Folder, MAX_ANSWER, read_answer, read_line};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::signals::Interrupts;
use crate::values::Arguments;
use crate::{escape, exit, output, values};

/// Most calls in the background.
const MAX_JOBS: usize = 1024;

/// How long an interrupted caller waits to hear whether the function may have run.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Leaves the call in the background and prints its id once a provider has it; returns the exit
/// code.
///
/// # Errors
/// [`Failure`]: nothing is left in the background then.
pub(crate) async fn start(
    args: CallArgs,
    arguments: Arguments,
    settings: &Settings,
    as_json: bool,
) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let folder = Folder::make()?;
    folder.prune();
    make_room(&folder, MAX_JOBS).await?;
    // For what is said of a mistake: the values are in `arguments`.
    let names = values::names(&args.args).map(|name| format!("{name}="));
    let args = CallArgs { args: names.collect(), literal: Vec::new(), ..args };
    let path = folder.path().to_owned();
    let order = Order { args, arguments, settings: settings.resolved()?, folder: path };
    let order = serde_json::to_vec(&order).map_err(|error| internal(&error))?;
    // There may be a key in it.
    let mut order = Zeroizing::new(order);
    order.push(b'\n');

    let mut child = spawn()?;
    let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(internal(&"the process in the background has no pipes"));
    };
    let answer = async {
        // If it ends before it has read all, that shows when nothing is answered.
        let _ = stdin.write_all(&order).await;
        tracing::debug!("waiting until a provider has the call");
        heard(&mut child, &mut stdout).await
    };
    let answer = tokio::select! {
        answer = answer => answer,
        () = interrupts.next() => {
            // It gives the call up once nobody holds the other end.
            drop(stdin);
            last_word(&mut child, &mut stdout, &mut interrupts).await
        }
    };
    let id: String = serde_json::from_str(answer?.get()).map_err(|error| internal(&error))?;
    let text = if as_json { escape::json(&json!({ "exe_id": id })) } else { id };
    output::line(&text).map_err(|failure| {
        failure.executed(Executed::Maybe).hint("the call is in the background: see `lanc jobs`")
    })?;
    Ok(exit::OK)
}

/// Checks that there is room for one more call.
async fn make_room(folder: &Folder, most: usize) -> Result<(), Failure> {
    // What was killed counts until somebody has looked at it.
    if list::count(folder)? < most || list::swept(folder).await? < most {
        return Ok(());
    }
    let text = format!("{most} calls are in the background already");
    let failure = Failure::before_call(ErrorCode::BUSY, text);
    Err(failure.hint("`lanc jobs` lists them, `lanc get` and `lanc cancel` end them"))
}

fn spawn() -> Result<Child, Failure> {
    let program = std::env::current_exe().map_err(|error| internal(&error))?;
    let mut command = Command::new(&program);
    command.arg(BACKGROUND);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().map_err(|error| {
        internal(&format!("cannot start {} in the background: {error}", program.display()))
    })
}

/// What the process in the background says.
async fn heard(child: &mut Child, stdout: &mut ChildStdout) -> Answer {
    match read_line(stdout, MAX_ANSWER).await {
        Ok(Some(line)) => read_answer(&line)?,
        _ => {
            let status = child.wait().await.map_or_else(|e| e.to_string(), |s| s.to_string());
            let text = format!("the process in the background ended: {status}");
            Err(internal(&text).executed(Executed::Maybe))
        }
    }
}

async fn last_word(
    child: &mut Child,
    stdout: &mut ChildStdout,
    interrupts: &mut Interrupts,
) -> Answer {
    let unknown = || Failure::interrupted("the call was given up", Executed::Maybe);
    tokio::select! {
        answer = tokio::time::timeout(LAST_WORD, heard(child, stdout)) => match answer {
            // It was under way a moment ago, and goes on.
            Ok(answer) => answer,
            Err(_) => Err(unknown()),
        },
        () = interrupts.next() => Err(unknown()),
    }
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    Failure::before_call(ErrorCode::INTERNAL, error.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;
    use crate::control::{Server, Socket, good};
    use crate::test_folder::TestFolder;

    /// A process that answers, whatever it is asked.
    fn answers(folder: &Folder, id: &str) -> (JoinHandle<()>, Socket) {
        let (listener, mut socket) = folder.bind().unwrap();
        socket.publish_job(id).unwrap();
        let mut server = Server::new(listener).unwrap();
        let answering = async move {
            loop {
                server.next().await.answer(good(&"whatever"));
            }
        };
        (tokio::spawn(answering), socket)
    }

    #[tokio::test]
    async fn calls_in_the_background_are_counted_and_killed_ones_are_not() {
        let place = TestFolder::new();
        let folder = Folder::at(place.path().join("lanc")).unwrap();
        assert!(make_room(&folder, 1).await.is_ok());
        let (first, _one) = answers(&folder, "one");
        let (_second, _two) = answers(&folder, "two");
        assert!(make_room(&folder, 3).await.is_ok());
        let full = make_room(&folder, 2).await.unwrap_err();
        assert_eq!((full.code(), full.ran()), (Some(ErrorCode::BUSY), Executed::No));
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert!(make_room(&folder, 2).await.is_ok());
        assert_eq!(list::count(&folder).unwrap(), 1);
    }
}
