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
    held: Vec<(Dest, Vec<u8>)>,
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
        Self { lanes, held: Vec::new(), spare: Vec::new(), run: Run::default() }
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
                if why == SendRefused::Full {
                    let tail = tail.as_deref().unwrap_or_default();
                    self.held.push((dest, [&frame, tail].concat()));
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
    /// fit now are gone, and leave by the next [`Self::flush`].
    pub(crate) fn writable(&mut self, link: LinkId) -> bool {
        let mut is_full = false;
        for (dest, frame) in std::mem::take(&mut self.held) {
            let is_it = dest == Dest::Link(link) || dest == Dest::Broadcast(link.lane);
            let refused = match self.lane(dest) {
                Some(outlet) if is_it && !is_full => outlet.try_send(dest, &[IoSlice::new(&frame)]),
                Some(_) => Err(SendRefused::Full),
                None => continue,
            };
            if refused == Err(SendRefused::Full) {
                // Those behind it must not overtake it.
                is_full |= dest == Dest::Link(link);
                self.held.push((dest, frame));
            }
        }
        !self.held.iter().any(|(dest, _)| *dest == Dest::Link(link))
    }

    /// Drops the frames of a link that is gone.
    pub(crate) fn forget(&mut self, link: LinkId) {
        self.held.retain(|(dest, _)| *dest != Dest::Link(link));
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

    fn close(&mut self, link: LinkId, how: Close) {
        self.forget(link);
        if let Some(outlet) = self.lane(Dest::Link(link)) {
            outlet.close(link, how);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use lanc_core::endpoint::Lane;
    use lanc_core::ports::Sent;

    use super::*;

    /// Takes every frame and counts them.
    struct Counting(Arc<AtomicUsize>);

    impl Outlet for Counting {
        fn try_send(&mut self, _: Dest, _: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Sent::Whole)
        }

        fn connect(&mut self, _: &Endpoint) {}

        fn close(&mut self, _: LinkId, _: Close) {}
    }

    #[test]
    fn a_held_frame_leaves_when_its_link_is_writable_and_goes_with_its_link() {
        let sent = Arc::new(AtomicUsize::new(0));
        let outlet: Box<dyn Outlet> = Box::new(Counting(Arc::clone(&sent)));
        let mut outlets = Outlets::new(vec![("test".to_owned(), outlet)]);
        let link = |slot| LinkId { lane: Lane(0), slot, generation: 0 };
        outlets.held = (0..3).map(|slot| (Dest::Link(link(slot)), vec![1])).collect();
        outlets.forget(link(0));
        assert!(outlets.writable(link(1)), "nothing is held for it any more");
        assert_eq!(sent.load(Ordering::Relaxed), 1, "only its own frame left");
        assert_eq!(outlets.held, [(Dest::Link(link(2)), vec![1])]);
        outlets.forget(link(2));
        assert!(outlets.held.is_empty());
    }
}
