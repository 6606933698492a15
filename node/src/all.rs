//! Calls to every provider.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use lanc_core::error::CallError;
use lanc_core::id::SessionId;
use lanc_core::{Member, Outcome};
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::hub::Hub;
use crate::pending::{single, taken, typed};

/// What one provider answered to a call to all: [`Call::all`].
#[derive(Clone, PartialEq, Debug)]
pub struct Answer<T> {
    /// The provider's name. Several may have the same.
    pub peer: String,
    /// Its session, whose first digits [`Call::on`] takes.
    pub session: SessionId,
    /// Its result, or its failure.
    pub result: Result<T, CallError>,
}

/// A call to every provider: await it for an [`Answer`] of each, in the order of the call's
/// [policy](Call::policy), those that there was no room to ask last.
#[must_use = "a call is made when it is awaited"]
pub struct AllCall<T>(Call<T>);

impl<T> AllCall<T> {
    pub(crate) fn new(call: Call<T>) -> Self {
        Self(call)
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for AllCall<T> {
    type Output = Result<Vec<Answer<T>>, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut pending = self.0.submit()?;
            let hub = Arc::clone(&pending.hub);
            match pending.take().await {
                Some(Outcome::All(members)) => {
                    Ok(members.into_iter().map(|member| decoded(&hub, member)).collect())
                }
                outcome => {
                    let ended = single(outcome).and_then(|answer| answer.result);
                    Err(ended.err().unwrap_or_else(taken))
                }
            }
        })
    }
}

fn decoded<T: DeserializeOwned>(hub: &Hub, member: Member) -> Answer<T> {
    let Member { session, answer } = member;
    let result = answer.result.and_then(|payload| typed(hub, payload));
    Answer { peer: answer.from.to_string(), session, result }
}
