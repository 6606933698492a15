//! Rules about links: L1 to L8.

use lanc_core::endpoint::Endpoint;
use lanc_core::ports::{Close, DownReason, LinkEvent, SendRefused};

use super::Factory;
use super::bench::{Item, Node, Rule};

/// Rule L1: a link's Up comes before its first frame, and both carry the node's lane.
pub fn l1_up_comes_before_the_first_frame(factory: Factory<'_>) {
    let rule = Rule("L1 (a link's Up comes before its first frame)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        a.outlet.connect(&b.local);
        let out = a.up().await;
        rule.same(out.lane, a.lane, "the lane of a link");
        a.must_send(out, b"first");
        let Item::Event(LinkEvent::Up { link, .. }) = b.next("Up").await else {
            rule.broken("something else came first")
        };
        rule.same(link.lane, b.lane, "the lane of an accepted link");
        let frame = b.frame().await;
        rule.same(frame.link, link, "the link of the first frame");
        rule.same(frame.bytes.as_slice(), b"first", "the first frame");
    });
}

/// Rule L2: an answer sent on the link a frame came on arrives on the link it was sent on.
pub fn l2_frames_go_both_ways_on_one_link(factory: Factory<'_>) {
    let rule = Rule("L2 (frames go both ways on one link)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        let (ours, theirs) = a.pair(&mut b).await;
        for round in 0..10u8 {
            a.must_send(ours, &[b'a', round]);
            let there = b.frame().await;
            rule.same((there.link, there.bytes), (theirs, vec![b'a', round]), "the frame there");
            b.must_send(theirs, &[b'b', round]);
            let back = a.frame().await;
            rule.same((back.link, back.bytes), (ours, vec![b'b', round]), "the frame back");
        }
        a.settle().await;
        rule.ensure(a.arrived.is_empty(), "more came than was sent");
    });
}

/// Rule L3: `connect` to an endpoint that has a link says Up again, with the same id.
pub fn l3_connecting_again_gives_the_same_link(factory: Factory<'_>) {
    let rule = Rule("L3 (connecting again gives the same link)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        let (first, _) = a.pair(&mut b).await;
        a.outlet.connect(&b.local);
        let again = a.event("Up", up_to(&b.local)).await;
        rule.same(again, first, "the link of the second connect");
        a.must_send(again, b"still");
        rule.same(b.frame().await.bytes.as_slice(), b"still", "a frame on it");
    });
}

/// Rule L4: closing a link twice, or one that never was, does nothing.
pub fn l4_closing_a_stale_link_does_nothing(factory: Factory<'_>) {
    let rule = Rule("L4 (closing a stale link does nothing)");
    rule.run(factory, async |[mut a, mut b, mut c]: [Node; 3]| {
        let (gone, _) = a.pair(&mut b).await;
        let (kept, _) = a.pair(&mut c).await;
        a.outlet.close(gone, Close::Flush);
        a.outlet.close(gone, Close::Abort);
        let mut never = kept;
        never.generation = never.generation.wrapping_add(7);
        a.outlet.close(never, Close::Abort);
        never.slot = u32::MAX;
        a.outlet.close(never, Close::Flush);
        let down = a.event("Down", down).await;
        rule.same(down, (gone, DownReason::ClosedHere), "the closed link");
        a.outlet.close(gone, Close::Abort);
        a.must_send(kept, b"kept");
        rule.same(c.frame().await.bytes.as_slice(), b"kept", "a frame on another link");
        a.settle().await;
        rule.same(a.arrived.pop_front(), None, "what followed the one Down");
    });
}

/// Rule L5: a closed link refuses frames, and its id is never used again as it was.
pub fn l5_a_slot_is_used_again_under_another_generation(factory: Factory<'_>) {
    let rule = Rule("L5 (a slot is used again under another generation)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        let (mut link, _) = a.pair(&mut b).await;
        let mut seen = Vec::new();
        for _ in 0..5 {
            a.outlet.close(link, Close::Abort);
            rule.same(a.send(link, b"late"), Err(SendRefused::Gone), "sending on a closed link");
            a.event("Down", down).await;
            b.settle().await;
            seen.push(link);
            a.outlet.connect(&b.local);
            let next = a.event("Up", up_to(&b.local)).await;
            rule.ensure(!seen.contains(&next), "a link id came back");
            rule.same(a.send(link, b"late"), Err(SendRefused::Gone), "sending on the old id");
            link = next;
        }
        let slots = seen.iter().map(|link| link.slot).max().unwrap_or(0);
        rule.ensure(slots < 3, "slots are not used again: a long-lived node would run out");
    });
}

/// Rule L6: an endpoint of another transport fails, naming the endpoint, and disturbs nothing.
pub fn l6_a_foreign_endpoint_fails(factory: Factory<'_>) {
    let rule = Rule("L6 (a foreign endpoint fails)");
    rule.run(factory, async |[mut a, mut b]: [Node; 2]| {
        let (link, _) = a.pair(&mut b).await;
        for foreign in [Endpoint::text("no-such-scheme", "x"), Endpoint::text(&a.scheme, "?!")] {
            a.outlet.connect(&foreign);
            let (remote, reason, is_refused) = a.event("Failed", failed).await;
            rule.same(remote, foreign, "the endpoint that failed");
            rule.ensure(!reason.is_empty(), "it failed without a reason");
            // A peer that refuses may be taken to be gone.
            rule.ensure(!is_refused, "no host was asked, and none has refused");
        }
        a.must_send(link, b"well");
        rule.same(b.frame().await.bytes.as_slice(), b"well", "a frame on the other link");
    });
}

/// Rule L7: capabilities are within the port's bounds and do not change.
pub fn l7_capabilities_keep_their_bounds(factory: Factory<'_>) {
    let rule = Rule("L7 (capabilities keep their bounds)");
    rule.run(factory, async |[a, b]: [Node; 2]| {
        rule.ensure(a.limits.max_frame >= 1200, "max_frame is under 1200 bytes");
        rule.ensure(!a.limits.broadcast || a.limits.max_broadcast > 0, "no room to broadcast");
        rule.ensure(a.limits.max_broadcast <= a.limits.max_frame, "max_broadcast over max_frame");
        rule.same(a.limits, b.limits, "the capabilities of two equal transports");
    });
    let transport = factory(1).pop();
    let transport = transport.unwrap_or_else(|| rule.broken("the factory made nothing"));
    rule.same(transport.capabilities(), transport.capabilities(), "the capabilities asked again");
}

/// Rule L8: the local endpoint is of the transport's scheme, and no two nodes share it.
pub fn l8_the_local_endpoint_has_the_scheme(factory: Factory<'_>) {
    let rule = Rule("L8 (the local endpoint has the scheme)");
    rule.run(factory, async |[a, b]: [Node; 2]| {
        rule.same(a.local.scheme(), a.scheme.as_str(), "the scheme of the local endpoint");
        rule.ensure(a.local != b.local, "two nodes have one endpoint");
        let text = a.local.to_string();
        rule.same(text.parse().ok(), Some(a.local.clone()), "the local endpoint read back");
    });
}

pub(super) fn up_to(remote: &Endpoint) -> impl Fn(&LinkEvent) -> Option<super::LinkId> {
    let wanted = remote.clone();
    move |event| match event {
        LinkEvent::Up { link, remote, .. } if *remote == wanted => Some(*link),
        _ => None,
    }
}

pub(super) fn down(event: &LinkEvent) -> Option<(super::LinkId, DownReason)> {
    match event {
        LinkEvent::Down { link, reason } => Some((*link, *reason)),
        _ => None,
    }
}

pub(super) fn failed(event: &LinkEvent) -> Option<(Endpoint, String, bool)> {
    match event {
        LinkEvent::Failed { remote, reason, is_refused } => {
            Some((remote.clone(), reason.clone(), *is_refused))
        }
        _ => None,
    }
}
