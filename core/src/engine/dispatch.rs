//! A call whose provider is known, to its place in the outbox or in this node's own queue.

use super::lane::Way;
use super::{Core, Done, StreamKey};
use crate::calls::{Call, CallRequest, Carrier, Mode, Stage};
use crate::error::{CallError, ErrorCode, Executed};
use crate::id::{CallKey, PeerKey};
use crate::peers::Peer;
use crate::ports::Format;
use crate::recovery::Flight;
use crate::time::Time;
use crate::wire::outbox::Outgoing;
use crate::wire::pipeline::Pipeline;

impl Core {
    /// Hands a call to this node's own queue.
    pub(super) fn dispatch_local(&mut self, now: Time, key: CallKey) {
        let session = self.session;
        let Some(call) = self.calls.get_mut(key) else { return };
        let name = call.request.function.clone();
        call.asked = Some((session, now));
        // Others may be asked beside this node, or after it.
        let is_shared = call.request.idempotent || matches!(call.request.mode, Mode::Fastest(_));
        let is_shared = is_shared && !self.directory.providers(name.as_str()).is_empty();
        let (deadline, one_way) = (call.deadline, call.request.mode == Mode::OneWay);
        let stream = match self.open_local_stream(key) {
            Ok(stream) => stream,
            Err(error) => return self.finish_failed(now, key, error),
        };
        let args = if is_shared {
            self.calls.get(key).map(|call| call.request.args.clone())
        } else {
            self.calls.take_args(key)
        };
        let Some(args) = args else { return };
        match self.begin_local(now, &name, args, key, deadline, stream) {
            Err(fault) => self.finish_failed(now, key, CallError::from_fault(fault)),
            Ok(_) if one_way => self.finish_one_way(now, key),
            Ok(task) => {
                if let Some(call) = self.calls.get_mut(key) {
                    call.stage = Stage::Local(task);
                    call.args_gone = !is_shared;
                }
            }
        }
    }

    /// The callee's end of the byte stream of a call that this node runs itself.
    fn open_local_stream(&mut self, key: CallKey) -> Result<Option<StreamKey>, CallError> {
        if !self.calls.get(key).is_some_and(|call| call.request.stream) {
            return Ok(None);
        }
        let Some(pipe) = self.open_pipe() else {
            let text = "as many byte streams are open within this node as may be";
            return Err(CallError::new(ErrorCode::BUSY, Executed::No, text));
        };
        if let Some(call) = self.calls.get_mut(key) {
            call.stream = Some(StreamKey::Pipe(pipe, true));
        }
        self.done.push_back(Done::Opened(key));
        Ok(Some(StreamKey::Pipe(pipe, false)))
    }

    /// Puts a call's arguments into the format its callee reads.
    fn put_into(&mut self, format: Format, key: CallKey) -> bool {
        let Some(call) = self.calls.get(key) else { return true };
        let args = &call.request.args;
        if args.format() == format {
            return true;
        }
        // With the list that they stand in, as deep as a result.
        let depth = self.config.max_result_depth();
        let transcoded = self.pipeline.transcode_arguments(args, format, depth);
        let is_done = transcoded.is_some();
        if let Some(args) = transcoded {
            self.calls.set_args(key, args);
        }
        is_done
    }

    /// Queues a call for a peer.
    pub(super) fn dispatch(&mut self, now: Time, key: CallKey, to: PeerKey) {
        if let Err(error) = self.try_dispatch(now, key, to) {
            self.finish_failed(now, key, error);
        }
    }

    /// Puts a call's arguments into the format it names, or one that its callee reads.
    fn fit_arguments(&mut self, key: CallKey, to: PeerKey) -> Result<(), CallError> {
        let fail = |code, text| Err(CallError::new(code, Executed::No, text));
        let (Some(peer), Some(call)) = (self.peers.get(to), self.calls.get(key)) else {
            return Ok(());
        };
        let (name, features) = (&peer.name, peer.features);
        let has_home = peer.dialect.profile().has_home;
        let plain = self.pipeline.plain_format();
        let fitting = if has_home { plain } else { self.pipeline.form_for(features).format };
        let format = call.request.format.unwrap_or(fitting);
        if has_home && format != plain {
            let text = format!("`{name}` is an older program and does not read {}", format.name());
            return fail(ErrorCode::UNSUPPORTED, text);
        }
        if !self.pipeline.is_read_by(format, features) {
            let text = format!("`{name}` does not read {}", format.name());
            return fail(ErrorCode::UNSUPPORTED, text);
        }
        if !self.put_into(format, key) {
            let text = format!("the arguments cannot be written as {}", format.name());
            return fail(ErrorCode::UNENCODABLE, text);
        }
        Ok(())
    }

    fn try_dispatch(&mut self, now: Time, key: CallKey, to: PeerKey) -> Result<(), CallError> {
        let limit = self.config.max_calls_per_peer;
        let fail = |code, text| Err(CallError::new(code, Executed::No, text));
        let (Some(peer), Some(call)) = (self.peers.get(to), self.calls.get_mut(key)) else {
            return Ok(());
        };
        call.asked = Some((peer.session, now));
        let (link, peer_name, open_calls) = (peer.link, peer.name.clone(), peer.open_calls);
        let (carrier, has_stream) = (carrier_of(&call.request)?, call.request.stream);
        let mut bytes = call.request.args.len();
        let is_as_usual = is_read_as_it_is(&self.pipeline, call, peer);
        if open_calls >= limit {
            self.limit_hit(now, "max_calls_per_peer");
            return fail(
                ErrorCode::BUSY,
                format!("{limit} calls to `{peer_name}` are open already"),
            );
        }
        if !is_as_usual {
            self.fit_arguments(key, to)?;
            bytes = self.calls.get(key).map_or(0, |call| call.request.args.len());
        }
        let way = self.way_to(now, to, carrier, bytes);
        let by = match way {
            Way::Link(by) => by,
            Way::Dialling => link,
            Way::None => return Err(no_way(&peer_name, carrier)),
        };
        if let Some(peer) = self.peers.get_mut(to) {
            peer.open_calls += 1;
        }
        if let Some(link) = self.links.get_mut(by) {
            link.carried_calls = true;
        }
        if let Some(call) = self.calls.get_mut(key) {
            let flight = Flight::default();
            call.stage = Stage::Remote { peer: to, link: by, peer_name, sent: false, flight };
        }
        if matches!(way, Way::Dialling) {
            self.note_open(key, to);
            self.wait_for_connection(to, Outgoing::Call(key));
            return Ok(());
        }
        if has_stream {
            self.open_stream(now, key, by)?;
        }
        if !self.launch(key, to, by) {
            let text = "too many messages wait to be sent";
            return fail(ErrorCode::BUSY, text.to_owned());
        }
        Ok(())
    }
}

/// Whether a callee reads a call's arguments as they are, and the call names no format.
fn is_read_as_it_is(pipeline: &Pipeline, call: &Call, peer: &Peer) -> bool {
    let own = pipeline.first_format();
    let is_usual = call.request.format.is_none() && call.request.args.format() == own;
    let has_home = peer.dialect.profile().has_home;
    is_usual && !has_home && pipeline.is_read_by(own, peer.features)
}

/// What a call may travel by: one with a byte stream needs a connection.
fn carrier_of(request: &CallRequest) -> Result<Carrier, CallError> {
    match (request.carrier, request.stream) {
        (Carrier::Datagrams, true) => {
            let text = "a byte stream needs a connection, and the call may use datagrams only";
            Err(CallError::new(ErrorCode::UNSUPPORTED, Executed::No, text))
        }
        (_, true) => Ok(Carrier::Connection),
        (carrier, false) => Ok(carrier),
    }
}

fn no_way(peer: &str, carrier: Carrier) -> CallError {
    let text = match carrier {
        Carrier::Datagrams => format!("`{peer}` is reached by a connection only"),
        Carrier::OneShot => "this node takes no connections".to_owned(),
        _ => format!("no connection to `{peer}`: it takes none, or this node makes none"),
    };
    CallError::new(ErrorCode::UNSUPPORTED, Executed::No, text)
}
