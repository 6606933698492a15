//! The end that has the key and shows the code.

use std::time::Duration;

use lanc_core::Time;
use lanc_core::ports::Entropy;

use super::code::PairCode;
use super::secret::{Agreed, Half, Role, is_same};
use super::wire::{ELEMENT, Kind, Message, SESSION, head, read, write};
use crate::key::MasterKey;

/// How a pairing ended at the giver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Given {
    /// The far end has the key.
    Yes,
    /// The key was sent to somebody who knew the code, who has not said that it arrived.
    Unconfirmed,
    /// Somebody tried a wrong code. Nothing was given, and this code is used up.
    WrongCode,
    /// Somebody who knew the code fell silent before the key was sent.
    Silent,
    /// Nobody tried the code in time.
    Expired,
}

/// The giving end of one pairing: it answers what comes, and sends nothing by itself.
pub struct Giver {
    place: [u8; 2],
    key: MasterKey,
    state: State,
    /// When it ends by itself.
    ends: Time,
}

enum State {
    /// Nobody has tried the code.
    Waiting(Half),
    /// Somebody knew it; only they are heard from now on.
    Proved(Box<Proved>),
    Over(Given),
}

struct Proved {
    session: [u8; SESSION],
    agreed: Agreed,
    has_sent_key: bool,
    /// What was answered last, in case the answer was lost.
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Giver {
    /// How long a code is good.
    pub const CODE_LIFE: Duration = Duration::from_secs(600);
    /// How long the far end may be silent once it has proved that it knows the code.
    pub const SILENCE: Duration = Duration::from_secs(10);

    /// Begins to wait for somebody who knows `code`, to give them `key`.
    pub fn new(code: &PairCode, key: MasterKey, entropy: &mut dyn Entropy, now: Time) -> Self {
        let half = Half::begin(Role::Giver, code, entropy);
        let ends = now + Self::CODE_LIFE;
        Self { place: code.place(), key, state: State::Waiting(half), ends }
    }

    /// Takes a datagram, whoever sent it; returns what goes back to its source.
    pub fn receive(&mut self, now: Time, datagram: &[u8]) -> Option<Vec<u8>> {
        let message = read(datagram).filter(|message| message.place == self.place)?;
        if self.over(now).is_some() {
            return None;
        }
        match (&mut self.state, message.kind) {
            (State::Waiting(half), Kind::Ask) => {
                Some(write(Kind::Offer, self.place, &message.session, &[half.element()]))
            }
            (State::Waiting(_), Kind::Proof) => Some(self.check(now, message, datagram)),
            (State::Proved(proved), _) if proved.session == message.session => {
                if proved.request == datagram {
                    return Some(proved.answer.clone());
                }
                self.go_on(now, message, datagram)
            }
            _ => None,
        }
    }

    /// The one guess.
    fn check(&mut self, now: Time, message: Message<'_>, datagram: &[u8]) -> Vec<u8> {
        let state = std::mem::replace(&mut self.state, State::Over(Given::WrongCode));
        let no = write(Kind::No, self.place, &message.session, &[]);
        let State::Waiting(half) = state else { return no };
        let Some((element, proof)) = message.body.split_at_checked(ELEMENT) else { return no };
        let agreed = half.finish(element, &message.session);
        let Some(agreed) = agreed.filter(|agreed| is_same(&agreed.proof, proof)) else { return no };
        let session = message.session;
        let answer = write(Kind::Accept, self.place, &session, &[agreed.accept.as_slice()]);
        let proved = Proved {
            session,
            agreed,
            has_sent_key: false,
            request: datagram.to_vec(),
            answer: answer.clone(),
        };
        self.state = State::Proved(Box::new(proved));
        self.ends = now + Self::SILENCE;
        answer
    }

    fn go_on(&mut self, now: Time, message: Message<'_>, datagram: &[u8]) -> Option<Vec<u8>> {
        let State::Proved(proved) = &mut self.state else { return None };
        let agreed = &proved.agreed;
        if !proved.has_sent_key
            && message.kind == Kind::Ready
            && is_same(&agreed.ready, message.body)
        {
            let mut answer = head(Kind::Key, self.place, &proved.session);
            let sealed = agreed.seal(&answer, &self.key);
            answer.extend_from_slice(&sealed);
            proved.has_sent_key = true;
            proved.request = datagram.to_vec();
            proved.answer.clone_from(&answer);
            self.ends = now + Self::SILENCE;
            return Some(answer);
        }
        if proved.has_sent_key && message.kind == Kind::Done && is_same(&agreed.done, message.body)
        {
            self.state = State::Over(Given::Yes);
        }
        None
    }

    /// How it ended, once it has.
    pub fn over(&mut self, now: Time) -> Option<Given> {
        let late = match &self.state {
            State::Over(given) => return Some(*given),
            _ if now < self.ends => return None,
            State::Waiting(_) => Given::Expired,
            State::Proved(proved) if proved.has_sent_key => Given::Unconfirmed,
            State::Proved(_) => Given::Silent,
        };
        self.state = State::Over(late);
        Some(late)
    }

    /// When to ask [`Self::over`] again if nothing comes before.
    pub fn ends(&self) -> Time {
        self.ends
    }
}
