//! A call from elsewhere, to a task.

use std::time::Duration;

use super::inbound::Meeting;
use super::receive::From;
use super::{Core, Phase, StreamKey};
use crate::copies::Arrival;
use crate::counters::Drop;
use crate::directory::Class;
use crate::error::{ErrorCode, Executed, Fault};
use crate::fair_queue::Full;
use crate::id::{CallKey, FunctionKey, FunctionName, TaskKey};
use crate::message::{Call, WireId};
use crate::mutant::planted;
use crate::payload::Arguments;
use crate::tasks::{Applicant, Caller, NoRoom, Task as Entry};
use crate::time::Time;
use crate::timers::Timer;
use crate::wire::outbox::{Outgoing, Refusal};

/// A function of this node, as a task needs it.
struct Offered {
    key: FunctionKey,
    name: FunctionName,
    class: Class,
}

impl Core {
    pub(super) fn on_call(&mut self, now: Time, from: &From, call: &Call<'_>) -> Result<(), Drop> {
        self.counters.calls_received += 1;
        // Taken first: its bytes must not be mistaken for a message.
        let number = call.stream;
        let has_room = number.is_none_or(|number| self.expect_stream(now, from.link, number));
        let stream = number.filter(|_| has_room).map(|number| StreamKey::Link(from.link, number));
        let meeting = match self.meet_call(now, from, call) {
            Ok(Meeting::Copy) => {
                self.turn_away_stream(stream, ErrorCode::CANCELLED);
                return Ok(());
            }
            Ok(meeting) => meeting,
            Err(why) => {
                self.counters.calls_dropped += 1;
                self.turn_away_stream(stream, ErrorCode::CANCELLED);
                return Err(why);
            }
        };
        let arrival = Arrival { attempt: call.attempt, at: now };
        let accepted = match &meeting {
            Meeting::Refused(fault) => Err(fault.clone()),
            Meeting::ForAnotherLife => Err(for_another_life()),
            _ if !has_room => {
                self.limit_hit(now, "max_streams");
                let text = format!("`{}` has no room for another byte stream", self.config.name);
                Err(Fault::new(ErrorCode::BUSY, text))
            }
            Meeting::New(caller, _) => match self.inbound.has_room(*caller) {
                Ok(()) => self.accept_call(now, from, call, stream),
                Err(full) => {
                    self.limit_hit(now, full.0);
                    let text = format!("`{}` remembers as many calls as it may", self.name);
                    let mut fault = self.busy(text);
                    if self.inbound.is_full() {
                        // Not even the refusal can be remembered: a copy might be taken later.
                        fault.executed = Executed::Maybe;
                    }
                    Err(fault)
                }
            },
            _ => self.accept_call(now, from, call, stream),
        };
        if let Meeting::New(caller, id) = meeting {
            let became = accepted.as_ref().map_err(|fault| fault.code).copied();
            self.call_met(now, from, (caller, id), became);
        }
        if let Err(fault) = accepted {
            self.counters.calls_refused.count(fault.code);
            let id = call.id.clone().map(WireId::into_owned);
            self.note_refused(from.link, id.as_ref(), fault.code);
            self.turn_away_stream(stream, fault.code);
            if fault.code == ErrorCode::BUSY {
                self.counters.tasks_refused += 1;
            }
            if let (Some(id), false) = (id, call.one_way) {
                self.refuse(*from, id, fault, Some(arrival));
            }
        }
        Ok(())
    }

    fn turn_away_stream(&mut self, stream: Option<StreamKey>, code: ErrorCode) {
        if let Some(stream) = stream {
            self.stream_drop(stream, code);
        }
    }

    /// A refusal for want of room, with the time after which it is worth trying again. Spread, so
    /// that those who were refused together do not come back together.
    fn busy(&mut self, text: String) -> Fault {
        let mut fault = Fault::new(ErrorCode::BUSY, text);
        if planted!(RefusedSaysYes) {
            fault.executed = Executed::Yes;
        }
        let wait = self.tasks.retry_after();
        let jitter = self.random.duration_up_to((wait / 2).max(Duration::from_millis(20)));
        fault.retry_after = Some(wait + jitter);
        fault
    }

    /// Queues a received call, or says why not.
    fn accept_call(
        &mut self,
        now: Time,
        from: &From,
        call: &Call<'_>,
        stream: Option<StreamKey>,
    ) -> Result<TaskKey, Fault> {
        let deadline = match call.deadline_ms.map(Duration::from_millis) {
            Some(Duration::ZERO) => {
                return Err(Fault::new(ErrorCode::TIMEOUT, "the deadline passed on the way"));
            }
            Some(left) => Some(now + left.min(self.config.max_deadline)),
            None => None,
        };
        let offered = self.offered(&call.function)?;
        let caller = Caller::Remote {
            link: from.link,
            peer: self.links.get(from.link).and_then(|link| link.peer),
            id: call.id.clone().filter(|_| !call.one_way).map(WireId::into_owned),
            form: from.form,
            since: now,
            reply_to: call.reply_to,
        };
        let args = if call.kwargs.is_empty() {
            Arguments::of_list(from.form.format, self.keep(call.args))
        } else {
            let buffer = self.buffers.take(call.args.len().saturating_add(call.kwargs.len()));
            Arguments::copied(from.form.format, call.args, call.kwargs, buffer)
        };
        let arrival = Arrival { attempt: call.attempt, at: now };
        let key = self.begin_task(now, offered, args, caller, deadline, stream)?;
        self.counters.calls_accepted += 1;
        if let Some(task) = self.tasks.get_mut(key) {
            task.arrival = Some(arrival);
        }
        self.note_received(key);
        Ok(key)
    }

    /// Queues a call of this node to itself. A refused one may go elsewhere: its arguments come
    /// back.
    pub(super) fn begin_local(
        &mut self,
        now: Time,
        name: &FunctionName,
        args: Arguments,
        call: CallKey,
        deadline: Time,
        stream: Option<StreamKey>,
    ) -> Result<TaskKey, Fault> {
        let caller = Caller::Local(call);
        match self.offered(name.as_str()) {
            Ok(offered) => self.begin_task(now, offered, args, caller, Some(deadline), stream),
            Err(fault) => {
                self.return_args(&caller, args);
                Err(fault)
            }
        }
    }

    /// The arguments of a refused call: one of this node may go elsewhere with them.
    fn return_args(&mut self, caller: &Caller, args: Arguments) {
        match caller {
            Caller::Local(call) => {
                self.calls.set_args(*call, args);
            }
            // A flood of refused calls does not empty the pool.
            Caller::Remote { .. } => self.buffers.give(args.into_buffer()),
        }
    }

    /// A function of this node that may be called now.
    fn offered(&self, name: &str) -> Result<Offered, Fault> {
        if self.phase != Phase::Running && !planted!(DrainStarts) {
            let text = format!("`{}` is going down", self.name);
            return Err(Fault::new(ErrorCode::SHUTTING_DOWN, text));
        }
        let key = self.directory.find(name);
        let function = key.and_then(|key| Some((key, self.directory.get(key)?)));
        let Some((key, function, local)) =
            function.and_then(|(key, function)| Some((key, function, function.local.as_ref()?)))
        else {
            // What is no name at all must not be quoted as it came.
            let text = match FunctionName::new(name) {
                Ok(name) => format!("`{}` has no function `{name}`", self.name),
                Err(error) => error.to_string(),
            };
            return Err(Fault::new(ErrorCode::NOT_FOUND, text));
        };
        if let Some(service) = &local.service {
            let name = &function.name;
            let text =
                format!("`{name}` belongs to the service `{service}`: use that service's key");
            return Err(Fault::new(ErrorCode::UNAUTHORISED, text));
        }
        Ok(Offered { key, name: function.name.clone(), class: local.class })
    }

    fn begin_task(
        &mut self,
        now: Time,
        offered: Offered,
        args: Arguments,
        caller: Caller,
        deadline: Option<Time>,
        stream: Option<StreamKey>,
    ) -> Result<TaskKey, Fault> {
        let stranger = match &caller {
            Caller::Local(_) => false,
            Caller::Remote { link, .. } => {
                self.links.get(*link).is_none_or(|link| !self.links.receives(link))
            }
        };
        let who = Applicant::new(&caller, offered.class, args.len(), deadline, stranger);
        if let Err(why) = self.tasks.make_room(now, &who) {
            self.return_args(&caller, args);
            self.limit_hit(now, why.limit());
            let fault = self.no_room(why);
            self.refuse_displaced(now);
            return Err(fault);
        }
        let function = (offered.key, offered.name, offered.class);
        let make = || Entry { stream, ..Entry::new(now, function, caller, Some(args), &who) };
        let queued = self.tasks.enqueue(&who, make);
        self.refuse_displaced(now);
        let key = queued.ok_or_else(|| self.no_room(NoRoom::Queue(Full::Count)))?;
        self.counters.tasks_queued += 1;
        if let Some(deadline) = deadline {
            let timer = self.timers.set(deadline, Timer::TaskDeadline(key));
            if let Some(task) = self.tasks.get_mut(key) {
                task.deadline_timer = Some(timer);
            }
        }
        Ok(key)
    }

    fn no_room(&mut self, why: NoRoom) -> Fault {
        let text = match why {
            NoRoom::Queue(Full::Share) => {
                format!("the queue of `{}` holds as many calls of yours as it may", self.name)
            }
            NoRoom::Bytes => format!("`{}` holds as many bytes as it may", self.name),
            NoRoom::Wait => {
                format!("what waits at `{}` takes longer than this call has time", self.name)
            }
            NoRoom::Queue(_) | NoRoom::Strangers => format!("the queue of `{}` is full", self.name),
        };
        self.busy(text)
    }

    /// Refuses the calls that made room for those of others.
    fn refuse_displaced(&mut self, now: Time) {
        while let Some(key) = self.tasks.pop_displaced() {
            self.counters.tasks_refused += 1;
            self.limit_hit(now, "queue_share");
            let fault = self.no_room(NoRoom::Queue(Full::Share));
            self.counters.tasks_unstarted.count(fault.code);
            self.settle(now, key, Err(fault));
        }
    }

    /// Answers a call that did not become a task; the copy of it that has arrived, if any has.
    pub(super) fn refuse(
        &mut self,
        to: From,
        id: WireId<'static>,
        fault: Fault,
        arrival: Option<Arrival>,
    ) {
        let refusal = Refusal { form: to.form, id, fault, arrival };
        self.send(to.link, Outgoing::Refusal(Box::new(refusal)));
    }
}

/// The refusal of a call that was meant for an earlier life of this node, which may have run it.
fn for_another_life() -> Fault {
    let mut fault = Fault::new(ErrorCode::LOST, "the callee has restarted since");
    fault.executed = Executed::Maybe;
    fault
}
