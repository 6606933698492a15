//! A small buffer of each thread, on its way from the end of one call to the beginning of the
//! next: whoever calls again and again needs no lock for it.

use std::cell::Cell;

use lanc_core::payload::Encoded;

use crate::hub::Hub;

/// The largest capacity that stays with a thread, or with a driver, bytes.
pub(crate) const MOST: usize = 4096;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An empty buffer.
pub(crate) fn take(hub: &Hub) -> Vec<u8> {
    let spare = SPARE.take();
    if spare.capacity() > 0 { spare } else { hub.take_buffer() }
}

/// What was encoded into a buffer, which comes back if it is not needed.
pub(crate) fn encoded(hub: &Hub, buffer: Vec<u8>) -> Encoded {
    let (encoded, rest) = Encoded::from(buffer).compact();
    give(hub, rest);
    encoded
}

/// Takes a buffer back.
pub(crate) fn give(hub: &Hub, mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 {
        return;
    }
    let surplus = if buffer.capacity() <= MOST {
        buffer.clear();
        SPARE.replace(buffer)
    } else {
        buffer
    };
    if surplus.capacity() > 0 {
        hub.state().core.give_buffer(surplus);
    }
}
