//! `lanc background`: the process behind `call --async`, until the call is under way.

use std::io;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::time::Duration;

use lanc::{CallError, Config, ErrorCode, ExeId, Executed, Node};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::time::Instant;

use super::Order;
use super::job::Job;
use crate::as_json::AsJson;
use crate::control::{Answer, Folder, MAX_ANSWER, Server, good, read_line, to_line};
use crate::failure::Failure;
use crate::signals::Interrupts;
use crate::{call, exit, network, output, signals};

/// How often it is looked whether a provider has the call, beside after every event.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long the outcome is kept for who fetches it.
const KEEP: Duration = Duration::from_secs(600);

/// Takes an order over standard input, answers it over standard output once the call is under
/// way, and stays until the result is fetched or its time is up; returns the exit code.
///
/// # Errors
/// Nobody gave an order: somebody has typed this verb.
pub(crate) fn run() -> Result<u8, Failure> {
    // A session of its own: what ends the terminal's does not end this. Refused only where it
    // has one already.
    let _ = rustix::process::setsid();
    signals::check_room()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| cannot("start the runtime", &error))?;
    let outcome = runtime.block_on(serve());
    runtime.shutdown_background();
    outcome
}

async fn serve() -> Result<u8, Failure> {
    let mut caller = Caller::connect()?;
    match begin(&mut caller).await {
        Ok((job, interrupts)) => {
            if tell(&good(&job.exe_id()))? {
                job.serve(interrupts).await;
            } else {
                job.give_up().await;
            }
        }
        Err(failure) => drop(tell(&Err(failure))?),
    }
    Ok(exit::OK)
}

/// Answers who gave the order. `false`: nobody reads it.
fn tell(answer: &Answer) -> Result<bool, Failure> {
    output::while_read(&to_line(answer))
}

async fn begin(caller: &mut Caller) -> Result<(Job, Interrupts), Failure> {
    let order = caller.order().await?;
    let mut interrupts = Interrupts::listen()?;
    let folder = Folder::at(order.folder.clone())?;
    let (listener, socket) = folder.bind()?;
    let server = Server::new(listener)?;
    // Holds no file system that somebody wants to unmount.
    let _ = std::env::set_current_dir("/");
    let node = network::open(&order.settings, None, Config::default()).await?;
    let mut job = match submit(&node, order) {
        Ok(submitted) => Job::new(&node, submitted, server, socket),
        Err(failure) => {
            network::close(&node).await;
            return Err(failure);
        }
    };
    let early = match job.publish() {
        Ok(()) => tokio::select! {
            biased;
            failure = job.over_early() => match failure {
                Some(failure) => failure,
                None => return Ok((job, interrupts)),
            },
            () = is_under_way(&node) => return Ok((job, interrupts)),
            () = caller.gone() => given_up(),
            () = interrupts.next() => given_up(),
        },
        Err(failure) => failure,
    };
    let executed = job.give_up().await;
    Err(early.executed(executed))
}

fn given_up() -> Failure {
    Failure::interrupted("the call was given up", Executed::Maybe)
}

/// A call that was made.
pub(super) struct Submitted {
    pub(super) id: ExeId,
    pub(super) function: String,
    /// When its time is up, whatever comes of it.
    pub(super) deadline: Instant,
    pub(super) keep: Duration,
    /// Its result as JSON, or its failure.
    pub(super) outcome: Pin<Box<dyn Future<Output = Answer> + Send>>,
}

fn submit(node: &Node, order: Order) -> Result<Submitted, Failure> {
    let Order { args, arguments, settings, .. } = order;
    let timeout = args.timeout.or(settings.timeout);
    let call = call::prepare::<()>(node, &args, arguments, timeout);
    let id = call.start().map_err(|error| call::explained(node, &args, error.into()))?;
    let (function, keep) = (args.name.clone(), args.keep.unwrap_or(KEEP));
    let config = Config::default();
    let time = timeout.unwrap_or(config.call_deadline()).min(config.max_deadline());
    let deadline = Instant::now() + time;
    let node = node.clone();
    let outcome = Box::pin(async move {
        // Whoever fetches it gives no options of the network.
        let explain =
            |error: CallError| settings.advise(call::explained(&node, &args, error.into()));
        let AsJson(value) = node.join(id, Duration::MAX).await.map_err(explain)?;
        good(&value).map_err(Failure::after_call)
    });
    Ok(Submitted { id, function, deadline, keep, outcome })
}

/// Waits until a provider has the call.
async fn is_under_way(node: &Node) {
    let mut events = node.events();
    while node.peers().iter().all(|peer| peer.open_calls == 0) {
        tokio::select! {
            Some(_) = events.next() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// The process in the foreground, as long as it waits for the call to be under way.
struct Caller(pipe::Receiver);

impl Caller {
    fn connect() -> Result<Self, Failure> {
        let stdin = io::stdin().as_fd().try_clone_to_owned();
        let pipe = stdin.and_then(pipe::Receiver::from_owned_fd);
        pipe.map(Self).map_err(|_| {
            let text = "this verb is for `lanc call --async`, which speaks to it over pipes";
            Failure::usage(text, "call with --async")
        })
    }

    async fn order(&mut self) -> Result<Order, Failure> {
        let line = read_line(&mut self.0, MAX_ANSWER).await;
        let line = line.map_err(|error| cannot("read the order", &error))?.unwrap_or_default();
        serde_json::from_slice(&line).map_err(|error| cannot("read the order", &error))
    }

    /// Waits until it has ended.
    async fn gone(&mut self) {
        let mut ignored = [0; 64];
        while let Ok(1..) = self.0.read(&mut ignored).await {}
    }
}

fn cannot(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::before_call(ErrorCode::INTERNAL, format!("cannot {what}: {error}"))
}
