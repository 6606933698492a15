//! Calls that wait for long before they leave, because their link takes nothing: two cores, and a
//! socket buffer that is full when the test says so.
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

use std::time::Duration;

use lanc_core::id::FunctionName;
use lanc_core::payload::Arguments;
use lanc_core::ports::{Format, SendRefused};
use lanc_core::{CallRequest, Config, Mode, Target};
use lanc_testkit::fuzz::{Duo, Fate};
use lanc_testkit::solo::Solo;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A caller and a callee that know each other, and how long the way is.
fn duo() -> Duo {
    let mut duo = Duo::new([Config::default(), Config::default()]);
    duo.pass_well(ms(3000));
    caller(&mut duo).call(request(Mode::One)).unwrap();
    duo.pass_well(ms(1000));
    assert_eq!(duo.nodes[1].ledger.total_starts(), 1);
    duo
}

fn request(mode: Mode) -> CallRequest {
    let args = Arguments::new(Format::MSGPACK, b"\x91\x07", &[]);
    let mut request = CallRequest::new(FunctionName::new("echo").unwrap(), args);
    request.target = Target::Peer("other".to_owned());
    request.deadline = Some(ms(120_000));
    request.mode = mode;
    request
}

fn caller(duo: &mut Duo) -> &mut Solo {
    &mut duo.nodes[0]
}

fn questions(duo: &Duo) -> u64 {
    duo.nodes[0].core.counters().probes_sent
}

#[test]
fn a_call_is_asked_about_although_a_copy_of_it_could_not_leave_for_long() {
    let mut duo = duo();
    let lost = &mut || Fate::Lost;
    let place = caller(&mut duo).call(request(Mode::One)).unwrap();
    while duo.nodes[0].core.counters().calls_resent < 5 {
        duo.pass(ms(10), lost);
    }
    // The first question, and the copy beside it, fill the link; the second ones wait behind them
    // for longer than the third are due.
    caller(&mut duo).refusals.push_back(SendRefused::Full);
    for count in 1..=2 {
        duo.pass(ms(2000), lost);
        assert_eq!(questions(&duo), count);
    }
    duo.pass(ms(5000), lost);
    caller(&mut duo).make_room();
    duo.pass(ms(100), lost);
    duo.pass_well(ms(20_000));
    let outcome = caller(&mut duo).ledger.calls()[place].outcome.clone();
    assert!(matches!(outcome, Some(Ok(_))), "{outcome:?}");
    assert_eq!(duo.nodes[1].ledger.total_starts(), 2);
}

#[test]
fn a_call_without_an_answer_is_not_stale_because_it_left_late() {
    let mut duo = duo();
    // What comes before it fills the link.
    caller(&mut duo).refusals.push_back(SendRefused::Full);
    caller(&mut duo).call(request(Mode::OneWay)).unwrap();
    caller(&mut duo).call(request(Mode::OneWay)).unwrap();
    duo.pass_well(ms(1500));
    caller(&mut duo).make_room();
    // One that is made after it overtakes it.
    let mut fates = [Fate::Arrives, Fate::Late(300)].into_iter();
    duo.pass(ms(1), &mut || fates.next().unwrap_or(Fate::Arrives));
    caller(&mut duo).call(request(Mode::One)).unwrap();
    duo.pass_well(ms(1000));
    assert_eq!(duo.nodes[1].ledger.total_starts(), 4);
    assert!(caller(&mut duo).ledger.all_ended());
}
