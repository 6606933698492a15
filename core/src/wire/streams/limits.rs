//! The bounds of one link's streams that come from the configuration, and the protocol's windows.

use crate::config::Config;

/// Bytes that may be sent on a new stream before any credit came. Part of the protocol: both
/// ends of a link count with it.
const INITIAL_WINDOW: u32 = 256 << 10;

/// What the far end may send of a message that has begun, in windows: a message of a mebibyte is
/// granted once and not eight times. Each grant is a frame and wakes somebody.
const MESSAGE_WINDOWS: u32 = 4;

/// A mebibyte and what its message adds to it are sent in one turn: sent record by record among others, it would be put
/// together, and answered, no sooner than all of them, by a far end that had nothing to do before
/// and whose caches hold the end of none. No more, so that a shorter one need not wait long; as
/// much as the system may hold of what was sent anyway.
const TURN: usize = (1 << 20) + (64 << 10);

/// The bounds of one link's streams. Bytes, unless it says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StreamLimits {
    /// Streams of each of the four [`Class`](super::entry::Class)es.
    pub(crate) streams: usize,
    /// Credit that each direction of a stream begins with, the same at both ends.
    pub(crate) initial: u32,
    /// Unread bytes of a stream, on their way or here; and written ones that were not sent.
    pub(crate) window: u32,
    /// What the far end may send of a message once it has begun. Memory is bounded by `assembly`
    /// anyway: this only says how often credit is told.
    pub(crate) message_window: u32,
    /// The body of a record that is sent.
    pub(crate) record: usize,
    /// What a message sends of itself before it is another's turn, where there are only messages.
    pub(crate) turn: usize,
    /// One message, in or out.
    pub(crate) message: usize,
    /// Messages being put together, and messages that are sent at the same time.
    pub(crate) assembly: usize,
    /// Messages that wait to be sent or are being sent.
    pub(crate) queue: usize,
}

impl StreamLimits {
    pub(crate) fn of(config: &Config) -> Self {
        let window = u32::try_from(config.stream_window).unwrap_or(INITIAL_WINDOW);
        Self {
            streams: config.max_streams,
            initial: INITIAL_WINDOW,
            window,
            message_window: window.saturating_mul(MESSAGE_WINDOWS),
            record: config.stream_record,
            turn: TURN,
            message: config.max_message,
            assembly: config.max_assembly.min(config.max_assembly_in_all()),
            queue: config.max_message_queue,
        }
    }
}
