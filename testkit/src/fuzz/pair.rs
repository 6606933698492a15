//! A pairing under a script: datagrams are lost, repeated, changed and made up. The key comes only
//! to who knows the code, unchanged, and each end knows how it ended.

use std::time::Duration;

use lanc_core::Time;
use lanc_crypto::MasterKey;
use lanc_crypto::pair::{Given, Giver, MAX_DATAGRAM, PairCode, Taker};

use super::Script;
use crate::sim::Dice;

/// Steps of one script.
const STEPS: usize = 60;
const RIGHT: &str = "42-483-9127";
/// The same place, another secret.
const WRONG: &str = "42-483-9128";

struct Stage {
    giver: Giver,
    taker: Taker,
    now: Time,
    /// All that was ever sent: to the giver, to the taker.
    heard: [Vec<Vec<u8>>; 2],
    /// Datagrams that have not arrived yet.
    under_way: [Vec<Vec<u8>>; 2],
}

const TO_GIVER: usize = 0;
const TO_TAKER: usize = 1;

fn key() -> MasterKey {
    MasterKey::from_bytes(&[7; 32])
}

/// The first byte chooses the taker's code; the rest is what the network does.
pub fn pairing(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let knows = script.byte().is_multiple_of(2);
    let parse =
        |text: &str| -> PairCode { text.parse().unwrap_or_else(|error| panic!("{text}: {error}")) };
    let (mut dice, now) = (Dice::new(1, 3), Time::from_millis(1000));
    let giver = Giver::new(&parse(RIGHT), key(), &mut dice, now);
    let code = parse(if knows { RIGHT } else { WRONG });
    let taker = Taker::new(&code, Duration::from_secs(30), &mut dice, now);
    let (heard, under_way) = Default::default();
    let mut stage = Stage { giver, taker, now, heard, under_way };
    let mut is_honest = true;
    for _ in 0..STEPS {
        if script.is_over() {
            break;
        }
        stage.send();
        is_honest &= stage.step(&mut script);
    }
    stage.settle(knows, is_honest);
}

impl Stage {
    /// The taker says what it has to say.
    fn send(&mut self) {
        while let Some(datagram) = self.taker.poll_send(self.now).map(<[u8]>::to_vec) {
            self.put(TO_GIVER, datagram);
        }
    }

    fn put(&mut self, to: usize, datagram: Vec<u8>) {
        assert!(datagram.len() <= MAX_DATAGRAM, "{} bytes", datagram.len());
        self.heard[to].push(datagram.clone());
        self.under_way[to].push(datagram);
    }

    /// A datagram arrives at an end.
    fn arrive(&mut self, at: usize, datagram: &[u8]) {
        if at == TO_TAKER {
            self.taker.receive(self.now, datagram);
            return;
        }
        if let Some(answer) = self.giver.receive(self.now, datagram) {
            assert!(answer.len() <= datagram.len() * 3, "an answer three times its question");
            self.put(TO_TAKER, answer);
        }
        self.send();
    }

    /// `false`: the network did something that an honest one does not.
    fn step(&mut self, script: &mut Script<'_>) -> bool {
        let how = script.byte();
        let at = usize::from(how >> 7);
        let place = usize::from(script.byte());
        match how % 8 {
            // What was sent arrives, in any order.
            0..=2 if !self.under_way[at].is_empty() => {
                let count = self.under_way[at].len();
                let datagram = self.under_way[at].swap_remove(place % count);
                self.arrive(at, &datagram);
            }
            3 => self.now = self.now + Duration::from_millis(script.one_of(&[10, 300, 1000, 6000])),
            // A copy, to whomever.
            4 if !self.heard[at].is_empty() => {
                let count = self.heard[at].len();
                let copy = self.heard[at][place % count].clone();
                self.arrive(usize::from(script.byte() & 1), &copy);
            }
            // Nearly what was said.
            5 if !self.heard[at].is_empty() => {
                let count = self.heard[at].len();
                let mut changed = self.heard[at][place % count].clone();
                let bit = usize::from(script.pair());
                let length = changed.len();
                changed[bit / 8 % length] ^= 1 << (bit % 8);
                self.arrive(at, &changed);
                return false;
            }
            6 => {
                self.arrive(at, script.piece());
                return false;
            }
            // Lost.
            7 if !self.under_way[at].is_empty() => {
                let count = self.under_way[at].len();
                self.under_way[at].swap_remove(place % count);
            }
            _ => {}
        }
        true
    }

    /// On a good network to the end.
    fn settle(&mut self, knows: bool, is_honest: bool) {
        for _ in 0..5000 {
            self.send();
            for at in [TO_GIVER, TO_TAKER] {
                for datagram in std::mem::take(&mut self.under_way[at]) {
                    self.arrive(at, &datagram);
                }
            }
            self.now = self.now + Duration::from_millis(250);
        }
        let taken = self.taker.over(self.now).unwrap_or_else(|| panic!("the taker waits for ever"));
        let given = self.giver.over(self.now).unwrap_or_else(|| panic!("the giver waits for ever"));
        let has_key = taken.is_ok();
        if let Ok(taken) = taken {
            assert!(knows, "the key went to somebody who does not know the code");
            assert_eq!(taken.key_id(), key().key_id(), "another key arrived");
        }
        match given {
            Given::Yes => assert!(has_key, "the giver believes what is not so"),
            Given::Unconfirmed => assert!(knows, "the key was sent to nobody"),
            Given::WrongCode => assert!(!knows || !is_honest, "the right code was refused"),
            Given::Silent | Given::Expired => assert!(!has_key, "a key of nobody's: {given:?}"),
        }
    }
}
