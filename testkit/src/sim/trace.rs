//! The trace of a run, as one number: a hash over a canonical encoding of everything that left
//! a core. Debug text is no part of it, so it is the same in every build.

use std::hash::Hasher;
use std::net::SocketAddr;

use lanc_core::event::{Event, PeerDownReason};
use lanc_core::{Answer, Outcome, Time};
use siphasher::sip::SipHasher13;

use super::node::NodeId;

/// Hashes outputs in the order in which they happen.
pub(super) struct Trace {
    hasher: SipHasher13,
}

/// What kind of output follows. Numbers are part of the encoding.
#[derive(Clone, Copy)]
enum Kind {
    Unicast = 1,
    Broadcast = 2,
    TaskRun = 3,
    TaskCancel = 4,
    Outcome = 5,
    Event = 6,
    Pong = 7,
}

impl Trace {
    pub(super) fn new() -> Self {
        // Fixed keys: the hash compares runs, it protects nothing.
        Self { hasher: SipHasher13::new_with_keys(0x6c61_6e63, 0x7369_6d31) }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    fn number(&mut self, number: u64) {
        self.hasher.write(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.hasher.write(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn begin(&mut self, kind: Kind, now: Time, node: NodeId) {
        self.number(kind as u64);
        self.number(now.as_nanos());
        self.number(u64::try_from(node.index()).unwrap_or(u64::MAX));
    }

    pub(super) fn unicast(&mut self, now: Time, node: NodeId, to: SocketAddr, bytes: &[u8]) {
        self.begin(Kind::Unicast, now, node);
        match to.ip() {
            std::net::IpAddr::V4(ip) => self.bytes(&ip.octets()),
            std::net::IpAddr::V6(ip) => self.bytes(&ip.octets()),
        }
        self.number(u64::from(to.port()));
        self.bytes(bytes);
    }

    pub(super) fn broadcast(&mut self, now: Time, node: NodeId, bytes: &[u8]) {
        self.begin(Kind::Broadcast, now, node);
        self.bytes(bytes);
    }

    pub(super) fn task_run(&mut self, now: Time, node: NodeId, task: &lanc_core::Task) {
        self.begin(Kind::TaskRun, now, node);
        self.number(task.key.bits());
        self.text(task.name.as_str());
        self.text(&task.caller);
        self.bytes(task.args.positional());
        self.bytes(task.args.named());
        self.number(task.deadline.map_or(0, Time::as_nanos));
    }

    pub(super) fn task_cancel(&mut self, now: Time, node: NodeId, task: lanc_core::id::TaskKey) {
        self.begin(Kind::TaskCancel, now, node);
        self.number(task.bits());
    }

    pub(super) fn pong(&mut self, now: Time, node: NodeId, took: Option<std::time::Duration>) {
        self.begin(Kind::Pong, now, node);
        let nanos = took.map(|took| u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        self.number(nanos.unwrap_or(u64::MAX));
    }

    pub(super) fn outcome(&mut self, now: Time, node: NodeId, call: usize, outcome: &Outcome) {
        self.begin(Kind::Outcome, now, node);
        self.number(u64::try_from(call).unwrap_or(u64::MAX));
        match outcome {
            Outcome::One(answer) => self.answer(answer),
            Outcome::All(members) => members.iter().for_each(|member| self.answer(&member.answer)),
        }
    }

    fn answer(&mut self, answer: &Answer) {
        self.text(&answer.from);
        match &answer.result {
            Ok(payload) => self.bytes(&payload.bytes),
            Err(error) => {
                self.number(u64::from(error.code.0));
                self.number(error.executed as u64);
                self.text(&error.message);
                let after = error.retry_after.map_or(0, |after| after.as_millis());
                self.number(u64::try_from(after).unwrap_or(u64::MAX));
            }
        }
    }

    pub(super) fn event(&mut self, now: Time, node: NodeId, event: &Event) {
        self.begin(Kind::Event, now, node);
        match event {
            Event::PeerUp { session, name, endpoint } => {
                self.number(1);
                self.bytes(&session.0);
                self.text(name);
                self.text(&endpoint.to_string());
            }
            Event::PeerVerified { session, .. } => {
                self.number(2);
                self.bytes(&session.0);
            }
            Event::PeerDown { session, reason, .. } => {
                self.number(3);
                self.bytes(&session.0);
                self.number(match reason {
                    PeerDownReason::Left => 1,
                    PeerDownReason::Expired => 2,
                    PeerDownReason::Restarted => 3,
                    PeerDownReason::Disconnected => 4,
                    PeerDownReason::Evicted => 5,
                    PeerDownReason::Gone => 6,
                    _ => 6,
                });
            }
            Event::FunctionUp { function, peer } => self.named(4, function, peer),
            Event::FunctionDown { function, peer } => self.named(5, function, peer),
            Event::FunctionConflict { function, peer, .. } => self.named(6, function, peer),
            Event::LimitHit { limit } => self.named(7, limit, ""),
            Event::InterfacesChanged => self.number(8),
            Event::Unreachable { endpoint, .. } => self.named(9, &endpoint.to_string(), ""),
            Event::IncompatibleVersion { endpoint } => self.named(10, &endpoint.to_string(), ""),
            Event::SlowFunction { function, .. } => self.named(11, function, ""),
            Event::Closed => self.number(12),
            Event::RateLimited { endpoint } => self.named(13, &endpoint.to_string(), ""),
            Event::SlowPeer { endpoint } => self.named(14, &endpoint.to_string(), ""),
            Event::SendBufferFull => self.number(15),
            Event::LateAnswer { function, peer, .. } => self.named(16, function, peer),
            _ => self.number(u64::MAX),
        }
    }

    fn named(&mut self, kind: u64, first: &str, second: &str) {
        self.number(kind);
        self.text(first);
        self.text(second);
    }
}
