//! An encoded value: in a buffer of its own, or with large bytes that somebody else holds too.

use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

use super::Shared;

/// An encoded value. Reads as its bytes; where these stand in several places they are put
/// together when they are first asked for, which the way to the network never does.
#[derive(Clone, Default)]
pub struct Encoded {
    own: Vec<u8>,
    bulk: Option<Box<Bulk>>,
}

#[derive(Clone)]
struct Bulk {
    /// Where in `own` it stands.
    at: usize,
    bytes: Shared,
    whole: OnceLock<Vec<u8>>,
}

/// The places of an encoded value's bytes: the bulk stands in `own`, at `at`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spliced<'a> {
    pub(crate) own: &'a [u8],
    pub(crate) at: usize,
    pub(crate) bulk: &'a Shared,
}

impl Encoded {
    /// Bytes of which `bulk` is the part that stands at `at` of `own`.
    pub fn with_bulk(own: Vec<u8>, at: usize, bulk: Shared) -> Self {
        let at = at.min(own.len());
        Self { own, bulk: Some(Box::new(Bulk { at, bytes: bulk, whole: OnceLock::new() })) }
    }

    /// How many bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.own.len().saturating_add(self.bulk.as_ref().map_or(0, |bulk| bulk.bytes.len()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that are held for it.
    pub fn capacity(&self) -> usize {
        self.own.capacity() + self.bulk.as_ref().map_or(0, |bulk| bulk.bytes.capacity())
    }

    /// The memory that holds all of it, if that is shared.
    pub fn shared(&self) -> Option<&Shared> {
        self.bulk.as_ref().filter(|_| self.own.is_empty()).map(|bulk| &bulk.bytes)
    }

    /// Where its bytes stand, if that is in several places or shared.
    #[inline]
    pub(crate) fn spliced(&self) -> Option<Spliced<'_>> {
        let bulk = self.bulk.as_ref()?;
        Some(Spliced { own: &self.own, at: bulk.at, bulk: &bulk.bytes })
    }

    /// Appends the bytes.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let Some(bulk) = &self.bulk else { return out.extend_from_slice(&self.own) };
        let (before, behind) = self.own.split_at(bulk.at.min(self.own.len()));
        for piece in [before, &bulk.bytes, behind] {
            out.extend_from_slice(piece);
        }
    }

    /// The bytes as one buffer.
    pub fn into_vec(self) -> Vec<u8> {
        match self.bulk {
            None => self.own,
            Some(bulk) if self.own.is_empty() => bulk.bytes.into_vec(),
            Some(mut bulk) => {
                bulk.whole.take().unwrap_or_else(|| joined(&self.own, bulk.at, &bulk.bytes))
            }
        }
    }

    /// Its own buffer, for other bytes: what others hold is left to them.
    pub fn into_buffer(self) -> Vec<u8> {
        self.own
    }

    /// Puts it into the buffer that `map` makes of its own.
    pub(crate) fn change_own(&mut self, map: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        self.own = map(std::mem::take(&mut self.own));
    }
}

fn joined(own: &[u8], at: usize, bulk: &[u8]) -> Vec<u8> {
    let (before, behind) = own.split_at(at.min(own.len()));
    [before, bulk, behind].concat()
}

impl Deref for Encoded {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.bulk {
            None => &self.own,
            Some(bulk) if self.own.is_empty() => &bulk.bytes,
            Some(bulk) => bulk.whole.get_or_init(|| joined(&self.own, bulk.at, &bulk.bytes)),
        }
    }
}

impl From<Vec<u8>> for Encoded {
    fn from(bytes: Vec<u8>) -> Self {
        Self { own: bytes, bulk: None }
    }
}

impl From<Shared> for Encoded {
    fn from(bytes: Shared) -> Self {
        Self::with_bulk(Vec::new(), 0, bytes)
    }
}

impl PartialEq for Encoded {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Encoded {}

impl<T: AsRef<[u8]>> PartialEq<T> for Encoded {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_several_places_read_as_one() {
        let bulk = Shared::new(b"bulk".to_vec());
        let value = Encoded::with_bulk(b"ab".to_vec(), 1, bulk.clone());
        assert_eq!((value.len(), &*value), (6, &b"abulkb"[..]));
        assert_eq!(value, b"abulkb");
        assert_eq!(value.clone().into_vec(), b"abulkb");
        assert!(value.shared().is_none() && value.spliced().is_some_and(|parts| parts.at == 1));
        assert_eq!(value.into_buffer(), b"ab");
        let whole = Encoded::from(bulk.clone());
        assert_eq!((whole.as_ptr(), whole.len()), (bulk.as_ptr(), 4));
        assert!(whole.shared().is_some());
        assert!(Encoded::default().is_empty() && Encoded::from(vec![1]).spliced().is_none());
        assert_eq!(Encoded::with_bulk(b"ab".to_vec(), 9, bulk).into_vec(), b"abbulk");
    }
}
