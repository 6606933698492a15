//! Bulk data as a value.

use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanc_core::payload::{Shared, bulk};
use lanc_core::ports::BYTES_NEWTYPE;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Bytes as an argument, a result, or a field of one: `|picture: Bytes| -> Bytes`.
///
/// In MessagePack they are binary data; those of 48 KiB and more are sent from where they are and
/// held where they arrived, without a copy between the value and its frame, or the records of its
/// message. In a text format they are base64 with padding (RFC 4648 section 4), a third longer. Both
/// forms are read, and a list of numbers too, so that peers may send what their language has. A
/// plain `Vec<u8>` is a list of numbers in every format: up to twice the size, and milliseconds for
/// each MiB.
#[derive(Clone)]
pub struct Bytes(Held);

#[derive(Clone)]
enum Held {
    Own(Vec<u8>),
    Shared(Shared),
}

impl Bytes {
    /// The bytes. Large ones that came with a message, or that are just being sent, are copied;
    /// others are not.
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Held::Own(bytes) => bytes,
            Held::Shared(bytes) => bytes.into_vec(),
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Own(bytes) => bytes,
            Held::Shared(bytes) => bytes,
        }
    }
}

impl DerefMut for Bytes {
    /// Large ones are copied first while somebody else has them too: a clone, or a call that is
    /// on its way.
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Held::Own(bytes) => bytes,
            Held::Shared(bytes) => bytes.make_mut(),
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Default for Bytes {
    fn default() -> Self {
        Self(Held::Own(Vec::new()))
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() < bulk::LEAST {
            return Self(Held::Own(bytes));
        }
        Self(Held::Shared(Shared::new(bytes)))
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        bytes.into_vec()
    }
}

thread_local! {
    /// The memory of the value that is being decoded.
    static SOURCE: RefCell<Option<Shared>> = const { RefCell::new(None) };
}

/// Decodes by `decode`; large bytes in the value are held in `source` and not copied.
pub(crate) fn decode_from<R>(source: Option<&Shared>, decode: impl FnOnce() -> R) -> R {
    /// A value may be decoded inside another, or panic.
    struct Before(Option<Shared>);
    impl Drop for Before {
        fn drop(&mut self) {
            SOURCE.set(self.0.take());
        }
    }
    let Some(source) = source else { return decode() };
    let _before = Before(SOURCE.replace(Some(source.clone())));
    decode()
}

impl fmt::Debug for Bytes {
    /// The length and the first eight bytes: logs are no place for bulk data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} bytes:", self.len())?;
        self.iter().take(8).try_for_each(|byte| write!(f, " {byte:02x}"))?;
        f.write_str(if self.len() > 8 { " ...)" } else { ")" })
    }
}

/// A byte string as serde has it.
struct Raw<'b>(&'b [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The name tells codecs of text formats that base64 will be understood.
        let raw = || serializer.serialize_newtype_struct(BYTES_NEWTYPE, &Raw(self));
        match &self.0 {
            Held::Own(_) => raw(),
            Held::Shared(bytes) => bulk::offer(bytes, raw),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Formats that say of themselves what a value is are asked: `deserialize_byte_buf` would
        // hand over the letters of a text as if they were the bytes.
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(BytesVisitor)
        } else {
            deserializer.deserialize_byte_buf(BytesVisitor)
        }
    }
}

struct BytesVisitor;

/// Room for the items of a list before any of them is seen: a length is only a claim.
const LIST_ROOM: usize = 4096;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes, base64 text, or a list of numbers below 256")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        if bytes.len() >= bulk::LEAST {
            let part = SOURCE.with_borrow(|source| source.as_ref().and_then(|all| all.part(bytes)));
            if let Some(part) = part {
                return Ok(Bytes(Held::Shared(part)));
            }
        }
        Ok(bytes.into())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(bytes.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        let decoded = STANDARD.decode(text);
        decoded.map(Bytes::from).map_err(|error| E::custom(format_args!("no base64 text: {error}")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::with_capacity(list.size_hint().unwrap_or(0).min(LIST_ROOM));
        while let Some(byte) = list.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_is_short() {
        assert_eq!(format!("{:?}", Bytes::from(vec![0, 255])), "Bytes(2 bytes: 00 ff)");
        let long = format!("{:?}", Bytes::from(vec![7; 1 << 20]));
        assert_eq!(long, "Bytes(1048576 bytes: 07 07 07 07 07 07 07 07 ...)");
    }

    #[test]
    fn what_a_clone_holds_is_copied_before_it_is_changed() {
        let large = Bytes::from(vec![7; bulk::LEAST]);
        let mut other = large.clone();
        assert_eq!(other.as_ptr(), large.as_ptr());
        other[0] = 8;
        assert_eq!((large[0], other[0], other.len()), (7, 8, large.len()));
        let address = other.as_ptr();
        let own = other.into_vec();
        assert_eq!(own.as_ptr(), address);
        let less = Bytes::from(vec![7; bulk::LEAST - 1]);
        let copy = less.clone();
        assert_ne!(copy.as_ptr(), less.as_ptr());
    }

    #[test]
    fn bytes_of_the_source_are_held_there_and_others_are_copied() {
        let source = Shared::new(vec![7; bulk::LEAST + 9]);
        let read =
            |bytes: &[u8]| BytesVisitor.visit_bytes::<serde::de::value::Error>(bytes).unwrap();
        let part = &source[9..];
        let held = decode_from(Some(&source), || {
            let (elsewhere, less) = (read(&[7; bulk::LEAST]), read(&part[1..]));
            assert!(!source.as_ptr_range().contains(&elsewhere.as_ptr()));
            assert!(!source.as_ptr_range().contains(&less.as_ptr()), "small ones are copied");
            // A value may be read while another one is.
            let inside = decode_from(Some(&Shared::new(vec![1])), || read(part));
            assert_ne!(inside.as_ptr(), part.as_ptr(), "it is not of that source");
            read(part)
        });
        assert_eq!(held.as_ptr(), part.as_ptr());
        let after = read(part);
        assert_ne!(after.as_ptr(), part.as_ptr(), "nothing is the source any more");
    }

    #[test]
    fn serde_formats_that_know_nothing_of_lanc_read_back_what_they_wrote() {
        let bytes = Bytes::from(vec![0, 1, 255]);
        assert_eq!(serde_json::to_string(&bytes).unwrap(), "[0,1,255]");
        assert_eq!(serde_json::from_str::<Bytes>("[0,1,255]").unwrap(), bytes);
        assert_eq!(serde_json::from_str::<Bytes>(r#""AAH/""#).unwrap(), bytes);
        for bad in [r#""AAH""#, r#""AA-_""#, "[256]", "[-1]", "7", "null", "{}"] {
            assert!(serde_json::from_str::<Bytes>(bad).is_err(), "{bad}");
        }
    }
}
