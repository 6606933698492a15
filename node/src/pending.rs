//! A call that has been made: who waits for its outcome, and what the outcome says.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use lanc_core::error::{CallError, ErrorCode, Executed};
use lanc_core::id::{CallKey, ExeId};
use lanc_core::payload::Payload;
use lanc_core::{Answer, Outcome};
use serde::de::DeserializeOwned;

use crate::args::{decode, printable};
use crate::bytes::decode_from;
use crate::hub::Hub;
use crate::spare;

/// A call in the core. Dropped before its outcome, it is given up.
pub(crate) struct Pending {
    pub(crate) hub: Arc<Hub>,
    pub(crate) key: CallKey,
    /// Its outcome was taken, or somebody else will.
    pub(crate) over: bool,
}

impl Pending {
    pub(crate) fn exe_id(&self) -> Result<ExeId, CallError> {
        self.hub.state().core.exe_id(self.key).ok_or_else(taken)
    }

    pub(crate) async fn take(&mut self) -> Option<Outcome> {
        poll_fn(|cx| self.poll_take(cx)).await
    }

    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        let outcome = ready!(self.hub.poll_outcome(self.key, cx));
        self.over = true;
        Poll::Ready(outcome)
    }

    pub(crate) async fn outcome(mut self) -> Result<Answer, CallError> {
        single(self.take().await)
    }

    pub(crate) fn detach(mut self) -> CallKey {
        self.over = true;
        self.key
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.over {
            give_up(&self.hub, self.key);
        }
    }
}

/// Nobody waits for a call any more.
pub(crate) fn give_up(hub: &Hub, key: CallKey) {
    let now = hub.clock.now();
    hub.submit(|state| {
        state.tell_opened(key);
        state.core.abandon(now, key);
    });
}

/// The one answer of an outcome.
pub(crate) fn single(outcome: Option<Outcome>) -> Result<Answer, CallError> {
    match outcome {
        Some(Outcome::One(answer)) => Ok(answer),
        Some(Outcome::All(members)) => {
            members.into_iter().next().map(|member| member.answer).ok_or_else(taken)
        }
        None => Err(taken()),
    }
}

/// Decodes a result into the caller's type, and gives its buffer back.
pub(crate) fn typed<T: DeserializeOwned>(hub: &Hub, payload: Payload) -> Result<T, CallError> {
    let codec = hub.pipeline.codec(payload.format);
    let fail = |reason: String| {
        let text = format!("the result is not of the type asked for: {}", printable(&reason));
        CallError::new(ErrorCode::DECODE_ERROR, Executed::Yes, text)
    };
    let codec = codec.ok_or_else(|| fail(format!("no codec for {}", payload.format.name())))?;
    let mut null = Vec::new();
    let bytes = if payload.bytes.is_empty() {
        codec.write_item(&lanc_core::ports::Item::Null, &mut null);
        null.as_slice()
    } else {
        &payload.bytes
    };
    let result = decode_from(payload.bytes.shared(), || decode(codec.as_ref(), bytes));
    let result = result.map_err(fail);
    spare::give(hub, payload.bytes.into_buffer());
    result
}

/// The outcome is not here any more.
pub(crate) fn taken() -> CallError {
    let text = "the outcome was fetched elsewhere or is no longer kept";
    CallError::new(ErrorCode::RESULT_EXPIRED, Executed::Maybe, text)
}
