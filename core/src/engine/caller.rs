//! Callers: who is remembered because it has called, for how long, and who makes room for others.

use super::Core;
use crate::endpoint::LinkId;
use crate::id::{CallerKey, PeerKey};
use crate::tasks::Progress;
use crate::time::Time;

/// How long a caller is remembered that is no peer and waits for nothing.
const FORGOTTEN_AFTER: std::time::Duration = std::time::Duration::from_secs(30);

/// How many callers are looked at for one to forget when there is no room for another.
const LOOKED_AT: usize = 16;

impl Core {
    pub(super) fn caller_of(
        &mut self,
        now: Time,
        session: u64,
        peer: Option<PeerKey>,
    ) -> Option<CallerKey> {
        if let Ok(caller) = self.inbound.caller(now, session, peer) {
            return Some(caller);
        }
        // One that nobody knows and that waits for nothing makes room.
        let idle = (0..LOOKED_AT).find_map(|_| {
            let key = self.inbound.next_looked_at()?;
            let caller = self.inbound.get(key)?;
            (caller.is_idle() && !self.is_peer(caller.peer)).then_some(key)
        })?;
        self.forget_caller(idle);
        self.inbound.caller(now, session, peer).ok()
    }

    fn is_peer(&self, peer: Option<PeerKey>) -> bool {
        peer.is_some_and(|peer| self.peers.get(peer).is_some())
    }

    /// The peer of a session, if a link is known to be its.
    pub(super) fn peer_of(&self, link: LinkId, session: u64) -> Option<PeerKey> {
        self.peers.by_short(session).filter(|peer| self.speaks_for(link, *peer))
    }

    /// Whether a caller sends receipts for answers.
    pub(super) fn gives_receipts(&self, caller: CallerKey) -> bool {
        self.inbound.peer_of(caller).is_some_and(|peer| self.sends_receipts(peer))
    }

    /// Forgets a caller: its session is over, or was silent for too long.
    fn forget_caller(&mut self, key: CallerKey) {
        let Some(caller) = self.inbound.forget(key) else { return };
        if let Some((_, timer)) = caller.timer {
            self.timers.cancel(timer);
        }
        for key in caller.tasks() {
            let Some(task) = self.tasks.get_mut(key) else { continue };
            task.tracked = None;
            if matches!(task.progress, Progress::Answered(_)) && !task.is_queued {
                self.end_task(key);
            }
        }
    }

    /// The session of a peer is over: it waits for no answer any more. If it cancelled calls
    /// before, that may come by another socket after its farewell, when it is a stranger's.
    pub(super) fn caller_gone(&mut self, now: Time, session: u64) {
        let Some(key) = self.inbound.find(session) else { return };
        let tasks: Vec<_> = self.inbound.get(key).into_iter().flat_map(|c| c.tasks()).collect();
        for task in tasks {
            if self.tasks.get(task).is_some_and(|task| task.caller.is_awaited()) {
                self.cancel_task(now, task);
            }
        }
        self.forget_caller(key);
        self.close_if_drained(now);
    }

    /// A peer is no more that had proved its session. It may have called before it introduced
    /// itself; what is kept of it is kept as a peer's.
    pub(super) fn was_peer(&mut self, session: u64, peer: PeerKey) {
        let caller = self.inbound.find(session).and_then(|key| self.inbound.get_mut(key));
        if let Some(caller) = caller {
            caller.peer = caller.peer.or(Some(peer));
        }
    }

    /// Forgets callers that are no peers any more.
    pub(super) fn sweep_callers(&mut self, now: Time) {
        for key in self.inbound.keys() {
            let Some(caller) = self.inbound.get_mut(key) else { continue };
            // It may have called before it introduced itself.
            caller.peer = caller.peer.or_else(|| self.peers.by_short(caller.session));
            let (peer, heard) = (caller.peer, caller.heard);
            let silent_since = heard.max(self.awake_since);
            if !self.is_peer(peer) && now.since(silent_since) >= FORGOTTEN_AFTER {
                self.forget_caller(key);
            }
        }
    }
}
