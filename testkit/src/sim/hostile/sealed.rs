//! What hostile programs do to sealed frames: those that hold no key, and one that does.

use std::net::SocketAddr;
use std::sync::Arc;

use lanc_core::carriage;
use lanc_core::envelope::{self, Head, LAST_COUNTER, Labels};
use lanc_core::id::SessionId;
use lanc_core::ports::{Format, GroupKey};

use super::{Hostile, RECORDED, Script, Shot};
use crate::sim::dice::Dice;
use crate::sim::envelope::{Envelope, group_key};
use crate::sim::values::codec;

/// A member of a group that says what no member may.
pub(super) struct Insider {
    key: Arc<dyn GroupKey>,
    pub(super) session: SessionId,
    sealed: u64,
}

impl Insider {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let mut session = [1; 16];
        lanc_core::ports::Entropy::fill(dice, &mut session);
        Self { key: group_key(1), session: SessionId(session), sealed: 0 }
    }

    /// Seals for everybody, as one of those labels that announce.
    fn seal(&mut self, text: String, dice: &mut Dice) -> Vec<u8> {
        self.sealed += 1;
        let mut salt = [0; 4];
        lanc_core::ports::Entropy::fill(dice, &mut salt);
        let (key, session) = (self.key.id(), self.session);
        let head = Head { key, session, to: None, counter: self.sealed, salt, stream: 0 };
        let made = self.key.session(&session.0, head.epoch());
        let mut frame = text.into_bytes();
        envelope::seal(&head, Labels::HELLO, made.as_ref(), &mut frame);
        frame
    }
}

fn carried(envelope: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    carriage::write(envelope, codec(Format::JSON), &mut message);
    message
}

impl Hostile {
    /// Remembers a sealed frame; old ones stay as likely as new ones.
    pub(super) fn record_sealed(&mut self, from: SocketAddr, to: SocketAddr, bytes: &Arc<[u8]>) {
        let Some(envelope) = Envelope::of(bytes) else { return };
        self.words.meets(&envelope.head.session.to_string());
        let record = (from, to, Arc::clone(bytes));
        if self.recorded.len() < RECORDED {
            self.recorded.push_back(record);
        } else if self.dice.chance(200) {
            let place = self.dice.place(RECORDED);
            self.recorded[place] = record;
        }
    }

    fn drawn(&mut self) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        let place = self.dice.place(self.recorded.len());
        let (from, to, bytes) = self.recorded.get(place)?;
        Some((*from, *to, bytes.to_vec()))
    }

    /// Sends what it has heard: as it was, to others, from elsewhere, in another form.
    pub(super) fn send_again(&mut self, nodes: &[SocketAddr], shots: &mut Vec<Shot>) {
        for _ in 0..self.dice.below(8) {
            let Some((mut from, to, mut bytes)) = self.drawn() else { return };
            let other = nodes.get(self.dice.place(nodes.len())).copied();
            match self.dice.below(8) {
                0 => from = self.address,
                1 | 2 => from = other.unwrap_or(from),
                _ => {}
            }
            if self.dice.chance(200)
                && let Some(envelope) = Envelope::of(&bytes)
            {
                let is_carried = envelope.is_carried;
                bytes =
                    if is_carried { envelope.bytes.into_owned() } else { carried(&envelope.bytes) };
            }
            let victim = nodes.get(self.dice.place(nodes.len())).copied();
            let was_for_all = to.ip() == self.address.ip();
            let to = match self.dice.below(10) {
                0..2 => None,
                2..5 => victim,
                _ if was_for_all => None,
                _ => Some(to),
            };
            shots.push(Shot { from, to, bytes });
        }
    }

    /// Sends what is nearly what it has heard.
    pub(super) fn garble(&mut self, nodes: &[SocketAddr], shots: &mut Vec<Shot>) {
        for _ in 0..self.dice.below(8) {
            let Some((from, to, bytes)) = self.drawn() else { return };
            let Some(mut envelope) = Envelope::of(&bytes) else { continue };
            let other =
                self.drawn().and_then(|(_, _, bytes)| Envelope::of(&bytes).map(|other| other.head));
            self.spoil(envelope.bytes.to_mut(), &envelope.head, other);
            let is_carried = envelope.is_carried != self.dice.chance(100);
            let bytes =
                if is_carried { carried(&envelope.bytes) } else { envelope.bytes.into_owned() };
            let was_for_all = to.ip() == self.address.ip();
            let victim = nodes.get(self.dice.place(nodes.len())).copied();
            let to = match self.dice.below(4) {
                0 => victim,
                _ if was_for_all => None,
                _ => Some(to),
            };
            shots.push(Shot { from, to, bytes });
        }
    }

    fn spoil(&mut self, bytes: &mut Vec<u8>, head: &Head, other: Option<Head>) {
        let mut forged = *head;
        match self.dice.below(9) {
            0..2 => {
                for _ in 0..=self.dice.below(8) {
                    let place = self.dice.place(bytes.len());
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte ^= 1 << self.dice.below(8);
                    }
                }
                return;
            }
            2 => return bytes.truncate(self.dice.place(bytes.len())),
            3 => forged.counter = LAST_COUNTER - self.dice.below(1 << 20),
            4 => forged.counter += 1 + self.dice.below(40),
            5 => forged.key = other.map_or(head.key, |other| other.key),
            6 => forged.to = other.and_then(|other| other.to),
            7 => forged.session = other.map_or(head.session, |other| other.session),
            _ => lanc_core::ports::Entropy::fill(&mut self.dice, &mut forged.salt),
        }
        for (place, byte) in bytes.iter_mut().zip(forged.write()) {
            *place = byte;
        }
    }

    /// Says as a member what only what is sealed for one node may say, and what only others may
    /// say of themselves.
    pub(super) fn betray(&mut self, victim: Option<SocketAddr>, shots: &mut Vec<Shot>) {
        let Some(insider) = &mut self.insider else { return };
        let owner = self.recorded.back().map(|(from, ..)| *from);
        let text = match self.dice.below(5) {
            0 => self.words.foreign_bye(),
            1 => self.words.foreign_func(),
            2 => self.words.foreign_hello(),
            _ => self.words.plain_call(),
        };
        let frame = insider.seal(text, &mut self.dice);
        let frame = if self.dice.chance(500) { carried(&frame) } else { frame };
        let from = owner.filter(|_| self.dice.chance(700)).unwrap_or(self.address);
        let to = if self.dice.chance(500) { None } else { victim };
        shots.push(Shot { from, to, bytes: frame });
    }
}

impl Script {
    /// Those that know what a sealed frame is.
    pub const SEALED: [Self; 3] = [Self::Recorder, Self::Garbler, Self::Insider];
}
