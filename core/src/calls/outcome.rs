//! How a call ended: the answers to it.

use std::sync::Arc;

use crate::error::{CallError, ErrorCode};
use crate::id::SessionId;
use crate::payload::Payload;

/// A result and where it came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The name of the node that ran the function.
    pub from: Arc<str>,
    /// What it answered.
    pub result: Result<Payload, CallError>,
}

/// An answer to a call to all providers, and whose it is: several may have one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Who was asked.
    pub session: SessionId,
    /// What came of it.
    pub answer: Answer,
}

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// One answer, or the failure of this side.
    One(Answer),
    /// The answers of all providers, in the order of the policy; never empty.
    All(Vec<Member>),
}

impl Outcome {
    /// Whether it holds a result.
    pub fn is_success(&self) -> bool {
        match self {
            Self::One(answer) => answer.result.is_ok(),
            Self::All(members) => members.iter().any(|member| member.answer.result.is_ok()),
        }
    }

    /// What it counts as: of several answers the first result, else the first failure.
    pub(crate) fn code(&self) -> ErrorCode {
        let code = |answer: &Answer| answer.result.as_ref().err().map(|error| error.code);
        match self {
            Self::One(answer) => code(answer),
            Self::All(_) if self.is_success() => None,
            Self::All(members) => members.iter().find_map(|member| code(&member.answer)),
        }
        .unwrap_or(ErrorCode::OK)
    }

    pub(super) fn bytes(&self) -> usize {
        let size = |answer: &Answer| answer.result.as_ref().map_or(0, |p| p.bytes.capacity());
        match self {
            Self::One(answer) => size(answer),
            Self::All(members) => members.iter().map(|member| size(&member.answer)).sum(),
        }
    }
}
