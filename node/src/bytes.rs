//! Bulk data as a value.

use std::fmt;
use std::ops::{Deref, DerefMut};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanc_core::ports::BYTES_NEWTYPE;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Bytes as an argument, a result, or a field of one: `|picture: Bytes| -> Bytes`.
///
/// In MessagePack they are binary data, copied once in each direction. In a text format they are
/// base64 with padding (RFC 4648 section 4), a third longer. Both forms are read, and a list of
/// numbers too, so that peers may send what their language has. A plain `Vec<u8>` is a list of
/// numbers in every format: up to twice the size, and milliseconds for each MiB.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// The bytes, without copying them.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        bytes.0
    }
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
        serializer.serialize_newtype_struct(BYTES_NEWTYPE, &Raw(&self.0))
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
        Ok(Bytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(Bytes(bytes))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        let decoded = STANDARD.decode(text);
        decoded.map(Bytes).map_err(|error| E::custom(format_args!("no base64 text: {error}")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::with_capacity(list.size_hint().unwrap_or(0).min(LIST_ROOM));
        while let Some(byte) = list.next_element()? {
            bytes.push(byte);
        }
        Ok(Bytes(bytes))
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
