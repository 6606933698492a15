//! The nodes that serve on this machine, and what they tell of themselves over their control
//! sockets.

use std::convert::Infallible;
use std::time::Duration;

use lanc::{ErrorCode, Node};
use tokio::task::{JoinHandle, JoinSet};

use crate::control::{Ask, Entry, Folder, Kind, Server, Socket, Unanswered, ask, ask_within, good};
use crate::failure::Failure;
use crate::stats::{Process, Processes, Silent};
use crate::{duration, keys};

/// How many processes are asked at once.
const AT_ONCE: usize = 64;

/// A node that can be asked.
pub(crate) struct Told(JoinHandle<Infallible>);

/// Tells whoever of this user asks what `node` counted, until [`Told::end`]. A process that
/// nobody can ask serves all the same. With `keys_are_stored` it also follows what becomes of
/// these. To be called before anything uses a relative path.
pub(crate) fn tell(node: &Node, keys_are_stored: bool) -> Option<Told> {
    match listen(node) {
        Ok((server, socket)) => {
            let answer = answer(node.clone(), keys_are_stored, server, socket);
            Some(Told(tokio::spawn(answer)))
        }
        Err(failure) => {
            tracing::warn!("`lanc stats` cannot ask this process: {}", failure.headline());
            None
        }
    }
}

impl Told {
    /// Takes the socket away.
    pub(crate) async fn end(self) {
        self.0.abort();
        // It was told to end: how it did is no news.
        let _ = self.0.await;
    }
}

fn listen(node: &Node) -> Result<(Server, Socket), Failure> {
    let (listener, mut socket) = Folder::make()?.bind()?;
    let server = Server::new(listener)?;
    socket.publish_node(&node.session().to_string())?;
    Ok((server, socket))
}

/// The socket goes with this future.
async fn answer(
    node: Node,
    keys_are_stored: bool,
    mut server: Server,
    _socket: Socket,
) -> Infallible {
    loop {
        let question = server.next().await;
        let answer = match question.ask {
            Ask::Stats => good(&node.stats()),
            Ask::Rekey if keys_are_stored => keys::follow(&node).and_then(|()| good(&true)),
            // Its keys are of another place.
            Ask::Rekey => good(&false),
            _ => {
                let text = "this process serves functions; it is no call in the background";
                Err(Failure::before_call(ErrorCode::UNSUPPORTED, text))
            }
        };
        question.answer(answer);
    }
}

/// The nodes of this user that serve here, by name, and the processes that live and have told
/// nothing within `patience`.
///
/// # Errors
/// The folder of control sockets cannot be read.
pub(crate) async fn processes(patience: Duration) -> Result<Processes, Failure> {
    let mut found = Processes::default();
    for folder in Folder::existing()? {
        let mut nodes = folder.entries()?;
        nodes.retain(|entry| entry.kind == Kind::Node);
        for some in nodes.chunks(AT_ONCE) {
            let asked: JoinSet<_> =
                some.iter().cloned().map(|entry| stats(entry, patience)).collect();
            for process in asked.join_all().await.into_iter().flatten() {
                match process {
                    Process::Told(stats) => found.all.push(*stats),
                    Process::Silent(silent) => found.silent.push(silent),
                }
            }
        }
    }
    found.all.sort_by(|a, b| (&a.node, a.pid).cmp(&(&b.node, b.pid)));
    found.silent.sort_by_key(|silent| silent.pid);
    Ok(found)
}

/// Tells the nodes of this user that serve here that the stored keys have changed; those that
/// cannot follow say why.
///
/// # Errors
/// The folder of control sockets cannot be read.
pub(crate) async fn rekey() -> Result<Vec<Failure>, Failure> {
    let mut refused = Vec::new();
    for folder in Folder::existing()? {
        for entry in folder.entries()?.into_iter().filter(|entry| entry.kind == Kind::Node) {
            match ask(&entry.path, Ask::Rekey).await {
                Ok(Ok(_)) | Err(Unanswered::Gone) => {}
                Ok(Err(failure)) | Err(Unanswered::Failed(failure)) => refused.push(failure),
            }
        }
    }
    Ok(refused)
}

/// `None`: its process has ended, or was killed.
async fn stats(entry: Entry, patience: Duration) -> Option<Process> {
    let (pid, answer) = ask_within(&entry.path, Ask::Stats, patience).await;
    let pid = pid.and_then(|pid| u32::try_from(pid).ok());
    let silent = |why: String| Some(Process::Silent(Silent { pid, why }));
    match answer {
        None => silent(format!("within {}", duration::show(patience))),
        Some(Ok(Ok(answer))) => match serde_json::from_str(answer.get()) {
            Ok(stats) => Some(Process::Told(Box::new(stats))),
            Err(error) => silent(format!("with what makes sense here: {error}")),
        },
        Some(Err(Unanswered::Gone)) => {
            // Its process was killed. Another may have removed it before.
            let _ = std::fs::remove_file(&entry.path);
            None
        }
        Some(Ok(Err(failure)) | Err(Unanswered::Failed(failure))) => {
            silent(format!("as asked: {}", failure.message()))
        }
    }
}
