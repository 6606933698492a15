//! A strict model of the published Python package: it behaves as the original was seen to, and
//! dies as it does.
//!
//! Pure, with virtual time, like a core: datagrams and wake-ups go in, datagrams come out. One
//! thread receives and runs functions; whatever the original does not catch ends that thread for
//! good, [`Original::death`] says why. The other thread goes on saying hello.

mod receive;
mod text;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lanc_core::Time;
use serde_json::Value;

use crate::sim::Dice;

/// What a function of the original returns; `None` raises.
pub type PythonBody = Arc<dyn Fn(&[Value]) -> Option<Value> + Send + Sync>;

/// A function of an original.
#[derive(Clone)]
pub struct PythonFunction {
    pub(crate) name: String,
    pub(crate) arity: usize,
    pub(crate) takes: Duration,
    pub(crate) body: PythonBody,
}

impl PythonFunction {
    /// A function of `arity` positional parameters that is over after `takes`.
    pub fn new(
        name: &str,
        arity: usize,
        takes: Duration,
        body: impl Fn(&[Value]) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.to_owned(), arity, takes, body: Arc::new(body) }
    }
}

impl std::fmt::Debug for PythonFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.name, self.arity)
    }
}

/// Why the receive thread ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Death {
    /// When.
    pub at: Time,
    /// The exception.
    pub why: String,
    /// The datagram it died of, as text.
    pub datagram: String,
    /// Who sent it.
    pub from: IpAddr,
}

/// Where a datagram of the original goes; always to port 5127, from a port of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// To everybody.
    Broadcast,
    /// To one host.
    Host(IpAddr),
}

/// A call of the original that runs in its receive thread.
struct Running {
    ends: Time,
    from: IpAddr,
    datagram: Vec<u8>,
    exe_id: Value,
    result: Option<Value>,
}

/// One process of the original program.
pub struct Original {
    address: IpAddr,
    dice: Dice,
    functions: BTreeMap<String, PythonFunction>,
    /// When each host last said hello.
    heard: BTreeMap<IpAddr, Time>,
    /// The last func received wins.
    table: BTreeMap<String, IpAddr>,
    next_hello: Time,
    pending: Vec<String>,
    announce_at: Option<Time>,
    next_exe_id: u64,
    /// Calls that wait, and when their entry comes to be.
    waiting: BTreeMap<String, Time>,
    results: BTreeMap<String, Value>,
    /// What the socket holds while the receive thread is busy.
    backlog: VecDeque<(IpAddr, Vec<u8>)>,
    running: Option<Running>,
    ran: Vec<(Value, Value)>,
    dead: Option<Death>,
    out: VecDeque<(To, Vec<u8>)>,
    entry_delay: Duration,
}

impl Original {
    /// The time between its hellos.
    pub const PERIOD: Duration = Duration::from_secs(5);
    /// A hello after this time is a first one again.
    pub const EXPIRY: Duration = Duration::from_secs(30);
    /// How long it collects names before it broadcasts them.
    pub const QUIET: Duration = Duration::from_secs(1);
    /// The most that `recvfrom` returns; the rest of a datagram is lost.
    pub const ROOM: usize = 1024;
    /// Datagrams its socket holds.
    const BACKLOG: usize = 256;

    /// A process that has just begun: its first hello is out.
    pub fn new(now: Time, address: IpAddr, dice: Dice) -> Self {
        let mut original = Self {
            address,
            dice,
            functions: BTreeMap::new(),
            heard: BTreeMap::new(),
            table: BTreeMap::new(),
            next_hello: now,
            pending: Vec::new(),
            announce_at: None,
            next_exe_id: 1,
            waiting: BTreeMap::new(),
            results: BTreeMap::new(),
            backlog: VecDeque::new(),
            running: None,
            ran: Vec::new(),
            dead: None,
            out: VecDeque::new(),
            entry_delay: Duration::from_millis(20),
        };
        original.wake(now);
        original
    }

    /// How long after its datagram a call's entry comes to be, at most. Default 20 ms.
    #[must_use]
    pub fn entry_delay(mut self, most: Duration) -> Self {
        self.entry_delay = most;
        self
    }

    /// Offers a function; the name is broadcast a second after the last one.
    pub fn register(&mut self, now: Time, function: PythonFunction) {
        self.pending.push(function.name.clone());
        self.functions.insert(function.name.clone(), function);
        self.announce_at = Some(now + Self::QUIET);
    }

    /// Calls a function of another host and returns the call's number; `None`: nobody has
    /// announced the name.
    pub fn call(
        &mut self,
        now: Time,
        function: &str,
        args: &[Value],
        kwargs: &[(&str, Value)],
    ) -> Option<u64> {
        let host = *self.table.get(function)?;
        let id = self.next_exe_id;
        self.next_exe_id += 1;
        let datagram = text::call(function, id, args, kwargs);
        self.out.push_back((To::Host(host), datagram));
        // The datagram leaves first.
        let delay = self.dice.time(&(Duration::ZERO..=self.entry_delay));
        self.waiting.insert(id.to_string(), now + delay);
        Some(id)
    }

    /// The result of a call, once it is there.
    pub fn result(&self, exe_id: u64) -> Option<&Value> {
        self.results.get(&exe_id.to_string())
    }

    /// Where it would call each function.
    pub fn table(&self) -> &BTreeMap<String, IpAddr> {
        &self.table
    }

    /// The hosts it has heard within its expiry.
    pub fn peers(&self, now: Time) -> BTreeSet<IpAddr> {
        let fresh = |at: &Time| now.since(*at) <= Self::EXPIRY;
        self.heard.iter().filter(|(_, at)| fresh(at)).map(|(ip, _)| *ip).collect()
    }

    /// Why it hears no more.
    pub fn death(&self) -> Option<&Death> {
        self.dead.as_ref()
    }

    /// The calls it has run since this was last asked: their ids and results.
    pub fn take_ran(&mut self) -> Vec<(Value, Value)> {
        std::mem::take(&mut self.ran)
    }

    /// The next datagram to send.
    pub fn poll_send(&mut self) -> Option<(To, Vec<u8>)> {
        self.out.pop_front()
    }

    /// When to [`Self::wake`] it next.
    pub fn next_wake(&self) -> Time {
        let ends = self.running.as_ref().map(|running| running.ends);
        [self.announce_at, ends].into_iter().flatten().fold(self.next_hello, Time::min)
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Time) {
        if now >= self.next_hello {
            self.next_hello = now + Self::PERIOD;
            self.out.push_back((To::Broadcast, text::hello()));
        }
        if self.announce_at.is_some_and(|at| now >= at) {
            self.announce_at = None;
            let names = std::mem::take(&mut self.pending);
            if !names.is_empty() {
                self.out.push_back((To::Broadcast, text::func(&names)));
            }
        }
        if self.running.as_ref().is_some_and(|running| now >= running.ends) {
            self.function_ended(now);
        }
    }
}

#[cfg(test)]
mod tests;
