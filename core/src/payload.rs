//! Encoded arguments and results: bytes that belong to the user.

pub mod bulk;
mod encoded;
mod shared;

use crate::ports::Format;
pub use encoded::Encoded;
pub(crate) use encoded::Spliced;
pub(crate) use shared::Home;
pub use shared::Shared;

/// One encoded value, owned. Encoded outside the core's lock, moved into a slot, copied once
/// into a frame, or not at all if it is large. Its buffer comes from [`Core::take_buffer`] where there is one to be had.
///
/// [`Core::take_buffer`]: crate::Core::take_buffer
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payload {
    /// The format of `bytes`.
    pub format: Format,
    /// The encoded value.
    pub bytes: Encoded,
}

/// The arguments of a call, owned: an encoded list and, behind it in the same buffer, an
/// encoded map of named arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arguments {
    format: Format,
    bytes: Encoded,
    named_at: usize,
}

impl Arguments {
    /// Arguments from an encoded list and an encoded map; an empty slice stands for none.
    pub fn new(format: Format, positional: &[u8], named: &[u8]) -> Self {
        let room = Vec::with_capacity(positional.len() + named.len());
        Self::copied(format, positional, named, room)
    }

    /// The same in a buffer that is there.
    pub(crate) fn copied(
        format: Format,
        positional: &[u8],
        named: &[u8],
        mut buffer: Vec<u8>,
    ) -> Self {
        buffer.clear();
        buffer.extend_from_slice(positional);
        buffer.extend_from_slice(named);
        Self { format, bytes: buffer.into(), named_at: positional.len() }
    }

    /// Arguments in one buffer, of which the named ones begin at `named_at`.
    pub fn from_buffer(format: Format, bytes: Vec<u8>, named_at: usize) -> Self {
        let named_at = named_at.min(bytes.len());
        Self { format, bytes: bytes.into(), named_at }
    }

    /// A list without named arguments.
    pub fn of_list(format: Format, list: Encoded) -> Self {
        Self { format, named_at: list.len(), bytes: list }
    }

    /// Puts other named arguments in the place of those there are: `write` appends an encoded map,
    /// or nothing.
    pub fn set_named(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::mem::take(&mut self.bytes).into_vec();
        bytes.truncate(self.named_at);
        write(&mut bytes);
        self.bytes = bytes.into();
    }

    /// Their own buffer, for [`Core::give_buffer`](crate::Core::give_buffer).
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes.into_buffer()
    }

    /// The memory that holds all of them, if that is shared.
    pub fn shared(&self) -> Option<&Shared> {
        self.bytes.shared()
    }

    /// Where their bytes stand, if that is in several places or shared; only of a list alone.
    pub(crate) fn spliced(&self) -> Option<Spliced<'_>> {
        self.bytes.spliced().filter(|_| self.named_at == self.len())
    }

    /// Puts them into the buffer that `map` makes of theirs.
    pub(crate) fn change_buffer(&mut self, map: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        self.bytes.change_own(map);
    }

    /// Moves the arguments out and leaves none.
    pub fn take(&mut self) -> Self {
        let named_at = std::mem::take(&mut self.named_at);
        Self { format: self.format, bytes: std::mem::take(&mut self.bytes), named_at }
    }

    /// Their format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The encoded list, or an empty slice when there are none.
    #[inline]
    pub fn positional(&self) -> &[u8] {
        self.bytes.get(..self.named_at).unwrap_or_default()
    }

    /// The encoded map, or an empty slice when there is none.
    #[inline]
    pub fn named(&self) -> &[u8] {
        // Asked of every call: bytes that stand apart are not to be put together for it.
        if self.named_at == self.len() {
            return &[];
        }
        self.bytes.get(self.named_at..).unwrap_or_default()
    }

    /// Encoded size in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no arguments at all.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
