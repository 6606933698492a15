//! The envelope of a frame, as whoever has no key sees it; and the keys of simulated groups.

use std::borrow::Cow;
use std::hash::Hasher;
use std::sync::Arc;

use lanc_core::carriage;
use lanc_core::envelope::{Head, VERSION};
use lanc_core::ports::{Format, GroupKey};
use lanc_crypto::{Group, MasterKey};
use siphasher::sip::SipHasher13;

use super::values::codec;

/// The key of group `number` in the simulator.
pub fn group_key(number: u8) -> Arc<dyn GroupKey> {
    Arc::new(Group::new(&MasterKey::from_bytes(&[number; 32])))
}

/// The envelope that a frame is or carries.
pub(super) struct Envelope<'f> {
    pub(super) head: Head,
    pub(super) bytes: Cow<'f, [u8]>,
    /// It came inside a message.
    pub(super) is_carried: bool,
}

impl<'f> Envelope<'f> {
    pub(super) fn of(frame: &'f [u8]) -> Option<Self> {
        let is_carried = frame.first() != Some(&VERSION);
        let bytes = if is_carried {
            let mut bytes = Vec::new();
            carriage::read(codec(Format::JSON), frame, &mut bytes).ok()?;
            Cow::Owned(bytes)
        } else {
            Cow::Borrowed(frame)
        };
        Some(Self { head: Head::read_record(&bytes).ok()?, bytes, is_carried })
    }

    /// A number that no other envelope has.
    pub(super) fn print(&self) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(0x7365_616c, 0x6564);
        hasher.write(&self.bytes);
        hasher.finish()
    }
}
