//! The transport contract finds what is wrong: a sound transport with one fault breaks the rule
//! that names it.
#![allow(clippy::unwrap_used, reason = "a poisoned lock ends the test")]

use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::ports::{
    Arrived, Capabilities, Cast, Close, Dest, DownReason, Inlet, LinkEvent, Opened, Origin, Outlet,
    RecvBatch, SendRefused, Sent, Transport, TransportError,
};
use lanc_testkit::contract::transport as rules;
use lanc_testkit::contract::transport::Factory;
use lanc_transport_memory::{MemoryNetwork, MemoryTransport};

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    FrameBeforeUp,
    OtherLinkAgain,
    DownForStale,
    OneGeneration,
    CutsFrames,
    TakesTooLarge,
    SwallowsEmpty,
    SplitsPieces,
    EndlessPoll,
    LosesWithThePoll,
    HearsItself,
    SaysUnicast,
    KeepsTheFirstWaker,
    TakesTheEndForItsOwn,
    Reorders,
    TakesTheHeadOfRecords,
    /// None: it gathers frames until the flush, as it may.
    Gathers,
    NeverFlushes,
    ForgetsAtTheEnd,
}

struct Faulty {
    inner: MemoryTransport,
    fault: Fault,
}

#[async_trait]
impl Transport for Faulty {
    fn capabilities(&self) -> Capabilities {
        let mut limits = self.inner.capabilities();
        if self.fault == Fault::TakesTooLarge {
            // Declared smaller than it is: what is one byte too large is taken.
            limits.max_frame -= 1;
        }
        limits
    }

    fn scheme(&self) -> &str {
        self.inner.scheme()
    }

    async fn open(&self, lane: Lane) -> Result<Opened, TransportError> {
        let Opened { outlet, inlet, local } = self.inner.open(lane).await?;
        let (fault, own) = (self.fault, Own::default());
        let outlet =
            FaultyOutlet { inner: outlet, fault, own: Arc::clone(&own), gathered: Vec::new() };
        let inlet = FaultyInlet { inner: inlet, fault, own, waker: None, ups: 0, gave_up: false };
        Ok(Opened { outlet: Box::new(outlet), inlet: Box::new(inlet), local })
    }
}

/// What a node has broadcast and may hear again.
type Own = Arc<Mutex<Vec<Vec<u8>>>>;

struct FaultyOutlet {
    inner: Box<dyn Outlet>,
    fault: Fault,
    own: Own,
    gathered: Vec<(Dest, Vec<u8>)>,
}

impl Outlet for FaultyOutlet {
    fn try_send(&mut self, to: Dest, frame: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
        if self.fault == Fault::HearsItself && matches!(to, Dest::Broadcast(_)) {
            self.own.lock().unwrap().push(frame.iter().flat_map(|piece| piece.to_vec()).collect());
        }
        match (self.fault, frame) {
            (Fault::SwallowsEmpty, [one]) if one.is_empty() => Ok(Sent::Whole),
            (Fault::SplitsPieces, [_, _, ..]) => {
                for piece in frame.chunks(1) {
                    self.inner.try_send(to, piece)?;
                }
                Ok(Sent::Whole)
            }
            // What was taken must fit into the network beneath.
            (Fault::Gathers, _) if self.gathered.len() == 60 => Err(SendRefused::Full),
            (Fault::Gathers | Fault::NeverFlushes | Fault::ForgetsAtTheEnd, _) => {
                let bytes = frame.iter().flat_map(|piece| piece.to_vec()).collect();
                self.gathered.push((to, bytes));
                Ok(Sent::Whole)
            }
            _ => self.inner.try_send(to, frame),
        }
    }

    fn flush(&mut self) {
        if self.fault != Fault::NeverFlushes {
            for (to, bytes) in self.gathered.drain(..) {
                let _ = self.inner.try_send(to, &[IoSlice::new(&bytes)]);
            }
        }
    }

    fn connect(&mut self, to: &Endpoint) {
        self.inner.connect(to);
    }

    fn close(&mut self, link: LinkId, how: Close) {
        let mut link = link;
        if self.fault == Fault::DownForStale && link.generation == 7 {
            link.generation = 0;
        }
        if self.fault == Fault::Gathers && how == Close::Flush {
            self.flush();
        }
        self.inner.close(link, how);
    }
}

struct FaultyInlet {
    inner: Box<dyn Inlet>,
    fault: Fault,
    own: Own,
    waker: Option<Waker>,
    ups: u32,
    gave_up: bool,
}

enum Item {
    Event(LinkEvent),
    Frame(LinkId, Cast, Vec<u8>),
}

impl Inlet for FaultyInlet {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>> {
        let first = self.waker.get_or_insert_with(|| cx.waker().clone()).clone();
        let keeps = self.fault == Fault::KeepsTheFirstWaker;
        let waker = if keeps { first } else { cx.waker().clone() };
        let mut items = Vec::new();
        loop {
            let mut batch = RecvBatch::default();
            let polled = self.inner.poll_recv(&mut Context::from_waker(&waker), &mut batch);
            if let Poll::Ready(Err(error)) = polled {
                return Poll::Ready(Err(error));
            }
            batch.drain(|arrived| {
                items.push(match arrived {
                    Arrived::Event(event) => Item::Event(event),
                    Arrived::Frame(got) => Item::Frame(got.link, got.cast, got.bytes.to_vec()),
                });
            });
            if polled.is_pending() || self.fault != Fault::EndlessPoll {
                break;
            }
        }
        if items.is_empty() {
            self.gave_up = true;
            return Poll::Pending;
        }
        self.spoil(&mut items);
        for item in items {
            match item {
                Item::Event(event) => into.event(event),
                Item::Frame(link, cast, bytes) => into.push(&bytes, link, cast, Origin::Network),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl FaultyInlet {
    fn spoil(&mut self, items: &mut Vec<Item>) {
        if matches!(self.fault, Fault::FrameBeforeUp | Fault::Reorders) {
            items.reverse();
        }
        let heard = self.own.lock().unwrap().drain(..).collect::<Vec<_>>();
        let link = LinkId { lane: Lane(0), slot: 0, generation: 0 };
        items.extend(heard.into_iter().map(|bytes| Item::Frame(link, Cast::Broadcast, bytes)));
        for item in items {
            match item {
                Item::Event(LinkEvent::Up { link, .. }) => {
                    self.ups += 1;
                    if self.fault == Fault::OtherLinkAgain && self.ups > 1 {
                        link.slot += 1;
                    }
                    if self.fault == Fault::OneGeneration {
                        link.generation = 0;
                    }
                }
                Item::Event(LinkEvent::Down { reason, .. })
                    if self.fault == Fault::TakesTheEndForItsOwn =>
                {
                    *reason = DownReason::ClosedHere;
                }
                Item::Event(_) => {}
                Item::Frame(_, cast, bytes) => {
                    if self.fault == Fault::CutsFrames {
                        bytes.truncate(1000);
                    }
                    if self.fault == Fault::TakesTheHeadOfRecords && bytes.first() == Some(&2) {
                        bytes.drain(..bytes.len().min(6));
                    }
                    if self.fault == Fault::SaysUnicast {
                        *cast = Cast::Unicast;
                    }
                    if self.fault == Fault::LosesWithThePoll && self.gave_up {
                        bytes.clear();
                    }
                }
            }
        }
    }
}

/// How the rule failed on a network of such transports, or `None` when it passed.
fn verdict(fault: Fault, connected: bool, rule: fn(Factory<'_>)) -> Option<String> {
    let factory = move |nodes| {
        // Memory alone is at work: what does not come is known at once.
        tokio::time::pause();
        let network = MemoryNetwork::new();
        let network = if connected { network.connected() } else { network };
        (0..nodes)
            .map(|_| Box::new(Faulty { inner: network.transport(), fault }) as Box<dyn Transport>)
            .collect()
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| rule(&factory)));
    outcome.err().map(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(_) => "a panic without a text".to_owned(),
    })
}

#[test]
fn each_fault_breaks_its_rule_by_name() {
    type Case = (Fault, bool, fn(Factory<'_>), &'static str);
    let cases: [Case; 19] = [
        (Fault::FrameBeforeUp, false, rules::l1_up_comes_before_the_first_frame, "L1"),
        (Fault::OtherLinkAgain, false, rules::l3_connecting_again_gives_the_same_link, "L3"),
        (Fault::DownForStale, false, rules::l4_closing_a_stale_link_does_nothing, "L4"),
        (
            Fault::OneGeneration,
            false,
            rules::l5_a_slot_is_used_again_under_another_generation,
            "L5",
        ),
        (Fault::CutsFrames, false, rules::f1_the_largest_frame_arrives_whole, "F1"),
        (Fault::TakesTooLarge, false, rules::f1_the_largest_frame_arrives_whole, "F1"),
        (Fault::SwallowsEmpty, true, rules::f2_an_empty_frame_is_a_frame, "F2"),
        (Fault::SplitsPieces, false, rules::f3_pieces_arrive_as_one_frame, "F3"),
        (Fault::EndlessPoll, false, rules::f4_one_poll_is_bounded, "F4"),
        (Fault::LosesWithThePoll, false, rules::f5_dropping_a_pending_poll_loses_nothing, "F5"),
        (Fault::HearsItself, false, rules::f6_broadcast_reaches_the_others_only, "F6"),
        (Fault::SaysUnicast, false, rules::f6_broadcast_reaches_the_others_only, "F6"),
        (Fault::KeepsTheFirstWaker, false, rules::f8_the_last_waker_is_woken, "F8"),
        (
            Fault::TakesTheEndForItsOwn,
            true,
            rules::c3_a_connection_that_ends_goes_down_at_both_ends,
            "C3",
        ),
        (Fault::Reorders, true, rules::c6_an_ordered_link_keeps_its_order, "C6"),
        (
            Fault::TakesTheHeadOfRecords,
            false,
            rules::f9_every_kind_of_frame_arrives_as_it_was,
            "F9",
        ),
        (Fault::NeverFlushes, false, rules::f10_what_was_taken_leaves_with_the_flush, "F10"),
        (Fault::NeverFlushes, true, rules::c8_the_end_of_a_node_takes_along_what_was_taken, "C8"),
        (Fault::ForgetsAtTheEnd, true, rules::c7_an_orderly_close_takes_along_what_was_taken, "C7"),
    ];
    for (fault, connected, rule, name) in cases {
        assert_eq!(verdict(Fault::None, connected, rule), None, "{name} without a fault");
        let text = verdict(fault, connected, rule).unwrap_or_else(|| panic!("{name} passed"));
        assert!(text.starts_with(&format!("rule {name} (")), "{name}: {text}");
    }
}

#[test]
fn frames_may_be_gathered_until_the_flush() {
    let rules: [fn(Factory<'_>); 3] = [
        rules::l2_frames_go_both_ways_on_one_link,
        rules::f10_what_was_taken_leaves_with_the_flush,
        rules::c7_an_orderly_close_takes_along_what_was_taken,
    ];
    for rule in rules {
        assert_eq!(verdict(Fault::Gathers, true, rule), None);
    }
}
