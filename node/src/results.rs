//! S0's verbs for results: `join`, `get`, and giving a started call up.

use std::time::Duration;

use lanc_core::error::{CallError, ErrorCode, Executed};
use lanc_core::id::ExeId;
use serde::de::DeserializeOwned;

use crate::node::Node;
use crate::pending::{single, typed};

impl Node {
    /// Waits at most `timeout` for the result of a started call and takes it. Cancel safe: the
    /// call goes on when the future is dropped or the time is up.
    ///
    /// # Errors
    /// The call's own failure, `timeout` among them: it is taken, and gone. `not_ready` when
    /// `timeout` is up first: ask again. `unknown_call` or `result_expired` when there is nothing to
    /// wait for.
    pub async fn join<T: DeserializeOwned>(
        &self,
        id: ExeId,
        timeout: Duration,
    ) -> Result<T, CallError> {
        let hub = self.hub();
        let key = hub.state().core.find_call(id)?;
        let outcome = tokio::time::timeout(timeout, hub.outcome(key)).await.map_err(|_| {
            let text = format!("{id} has no result after {} ms", timeout.as_millis());
            CallError::new(ErrorCode::NOT_READY, Executed::Maybe, text)
        })?;
        typed(hub, single(outcome)?.result?)
    }

    /// Takes the result of a started call without waiting.
    ///
    /// # Errors
    /// `not_ready` while there is none; else as [`Node::join`].
    pub fn get<T: DeserializeOwned>(&self, id: ExeId) -> Result<T, CallError> {
        let hub = self.hub();
        let outcome = {
            let mut state = hub.state();
            let key = state.core.find_call(id)?;
            state.outcome_now(key).ok_or_else(|| {
                let text = format!("{id} has no result yet");
                CallError::new(ErrorCode::NOT_READY, Executed::Maybe, text)
            })?
        };
        typed(hub, single(outcome)?.result?)
    }

    /// Gives a started call up: its outcome is `cancelled`, and its callee is told. Does
    /// nothing for a call that is over.
    ///
    /// # Errors
    /// `unknown_call` or `result_expired` when there is no such call.
    pub fn cancel(&self, id: ExeId) -> Result<(), CallError> {
        let hub = self.hub();
        let now = hub.clock.now();
        hub.submit(|state| {
            let key = state.core.find_call(id)?;
            state.core.cancel(now, key);
            Ok(())
        })
    }
}
