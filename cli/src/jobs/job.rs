//! A call in the background from its start until nobody wants its result any more.

use std::pin::Pin;
use std::time::Duration;

use lanc::{ErrorCode, ExeId, Executed, Node};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::background::Submitted;
use super::{Cancelled, Outcome, Status};
use crate::control::{Answer, Ask, Fate, Question, Server, Socket, good};
use crate::failure::Failure;
use crate::network;
use crate::signals::Interrupts;

/// A call, and who asks for it.
pub(super) struct Job {
    id: ExeId,
    function: String,
    /// Until the call is over.
    node: Option<Node>,
    coming: Pin<Box<dyn Future<Output = Answer> + Send>>,
    /// What it came to.
    over: Option<Answer>,
    began: Instant,
    /// The call's deadline, then the end of its result.
    ends: Instant,
    keep: Duration,
    server: Server,
    socket: Socket,
    /// Those who wait for the outcome.
    waiting: Vec<Question>,
    farewell: Option<JoinHandle<()>>,
}

impl Job {
    pub(super) fn new(node: &Node, call: Submitted, server: Server, socket: Socket) -> Self {
        Self {
            id: call.id,
            function: call.function,
            node: Some(node.clone()),
            coming: call.outcome,
            over: None,
            began: Instant::now(),
            ends: call.deadline,
            keep: call.keep,
            server,
            socket,
            waiting: Vec::new(),
            farewell: None,
        }
    }

    pub(super) fn exe_id(&self) -> String {
        self.id.to_string()
    }

    /// From now on `lanc join` finds it.
    ///
    /// # Errors
    /// The system's refusal.
    pub(super) fn publish(&mut self) -> Result<(), Failure> {
        let id = self.exe_id();
        self.socket.publish_job(&id)
    }

    /// Waits for the outcome. `Some`: a failure before the function ran, of which it is best
    /// heard at once. Cancel safe.
    pub(super) async fn over_early(&mut self) -> Option<Failure> {
        let outcome = (&mut self.coming).await;
        self.is_over(outcome);
        match &self.over {
            Some(Err(failure)) if failure.ran() == Executed::No => Some(failure.clone()),
            _ => None,
        }
    }

    /// Gives the call up, and leaves nothing behind. Returns whether the function ran.
    pub(super) async fn give_up(mut self) -> Executed {
        let executed = self.cancel().await;
        drop(self.socket);
        depart(self.farewell).await;
        executed
    }

    /// Answers until the result is fetched, its time is up, or the call is given up.
    pub(super) async fn serve(mut self, mut interrupts: Interrupts) {
        let (fate, executed) = loop {
            self.answer_waiting();
            tokio::select! {
                outcome = &mut self.coming, if self.over.is_none() => self.is_over(outcome),
                question = self.server.next() => {
                    if let Some(end) = self.take(question).await {
                        break end;
                    }
                }
                () = interrupts.next() => {
                    let was_over = self.over.is_some();
                    let executed = self.cancel().await;
                    break (if was_over { Fate::Lost } else { Fate::Cancelled }, executed);
                }
                () = tokio::time::sleep_until(self.ends), if self.over.is_some() => {
                    break (Fate::Expired, self.executed());
                }
            }
        };
        self.answer_waiting();
        self.socket.end(fate, executed);
        let last = async {
            self.server.finish().await;
            depart(self.farewell).await;
        };
        tokio::select! {
            () = last => {}
            () = interrupts.next() => {}
        }
    }

    /// Answers a question, or keeps it until there is an answer. `Some`: the end.
    async fn take(&mut self, question: Question) -> Option<(Fate, Executed)> {
        match question.ask {
            Ask::Stats | Ask::Rekey => {
                let text = "this process is a call in the background; it serves no functions";
                question.answer(Err(Failure::before_call(ErrorCode::UNSUPPORTED, text)));
            }
            Ask::Status => question.answer(good(&self.status())),
            Ask::Join => {
                self.waiting.retain(|question| !question.is_given_up());
                self.waiting.push(question);
            }
            Ask::Get => question.answer(match &self.over {
                Some(over) => good(&Outcome::of(over)),
                None => Err(self.not_ready()),
            }),
            Ask::Forget if self.over.is_none() => question.answer(Err(self.not_ready())),
            Ask::Forget => {
                question.answer(good(&()));
                return Some((Fate::Fetched, self.executed()));
            }
            Ask::Cancel => {
                let was_over = self.over.is_some();
                let executed = self.cancel().await;
                let cancelled = !was_over && self.is_cancelled();
                question.answer(good(&Cancelled::new(cancelled, executed)));
                return cancelled.then_some((Fate::Cancelled, executed));
            }
        }
        None
    }

    fn answer_waiting(&mut self) {
        let Some(over) = &self.over else { return };
        for question in self.waiting.drain(..) {
            question.answer(good(&Outcome::of(over)));
        }
    }

    /// Tells the callee that nobody waits. The outcome is there when this returns, and may be
    /// the result if that came first.
    async fn cancel(&mut self) -> Executed {
        if let Some(node) = &self.node {
            // A call that is not known any more has an outcome.
            let _ = node.cancel(self.id);
            let outcome = (&mut self.coming).await;
            self.is_over(outcome);
        }
        self.executed()
    }

    /// The node has nothing more to do; the result is kept from now on.
    fn is_over(&mut self, outcome: Answer) {
        self.over = Some(outcome);
        self.ends = Instant::now() + self.keep;
        if let Some(node) = self.node.take() {
            self.farewell = Some(tokio::spawn(async move { network::close(&node).await }));
        }
    }

    fn is_cancelled(&self) -> bool {
        let code = self.over.as_ref().and_then(|over| over.as_ref().err()?.code());
        code == Some(ErrorCode::CANCELLED)
    }

    fn executed(&self) -> Executed {
        match &self.over {
            None => Executed::Maybe,
            Some(Ok(_)) => Executed::Yes,
            Some(Err(failure)) => failure.ran(),
        }
    }

    fn not_ready(&self) -> Failure {
        let text = format!("{} has no result yet", self.id);
        Failure::before_call(ErrorCode::NOT_READY, text).executed(Executed::Maybe)
    }

    fn status(&self) -> Status {
        let ms = |time: Duration| u64::try_from(time.as_millis()).ok();
        let state = match &self.over {
            None => "running",
            Some(Ok(_)) => "done",
            Some(Err(_)) => "failed",
        };
        Status {
            exe_id: self.exe_id(),
            function: self.function.clone(),
            state: state.to_owned(),
            pid: Some(std::process::id()),
            age_ms: ms(self.began.elapsed()),
            left_ms: ms(self.ends.saturating_duration_since(Instant::now())),
        }
    }
}

/// Lets the node's farewell leave.
async fn depart(farewell: Option<JoinHandle<()>>) {
    if let Some(farewell) = farewell {
        let _ = farewell.await;
    }
}
