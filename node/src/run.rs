//! Records of streams on their way to one link, which are sent at once.
//!
//! A record is a frame, and a system call if it goes alone; each wakes a far end that then finds
//! little to do. What follows the first one goes with it.

use std::io::IoSlice;

use lanc_core::payload::Shared;
use lanc_core::ports::{Dest, Outlet, SendRefused};

/// A record from this size on begins a run: smaller ones are gathered by the transport.
const LARGE: usize = 16 << 10;
/// Bytes of a run, apart from the frame that crosses the line: four records. They are in a near
/// cache still when they are sealed.
const MOST_BYTES: usize = 256 << 10;
/// Frames of a run.
const MOST_FRAMES: usize = 16;

type Frame = (Vec<u8>, Option<Shared>);

/// Frames that go together, in order.
#[derive(Default)]
pub(crate) struct Run {
    to: Option<Dest>,
    frames: Vec<Frame>,
    bytes: usize,
    /// Buffers of frames that were sent.
    spares: Vec<Vec<u8>>,
}

impl Run {
    /// Where it goes; `None`: it is empty.
    pub(crate) fn to(&self) -> Option<Dest> {
        self.to
    }

    /// Whether a frame for `to` joins it, or begins it.
    pub(crate) fn wants(&self, to: Dest, size: usize, is_record: bool) -> bool {
        match self.to {
            Some(own) => own == to,
            None => is_record && size >= LARGE,
        }
    }

    /// Adds a frame, and leaves another buffer in its place. `false`: it must be sent before more
    /// is added.
    pub(crate) fn push(&mut self, to: Dest, frame: &mut Vec<u8>, tail: Option<Shared>) -> bool {
        self.to = Some(to);
        let size = frame.len().saturating_add(tail.as_ref().map_or(0, |tail| tail.len()));
        self.bytes = self.bytes.saturating_add(size);
        let spare = self.spares.pop().unwrap_or_default();
        self.frames.push((std::mem::replace(frame, spare), tail));
        self.frames.len() < MOST_FRAMES && self.bytes < MOST_BYTES
    }

    /// Offers it. Why a frame was refused, and with it those behind it; they are handed to `held`
    /// if there was no room for them.
    pub(crate) fn send(
        &mut self,
        outlet: Option<&mut Box<dyn Outlet>>,
        held: &mut Vec<(Dest, Vec<u8>)>,
    ) -> Option<SendRefused> {
        let to = self.to.take()?;
        self.bytes = 0;
        let mut pieces = [[IoSlice::new(&[]); 2]; MOST_FRAMES];
        for (place, (frame, tail)) in pieces.iter_mut().zip(&self.frames) {
            *place = [IoSlice::new(frame), IoSlice::new(tail.as_deref().unwrap_or_default())];
        }
        let frames = pieces.get(..self.frames.len()).unwrap_or_default();
        let (taken, refused) = match outlet {
            Some(outlet) => outlet.try_send_all(to, frames),
            None => (0, Some(SendRefused::Gone)),
        };
        for (number, (mut frame, tail)) in self.frames.drain(..).enumerate() {
            if number >= taken && refused == Some(SendRefused::Full) {
                // Copied: memory that somebody does not fetch is not to be held in large pieces.
                frame.extend_from_slice(tail.as_deref().unwrap_or_default());
                held.push((to, frame));
            } else {
                frame.clear();
                self.spares.push(frame);
            }
        }
        refused
    }

    /// Gives memory back bit by bit. To be called when everything has been sent.
    pub(crate) fn relax(&mut self) {
        self.spares.truncate(MOST_FRAMES);
        self.spares.pop();
    }
}
