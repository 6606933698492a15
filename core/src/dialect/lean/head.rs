//! What the messages of a lean frame share.

use std::ops::RangeInclusive;

use crate::dialect::native::Unreadable;
use crate::id::{ExeId, Version};
use crate::message::Watermark;
use crate::ports::{Budget, Codec, DecodeError, Format, Item};

/// The first bytes of lean frames: MessagePack's lists of at most 15 items. Any other frame
/// begins with a map.
const FIRST: RangeInclusive<u8> = 0x90..=0x9f;

/// Whether a frame of this format that begins with this byte is lean.
pub fn begins_with(format: Format, first: u8) -> bool {
    format == Format::MSGPACK && FIRST.contains(&first)
}

/// Whether a codec brings lean frames to who uses it.
pub fn is_claimed_by(codec: &dyn Codec) -> bool {
    codec.format() == Format::MSGPACK && FIRST.into_iter().all(|first| codec.claims(first))
}

/// The first value of a lean frame: the list `[minor, sender, receiver]`, with a fourth item
/// `watermark` from a sender that has called the receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The minor number of the version; the major number is 0.
    pub minor: u16,
    /// [`SessionId::short`](crate::id::SessionId::short) of the sender: what it calls, cancels
    /// and asks about has ids of this session.
    pub sender: u64,
    /// The same of the receiver, if the sender knows it: answers have ids of this session, and
    /// calls are meant for it.
    pub receiver: Option<u64>,
    /// The sender's watermark at the receiver.
    pub watermark: Option<Watermark>,
}

impl Head {
    /// A head of this version.
    pub fn new(sender: u64, receiver: Option<u64>) -> Self {
        Self { minor: Version::NATIVE.minor, sender, receiver, watermark: None }
    }

    /// Whether an answer to the call of this id may stand in the frame.
    pub fn answers(&self, id: &ExeId) -> bool {
        self.receiver == Some(id.session)
    }

    /// Appends it.
    pub fn write(&self, codec: &dyn Codec, out: &mut Vec<u8>) {
        let receiver = self.receiver.map_or(Item::Null, Item::Uint);
        let (minor, sender) = (Item::Uint(u64::from(self.minor)), Item::Uint(self.sender));
        match self.watermark {
            Some(watermark) => {
                codec.write_list(&[minor, sender, receiver, Item::Uint(watermark)], out);
            }
            None => codec.write_list(&[minor, sender, receiver], out),
        }
    }

    /// Reads it, and returns how many bytes it took. Items behind the four are ignored.
    ///
    /// # Errors
    /// [`Unreadable`]: without it, nothing of the frame can be read.
    pub fn read(
        codec: &dyn Codec,
        frame: &[u8],
        budget: &mut Budget,
    ) -> Result<(Self, usize), Unreadable> {
        let mut place = 0_u32;
        let (mut minor, mut sender, mut receiver) = (None, None, None);
        let mut watermark = None;
        let used = codec.read_list(frame, budget, &mut |value| {
            match place {
                0 => minor = value.item.as_u64().and_then(|number| u16::try_from(number).ok()),
                1 => sender = value.item.as_u64(),
                2 if value.item == Item::Null => receiver = Some(None),
                2 => receiver = value.item.as_u64().map(Some),
                3 => watermark = value.item.as_u64(),
                _ => {}
            }
            place = place.saturating_add(1);
            Ok(())
        })?;
        let (Some(minor), Some(sender), Some(receiver)) = (minor, sender, receiver) else {
            return Err(Unreadable::Field(DecodeError::Malformed(0)));
        };
        if minor < Version::NATIVE.minor {
            return Err(Unreadable::Version);
        }
        Ok((Self { minor, sender, receiver, watermark }, used))
    }
}
