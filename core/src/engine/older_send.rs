//! What goes to an older program: one message a datagram, in its words, at a time it survives.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::homes::PROBE;
use crate::calls::Stage;
use crate::dialect::Dialect;
use crate::dialect::older::{self, Inexpressible, Older};
use crate::endpoint::LinkId;
use crate::error::{CallError, ErrorCode, Executed, Fault};
use crate::id::{CallKey, FunctionName, TaskKey};
use crate::message::WireId;
use crate::ports::Codec;
use crate::tasks::{Caller, Progress};
use crate::time::Time;
use crate::wire::outbox::Outgoing;

/// An answer to a call this old is given only once the caller is known to live still.
const OLD: Duration = Duration::from_secs(1);

/// When a message may go.
enum When {
    Now,
    Later(Time),
    /// Once it is certain who lives there, or once there is room.
    Held,
    /// Nobody there wants it.
    Never,
}

impl Core {
    /// Writes the next message to a home into `out`; returns how many: none or one.
    pub(super) fn pack_home(&mut self, now: Time, link: LinkId, out: &mut Vec<u8>) -> usize {
        let host = self.links.get(link).and_then(|link| link.remote.ip());
        let Some(host) = host.filter(|host| self.homes.get(*host).is_some()) else { return 0 };
        while let Some(message) = self.next_message(link) {
            self.outbox.took(&message);
            let (message, ripe) = match message {
                Outgoing::Ripe(message) => (*message, true),
                message => (message, false),
            };
            match self.when(now, host, link, &message, ripe) {
                When::Now => {}
                When::Later(at) => {
                    let limit = self.config.max_outbox;
                    if let Err(message) = self.homes.send_later(at, link, message, limit) {
                        self.unsent(now, message);
                    }
                    self.schedule_homes(now);
                    continue;
                }
                When::Held => {
                    self.hold_back(now, host, message);
                    continue;
                }
                When::Never => {
                    self.unsent(now, message);
                    continue;
                }
            }
            out.clear();
            if !self.write_to_home(now, host, &message, out) {
                continue;
            }
            if !self.within_budget(now, link, out.len()) {
                self.hold_back(now, host, message);
                continue;
            }
            self.spend_budget(now, link, out.len());
            self.message_left(now, link, &message);
            return 1;
        }
        out.clear();
        0
    }

    fn hold_back(&mut self, now: Time, host: IpAddr, message: Outgoing) {
        let Some(home) = self.homes.get_mut(host) else { return };
        if let Err(message) = home.hold(message) {
            self.unsent(now, message);
        }
    }

    fn when(
        &mut self,
        now: Time,
        host: IpAddr,
        link: LinkId,
        message: &Outgoing,
        ripe: bool,
    ) -> When {
        let Some(home) = self.homes.get(host) else { return When::Never };
        let (held, restarted, acquainted) = (home.held, home.restarted, home.acquainted);
        let profile = home.dialect.profile();
        let may_be_another = profile.hello_period.is_some();
        let then = if held { When::Held } else { When::Now };
        match message {
            Outgoing::Hello { wants: false } | Outgoing::Func { .. } => When::Now,
            Outgoing::Call(_) => then,
            Outgoing::Refusal(_) if ripe => then,
            Outgoing::Refusal(_) => When::Later(now + profile.answers_after),
            Outgoing::Answer(key) => {
                let since = match self.tasks.get(*key).map(|task| &task.caller) {
                    Some(Caller::Remote { since, .. }) => *since,
                    _ => return When::Never,
                };
                let is_old = may_be_another && now.since(since) > OLD;
                if since < restarted {
                    When::Never
                } else if is_old && !acquainted {
                    // Asking would keep it from ever forgetting this host and greeting it.
                    When::Held
                } else if ripe {
                    then
                } else if is_old && !held {
                    self.send(link, Outgoing::Hello { wants: false });
                    if let Some(home) = self.homes.get_mut(host) {
                        home.says_hello(now);
                    }
                    When::Later(now + PROBE)
                } else {
                    When::Later(now + profile.answers_after)
                }
            }
            // It knows nothing of these.
            _ => When::Never,
        }
    }

    /// Writes a message, or ends what it was about. `false`: there is nothing to send.
    fn write_to_home(
        &mut self,
        now: Time,
        host: IpAddr,
        message: &Outgoing,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(dialect) = self.homes.get(host).map(|home| home.dialect) else { return false };
        let codec = Arc::clone(self.pipeline.plain());
        let codec = codec.as_ref();
        match message {
            Outgoing::Hello { .. } => older::write(dialect, &Older::Hello, codec, out).is_ok(),
            Outgoing::Func { part } => {
                let parts = self.older_parts();
                let Some(names) = parts.get(usize::from(*part)) else { return false };
                let names = names.iter().map(|name| Cow::Borrowed(name.as_str())).collect();
                older::write(dialect, &Older::Func(names), codec, out).is_ok()
            }
            Outgoing::Call(key) => self.write_older_call(now, (host, dialect), *key, codec, out),
            Outgoing::Answer(key) => self.write_older_answer(*key, codec, out),
            Outgoing::Refusal(refusal) => {
                let (form, id, fault) = (refusal.form, &refusal.id, &refusal.fault);
                older::write_failure(form.dialect, id, fault, codec, out);
                true
            }
            _ => false,
        }
    }

    fn write_older_call(
        &mut self,
        now: Time,
        (host, dialect): (IpAddr, Dialect),
        key: CallKey,
        codec: &dyn Codec,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        // It may have gone on to another provider while it waited here.
        let Stage::Remote { link, .. } = call.stage else { return false };
        if self.links.get(link).and_then(|link| link.remote.ip()) != Some(host) {
            return false;
        }
        let message = Older::Call {
            id: Some(WireId::Native(call.wire)),
            function: Cow::Borrowed(call.request.function.as_str()),
            args: call.request.args.positional(),
            kwargs: call.request.args.named(),
        };
        let written = older::write(dialect, &message, codec, out);
        let limit = dialect.profile().max_frame;
        let error = match written {
            Ok(()) if out.len() <= limit => return true,
            Ok(()) => {
                let text =
                    format!("the call takes {} bytes, an older program reads {limit}", out.len());
                CallError::new(ErrorCode::TOO_LARGE, Executed::No, text)
            }
            Err(why @ Inexpressible::NamedAlone) => {
                CallError::new(ErrorCode::INVALID_ARGUMENTS, Executed::No, why.to_string())
            }
            Err(why) => CallError::new(ErrorCode::UNSUPPORTED, Executed::No, why.to_string()),
        };
        out.clear();
        self.finish_failed(now, key, error);
        false
    }

    /// A result, or the text that stands for a failure: its caller would wait for ever.
    fn write_older_answer(&self, key: TaskKey, codec: &dyn Codec, out: &mut Vec<u8>) -> bool {
        let Some(task) = self.tasks.get(key) else { return false };
        let Caller::Remote { id: Some(id), form, .. } = &task.caller else { return false };
        match &task.progress {
            Progress::Answered(Ok(payload)) => {
                let callback = Older::Callback { id: id.clone(), result: &payload.bytes };
                let written = older::write(form.dialect, &callback, codec, out);
                let limit = form.dialect.profile().max_frame;
                if written.is_ok() && out.len() > limit {
                    let text = format!(
                        "the function ran, but its result takes {} bytes and your program reads \
                         {limit}",
                        out.len()
                    );
                    out.clear();
                    let fault = Fault::new(ErrorCode::TOO_LARGE, text);
                    older::write_failure(form.dialect, id, &fault, codec, out);
                }
                written.is_ok()
            }
            Progress::Answered(Err(fault)) => {
                older::write_failure(form.dialect, id, fault, codec, out);
                true
            }
            _ => false,
        }
    }

    /// The local names, cut so that each part fits a datagram of an older program.
    pub(super) fn older_parts(&self) -> Vec<Vec<String>> {
        // What is not names, in the longer of the two forms; a name has 13 bytes around it there.
        const ROOM: usize = 1024 - 120;
        const AROUND: usize = 13;
        const { assert!(FunctionName::MAX + AROUND < ROOM) };
        let (mut parts, mut used) = (vec![Vec::new()], 0);
        for (name, _) in self.directory.locals() {
            let size = name.len() + AROUND;
            if used + size > ROOM {
                parts.push(Vec::new());
                used = 0;
            }
            used += size;
            if let Some(part) = parts.last_mut() {
                part.push(name.to_owned());
            }
        }
        parts
    }
}
