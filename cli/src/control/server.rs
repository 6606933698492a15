//! The listening end of a control socket.

use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use lanc::{ErrorCode, Executed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::protocol::{self, Answer, Ask, MAX_REQUEST};
use crate::failure::Failure;

/// Most connections at once; one more is told so.
const MAX_CONNECTIONS: u32 = 64;

/// How long a request may take to arrive, and an answer to be taken.
const REQUEST_TIME: Duration = Duration::from_secs(5);
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// The pause after the system refused to accept: it has no descriptors, say.
const REFUSED: Duration = Duration::from_millis(100);

/// Something asked, and where the answer goes.
pub(crate) struct Question {
    /// What.
    pub(crate) ask: Ask,
    reply: oneshot::Sender<Answer>,
}

impl Question {
    /// Answers it. Who asked may have gone.
    pub(crate) fn answer(self, answer: Answer) {
        let _ = self.reply.send(answer);
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_given_up(&self) -> bool {
        self.reply.is_closed()
    }
}

/// Accepts connections and hands on what they ask.
pub(crate) struct Server {
    listener: UnixListener,
    places: Arc<Semaphore>,
    sender: mpsc::Sender<Question>,
    questions: mpsc::Receiver<Question>,
}

impl Server {
    /// Serves on a socket that listens already.
    ///
    /// # Errors
    /// The system's refusal.
    pub(crate) fn new(listener: StdListener) -> Result<Self, Failure> {
        let registered =
            listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
        let listener = registered.map_err(|error| {
            let text = format!("cannot serve a control socket: {error}");
            Failure::before_call(ErrorCode::INTERNAL, text)
        })?;
        let (sender, questions) = mpsc::channel(1);
        let places = Arc::new(Semaphore::new(places(MAX_CONNECTIONS)));
        Ok(Self { listener, places, sender, questions })
    }

    /// The next question. Cancel safe.
    pub(crate) async fn next(&mut self) -> Question {
        loop {
            tokio::select! {
                question = self.questions.recv() => match question {
                    Some(question) => return question,
                    // It has a sender itself: this does not happen.
                    None => std::future::pending::<()>().await,
                },
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => self.begin(stream),
                    Err(error) => {
                        tracing::debug!("the control socket accepts nothing: {error}");
                        tokio::time::sleep(REFUSED).await;
                    }
                },
            }
        }
    }

    /// Lets answers that are on their way arrive; nothing new is taken.
    pub(crate) async fn finish(self) {
        let Self { listener, places: open, sender, questions } = self;
        drop((listener, sender, questions));
        let all = open.acquire_many(MAX_CONNECTIONS);
        if tokio::time::timeout(ANSWER_TIME, all).await.is_err() {
            tracing::debug!("an answer over the control socket was not taken");
        }
    }

    fn begin(&self, stream: UnixStream) {
        if !is_same_user(&stream) {
            return;
        }
        let place = Arc::clone(&self.places).try_acquire_owned();
        let sender = self.sender.clone();
        tokio::spawn(async move {
            // Held until the answer is taken.
            match &place {
                Ok(_) => serve(stream, sender).await,
                Err(_) => write(stream, &Err(crowded())).await,
            }
        });
    }
}

/// Reads one request and writes its answer.
async fn serve(mut stream: UnixStream, sender: mpsc::Sender<Question>) {
    let request = protocol::read_line(&mut stream, MAX_REQUEST);
    let ask = match tokio::time::timeout(REQUEST_TIME, request).await {
        Ok(Ok(Some(line))) => protocol::read_request(&line),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(Failure::before_call(ErrorCode::PROTOCOL, error.to_string()))
        }
        // Nothing was asked.
        _ => return,
    };
    let answer = match ask {
        Ok(ask) => match answered(&mut stream, sender, ask).await {
            Some(answer) => answer,
            None => return,
        },
        Err(failure) => Err(failure),
    };
    write(stream, &answer).await;
}

/// `None`: who asked has gone, or this process ends.
async fn answered(
    stream: &mut UnixStream,
    sender: mpsc::Sender<Question>,
    ask: Ask,
) -> Option<Answer> {
    let (reply, answer) = oneshot::channel();
    let answer = async {
        // A process that ends answers by closing: what became of its call is in its folder.
        sender.send(Question { ask, reply }).await.ok()?;
        answer.await.ok()
    };
    tokio::select! {
        answer = answer => answer,
        // Others are answered at once, even one that says no more after its request.
        () = gone(stream), if ask == Ask::Join => None,
    }
}

/// Waits until the other end is closed; what it says meanwhile is not read further.
async fn gone(stream: &mut UnixStream) {
    let mut ignored = [0; 64];
    while let Ok(1..) = stream.read(&mut ignored).await {}
}

async fn write(mut stream: UnixStream, answer: &Answer) {
    let line = protocol::to_line(answer);
    // Who does not take the answer asks again.
    let _ = tokio::time::timeout(ANSWER_TIME, stream.write_all(&line)).await;
}

fn crowded() -> Failure {
    let text = format!("{MAX_CONNECTIONS} others ask this process already");
    Failure::before_call(ErrorCode::BUSY, text).executed(Executed::Maybe)
}

/// The folder lets nobody else in; this holds even if somebody opens it later.
pub(super) fn is_same_user(stream: &UnixStream) -> bool {
    let user = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|credentials| credentials.uid() == user)
}

fn places(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
