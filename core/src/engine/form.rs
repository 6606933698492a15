//! Which form a message goes out in.

use std::sync::Arc;

use super::Core;
use crate::calls::Stage;
use crate::dialect::frame::FrameWriter;
use crate::dialect::lean::Head;
use crate::dialect::{Dialect, Form};
use crate::endpoint::LinkId;
use crate::id::CallKey;
use crate::message::WireId;
use crate::tasks::Caller;
use crate::wire::outbox::Outgoing;

impl Core {
    /// An answer goes out in the form its call came in, what anybody must be able to read in the
    /// plain one, everything else in the form that its peer reads.
    pub(super) fn form_of(&self, link: LinkId, message: &Outgoing) -> Form {
        let plain = || Form::native(self.pipeline.plain_format());
        match message {
            Outgoing::Hello { .. } | Outgoing::Func { .. } | Outgoing::Bye => plain(),
            Outgoing::Answer(key) | Outgoing::Ack(key) => {
                match self.tasks.get(*key).map(|task| &task.caller) {
                    Some(Caller::Remote { form, id: Some(id), .. }) => {
                        self.form_of_answer(link, *form, id)
                    }
                    _ => plain(),
                }
            }
            Outgoing::Unknown(asked) => {
                self.form_of_answer(link, asked.1, &WireId::Native(asked.0))
            }
            Outgoing::Refusal(refusal) => self.form_of_answer(link, refusal.form, &refusal.id),
            Outgoing::Call(key) => self.form_of_call(link, *key).unwrap_or_else(plain),
            Outgoing::Relay(_) => plain(),
            Outgoing::Ripe(message) => self.form_of(link, message),
            Outgoing::Receipt(..)
            | Outgoing::Probe(_)
            | Outgoing::Cancel(_)
            | Outgoing::Ping(_)
            | Outgoing::Pong(_) => {
                let peer = self.links.get(link).and_then(|link| link.peer);
                let peer = peer.and_then(|key| self.peers.get(key));
                peer.map_or_else(plain, |peer| self.pipeline.form_for(peer.features))
            }
        }
    }

    /// The head of a lean frame names the session of the link's peer, and with it the session of
    /// the calls that are answered: another caller's answer goes out with all nine keys.
    fn form_of_answer(&self, link: LinkId, form: Form, id: &WireId<'_>) -> Form {
        let told = match id {
            WireId::Native(id) => self.head(link).answers(id),
            _ => false,
        };
        if form.dialect == Dialect::Lean && !told { Form::native(form.format) } else { form }
    }

    /// The form its callee reads, in the format its arguments are in. The head of a lean frame
    /// says for whom a call is meant: one to another than the link's peer goes out with all nine
    /// keys.
    fn form_of_call(&self, link: LinkId, key: CallKey) -> Option<Form> {
        let request = &self.calls.get(key)?.request;
        let Stage::Remote { peer: callee, .. } = self.calls.get(key)?.stage else { return None };
        let features = self.peers.get(callee)?.features;
        let format = match request.format {
            _ if !request.args.is_empty() => request.args.format(),
            Some(format) => format,
            None => self.pipeline.form_for(features).format,
        };
        if self.links.get(link)?.peer != Some(callee) {
            return Some(Form::native(format));
        }
        Some(self.pipeline.form_in(format, features))
    }

    /// An empty frame of this form.
    pub(super) fn frame_of(&self, link: LinkId, form: Form) -> FrameWriter {
        let codec = self.pipeline.codec(form.format).unwrap_or_else(|| self.pipeline.plain());
        match form.dialect {
            Dialect::Lean => FrameWriter::lean(Arc::clone(codec), self.head(link)),
            // What goes to older programs is written elsewhere.
            _ => FrameWriter::native(Arc::clone(codec)),
        }
    }

    /// What lean messages to the far end of a link share.
    fn head(&self, link: LinkId) -> Head {
        let peer = self.links.get(link).and_then(|link| link.peer);
        let receiver = peer.and_then(|key| self.peers.get(key)).map(|peer| peer.session.short());
        Head { watermark: self.frame_watermark, ..Head::new(self.session.short(), receiver) }
    }
}
