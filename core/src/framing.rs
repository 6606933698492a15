//! Frames in a stream of bytes: the 12-byte header, and a splitter that finds the frames again.
//!
//! Pure: whoever owns the stream reads into [`Splitter::room`] and takes frames out. The layout
//! is in `docs/protocol.md`, 2.5.

mod shape;
mod splitter;

use thiserror::Error;

pub use shape::{RECORD, RECORD_HEAD};
pub use splitter::{Frame, Splitter};

/// What a frame's body is written in: the header's first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind(pub u8);

impl Kind {
    /// The bytes of a stream, or a frame in a format that has no number here.
    pub const RAW: Self = Self(0);
    /// JSON.
    pub const JSON: Self = Self(1);
    /// MessagePack.
    pub const MESSAGE_PACK: Self = Self(2);
    /// A sealed record.
    pub const SEALED: Self = Self(3);
    /// A compressed frame.
    pub const COMPRESSED: Self = Self(4);
}

/// What a frame is for: the header's fourth byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Service(pub u8);

impl Service {
    /// Messages.
    pub const MESSAGES: Self = Self(0);
    /// Bytes of a stream.
    pub const STREAM: Self = Self(1);
    /// Control of streams.
    pub const CONTROL: Self = Self(2);
}

/// What goes before each frame of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// What the body is written in.
    pub kind: Kind,
    /// What the frame is for.
    pub service: Service,
    /// The stream; 0 of messages.
    pub id: u32,
    length: u32,
}

impl Header {
    /// Bytes of an encoded header.
    pub const SIZE: usize = 12;
    /// The second byte of every header.
    pub const MAGIC: u8 = 0x4C;
    /// The third byte of every header.
    pub const VERSION: u8 = 2;

    /// The header of a body of `body` bytes; `None` above 2^32 - 13.
    pub fn new(kind: Kind, service: Service, id: u32, body: usize) -> Option<Self> {
        let length = u32::try_from(body.checked_add(Self::SIZE)?).ok()?;
        Some(Self { kind, service, id, length })
    }

    /// Bytes of the header and its body together; at least 12.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// The header as it goes on the wire.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let [i0, i1, i2, i3] = self.id.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        let (kind, service) = (self.kind.0, self.service.0);
        [kind, Self::MAGIC, Self::VERSION, service, i0, i1, i2, i3, l0, l1, l2, l3]
    }

    /// Reads a header. Kinds and services it does not know are not its business.
    ///
    /// # Errors
    /// Wrong magic, wrong version, or a length under 12.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<Self, FramingError> {
        let [kind, magic, version, service, i0, i1, i2, i3, l0, l1, l2, l3] = *bytes;
        if magic != Self::MAGIC {
            return Err(FramingError::Magic(magic));
        }
        if version != Self::VERSION {
            return Err(FramingError::Version(version));
        }
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if usize::try_from(length).is_ok_and(|length| length < Self::SIZE) {
            return Err(FramingError::TooShort(length));
        }
        let id = u32::from_be_bytes([i0, i1, i2, i3]);
        Ok(Self { kind: Kind(kind), service: Service(service), id, length })
    }
}

/// The bytes are no stream of frames. There is no way to find the next frame: close it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum FramingError {
    /// The second byte is not 0x4C: this is another protocol.
    #[error("the stream does not speak LANC: magic byte {0:#04x} instead of 0x4c")]
    Magic(u8),
    /// Another version of the header.
    #[error("a frame header of version {0}: only 2 is read")]
    Version(u8),
    /// The length does not even cover the header.
    #[error("a frame length of {0} bytes: the header alone has 12")]
    TooShort(u32),
    /// The frame is larger than this end reads.
    #[error("a frame length of {length} bytes: at most {limit} are read")]
    TooLong {
        /// The announced length in bytes, with the header.
        length: u32,
        /// The limit in bytes, with the header.
        limit: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_laid_out_as_written() {
        let header = Header::new(Kind::JSON, Service::CONTROL, 0x0102_0304, 0x0a0b).unwrap();
        assert_eq!(header.encode(), [1, 0x4C, 2, 2, 1, 2, 3, 4, 0, 0, 0x0a, 0x17]);
        assert_eq!(Header::decode(&header.encode()), Ok(header));
        let most = usize::try_from(u32::MAX).unwrap() - 12;
        assert_eq!(Header::new(Kind::JSON, Service::STREAM, 0, most).unwrap().length(), u32::MAX);
        assert_eq!(Header::new(Kind::JSON, Service::STREAM, 0, most + 1), None);
    }
}
