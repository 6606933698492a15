//! Rules for connected, reliable and ordered transports: C1 to C8. Where the capability is not
//! declared there is nothing to check.

use std::future::poll_fn;

use lanc_core::ports::{Close, DownReason, Initiator, LinkEvent, SendRefused};

use super::bench::{Item, Node, PATIENCE, Rule, pattern};
use super::links::{down, failed};
use super::{Factory, LinkId};

/// Rule C1 (connected): both ends hear Up before any frame, each knowing who began.
pub fn c1_both_ends_learn_of_a_connection(factory: Factory<'_>) {
    let rule = Rule("C1 (both ends learn of a connection)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        if !a.limits.connected {
            return;
        }
        let began = |event: &LinkEvent| match event {
            LinkEvent::Up { link, initiator, .. } => Some((*link, *initiator)),
            _ => None,
        };
        a.outlet.connect(&b.local);
        let (ours, us) = a.event("Up", began).await;
        let (theirs, them) = b.event("Up", began).await;
        rule.same((us, them), (Initiator::Us, Initiator::Them), "who began, at the two ends");
        b.must_send(theirs, b"from the accepting end");
        rule.same(a.frame().await.link, ours, "the link of its frame");
    });
}

/// Rule C2 (connected): dialling where nobody is any more is reported as Failed.
pub fn c2_a_failed_dial_is_reported(factory: Factory<'_>) {
    let rule = Rule("C2 (a failed dial is reported)");
    rule.run(factory, async |[mut a, b]: [Node; 2]| {
        if !a.limits.connected {
            return;
        }
        let gone = b.local.clone();
        drop(b);
        a.outlet.connect(&gone);
        let (remote, reason, _) = a.event("Failed", failed).await;
        rule.same(remote, gone, "the endpoint that failed");
        rule.ensure(!reason.is_empty(), "it failed without a reason");
    });
}

/// Rule C3 (connected): a connection closed or abandoned by one end goes down at the other,
/// after the frames sent on it.
pub fn c3_a_connection_that_ends_goes_down_at_both_ends(factory: Factory<'_>) {
    let rule = Rule("C3 (a connection that ends goes down at both ends)");
    rule.run(factory, async |[mut a, mut b, mut c]: [Node; 3]| {
        if !a.limits.connected {
            return;
        }
        let (ours, theirs) = a.pair(&mut b).await;
        let (to_c, _) = a.pair(&mut c).await;
        a.must_send(ours, b"last words");
        a.outlet.close(ours, Close::Flush);
        rule.same(a.event("Down", down).await, (ours, DownReason::ClosedHere), "at this end");
        rule.same(b.frame().await.bytes.as_slice(), b"last words", "the frame before the end");
        let (link, reason) = b.event("Down", down).await;
        rule.same(link, theirs, "the link at the far end");
        rule.ensure(reason != DownReason::ClosedHere, "the far end takes it for its own");
        rule.same(b.send(theirs, b"late"), Err(SendRefused::Gone), "sending after Down");
        drop(c);
        rule.same(a.event("Down", down).await.0, to_c, "the link to a node that left");
    });
}

/// Rule C4 (connected): a link that said Full says Writable once the far end has read, and then
/// takes a frame.
pub fn c4_a_full_link_becomes_writable(factory: Factory<'_>) {
    let rule = Rule("C4 (a full link becomes writable)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        if !a.limits.connected {
            return;
        }
        let (link, _) = a.pair(&mut b).await;
        let frame = vec![0; a.limits.max_frame];
        for _ in 0..3 {
            fill(rule, &mut a, link, &frame);
            let writable = Item::Event(LinkEvent::Writable(link));
            let reading = async {
                while !a.arrived.contains(&writable) {
                    b.settle().await;
                    a.settle().await;
                    tokio::task::yield_now().await;
                }
            };
            if tokio::time::timeout(PATIENCE, reading).await.is_err() {
                rule.broken("the far end reads, and Writable does not come");
            }
            a.arrived.clear();
            a.must_send(link, &frame);
        }
    });
}

/// Rule C5 (reliable): every frame that was taken arrives, however slow the reader.
pub fn c5_nothing_sent_on_a_reliable_link_is_lost(factory: Factory<'_>) {
    let rule = Rule("C5 (nothing sent on a reliable link is lost)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        if a.limits.reliable {
            exchange(rule, &mut a, &mut b).await;
        }
    });
}

/// Rule C6 (ordered): the frames of a link arrive in the order they were sent.
pub fn c6_an_ordered_link_keeps_its_order(factory: Factory<'_>) {
    let rule = Rule("C6 (an ordered link keeps its order)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        if !a.limits.ordered {
            return;
        }
        let got = exchange(rule, &mut a, &mut b).await;
        rule.ensure(got.is_sorted(), "frames overtook each other");
    });
}

/// Rule C7 (connected, reliable): closing in order takes along every frame that was taken, also
/// those that no flush followed, and while the far end is sending. Then the far end hears that
/// this one closed.
pub fn c7_an_orderly_close_takes_along_what_was_taken(factory: Factory<'_>) {
    let rule = Rule("C7 (an orderly close takes along what was taken)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        if !a.limits.connected || !a.limits.reliable {
            return;
        }
        for most in [1, 3, 300_u16] {
            let (ours, theirs) = a.pair(&mut b).await;
            // Frames that nobody will read must not destroy what goes the other way.
            let busy = (0..most).take_while(|_| b.offer(theirs, &pattern(1000)).is_ok()).count();
            rule.ensure(busy > 0, "the far end could send nothing");
            b.outlet.flush();
            let largest = a.limits.max_frame;
            let frame = |number: u16| {
                let size = [20, 3000, largest][usize::from(number % 3)];
                [&number.to_be_bytes(), pattern(size.saturating_sub(2)).as_slice()].concat()
            };
            let taken = (0..most).take_while(|n| a.offer(ours, &frame(*n)).is_ok()).count();
            a.outlet.close(ours, Close::Flush);
            let ended = |item: &Item| matches!(item, Item::Event(LinkEvent::Down { .. }));
            let ending = async {
                while !(a.arrived.iter().any(ended) && b.arrived.iter().any(ended)) {
                    a.settle().await;
                    b.settle().await;
                    tokio::task::yield_now().await;
                }
            };
            if tokio::time::timeout(PATIENCE, ending).await.is_err() {
                rule.broken("Down did not come at both ends");
            }
            for number in (0..most).take(taken) {
                let Item::Frame(got) = b.next("a frame").await else {
                    rule.broken(&format!("{taken} frames were taken, only {number} arrived"))
                };
                rule.ensure(got.bytes == frame(number), "a frame came changed or out of order");
            }
            rule.same(b.event("Down", down).await, (theirs, DownReason::ClosedThere), "there");
            a.arrived.retain(ended);
            rule.same(a.event("Down", down).await, (ours, DownReason::ClosedHere), "here");
        }
    });
}

/// Rule C8 (connected, reliable): the end of a node takes along every frame that was taken, though
/// the far end reads them only then, and is sending itself.
pub fn c8_the_end_of_a_node_takes_along_what_was_taken(factory: Factory<'_>) {
    let rule = Rule("C8 (the end of a node takes along what was taken)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        if !a.limits.connected || !a.limits.reliable {
            return;
        }
        let (ours, theirs) = a.pair(&mut b).await;
        let busy = (0..100).take_while(|_| b.offer(theirs, &pattern(1000)).is_ok()).count();
        rule.ensure(busy > 0, "the far end could send nothing");
        b.outlet.flush();
        let frame = pattern(a.limits.max_frame);
        let taken = (0..1000).take_while(|_| a.offer(ours, &frame).is_ok()).count();
        a.outlet.flush();
        let is_down = |item: &Item| matches!(item, Item::Event(LinkEvent::Down { .. }));
        let both = async {
            let finish = async {
                poll_fn(|cx| a.inlet.poll_finish(cx)).await;
                drop(a);
            };
            let read = async {
                while !b.arrived.iter().any(is_down) {
                    b.settle().await;
                    tokio::task::yield_now().await;
                }
            };
            tokio::join!(finish, read)
        };
        if tokio::time::timeout(PATIENCE, both).await.is_err() {
            rule.broken("the end was not told");
        }
        for number in 0..taken {
            let Item::Frame(got) = b.next("a frame").await else {
                rule.broken(&format!("{taken} frames were taken, only {number} arrived"))
            };
            rule.ensure(got.bytes == frame, "a frame came changed");
        }
        rule.same(b.event("Down", down).await, (theirs, DownReason::ClosedThere), "there");
    });
}

/// Sends numbered frames as room allows; returns the numbers as they came.
async fn exchange(rule: Rule, a: &mut Node, b: &mut Node) -> Vec<u32> {
    const FRAMES: u32 = 5000;
    let (link, _) = a.pair(b).await;
    let (mut next, mut got) = (0u32, Vec::new());
    while got.len() < 5000 {
        while next < FRAMES {
            match a.offer(link, &next.to_be_bytes()) {
                Ok(_) => next += 1,
                Err(SendRefused::Full) => break,
                Err(refused) => rule.broken(&format!("frame {next}: {refused}")),
            }
        }
        a.outlet.flush();
        let frame = b.frame().await;
        let Ok(number) = <[u8; 4]>::try_from(frame.bytes.as_slice()) else {
            rule.broken("a frame came changed")
        };
        got.push(u32::from_be_bytes(number));
    }
    let mut all = got.clone();
    all.sort_unstable();
    all.dedup();
    rule.same(all.len(), 5000, "different frames among those that came");
    got
}

/// Sends until the link is full. A link that never is keeps a queue without a bound.
fn fill(rule: Rule, a: &mut Node, link: LinkId, frame: &[u8]) {
    for _ in 0..100_000 {
        match a.offer(link, frame) {
            Ok(_) => {}
            Err(SendRefused::Full) => return a.outlet.flush(),
            Err(refused) => rule.broken(&format!("filling the link: {refused}")),
        }
    }
    rule.broken("the link took 100,000 frames that nobody read");
}
