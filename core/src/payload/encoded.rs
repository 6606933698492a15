//! An encoded value: in place if it is small, in a buffer of its own, or with large bytes that
//! somebody else holds too.

use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

use super::Shared;

/// Bytes that need no buffer: a few numbers, a short text. With their length they fill three words,
/// and are moved as such: what is read in other pieces than it was written in waits for the write.
const FEW: usize = 23;

/// An encoded value. Reads as its bytes; where these stand in several places they are put
/// together when they are first asked for, which the way to the network never does.
#[derive(Clone)]
pub struct Encoded(Place);

/// Where the bytes of a value are.
#[derive(Clone)]
enum Place {
    Here(Few),
    Own(Vec<u8>),
    Bulk(Box<Bulk>),
}

#[derive(Clone, Copy)]
#[repr(align(8))]
struct Few {
    length: u8,
    bytes: [u8; FEW],
}

#[derive(Clone)]
struct Bulk {
    /// What nobody else holds.
    own: Vec<u8>,
    /// Where in `own` the rest stands.
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

impl Few {
    #[inline]
    fn of(from: &[u8]) -> Option<Self> {
        let mut bytes = [0; FEW];
        bytes.get_mut(..from.len())?.copy_from_slice(from);
        Some(Self { length: u8::try_from(from.len()).ok()?, bytes })
    }

    #[inline]
    fn get(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl Bulk {
    fn whole(&self) -> &[u8] {
        if self.own.is_empty() {
            return &self.bytes;
        }
        self.whole.get_or_init(|| joined(&self.own, self.at, &self.bytes))
    }
}

impl Encoded {
    /// A copy of bytes that are so few that no buffer is needed for them: up to 23. `None`: they
    /// are more.
    #[inline]
    pub fn few(bytes: &[u8]) -> Option<Self> {
        Few::of(bytes).map(|few| Self(Place::Here(few)))
    }

    /// The same value, and its buffer where that is not needed for it; else an empty one that holds
    /// no memory.
    #[inline]
    pub fn compact(self) -> (Self, Vec<u8>) {
        match self.0 {
            Place::Own(own) => match Self::few(&own) {
                Some(few) => (few, own),
                None => (own.into(), Vec::new()),
            },
            place => (Self(place), Vec::new()),
        }
    }

    /// Bytes of which `bulk` is the part that stands at `at` of `own`.
    pub fn with_bulk(own: Vec<u8>, at: usize, bulk: Shared) -> Self {
        let (at, whole) = (at.min(own.len()), OnceLock::new());
        Self(Place::Bulk(Box::new(Bulk { own, at, bytes: bulk, whole })))
    }

    /// How many bytes.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Place::Here(few) => usize::from(few.length),
            Place::Own(own) => own.len(),
            Place::Bulk(bulk) => bulk.own.len().saturating_add(bulk.bytes.len()),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that are held for it.
    pub fn capacity(&self) -> usize {
        match &self.0 {
            Place::Here(few) => usize::from(few.length),
            Place::Own(own) => own.capacity(),
            Place::Bulk(bulk) => bulk.own.capacity().saturating_add(bulk.bytes.capacity()),
        }
    }

    /// The memory that holds all of it, if that is shared.
    pub fn shared(&self) -> Option<&Shared> {
        self.bulk().filter(|bulk| bulk.own.is_empty()).map(|bulk| &bulk.bytes)
    }

    /// Where its bytes stand, if that is in several places or shared.
    #[inline]
    pub(crate) fn spliced(&self) -> Option<Spliced<'_>> {
        let bulk = self.bulk()?;
        Some(Spliced { own: &bulk.own, at: bulk.at, bulk: &bulk.bytes })
    }

    #[inline]
    fn bulk(&self) -> Option<&Bulk> {
        match &self.0 {
            Place::Bulk(bulk) => Some(bulk),
            _ => None,
        }
    }

    /// Appends the bytes.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let Some(bulk) = self.bulk() else { return out.extend_from_slice(self) };
        let (before, behind) = bulk.own.split_at(bulk.at.min(bulk.own.len()));
        for piece in [before, &bulk.bytes, behind] {
            out.extend_from_slice(piece);
        }
    }

    /// The bytes as one buffer.
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Place::Here(few) => few.get().to_vec(),
            Place::Own(own) => own,
            Place::Bulk(bulk) if bulk.own.is_empty() => bulk.bytes.into_vec(),
            Place::Bulk(mut bulk) => {
                bulk.whole.take().unwrap_or_else(|| joined(&bulk.own, bulk.at, &bulk.bytes))
            }
        }
    }

    /// Its own buffer, for other bytes: what others hold is left to them. One that holds no memory
    /// if it has none.
    #[inline]
    pub fn into_buffer(self) -> Vec<u8> {
        match self.0 {
            Place::Here(_) => Vec::new(),
            Place::Own(own) => own,
            Place::Bulk(bulk) => bulk.own,
        }
    }

    /// Puts it into the buffer that `map` makes of its own, if it has one.
    pub(crate) fn change_own(&mut self, map: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        match &mut self.0 {
            Place::Here(_) => {}
            Place::Own(own) => *own = map(std::mem::take(own)),
            Place::Bulk(bulk) => bulk.own = map(std::mem::take(&mut bulk.own)),
        }
    }
}

impl Default for Encoded {
    /// No bytes.
    fn default() -> Self {
        Self(Place::Here(Few { length: 0, bytes: [0; FEW] }))
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
        match &self.0 {
            Place::Here(few) => few.get(),
            Place::Own(own) => own,
            Place::Bulk(bulk) => bulk.whole(),
        }
    }
}

impl From<Vec<u8>> for Encoded {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Place::Own(bytes))
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

    #[test]
    fn a_few_bytes_stand_in_their_place_and_leave_the_buffer() {
        let (few, buffer) = Encoded::from(vec![7; FEW]).compact();
        assert_eq!((few.len(), few.capacity(), buffer.len()), (FEW, FEW, FEW));
        assert_eq!((&*few, few.clone().into_buffer().capacity()), (buffer.as_slice(), 0));
        assert_eq!(few.into_vec(), buffer);
        let (more, buffer) = Encoded::from(vec![7; FEW + 1]).compact();
        assert_eq!((more.len(), buffer.capacity()), (FEW + 1, 0));
        assert!(Encoded::few(&more).is_none() && more.into_buffer().len() == FEW + 1);
        assert_eq!(size_of::<Encoded>(), 32, "no larger than a buffer and a reference");
    }
}
