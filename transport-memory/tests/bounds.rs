//! What the bounds of a memory network do at their limit and one past it.

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::ports::{
    Arrived, Dest, Inlet, LinkEvent, Opened, RecvBatch, SendRefused, Sent, Transport,
};
use lanc_transport_memory::{MemoryNetwork, MemoryTransport};

fn open(transport: &MemoryTransport) -> Opened {
    let mut opening = pin!(transport.open(Lane(0)));
    match opening.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(opened)) => opened,
        _ => panic!("opening a new memory transport succeeds at once"),
    }
}

/// Everything there is to read: the events, and the number of frames.
fn drain(inlet: &mut dyn Inlet) -> (Vec<LinkEvent>, usize) {
    let (mut events, mut frames) = (Vec::new(), 0);
    let mut batch = RecvBatch::default();
    let mut cx = Context::from_waker(Waker::noop());
    while inlet.poll_recv(&mut cx, &mut batch).is_ready() {
        batch.drain(|arrived| match arrived {
            Arrived::Event(event) => events.push(event),
            Arrived::Frame(_) => frames += 1,
        });
    }
    (events, frames)
}

fn link(opened: &mut Opened, to: &Endpoint) -> LinkId {
    opened.outlet.connect(to);
    match drain(&mut *opened.inlet).0.as_slice() {
        [LinkEvent::Up { link, .. }] => *link,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_datagram_past_the_inbox_is_dropped_and_counted() {
    let network = MemoryNetwork::new();
    let (mut a, mut b) = (open(&network.transport()), open(&network.transport()));
    let to = Dest::Link(link(&mut a, &b.local));
    for _ in 0..1024 {
        assert_eq!(a.outlet.try_send(to, &[IoSlice::new(b"x")]), Ok(Sent::Whole));
    }
    assert_eq!(network.dropped(), 0);
    assert_eq!(a.outlet.try_send(to, &[IoSlice::new(b"x")]), Ok(Sent::Whole));
    assert_eq!(network.dropped(), 1);
    assert_eq!(drain(&mut *b.inlet).1, 1024);
}

#[test]
fn a_connection_refuses_the_frame_past_its_room() {
    let network = MemoryNetwork::new().connected();
    let (mut a, mut b) = (open(&network.transport()), open(&network.transport()));
    let link = link(&mut a, &b.local);
    for _ in 0..64 {
        assert!(a.outlet.try_send(Dest::Link(link), &[]).is_ok());
    }
    assert_eq!(a.outlet.try_send(Dest::Link(link), &[]), Err(SendRefused::Full));
    assert_eq!(drain(&mut *b.inlet).1, 64);
    assert_eq!(drain(&mut *a.inlet).0, [LinkEvent::Writable(link)]);
    assert_eq!(network.dropped(), 0);
}

#[test]
fn the_link_past_the_table_fails() {
    let network = MemoryNetwork::new();
    let mut a = open(&network.transport());
    for far in 1..=1024 {
        a.outlet.connect(&Endpoint::text("memory", &far.to_string()));
    }
    let (events, _) = drain(&mut *a.inlet);
    assert_eq!(events.len(), 1024);
    assert!(events.iter().all(|event| matches!(event, LinkEvent::Up { .. })));
    a.outlet.connect(&Endpoint::text("memory", "1025"));
    let (events, _) = drain(&mut *a.inlet);
    assert!(matches!(events.as_slice(), [LinkEvent::Failed { .. }]), "{events:?}");
}

#[test]
fn unread_answers_to_connect_have_a_bound() {
    let network = MemoryNetwork::new();
    let mut a = open(&network.transport());
    for _ in 0..=4096 {
        a.outlet.connect(&Endpoint::text("elsewhere", "1"));
    }
    assert_eq!(drain(&mut *a.inlet).0.len(), 4096);
}

#[test]
fn a_node_that_left_gets_nothing_and_its_halves_say_so() {
    let network = MemoryNetwork::new();
    let transport = network.transport();
    let Opened { mut outlet, inlet, .. } = open(&transport);
    drop(inlet);
    let to = Dest::Broadcast(Lane(0));
    assert_eq!(outlet.try_send(to, &[]), Err(SendRefused::Gone));

    let Opened { outlet, mut inlet, .. } = open(&network.transport());
    drop(outlet);
    let mut batch = RecvBatch::default();
    let mut read = pin!(poll_fn(|cx| inlet.poll_recv(cx, &mut batch)));
    let read = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(read, Poll::Ready(Err(_))));
}

#[test]
fn a_transport_opens_once_at_a_time() {
    let network = MemoryNetwork::new();
    let transport = network.transport();
    let _first = open(&transport);
    let mut again = pin!(transport.open(Lane(1)));
    let again = again.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(again, Poll::Ready(Err(_))));
}
