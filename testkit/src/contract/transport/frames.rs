//! Rules about frames and polls: F1 to F11.

use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use lanc_core::framing::{RECORD, RECORD_HEAD};
use lanc_core::ports::{Cast, Dest, RecvBatch, SendRefused};

use super::Factory;
use super::bench::{Item, Node, Rule, pattern};
use super::links::up_to;

/// Rule F1: a frame of the declared size arrives whole, one byte more is refused as too large;
/// the same for broadcasts where there are any.
pub fn f1_the_largest_frame_arrives_whole(factory: Factory<'_>) {
    let rule = Rule("F1 (the largest frame arrives whole, a larger one is refused)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        let (link, _) = a.pair(&mut b).await;
        let most = a.max_frame(link);
        let refused = a.send(link, &pattern(most.saturating_add(1)));
        rule.same(refused, Err(SendRefused::TooLarge), "max_frame + 1 bytes");
        a.must_send(link, &pattern(most));
        rule.ensure(b.frame().await.bytes == pattern(most), "max_frame bytes came changed");
        if a.limits.broadcast {
            let (most, to) = (a.limits.max_broadcast, Dest::Broadcast(a.lane));
            let large = pattern(most.saturating_add(1));
            let refused = a.outlet.try_send(to, &[IoSlice::new(&large)]);
            rule.same(refused, Err(SendRefused::TooLarge), "max_broadcast + 1 bytes");
            a.must_broadcast(&pattern(most));
            rule.ensure(b.frame().await.bytes == pattern(most), "max_broadcast bytes changed");
        }
    });
}

/// Rule F2: a frame of no bytes arrives as a frame of no bytes.
pub fn f2_an_empty_frame_is_a_frame(factory: Factory<'_>) {
    let rule = Rule("F2 (an empty frame is a frame)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        let (link, theirs) = a.pair(&mut b).await;
        for pieces in [&[IoSlice::new(b"")][..], &[]] {
            let sent = a.outlet.try_send(Dest::Link(link), pieces);
            rule.ensure(sent.is_ok(), "it was refused");
            // Sent behind it, so that a swallowed frame shows at once.
            a.must_send(link, b"behind");
            let frame = b.frame().await;
            rule.same((frame.link, frame.bytes), (theirs, Vec::new()), "the empty frame");
            rule.same(b.frame().await.bytes.as_slice(), b"behind", "the frame behind it");
        }
    });
}

/// Rule F3: the pieces of one send arrive as one frame, in their order.
pub fn f3_pieces_arrive_as_one_frame(factory: Factory<'_>) {
    let rule = Rule("F3 (pieces arrive as one frame)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        let (link, _) = a.pair(&mut b).await;
        let whole = pattern(a.max_frame(link));
        let mut pieces = vec![IoSlice::new(b"")];
        pieces.extend(whole.chunks(97).map(IoSlice::new));
        pieces.push(IoSlice::new(b""));
        let sent = a.outlet.try_send(Dest::Link(link), &pieces);
        a.outlet.flush();
        rule.ensure(sent.is_ok(), "a frame in pieces was refused");
        rule.ensure(b.frame().await.bytes == whole, "the pieces did not arrive as they were");
        pieces.push(IoSlice::new(b"+"));
        let refused = a.outlet.try_send(Dest::Link(link), &pieces);
        rule.same(refused, Err(SendRefused::TooLarge), "pieces of max_frame + 1 bytes together");
    });
}

/// Rule F4: one poll adds at most [`RecvBatch::MAX_FRAMES`] frames, and the next goes on.
pub fn f4_one_poll_is_bounded(factory: Factory<'_>) {
    let rule = Rule("F4 (one poll is bounded)");
    rule.run(factory, async |[mut a, mut b, mut c]: [Node; 3]| {
        let mut links = Vec::new();
        for from in [&mut a, &mut c] {
            links.push(from.pair(&mut b).await.0);
        }
        // Two senders, because a connection need not take more than a poll's worth.
        let mut sent = 0;
        for (from, link) in [&mut a, &mut c].into_iter().zip(links) {
            sent += (0..RecvBatch::MAX_FRAMES).filter(|_| from.offer(link, b"f").is_ok()).count();
            from.outlet.flush();
        }
        rule.ensure(sent > RecvBatch::MAX_FRAMES, "too few frames were taken to try the bound");
        let mut got = 0;
        while got < sent {
            let frames = b.receive("a frame that was sent").await;
            rule.ensure(frames <= RecvBatch::MAX_FRAMES, "one poll added more than MAX_FRAMES");
            got += frames;
        }
        rule.same(got, sent, "frames received");
    });
}

/// Rule F5: giving up a pending poll loses nothing that comes later.
pub fn f5_dropping_a_pending_poll_loses_nothing(factory: Factory<'_>) {
    let rule = Rule("F5 (dropping a pending poll loses nothing)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        let (link, _) = a.pair(&mut b).await;
        b.settle().await;
        b.arrived.clear();
        for round in 0..20u8 {
            // A poll whose waker is gone at once: what a cancelled `select!` arm leaves behind.
            let polled = b.poll(&mut Context::from_waker(Waker::noop()));
            rule.ensure(polled.is_pending(), "something came that nobody sent");
            a.must_send(link, &[b'f', round]);
            let item = b.next("the frame after a dropped poll").await;
            let Item::Frame(frame) = item else { rule.broken("an event came instead") };
            rule.same(frame.bytes, vec![b'f', round], "the frame after a dropped poll");
        }
    });
}

/// Rule F6 (broadcast): a broadcast reaches every other node as [`Cast::Broadcast`] and not its
/// sender; what is sent on a link is [`Cast::Unicast`], also as an answer to a broadcast.
pub fn f6_broadcast_reaches_the_others_only(factory: Factory<'_>) {
    let rule = Rule("F6 (a broadcast reaches the others only)");
    rule.run(factory, async |[mut a, mut b, mut c]: [Node; 3]| {
        if !a.limits.broadcast {
            let to = Dest::Broadcast(a.lane);
            let sent = a.outlet.try_send(to, &[IoSlice::new(b"x")]);
            rule.ensure(sent.is_err(), "a broadcast was taken that cannot be sent");
            return;
        }
        a.must_broadcast(b"all");
        for other in [&mut b, &mut c] {
            let frame = other.frame().await;
            rule.same(frame.bytes.as_slice(), b"all", "the broadcast");
            rule.same(frame.cast, Cast::Broadcast, "how it was addressed");
            other.must_send(frame.link, b"one");
            other.settle().await;
            rule.ensure(other.arrived.is_empty(), "it came more than once");
        }
        for _ in 0..2 {
            let frame = a.frame().await;
            rule.same(frame.bytes.as_slice(), b"one", "what came back to the sender");
            rule.same(frame.cast, Cast::Unicast, "how the answer was addressed");
        }
        a.settle().await;
        let frames = a.arrived.iter().filter(|item| matches!(item, Item::Frame(_))).count();
        rule.same(frames, 0, "frames of its own that a sender heard");
    });
}

/// Rule F7: a node that does not read holds up nobody else, and the sender never waits for it.
pub fn f7_a_slow_reader_disturbs_nobody(factory: Factory<'_>) {
    let rule = Rule("F7 (a slow reader disturbs nobody)");
    rule.run(factory, async |[mut a, mut slow, mut c]: [Node; 3]| {
        let (to_slow, _) = a.pair(&mut slow).await;
        let (to_c, _) = a.pair(&mut c).await;
        let bulk = pattern(a.max_frame(to_slow));
        for round in 0..200u8 {
            for _ in 0..20 {
                if a.send(to_slow, &bulk) == Err(SendRefused::Full) {
                    break;
                }
            }
            a.must_send(to_c, &[b'f', round]);
            rule.same(c.frame().await.bytes, vec![b'f', round], "the frame to the third node");
        }
    });
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Rule F8: the waker of the last pending poll is woken when something comes, and the one
/// before it need not be.
pub fn f8_the_last_waker_is_woken(factory: Factory<'_>) {
    let rule = Rule("F8 (the last waker is woken)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        let (link, _) = a.pair(&mut b).await;
        b.settle().await;
        let (first, last) = (Arc::new(Count(0.into())), Arc::new(Count(0.into())));
        for count in [&first, &last] {
            let waker = Waker::from(Arc::clone(count));
            let polled = b.poll(&mut Context::from_waker(&waker));
            rule.ensure(polled.is_pending(), "something came that nobody sent");
        }
        rule.same(last.0.load(Ordering::SeqCst), 0, "wake-ups before anything was sent");
        a.must_send(link, b"wake");
        // Yields, so that a runtime can look for input; bounded, so that a silent waker fails.
        for _ in 0..100_000 {
            if last.0.load(Ordering::SeqCst) > 0 {
                break;
            }
            yield_once().await;
        }
        rule.ensure(last.0.load(Ordering::SeqCst) > 0, "the last waker was not woken");
        rule.same(b.frame().await.bytes.as_slice(), b"wake", "the frame after the wake-up");
    });
}

/// Rule F9: a frame of any kind arrives as it was offered: of a format the transport has a form
/// for, of another one, and stream records.
pub fn f9_every_kind_of_frame_arrives_as_it_was(factory: Factory<'_>) {
    let rule = Rule("F9 (every kind of frame arrives as it was)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        let (link, theirs) = a.pair(&mut b).await;
        let kinds = (0..=u8::MAX).map(|first| vec![first, 1, 0, 0, 0, first, first]);
        let record = |service, length| {
            let head = [RECORD, service, 0xa1, 0xb2, 0xc3, 0xd4];
            [&head, pattern(length).as_slice()].concat()
        };
        let most = a.max_frame(link).saturating_sub(RECORD_HEAD);
        let records = [record(1, 0), record(2, 0), record(1, 1), record(2, most), record(1, most)];
        for frame in kinds.chain(records) {
            for pieces in [&[IoSlice::new(&frame)][..], &in_two(&frame)] {
                let sent = a.outlet.try_send(Dest::Link(link), pieces);
                a.outlet.flush();
                rule.ensure(sent.is_ok(), &format!("{:x?} was refused", frame.get(..6)));
                let got = b.frame().await;
                rule.ensure((got.link, &got.bytes) == (theirs, &frame), "a frame came changed");
            }
        }
        let refused = a.send(link, &record(1, most.saturating_add(1)));
        rule.same(refused, Err(SendRefused::TooLarge), "a record of max_frame + 1 bytes");
    });
}

/// Cut within the head of a record.
fn in_two(frame: &[u8]) -> [IoSlice<'_>; 2] {
    let (start, rest) = frame.split_at(frame.len().min(3));
    [IoSlice::new(start), IoSlice::new(rest)]
}

/// Rule F10: frames that were taken leave with the next flush, as many as they are; a flush
/// without any does nothing.
pub fn f10_what_was_taken_leaves_with_the_flush(factory: Factory<'_>) {
    let rule = Rule("F10 (what was taken leaves with the flush)");
    rule.run(factory, async |[mut a, mut b, mut c]: [Node; 3]| {
        let mut links = Vec::new();
        for to in [&b.local, &c.local] {
            a.outlet.connect(to);
            links.push(a.event("Up", up_to(to)).await);
        }
        for batch in [1, 2, 30] {
            // Both links in turn: neither may keep what was meant for it.
            for number in 0..batch {
                for link in &links {
                    let sent = a.offer(*link, &[b'f', number]);
                    rule.ensure(sent.is_ok(), "a small frame was refused on an idle link");
                }
            }
            a.outlet.flush();
            for to in [&mut b, &mut c] {
                let mut got = Vec::new();
                for _ in 0..batch {
                    got.push(to.frame().await.bytes);
                }
                got.sort_unstable();
                let want: Vec<_> = (0..batch).map(|number| vec![b'f', number]).collect();
                rule.same(got, want, "the frames of a batch");
            }
            a.outlet.flush();
            for to in [&mut b, &mut c] {
                to.settle().await;
                rule.ensure(to.arrived.is_empty(), "more came than was sent");
            }
        }
    });
}

/// Rule F12: frames that are offered together arrive like frames that are offered one by one, up to
/// the one that is refused.
pub fn f12_frames_offered_together_arrive_each(factory: Factory<'_>) {
    let rule = Rule("F12 (frames offered together arrive each)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        let (link, _) = a.pair(&mut b).await;
        let whole = pattern(a.max_frame(link));
        let halves = |length: usize| {
            let (one, other) = whole[..length].split_at(length / 3);
            [IoSlice::new(one), IoSlice::new(other)]
        };
        let mut frames: Vec<_> = (1..=20).map(halves).collect();
        frames.push(halves(whole.len()));
        let (taken, refused) = a.outlet.try_send_all(Dest::Link(link), &frames);
        a.outlet.flush();
        rule.same((taken, refused), (frames.len(), None), "frames on an idle link");
        let mut got = Vec::new();
        for _ in 0..taken {
            got.push(b.frame().await.bytes.len());
        }
        got.sort_unstable();
        rule.ensure(got.iter().copied().eq((1..=20).chain([whole.len()])), "others came");
        let long = [IoSlice::new(&whole), IoSlice::new(b"+")];
        let (taken, refused) =
            a.outlet.try_send_all(Dest::Link(link), &[halves(5), long, halves(7)]);
        a.outlet.flush();
        rule.same((taken, refused), (1, Some(SendRefused::TooLarge)), "one that is too large");
        rule.same(b.frame().await.bytes.len(), 5, "the one before it");
        b.settle().await;
        rule.ensure(b.arrived.is_empty(), "one behind it came");
    });
}

/// Rule F11: what a look finds comes once, and what it does not find still wakes who waits.
pub fn f11_a_look_takes_nothing_from_who_waits(factory: Factory<'_>) {
    let rule = Rule("F11 (a look takes nothing from who waits)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        let (link, _) = a.pair(&mut b).await;
        b.settle().await;
        b.arrived.clear();
        for round in 0..20u8 {
            let polled = b.look(&mut Context::from_waker(Waker::noop()));
            rule.ensure(polled.is_pending(), "something came that nobody sent");
            a.must_send(link, &[b'f', round]);
            let mut looks = 0..100_000;
            while b.look(&mut Context::from_waker(Waker::noop())).is_pending() {
                rule.ensure(looks.next().is_some(), "looking finds nothing");
                yield_once().await;
            }
            rule.same(b.frame().await.bytes, vec![b'f', round], "the frame of a look");
            b.settle().await;
            rule.ensure(b.arrived.is_empty(), "what a look found came again");
            a.must_send(link, b"wait");
            rule.same(b.frame().await.bytes.as_slice(), b"wait", "the frame that was waited for");
        }
    });
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
