//! Answers by a connection of their own (S0's extension list): the caller listens, its call says
//! where, the callee dials there, hands over the answer and closes.

use std::time::Duration;

use super::{Core, LinkCommand};
use crate::endpoint::{Endpoint, LinkId};
use crate::id::TaskKey;
use crate::message::ReplyTo;
use crate::ports::Close;
use crate::tasks::Caller;
use crate::time::Time;
use crate::timers::{Timer, TimerKey};
use crate::wire::links::Link;
use crate::wire::outbox::Outgoing;

/// How long a caller may take to accept.
const ACCEPT: Duration = Duration::from_secs(3);

/// Connections for one answer that may be in the making.
const MAX_DIALS: usize = 64;

/// What dialling may cost a stranger's address, in bytes: a few bare segments.
const DIAL_COST: usize = 180;

/// An answer whose connection is being made.
pub(super) struct OneShot {
    pub(super) endpoint: Endpoint,
    task: TaskKey,
    timer: TimerKey,
}

impl Core {
    /// Dials the caller of a task that wants its answer this way. `false`: it cannot be done, so
    /// the answer goes the way the call came.
    pub(super) fn answer_by_one_shot(&mut self, now: Time, link: LinkId, task: TaskKey) -> bool {
        let Some(to) = self.reply_to(task) else { return false };
        let Some(mut address) = self.links.get(link).and_then(|link| link.remote.socket_addr())
        else {
            return false;
        };
        let Some((scheme, _)) = self.links.connection_lane() else { return false };
        address.set_port(to.port);
        let endpoint = Endpoint::socket(scheme, address);
        // Whoever forges its address must not have connections made to somebody else's.
        if self.one_shots.len() >= MAX_DIALS || !self.within_budget(now, link, DIAL_COST) {
            self.limit_hit(now, "one_shots");
            return false;
        }
        self.spend_budget(now, link, DIAL_COST);
        self.link_commands.push_back(LinkCommand::Connect(endpoint.clone()));
        let timer = self.timers.set(now + ACCEPT, Timer::OneShot(task));
        self.one_shots.push(OneShot { endpoint, task, timer });
        true
    }

    fn reply_to(&self, task: TaskKey) -> Option<ReplyTo> {
        match &self.tasks.get(task)?.caller {
            Caller::Remote { reply_to, .. } => *reply_to,
            Caller::Local(_) => None,
        }
    }

    /// A connection is there that may have been made for answers.
    pub(super) fn one_shot_up(&mut self, link: LinkId, remote: &Endpoint) {
        let shots = self.take_shots(remote);
        for shot in &shots {
            self.send_answer(link, shot.task);
        }
        let is_ours = |link: &&mut Link| link.is_strangers() && !shots.is_empty();
        if let Some(link) = self.links.get_mut(link).filter(is_ours) {
            link.is_one_shot = true;
        }
    }

    /// No connection could be made for answers: they go the way their calls came.
    pub(super) fn one_shot_failed(&mut self, remote: &Endpoint) {
        for shot in self.take_shots(remote) {
            self.answer_by_link(shot.task);
        }
    }

    fn take_shots(&mut self, remote: &Endpoint) -> Vec<OneShot> {
        let is_ours = |shot: &mut OneShot| shot.endpoint == *remote;
        let shots: Vec<_> = self.one_shots.extract_if(.., is_ours).collect();
        for shot in &shots {
            self.timers.cancel(shot.timer);
        }
        shots
    }

    /// The caller has not accepted in time.
    pub(super) fn one_shot_over(&mut self, task: TaskKey) {
        if let Some(place) = self.one_shots.iter().position(|shot| shot.task == task) {
            self.one_shots.swap_remove(place);
            self.answer_by_link(task);
        }
    }

    fn answer_by_link(&mut self, task: TaskKey) {
        if let Some(link) = self.tasks.get(task).and_then(|task| task.caller.link()) {
            self.send_answer(link, task);
        }
    }

    /// An answer that is larger than one frame goes another way: whoever takes one-shot
    /// connections need not know streams. `false`: the link is none of them.
    pub(super) fn leave_one_shot(&mut self, link: LinkId, message: &Outgoing) -> bool {
        let is_one_shot = self.links.get(link).is_some_and(|link| link.is_one_shot);
        let Outgoing::Answer(task) = *message else { return false };
        if is_one_shot {
            self.answer_by_link(task);
        }
        is_one_shot
    }

    /// Closes a connection that was made for answers alone once they have left.
    pub(super) fn close_one_shot(&mut self, now: Time, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        if link.is_one_shot && link.is_quiet() && link.peer.is_none() {
            self.drop_link(now, id, Close::Flush);
        }
    }
}
