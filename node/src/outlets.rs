//! The sending halves of a node's transports, and the frames that wait for room.

use std::io::IoSlice;

use lanc_core::LinkCommand;
use lanc_core::endpoint::{Endpoint, LinkId};
use lanc_core::ports::{Close, Dest, Outlet, SendRefused};

use crate::hub::Hub;
use crate::run::Run;

/// The sending halves, and the frames that wait for room.
pub(crate) struct Outlets {
    lanes: Vec<(String, Box<dyn Outlet>)>,
    held: Vec<(LinkId, Vec<u8>)>,
    /// Links that end once nothing is held for them.
    closing: Vec<LinkId>,
    spare: Vec<u8>,
    run: Run,
}

fn lane_of(dest: Dest) -> usize {
    let lane = match dest {
        Dest::Link(link) => link.lane,
        Dest::Broadcast(lane) => lane,
    };
    usize::from(lane.0)
}

impl Outlets {
    pub(crate) fn new(lanes: Vec<(String, Box<dyn Outlet>)>) -> Self {
        Self {
            lanes,
            held: Vec::new(),
            closing: Vec::new(),
            spare: Vec::new(),
            run: Run::default(),
        }
    }

    fn lane(&mut self, dest: Dest) -> Option<&mut Box<dyn Outlet>> {
        self.lanes.get_mut(lane_of(dest)).map(|(_, outlet)| outlet)
    }

    /// Sends everything that is ready; nothing stays with the transports for want of a flush.
    pub(crate) fn flush(&mut self, hub: &Hub) {
        let mut frame = std::mem::take(&mut self.spare);
        loop {
            let mut state = hub.state();
            let now = hub.clock.now();
            let Some((dest, tail)) = state.core.poll_frame_parts(now, &mut frame) else { break };
            let (is_record, has_calls) = (state.core.polled_record(), state.core.polled_calls());
            drop(state);
            if self.run.to().is_some_and(|to| to != dest) {
                self.send_run(hub);
            }
            let size = frame.len().saturating_add(tail.as_ref().map_or(0, |tail| tail.len()));
            if self.run.wants(dest, size, is_record) {
                if !self.run.push(dest, &mut frame, tail) || has_calls {
                    self.send_run(hub);
                }
                continue;
            }
            let sent = match (self.lane(dest), &tail) {
                (Some(outlet), None) => outlet.try_send(dest, &[IoSlice::new(&frame)]),
                (Some(outlet), Some(tail)) => {
                    outlet.try_send(dest, &[IoSlice::new(&frame), IoSlice::new(tail)])
                }
                (None, _) => Err(SendRefused::Gone),
            };
            if let Err(why) = sent {
                // Nothing would say when there is room for a broadcast.
                if let (SendRefused::Full, Dest::Link(link)) = (why, dest) {
                    let tail = tail.as_deref().unwrap_or_default();
                    self.held.push((link, [&frame, tail].concat()));
                }
                hub.state().core.handle_refused(hub.clock.now(), dest, why);
            }
        }
        self.send_run(hub);
        self.run.relax();
        self.spare = frame;
        // Also what `writable` offered again.
        for (_, outlet) in &mut self.lanes {
            outlet.flush();
        }
    }

    /// Sends the records that wait to go together. If one is refused, so are those behind it.
    fn send_run(&mut self, hub: &Hub) {
        let Some(dest) = self.run.to() else { return };
        let lane = self.lanes.get_mut(lane_of(dest)).map(|(_, outlet)| outlet);
        if let Some(why) = self.run.send(lane, &mut self.held) {
            hub.state().core.handle_refused(hub.clock.now(), dest, why);
        }
    }

    /// Offers the frames again that a link had no room for, until there is none again. Those that
    /// fit now are gone, and leave by the next [`Self::flush`]; those that are refused for another
    /// reason are `lost`. Returns whether nothing is held for the link any more.
    pub(crate) fn writable(&mut self, link: LinkId, mut lost: impl FnMut(SendRefused)) -> bool {
        let dest = Dest::Link(link);
        let mut is_full = false;
        for (to, frame) in std::mem::take(&mut self.held) {
            // Those behind one that does not fit must not overtake it.
            let sent = match self.lane(dest) {
                Some(outlet) if to == link && !is_full => {
                    outlet.try_send(dest, &[IoSlice::new(&frame)])
                }
                _ => Err(SendRefused::Full),
            };
            match sent {
                Err(SendRefused::Full) => {
                    is_full |= to == link;
                    self.held.push((to, frame));
                }
                Err(why) => lost(why),
                Ok(_) => {}
            }
        }
        let is_done = !self.holds(link);
        if is_done && let Some(place) = self.closing.iter().position(|closing| *closing == link) {
            self.closing.swap_remove(place);
            self.end(link, Close::Flush);
        }
        is_done
    }

    /// Whether frames wait for room of any link.
    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether frames wait for room of a link.
    fn holds(&self, link: LinkId) -> bool {
        self.held.iter().any(|(to, _)| *to == link)
    }

    /// Drops the frames of a link that is gone.
    pub(crate) fn forget(&mut self, link: LinkId) {
        self.held.retain(|(to, _)| *to != link);
        self.closing.retain(|closing| *closing != link);
        self.run.forget(link);
    }

    /// Drops the transports.
    pub(crate) fn close_all(&mut self) {
        self.lanes.clear();
        self.held.clear();
    }

    /// Begins or ends a link.
    pub(crate) fn command(&mut self, command: LinkCommand) {
        match command {
            LinkCommand::Connect(endpoint) => self.connect(&endpoint),
            LinkCommand::Close(link, how) => self.close(link, how),
        }
    }

    fn connect(&mut self, endpoint: &Endpoint) {
        match self.lanes.iter_mut().find(|(scheme, _)| scheme == endpoint.scheme()) {
            Some((_, outlet)) => outlet.connect(endpoint),
            None => tracing::warn!(%endpoint, "no transport of this node dials this"),
        }
    }

    /// Ends a link, in order only after what it had no room for.
    fn close(&mut self, link: LinkId, how: Close) {
        if how == Close::Flush && self.holds(link) {
            self.closing.push(link);
        } else {
            self.end(link, how);
        }
    }

    fn end(&mut self, link: LinkId, how: Close) {
        self.forget(link);
        if let Some(outlet) = self.lane(Dest::Link(link)) {
            outlet.close(link, how);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use lanc_core::endpoint::Lane;
    use lanc_core::ports::Sent;

    use super::*;

    /// Takes frames, or refuses them, and notes what it was told.
    #[derive(Default)]
    struct Noting {
        refuses: Option<SendRefused>,
        sent: usize,
        closed: Vec<(LinkId, Close)>,
    }

    struct Shared(Arc<Mutex<Noting>>);

    impl Outlet for Shared {
        fn try_send(&mut self, _: Dest, _: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
            let mut noting = self.0.lock().unwrap();
            noting.sent += 1;
            noting.refuses.map_or(Ok(Sent::Whole), Err)
        }

        fn connect(&mut self, _: &Endpoint) {}

        fn close(&mut self, link: LinkId, how: Close) {
            self.0.lock().unwrap().closed.push((link, how));
        }
    }

    fn link(slot: u32) -> LinkId {
        LinkId { lane: Lane(0), slot, generation: 0 }
    }

    /// Outlets that hold a frame for each of three links.
    fn holding() -> (Outlets, Arc<Mutex<Noting>>) {
        let noting = Arc::<Mutex<Noting>>::default();
        let outlet: Box<dyn Outlet> = Box::new(Shared(Arc::clone(&noting)));
        let mut outlets = Outlets::new(vec![("test".to_owned(), outlet)]);
        outlets.held = (0..3).map(|slot| (link(slot), vec![1])).collect();
        (outlets, noting)
    }

    #[test]
    fn a_held_frame_leaves_when_its_link_is_writable_and_goes_with_its_link() {
        let (mut outlets, noting) = holding();
        outlets.forget(link(0));
        assert!(
            outlets.writable(link(1), |why| panic!("{why}")),
            "nothing is held for it any more"
        );
        assert_eq!(noting.lock().unwrap().sent, 1, "only its own frame left");
        assert_eq!(outlets.held, [(link(2), vec![1])]);
        outlets.forget(link(2));
        assert!(!outlets.is_holding());
    }

    #[test]
    fn a_held_frame_that_is_refused_for_good_is_told_of() {
        let (mut outlets, noting) = holding();
        noting.lock().unwrap().refuses = Some(SendRefused::Full);
        assert!(!outlets.writable(link(1), |why| panic!("{why}")));
        noting.lock().unwrap().refuses = Some(SendRefused::Unreachable);
        let mut lost = Vec::new();
        assert!(outlets.writable(link(1), |why| lost.push(why)));
        assert_eq!(lost, [SendRefused::Unreachable]);
    }

    #[test]
    fn an_orderly_end_waits_for_what_is_held_and_another_does_not() {
        let (mut outlets, noting) = holding();
        outlets.command(LinkCommand::Close(link(0), Close::Flush));
        outlets.command(LinkCommand::Close(link(1), Close::Abort));
        assert_eq!(noting.lock().unwrap().closed, [(link(1), Close::Abort)]);
        noting.lock().unwrap().refuses = Some(SendRefused::Full);
        assert!(!outlets.writable(link(0), |why| panic!("{why}")));
        noting.lock().unwrap().refuses = None;
        assert!(outlets.writable(link(0), |why| panic!("{why}")));
        assert_eq!(noting.lock().unwrap().closed[1..], [(link(0), Close::Flush)]);
        // A link that goes down meanwhile needs no end.
        outlets.command(LinkCommand::Close(link(2), Close::Flush));
        outlets.forget(link(2));
        assert!(outlets.closing.is_empty() && !outlets.is_holding());
    }
}
