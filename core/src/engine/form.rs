//! Which form a message goes out in.

use std::sync::Arc;

use super::Core;
use crate::calls::Stage;
use crate::dialect::frame::FrameWriter;
use crate::dialect::lean::Head;
use crate::dialect::{Dialect, Form};
use crate::endpoint::LinkId;
use crate::id::{CallKey, PeerKey};
use crate::message::WireId;
use crate::tasks::Caller;
use crate::wire::outbox::Outgoing;

/// What is the same for all messages of a frame.
pub(super) struct FarEnd {
    pub(super) link: LinkId,
    pub(super) peer: Option<PeerKey>,
    /// Bytes of a frame.
    pub(super) max_frame: usize,
    /// It is known to be where it says, and may be sent as much as there is.
    pub(super) receives: bool,
    /// What lean messages to it share.
    head: Head,
}

impl Core {
    /// The far end of a link, for which a frame is begun.
    pub(super) fn far_end(&mut self, link: LinkId) -> Option<FarEnd> {
        let known = self.links.get(link)?;
        let (peer, max_frame) = (known.peer, known.max_frame);
        let receives = self.links.receives(known);
        self.frame_watermark = peer.and_then(|peer| self.watermark(peer));
        let receiver = peer.and_then(|key| self.peers.get(key)).map(|peer| peer.session.short());
        let head = Head::new(self.session.short(), receiver);
        let head = Head { watermark: self.frame_watermark, ..head };
        Some(FarEnd { link, peer, max_frame, receives, head })
    }

    /// An answer goes out in the form its call came in, what anybody must be able to read in the
    /// plain one, everything else in the form that its peer reads.
    pub(super) fn form_of(&self, to: &FarEnd, message: &Outgoing) -> Form {
        let plain = || Form::native(self.pipeline.plain_format());
        match message {
            Outgoing::Hello { .. } | Outgoing::Func { .. } | Outgoing::Bye => plain(),
            Outgoing::Answer(key) | Outgoing::Ack(key) => {
                match self.tasks.get(*key).map(|task| &task.caller) {
                    Some(Caller::Remote { form, id: Some(id), .. }) => to.form_of_answer(*form, id),
                    _ => plain(),
                }
            }
            Outgoing::Unknown(asked) => to.form_of_answer(asked.1, &WireId::Native(asked.0)),
            Outgoing::Refusal(refusal) => to.form_of_answer(refusal.form, &refusal.id),
            // A question about a call goes with a copy of it, if they fit one frame.
            Outgoing::Call(key) | Outgoing::Probe(key) => {
                self.form_of_call(to, *key).unwrap_or_else(plain)
            }
            Outgoing::Relay(_) => plain(),
            Outgoing::Ripe(message) => self.form_of(to, message),
            Outgoing::Receipt(..) | Outgoing::Cancel(_) | Outgoing::Ping(_) | Outgoing::Pong(_) => {
                let peer = to.peer.and_then(|key| self.peers.get(key));
                peer.map_or_else(plain, |peer| self.pipeline.form_for(peer.features))
            }
        }
    }

    /// The form its callee reads, in the format its arguments are in. The head of a lean frame
    /// says for whom a call is meant: one to another than the link's peer goes out with all nine
    /// keys.
    fn form_of_call(&self, to: &FarEnd, key: CallKey) -> Option<Form> {
        let call = self.calls.get(key)?;
        let request = &call.request;
        let Stage::Remote { peer: callee, .. } = call.stage else { return None };
        let features = self.peers.get(callee)?.features;
        let format = match request.format {
            _ if !request.args.is_empty() => request.args.format(),
            Some(format) => format,
            None => self.pipeline.form_for(features).format,
        };
        if to.peer != Some(callee) {
            return Some(Form::native(format));
        }
        Some(self.pipeline.form_in(format, features))
    }

    /// An empty frame of this form.
    pub(super) fn frame_of(&self, to: &FarEnd, form: Form) -> FrameWriter {
        let codec = self.pipeline.codec(form.format).unwrap_or_else(|| self.pipeline.plain());
        match form.dialect {
            Dialect::Lean => FrameWriter::lean(Arc::clone(codec), to.head),
            // What goes to older programs is written elsewhere.
            _ => FrameWriter::native(Arc::clone(codec)),
        }
    }
}

impl FarEnd {
    /// The head of a lean frame names the session of the link's peer, and with it the session of
    /// the calls that are answered: another caller's answer goes out with all nine keys.
    fn form_of_answer(&self, form: Form, id: &WireId<'_>) -> Form {
        let told = || matches!(id, WireId::Native(id) if self.head.answers(id));
        if form.dialect == Dialect::Lean && !told() { Form::native(form.format) } else { form }
    }
}
