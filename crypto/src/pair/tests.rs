use std::time::Duration;

use lanc_core::Time;
use lanc_core::ports::Entropy;
use proptest::prelude::*;

use super::wire::{Kind, head, read, write};
use super::*;
use crate::key::MasterKey;

/// Repeatable, and no two draws alike.
struct Draws(u64);

impl Entropy for Draws {
    fn fill(&mut self, into: &mut [u8]) {
        for byte in into {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
const T0: Time = Time::ZERO;

fn key() -> MasterKey {
    MasterKey::from_bytes(&[7; 32])
}

fn code(text: &str) -> PairCode {
    text.parse().unwrap()
}

fn giver(text: &str, seed: u64) -> Giver {
    Giver::new(&code(text), key(), &mut Draws(seed), T0)
}

fn taker(text: &str, seed: u64) -> Taker {
    Taker::new(&code(text), PATIENCE, &mut Draws(seed), T0)
}

/// What the taker says now.
fn said(taker: &mut Taker, now: Time) -> Vec<u8> {
    taker.poll_send(now).unwrap().to_vec()
}

/// A question and its answer, which the taker then has.
fn turn(taker: &mut Taker, giver: &mut Giver) -> (Vec<u8>, Vec<u8>) {
    let question = said(taker, T0);
    let answer = giver.receive(T0, &question).unwrap();
    assert!(taker.receive(T0, &answer));
    (question, answer)
}

fn kind(datagram: &[u8]) -> Kind {
    read(datagram).unwrap().kind
}

/// A whole pairing; all that was said, in order.
fn pair(taker: &mut Taker, giver: &mut Giver) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for _ in 0..3 {
        let (question, answer) = turn(taker, giver);
        all.extend([question, answer]);
    }
    let done = said(taker, T0);
    assert_eq!(giver.receive(T0, &done), None);
    all.push(done);
    all
}

#[test]
fn whoever_has_the_code_gets_the_key_and_both_know() {
    let (mut giver, mut taker) = (giver("42-483-9127", 1), taker("424839127", 2));
    assert!(taker.is_asking() && giver.over(T0).is_none());
    let all = pair(&mut taker, &mut giver);
    let kinds: Vec<_> = all.iter().map(|datagram| kind(datagram)).collect();
    use Kind::{Accept, Ask, Done, Key, Offer, Proof, Ready};
    assert_eq!(kinds, [Ask, Offer, Proof, Accept, Ready, Key, Done]);
    assert_eq!(giver.over(T0), Some(Given::Yes));
    // It says some more times that the key is there, in case the giver has not heard it.
    let mut now = T0;
    let mut thanks = 1;
    while taker.over(now).is_none() {
        now = taker.next();
        thanks += u32::from(taker.poll_send(now).is_some());
    }
    assert_eq!((taker.over(now), thanks), (Some(Ok(key())), 4));
    assert!(taker.poll_send(now).is_none());
    for datagram in &all {
        assert!(datagram.len() <= MAX_DATAGRAM);
        assert!(!datagram.windows(7).any(|part| part == b"4839127"), "the secret digits travel");
        assert!(!datagram.windows(8).any(|part| part == [7; 8]), "the key travels in plain");
    }
}

#[test]
fn nothing_is_made_larger_before_the_code_is_proved() {
    let (mut giver, mut taker) = (giver("42-483-9127", 1), taker("42-483-9127", 2));
    let (ask, offer) = turn(&mut taker, &mut giver);
    assert!(offer.len() <= ask.len());
    let (proof, accept) = turn(&mut taker, &mut giver);
    assert!(accept.len() <= proof.len());
}

#[test]
fn a_wrong_code_ends_it_for_both_and_there_is_no_second_guess() {
    let (mut giver, mut wrong) = (giver("42-483-9127", 1), taker("42-483-9128", 2));
    turn(&mut wrong, &mut giver);
    let (_, no) = turn(&mut wrong, &mut giver);
    assert_eq!(kind(&no), Kind::No);
    assert_eq!(wrong.over(T0), Some(Err(TakeError::WrongCode)));
    assert_eq!(giver.over(T0), Some(Given::WrongCode));
    // The right code comes too late, and the wrong end says nothing more.
    let mut right = taker("42-483-9127", 3);
    assert_eq!(giver.receive(T0, &said(&mut right, T0)), None);
    assert!(wrong.poll_send(T0 + PATIENCE).is_none());
}

#[test]
fn a_false_giver_has_one_guess_and_gets_nothing_to_try_codes_against_later() {
    let (mut honest, mut victim) = (giver("42-483-9127", 1), taker("42-483-9127", 2));
    let mut liar = giver("42-000-0000", 3);
    let ask = said(&mut victim, T0);
    let (late, lie) = (honest.receive(T0, &ask).unwrap(), liar.receive(T0, &ask).unwrap());
    assert!(victim.receive(T0, &lie));
    assert!(!victim.receive(T0, &late), "it has made its guess");
    let proof = said(&mut victim, T0);
    assert_eq!(kind(&liar.receive(T0, &proof).unwrap()), Kind::No);
    // Even a liar who says that all is well has no proof.
    let session = read(&proof).unwrap().session;
    assert!(!victim.receive(T0, &write(Kind::Accept, *b"42", &session, &[&[0; 32]])));
    assert_eq!(victim.over(T0 + Taker::SILENCE), Some(Err(TakeError::Silent)));
}

#[test]
fn what_is_reflected_is_nothing() {
    let (mut giver, mut taker) = (giver("42-483-9127", 1), taker("42-483-9127", 2));
    for _ in 0..3 {
        let question = said(&mut taker, T0);
        assert!(!taker.receive(T0, &question), "its own question");
        let answer = giver.receive(T0, &question).unwrap();
        assert_eq!(giver.receive(T0, &answer), None, "its own answer");
        assert!(taker.receive(T0, &answer));
    }
    // An element of one side in the other's place is refused, though its length is right.
    let (mut mirror, mut other) = (self::giver("42-483-9127", 5), self::taker("42-483-9127", 6));
    let ask = said(&mut other, T0);
    let session = read(&ask).unwrap().session;
    assert!(other.receive(T0, &mirror.receive(T0, &ask).unwrap()));
    let proof = said(&mut other, T0);
    let own = read(&proof).unwrap().body[..33].to_vec();
    let mut third = self::taker("42-483-9127", 6);
    said(&mut third, T0);
    assert!(third.receive(T0, &write(Kind::Offer, *b"42", &session, &[&own])));
    assert_eq!(third.over(T0), Some(Err(TakeError::Silent)));
}

#[test]
fn no_flipped_bit_gets_anybody_further() {
    let (mut giver, mut taker) = (giver("42-483-9127", 1), taker("42-483-9127", 2));
    let all = pair(&mut taker, &mut giver);
    for (step, datagram) in all.iter().enumerate() {
        for bit in 0..datagram.len() * 8 {
            let mut spoilt = datagram.clone();
            spoilt[bit / 8] ^= 1 << (bit % 8);
            // Both ends as they were before this datagram.
            let (mut giver, mut taker) =
                (self::giver("42-483-9127", 1), self::taker("42-483-9127", 2));
            for before in &all[..step] {
                match kind(before) {
                    Kind::Ask | Kind::Proof | Kind::Ready => drop(giver.receive(T0, before)),
                    _ => assert!(taker.receive(T0, before)),
                }
            }
            // A question of another pairing.
            let is_ask = step == 0 && bit / 8 >= 12;
            if step % 2 == 1 {
                // An offer that was changed is found out by the giver, at the proof.
                assert_eq!(
                    taker.receive(T0, &spoilt),
                    step == 1 && is_offer_body(bit),
                    "{step} {bit}"
                );
            } else {
                let answer = giver.receive(T0, &spoilt);
                let no = answer.as_deref().is_some_and(|answer| kind(answer) == Kind::No);
                assert!(answer.is_none() || no || is_ask, "{step} {bit}");
                assert_ne!(giver.over(T0), Some(Given::Yes), "{step} {bit}");
            }
        }
    }
}

fn is_offer_body(bit: usize) -> bool {
    bit / 8 >= head(Kind::Offer, *b"42", &[0; 16]).len()
}

#[test]
fn a_changed_offer_proves_nothing() {
    let (mut giver, mut taker) = (giver("42-483-9127", 1), taker("42-483-9127", 2));
    let ask = said(&mut taker, T0);
    let mut offer = giver.receive(T0, &ask).unwrap();
    // Any other element: that of another giver with the same code.
    let other = self::giver("42-483-9127", 9).receive(T0, &ask).unwrap();
    offer.copy_from_slice(&other);
    assert!(taker.receive(T0, &offer));
    let no = giver.receive(T0, &said(&mut taker, T0)).unwrap();
    assert_eq!(kind(&no), Kind::No);
}

#[test]
fn copies_are_answered_as_before_and_old_ones_prove_nothing() {
    let (mut giver, mut taker) = (giver("42-483-9127", 1), taker("42-483-9127", 2));
    let mut old = Vec::new();
    for _ in 0..3 {
        let (question, answer) = turn(&mut taker, &mut giver);
        assert_eq!(giver.receive(T0, &question), Some(answer.clone()), "the answer may be lost");
        assert!(!taker.receive(T0, &answer), "and may come twice");
        old.push(question);
    }
    assert_eq!(giver.receive(T0, &old[1]), None, "a step back");
    // Recorded, and played to the same code again, as nobody should use it.
    let mut again = self::giver("42-483-9127", 3);
    again.receive(T0, &old[0]).unwrap();
    assert_eq!(kind(&again.receive(T0, &old[1]).unwrap()), Kind::No);
    assert_eq!(again.over(T0), Some(Given::WrongCode));
}

#[test]
fn lost_datagrams_are_sent_again() {
    for lost in 0..7 {
        let (mut giver, mut taker) = (giver("42-483-9127", 1), taker("42-483-9127", 2));
        let (mut now, mut sent) = (T0, 0);
        let mut arrives = || {
            sent += 1;
            sent - 1 != lost
        };
        while taker.over(now).is_none() {
            let question = taker.poll_send(now).map(<[u8]>::to_vec);
            let question = question.filter(|_| arrives());
            let answer = question.and_then(|question| giver.receive(now, &question));
            if let Some(answer) = answer.filter(|_| arrives()) {
                taker.receive(now, &answer);
            }
            now = taker.next();
        }
        assert_eq!(taker.over(now), Some(Ok(key())), "{lost}");
        assert_eq!(giver.over(now), Some(Given::Yes), "{lost}");
    }
}

#[test]
fn silence_ends_every_step() {
    let late = |time: Duration| T0 + time - Duration::from_nanos(1);
    let mut lonely = taker("42-483-9127", 2);
    assert!(lonely.over(late(PATIENCE)).is_none());
    assert_eq!(lonely.over(T0 + PATIENCE), Some(Err(TakeError::NotFound)));
    let mut unused = giver("42-483-9127", 1);
    assert!(unused.over(late(Giver::CODE_LIFE)).is_none());
    assert_eq!(unused.over(T0 + Giver::CODE_LIFE), Some(Given::Expired));
    let mut late_ask = taker("42-483-9127", 2);
    assert_eq!(unused.receive(T0 + Giver::CODE_LIFE, &said(&mut late_ask, T0)), None);

    for (turns, given) in [(2, Given::Silent), (3, Given::Unconfirmed)] {
        let (mut giver, mut taker) = (giver("42-483-9127", 1), taker("42-483-9127", 2));
        (0..turns).for_each(|_| drop(turn(&mut taker, &mut giver)));
        assert!(giver.over(late(Giver::SILENCE)).is_none());
        assert_eq!(giver.over(T0 + Giver::SILENCE), Some(given));
        let took = taker.over(T0 + Taker::SILENCE).unwrap();
        assert_eq!(took.is_ok(), given == Given::Unconfirmed, "who has the key keeps it");
    }
}

#[test]
fn several_pairings_do_not_disturb_each_other() {
    let codes = ["11-111-1111", "22-111-1111"];
    let mut givers = [giver(codes[0], 1), giver(codes[1], 2)];
    let mut takers = [taker(codes[0], 3), taker(codes[1], 4)];
    // Everybody hears everything.
    for _ in 0..4 {
        for at in 0..2 {
            let Some(question) = takers[at].poll_send(T0).map(<[u8]>::to_vec) else { continue };
            for giver in &mut givers {
                let Some(answer) = giver.receive(T0, &question) else { continue };
                for taker in &mut takers {
                    taker.receive(T0, &answer);
                }
            }
        }
    }
    for (giver, taker) in givers.iter_mut().zip(&mut takers) {
        assert_eq!(giver.over(T0), Some(Given::Yes));
        assert_eq!(taker.over(T0 + Taker::SILENCE), Some(Ok(key())));
    }
    // A second taker of a code that is being used is not heard, and harms nobody.
    let (mut giver, mut first) = (giver("42-483-9127", 1), taker("42-483-9127", 2));
    let mut second = taker("42-483-9127", 5);
    turn(&mut first, &mut giver);
    let offer = giver.receive(T0, &said(&mut second, T0)).unwrap();
    assert!(second.receive(T0, &offer));
    turn(&mut first, &mut giver);
    assert_eq!(giver.receive(T0, &said(&mut second, T0)), None);
    turn(&mut first, &mut giver);
    assert_eq!(giver.receive(T0, &said(&mut first, T0)), None);
    assert_eq!(giver.over(T0), Some(Given::Yes));
}

#[test]
fn a_flood_of_questions_changes_nothing() {
    let (mut giver, mut taker) = (giver("42-483-9127", 1), taker("42-483-9127", 2));
    let mut draws = Draws(77);
    for number in 0..100_000_u32 {
        let mut session = [0; 16];
        draws.fill(&mut session);
        let place = if number % 2 == 0 { *b"42" } else { *b"43" };
        let ask = write(Kind::Ask, place, &session, &[&[0; 33]]);
        assert_eq!(giver.receive(T0, &ask).is_some(), number % 2 == 0);
    }
    pair(&mut taker, &mut giver);
    assert_eq!(giver.over(T0), Some(Given::Yes));
}

proptest! {
    #[test]
    fn garbage_is_ignored(garbage in proptest::collection::vec(any::<u8>(), 0..200), tail in any::<[u8; 70]>()) {
        let (mut giver, mut taker) = (giver("42-483-9127", 1), taker("42-483-9127", 2));
        prop_assert_eq!(giver.receive(T0, &garbage), None);
        prop_assert!(!taker.receive(T0, &garbage));
        // With a head that is right.
        for kind in Kind::ALL {
            let mut datagram = write(kind, *b"42", &[1; 16], &[]);
            for length in 0..tail.len() {
                datagram.truncate(28);
                datagram.extend_from_slice(&tail[..length]);
                prop_assert!(!taker.receive(T0, &datagram));
                if kind != Kind::Ask && kind != Kind::Proof {
                    prop_assert_eq!(giver.receive(T0, &datagram), None);
                }
            }
        }
        pair(&mut taker, &mut giver);
    }
}

#[test]
fn codes_are_nine_digits_however_they_are_typed() {
    for text in ["42-483-9127", "424839127", " 42 483 9127\n", "42.483.9127"] {
        assert_eq!(code(text).to_string(), "42-483-9127");
    }
    for text in ["", "42-483-912", "42-483-91270", "42-483-912a", "４２-483-9127", "42_483_9127"]
    {
        assert_eq!(text.parse::<PairCode>(), Err(PairCodeError), "{text}");
    }
    assert_eq!(format!("{:?}", code("42-483-9127")), "PairCode(..)");
    assert!(!PairCodeError.to_string().contains("912a"));
}

#[test]
fn codes_are_drawn_from_all_alike() {
    /// Draws that a test gives.
    struct Given(Vec<u32>);
    impl Entropy for Given {
        fn fill(&mut self, into: &mut [u8]) {
            into.copy_from_slice(&self.0.remove(0).to_be_bytes());
        }
    }
    let drawn = |numbers: &[u32]| PairCode::generate(&mut Given(numbers.to_vec())).to_string();
    assert_eq!(drawn(&[0]), "00-000-0000");
    assert_eq!(drawn(&[3_999_999_999]), "99-999-9999");
    assert_eq!(drawn(&[4_000_000_000, u32::MAX, 1_424_839_127]), "42-483-9127", "drawn again");
}
