//! A connection breaks while calls are open: when its peer is taken to be gone, and when not.

use lanc_core::error::{ErrorCode, Executed};
use lanc_core::event::{Event, PeerDownReason};
use lanc_core::id::{CallKey, FunctionName};
use lanc_core::payload::Arguments;
use lanc_core::ports::{Cast, Format, Initiator, LinkEvent};
use lanc_core::{CallRequest, Class, Config, LocalFunction};
use lanc_tests::is_keyed;

use super::world::{World, connection, core};

/// Longer than six questions take.
const ASKED: u64 = 3300;
/// Less than that.
const NOT_YET: u64 = 2900;

/// A large call of `a` is with `b` when its connection breaks. Dials wait to be ended.
fn broken() -> (World, CallKey) {
    let mut world = World::new(["a", "b"]);
    let key = world.call(0, "fb", 200_000);
    world.settle();
    assert_eq!(world.tasks.len(), 1);
    world.accepts = false;
    (world, key)
}

/// The connection breaks because the program of `b` dies: it says nothing any more.
fn dead() -> (World, CallKey) {
    let (mut world, key) = broken();
    world.mute = vec![1];
    world.break_wire(0);
    world.settle();
    assert!(world.dials.is_empty(), "it is asked first");
    world.pass(50);
    assert_eq!(world.dials.len(), 1);
    (world, key)
}

fn is_gone(world: &mut World) -> bool {
    let gone = |event| matches!(event, Event::PeerDown { reason: PeerDownReason::Gone, .. });
    std::iter::from_fn(|| world.cores[0].poll_event()).any(gone)
}

#[test]
fn who_refuses_connections_and_answers_nothing_is_gone() {
    let (mut world, key) = dead();
    let small = world.call(0, "fb", 1);
    world.fail(0);
    world.pass(NOT_YET);
    assert_eq!(world.outcome(0, key), None, "it has all its time");
    world.pass(ASKED - NOT_YET);
    for key in [key, small] {
        let error = world.outcome(0, key).expect("an outcome").unwrap_err();
        assert_eq!((error.code, error.executed), (ErrorCode::LOST, Executed::Maybe));
        assert!(error.message.contains("has ended: its connection broke"), "{error}");
    }
    assert!(world.dials.is_empty(), "it is not dialled again");
    assert!(is_gone(&mut world));
    assert_eq!(world.route(0, "b"), None);
    assert!(world.cores[0].functions().iter().all(|function| function.name != "fb"));
    // It says hello again, or another life of it does: it is there as before.
    world.tasks.clear();
    world.cores[1] = core(Config::default(), "b", 78, world.now);
    (world.mute, world.accepts) = (Vec::new(), true);
    world.pass(3000);
    assert_eq!(world.ask(0, "fb", 5000, 5000), 5002);
    world.is_tidy();
}

#[test]
fn who_refuses_connections_and_answers_questions_is_there() {
    let (mut world, key) = broken();
    // A firewall that refuses came into being. Datagrams pass, and are lost for a moment.
    world.mute = vec![1];
    world.break_wire(0);
    world.pass(100);
    world.mute.clear();
    world.fail(0);
    world.pass(10_000);
    assert!(!is_gone(&mut world));
    assert_eq!(world.outcome(0, key), None);
    world.answer(10);
    world.pass(8000);
    assert_eq!(world.outcome(0, key), Some(Ok(12)));
    world.is_tidy();
}

#[test]
fn questions_that_are_lost_do_not_make_a_peer_gone_while_one_is_answered() {
    let (mut world, key) = dead();
    world.fail(0);
    world.pass(700);
    world.mute.clear();
    world.pass(1600);
    world.mute = vec![1];
    world.pass(5000);
    assert!(!is_gone(&mut world));
    world.mute.clear();
    world.answer(10);
    world.pass(11_000);
    assert_eq!(world.outcome(0, key), Some(Ok(12)));
    world.is_tidy();
}

#[test]
fn who_is_silent_but_refuses_nothing_has_its_lease() {
    let (mut world, key) = dead();
    // Nothing comes back: the network may be down.
    world.pass(1000);
    world.time_out(0);
    world.pass(9000);
    assert_eq!(world.outcome(0, key), None);
    assert!(!is_gone(&mut world));
    world.pass(12_000);
    let error = world.outcome(0, key).expect("the lease is over").unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::LOST, Executed::Maybe));
    assert!(error.message.contains("silent for too long"), "{error}");
}

#[test]
fn a_connection_that_merely_broke_is_not_made_again_and_the_call_goes_on() {
    let (mut world, key) = broken();
    world.break_wire(0);
    world.pass(NOT_YET + ASKED);
    assert!(world.dials.is_empty(), "it has said that it is there");
    assert_eq!(world.outcome(0, key), None);
    world.accepts = true;
    world.answer(200_000);
    world.settle();
    assert_eq!(world.outcome(0, key), Some(Ok(200_002)));
    assert_eq!(world.cores[0].counters().calls_resent, 0);
    world.is_tidy();
}

#[test]
fn a_peer_whose_datagrams_are_lost_is_there_when_its_new_connection_speaks() {
    let (mut world, key) = broken();
    world.accepts = true;
    world.mute = vec![0, 1];
    world.break_wire(0);
    world.pass(9000);
    assert!(!is_gone(&mut world));
    assert_eq!(world.outcome(0, key), None);
    world.mute.clear();
    world.answer(10);
    world.pass(8000);
    assert_eq!(world.outcome(0, key), Some(Ok(12)));
}

#[test]
fn a_program_that_ends_while_it_is_dialled_is_dialled_again() {
    let (mut world, key) = dead();
    // Its listener outlived its connections, for a moment: nobody reads what is sent there.
    let wire = world.open(0, 9);
    let (_, remote) = world.dials.remove(0);
    let up = LinkEvent::Up { link: connection(wire), remote, initiator: Initiator::Us };
    world.cores[0].handle_link(world.now, up);
    world.settle();
    world.break_wire(wire);
    world.pass(100);
    assert_eq!(world.dials.len(), 1);
    world.fail(0);
    world.pass(ASKED);
    let error = world.outcome(0, key).expect("an outcome").unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::LOST, Executed::Maybe));
    assert!(is_gone(&mut world));
}

#[test]
fn who_speaks_in_the_name_of_a_peer_may_keep_it_for_longer_and_ends_nothing() {
    let (mut world, key) = dead();
    world.fail(0);
    // Anybody can send datagrams from anywhere: no reader is needed for these.
    for _ in 0..8 {
        world.pass(1000);
        world.datagram(1, 0, Cast::Unicast, b"{}");
        world.datagram(
            1,
            0,
            Cast::Unicast,
            br#"{"type":"LANC","method":"pong","version":"0.2","data":1}"#,
        );
        // What is not sealed is not heard where there is a key.
        if is_keyed!() {
            break;
        }
        assert_eq!(world.outcome(0, key), None);
    }
    world.pass(ASKED);
    let error = world.outcome(0, key).expect("they have stopped").unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::LOST, Executed::Maybe));

    // Of a peer that lives they end nothing either.
    let (mut world, key) = broken();
    world.break_wire(0);
    for _ in 0..8 {
        world.datagram(1, 0, Cast::Unicast, b"{}");
        world.pass(1000);
    }
    assert_eq!(world.outcome(0, key), None);
    assert!(!is_gone(&mut world));
}

#[test]
fn another_life_behind_the_same_port_ends_the_calls_of_the_one_before() {
    let (mut world, key) = dead();
    world.tasks.clear();
    world.cores[1] = core(Config::default(), "b", 79, world.now);
    // Its datagrams do not pass, its connection does.
    world.succeed(0);
    world.settle();
    world.pass(100);
    let error = world.outcome(0, key).expect("an outcome").unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::LOST, Executed::Maybe));
    assert!(error.message.contains("has restarted"), "{error}");
}

#[test]
fn a_connection_that_broke_while_nothing_was_open_is_let_go() {
    let mut world = World::new(["a", "b"]);
    world.ask(0, "fb", 5000, 1);
    world.accepts = false;
    world.mute = vec![1];
    world.break_wire(0);
    world.pass(NOT_YET);
    assert!(world.dials.is_empty());
}

#[test]
fn a_small_call_ends_with_the_program_whose_connection_broke() {
    let mut world = World::new(["a", "b"]);
    world.ask(0, "fb", 5000, 1);
    let key = world.call(0, "fb", 1);
    world.settle();
    assert_eq!(world.tasks.len(), 1);
    (world.accepts, world.mute) = (false, vec![1]);
    world.break_wire(0);
    world.pass(50);
    world.fail(0);
    world.pass(ASKED);
    let error = world.outcome(0, key).expect("an outcome").unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::LOST, Executed::Maybe));
}

#[test]
fn a_call_that_may_run_twice_goes_on_when_its_callee_is_gone() {
    let mut world = World::new(["a", "b", "c"]);
    for node in [2, 1] {
        let function = LocalFunction::new(Class::Async);
        world.cores[node].register(world.now, "both", function).unwrap();
        world.pass(2000);
    }
    let text = format!("[\"{}\"]", "x".repeat(200_000));
    let args = Arguments::new(Format::JSON, text.as_bytes(), b"");
    let mut request = CallRequest::new(FunctionName::new("both").unwrap(), args);
    request.idempotent = true;
    let key = world.cores[0].call(world.now, request).unwrap();
    world.settle();
    assert_eq!(world.tasks.remove(0).0, 1);
    (world.accepts, world.mute) = (false, vec![1]);
    world.break_wire(0);
    world.pass(50);
    world.fail(0);
    world.accepts = true;
    world.pass(ASKED);
    assert_eq!(world.tasks.len(), 1, "the other has it");
    assert_eq!(world.tasks[0].0, 2);
    world.answer(3);
    world.settle();
    assert_eq!(world.outcome(0, key), Some(Ok(5)));
}
