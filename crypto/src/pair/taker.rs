//! The end that is told the code and gets the key.

use std::time::Duration;

use lanc_core::Time;
use lanc_core::ports::Entropy;
use thiserror::Error;

use super::code::PairCode;
use super::secret::{Agreed, Half, Role, is_same};
use super::wire::{ELEMENT, Kind, SESSION, read, write};
use crate::key::MasterKey;

/// No key was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TakeError {
    /// Nobody answered the question for this code.
    #[error("no machine on this network shows a code that begins with these two digits")]
    NotFound,
    /// The far end has another code.
    #[error("the code is wrong")]
    WrongCode,
    /// Somebody answered, and could not prove that it knows the code.
    #[error("somebody answered who could not prove to know the code, or the network lost too much")]
    Silent,
}

/// The taking end of one pairing: it sends again what is not answered.
pub struct Taker {
    place: [u8; 2],
    session: [u8; SESSION],
    state: State,
    /// The datagram that is sent until it is answered.
    datagram: Vec<u8>,
    /// When it is sent next, and when this end gives up.
    next: Time,
    ends: Time,
}

enum State {
    Asking(Box<Half>),
    Proving(Box<Agreed>),
    Ready(Box<Agreed>),
    /// The key is here; how often that is still to be said.
    Done(MasterKey, u32),
    Over(Result<MasterKey, TakeError>),
}

impl Taker {
    /// Between two questions to everybody.
    pub const ASK_AGAIN: Duration = Duration::from_millis(500);
    /// Between two copies of what goes to the giver alone.
    pub const SEND_AGAIN: Duration = Duration::from_millis(250);
    /// How long the giver may be silent once it has been found.
    pub const SILENCE: Duration = Duration::from_secs(5);
    /// How often it is said that the key arrived.
    const THANKS: u32 = 4;

    /// Begins to look for whoever shows `code`, for at most `patience`.
    pub fn new(code: &PairCode, patience: Duration, entropy: &mut dyn Entropy, now: Time) -> Self {
        let mut session = [0; SESSION];
        entropy.fill(&mut session);
        let half = Half::begin(Role::Taker, code, entropy);
        let datagram = write(Kind::Ask, code.place(), &session, &[&[0; ELEMENT]]);
        let state = State::Asking(Box::new(half));
        Self { place: code.place(), session, state, datagram, next: now, ends: now + patience }
    }

    /// What is to be sent now: to everybody as long as [`Self::is_asking`], then to whom the first
    /// answer came from.
    pub fn poll_send(&mut self, now: Time) -> Option<&[u8]> {
        if self.over(now).is_some() || now < self.next {
            return None;
        }
        let again = match &mut self.state {
            State::Asking(_) => Self::ASK_AGAIN,
            State::Done(_, left) => {
                *left = left.saturating_sub(1);
                Self::SEND_AGAIN
            }
            _ => Self::SEND_AGAIN,
        };
        self.next = now + again;
        Some(&self.datagram)
    }

    /// Whether nobody has answered yet.
    pub fn is_asking(&self) -> bool {
        matches!(self.state, State::Asking(_))
    }

    /// Takes a datagram, whoever sent it. `true`: this end goes on, with its source.
    pub fn receive(&mut self, now: Time, datagram: &[u8]) -> bool {
        let ours = |place, session| place == self.place && session == self.session;
        let Some(message) = read(datagram).filter(|m| ours(m.place, m.session)) else {
            return false;
        };
        if self.over(now).is_some() {
            return false;
        }
        let state = std::mem::replace(&mut self.state, State::Over(Err(TakeError::Silent)));
        let (state, kind, body) = match (state, message.kind) {
            (State::Asking(half), Kind::Offer) => {
                let own = *half.element();
                // The one guess: what is no element ends it, too.
                let Some(agreed) = half.finish(message.body, &self.session) else { return true };
                let body = [own.as_slice(), agreed.proof.as_slice()].concat();
                (State::Proving(Box::new(agreed)), Kind::Proof, body)
            }
            (State::Proving(_), Kind::No) => {
                self.state = State::Over(Err(TakeError::WrongCode));
                return true;
            }
            (State::Proving(agreed), Kind::Accept) if is_same(&agreed.accept, message.body) => {
                let body = agreed.ready.to_vec();
                (State::Ready(agreed), Kind::Ready, body)
            }
            (State::Ready(agreed), Kind::Key) => match agreed.open(message.head, message.body) {
                Some(key) => {
                    let body = agreed.done.to_vec();
                    (State::Done(key, Self::THANKS), Kind::Done, body)
                }
                None => {
                    self.state = State::Ready(agreed);
                    return false;
                }
            },
            (state, _) => {
                self.state = state;
                return false;
            }
        };
        self.state = state;
        self.datagram = write(kind, self.place, &self.session, &[&body]);
        self.next = now;
        self.ends = now + Self::SILENCE;
        true
    }

    /// How it ended, once it has: with the key, or why without.
    pub fn over(&mut self, now: Time) -> Option<Result<MasterKey, TakeError>> {
        let over = match &self.state {
            State::Over(over) => return Some(over.clone()),
            State::Done(key, 0) => Ok(key.clone()),
            _ if now < self.ends => return None,
            State::Asking(_) => Err(TakeError::NotFound),
            State::Done(key, _) => Ok(key.clone()),
            State::Proving(_) | State::Ready(_) => Err(TakeError::Silent),
        };
        self.state = State::Over(over.clone());
        Some(over)
    }

    /// When to look again if nothing comes before.
    pub fn next(&self) -> Time {
        self.next.min(self.ends)
    }
}
