//! Frames that a transport does not take, and what becomes of the calls in them.

use lanc_core::error::{ErrorCode, Executed, Fault};
use lanc_core::id::{CallKey, FunctionName};
use lanc_core::payload::Arguments;
use lanc_core::ports::{Cast, Dest, DownReason, Format, LinkEvent, SendRefused};
use lanc_core::{CallRequest, Class, LocalFunction, Mode};
use lanc_tests::is_keyed;

use super::world::{World, connection, datagrams_to};

/// A call that wants no answer.
fn one_way(world: &mut World, name: &str) -> CallKey {
    let args = Arguments::new(Format::JSON, b"[1]", b"");
    let mut request = CallRequest::new(FunctionName::new(name).unwrap(), args);
    request.mode = Mode::OneWay;
    world.cores[0].call(world.now, request).unwrap()
}

/// Polls frames of the first node until one goes to the third, by datagrams.
fn frame_to_third(world: &mut World) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let to = world.cores[0].poll_frame(world.now, &mut bytes).expect("there is a frame");
        if to == Dest::Link(datagrams_to(2)) {
            return bytes;
        }
    }
}

/// A driver sends records together, and by then has polled the frame behind them.
#[test]
fn a_frame_that_another_link_refuses_ends_no_call_of_the_frame_polled_last() {
    for refused in [SendRefused::Gone, SendRefused::TooLarge, SendRefused::Unreachable] {
        let mut world = World::new(["a", "b", "c"]);
        world.ask(0, "fb", 5000, 1);
        let large = world.call(0, "fb", 200_000);
        let small = world.call(0, "fc", 1);
        let frame = frame_to_third(&mut world);
        world.cores[0].handle_refused(world.now, Dest::Link(connection(0)), refused);
        assert_eq!(world.outcome(0, small), None, "its frame was not refused");
        world.datagram(0, 2, Cast::Unicast, &frame);
        while world.obey() {}
        assert_eq!(world.tasks.len(), 1);
        world.answer(1);
        world.settle();
        assert_eq!(world.outcome(0, small), Some(Ok(3)));
        if refused == SendRefused::Gone {
            let error = world.outcome(0, large).unwrap().unwrap_err();
            assert_eq!((error.code, error.executed), (ErrorCode::NETWORK, Executed::No));
        }
    }
}

#[test]
fn a_call_that_wants_no_answer_is_over_once_its_frame_was_taken() {
    let mut world = World::new(["a", "b", "c"]);
    let call = one_way(&mut world, "fc");
    frame_to_third(&mut world);
    assert_eq!(world.outcome(0, call), None, "nobody has said that it was taken");
    world.cores[0].handle_refused(world.now, Dest::Link(datagrams_to(2)), SendRefused::Unreachable);
    let error = world.outcome(0, call).unwrap().unwrap_err();
    assert_eq!((error.code, error.executed), (ErrorCode::NETWORK, Executed::No));

    let call = one_way(&mut world, "fc");
    frame_to_third(&mut world);
    world.settle();
    assert_eq!(world.outcome(0, call), Some(Ok(0)));
    // What waits for room is on its way.
    let call = one_way(&mut world, "fc");
    frame_to_third(&mut world);
    world.cores[0].handle_refused(world.now, Dest::Link(datagrams_to(2)), SendRefused::Full);
    world.settle();
    assert_eq!(world.outcome(0, call), Some(Ok(0)));
}

/// Its own call is where the callee says that it does not take the message; elsewhere that callee
/// has nothing to say of it, and the function may be running.
#[test]
fn a_large_call_that_has_gone_on_is_not_ended_by_whoever_had_it_before() {
    if is_keyed!() {
        // Written by hand, in plain.
        return;
    }
    let mut world = World::new(["a", "b", "c"]);
    let now = world.now;
    for provider in [1, 2] {
        world.cores[provider].register(now, "work", LocalFunction::new(Class::Async)).unwrap();
    }
    world.pass(3000);
    let call = world.call(0, "work", 200_000);
    world.settle();
    let (first, task) = world.tasks.remove(0);
    let busy = Fault::new(ErrorCode::BUSY, "full");
    world.cores[first].complete(world.now, task.key, Err(busy));
    world.settle();
    assert_ne!(world.tasks[0].0, first, "it has gone on");
    world.hand(0, connection(0), Cast::Unicast, &[2, 2, 0, 0, 0, 1, 2, 0, 6]);
    world.settle();
    assert_eq!(world.outcome(0, call), None, "it runs elsewhere");
    world.answer(1);
    world.settle();
    assert_eq!(world.outcome(0, call), Some(Ok(3)));
}

#[test]
fn a_call_that_has_gone_on_is_not_ended_by_the_link_where_it_waited_before() {
    let mut world = World::new(["a", "b", "c"]);
    let now = world.now;
    for provider in [1, 2] {
        world.cores[provider].register(now, "work", LocalFunction::new(Class::Async)).unwrap();
    }
    world.pass(3000);
    // Neither link takes anything.
    for provider in [1, 2] {
        let to = Dest::Link(datagrams_to(provider));
        world.cores[0].handle_refused(world.now, to, SendRefused::Full);
    }
    let args = Arguments::new(Format::JSON, b"[1]", b"");
    let mut request = CallRequest::new(FunctionName::new("work").unwrap(), args);
    request.idempotent = true;
    let call = world.cores[0].call(world.now, request).unwrap();
    world.settle();
    // It waits for the latest announcer, which leaves, and then for the other one.
    world.cores[2].shutdown(world.now);
    world.pass(200);
    assert_eq!(world.cores[0].counters().calls_moved, 1);
    let down = LinkEvent::Down { link: datagrams_to(2), reason: DownReason::ClosedThere };
    world.cores[0].handle_link(world.now, down);
    assert_eq!(world.outcome(0, call), None, "it waits for another link");
    world.cores[0].handle_link(world.now, LinkEvent::Writable(datagrams_to(1)));
    world.settle();
    world.answer(1);
    world.settle();
    assert_eq!(world.outcome(0, call), Some(Ok(3)));
}
