//! Memory of messages that are being put together, which connections read into: what arrives is
//! then copied once, by the system, to where it stays.
//!
//! A room belongs to the streams of a link, and a connection borrows its memory while a record is
//! read into it. Whether those bytes may be there at all (credit, bounds) is decided as ever when
//! the record is taken: until then they are room that has been written to, and no more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::endpoint::LinkId;
use crate::framing::RECORD_HEAD;

type Key = (LinkId, u32);

/// The rooms of all links.
#[derive(Clone, Debug, Default)]
pub struct Rooms(Arc<Mutex<BTreeMap<Key, Place>>>);

#[derive(Debug)]
struct Place {
    /// As it was left: what it holds beyond `read` means nothing. `None`: it is lent.
    memory: Option<Vec<u8>>,
    /// Bytes that are in it, and those of them that were taken.
    read: usize,
    taken: usize,
    /// Never more.
    most: usize,
}

impl Rooms {
    fn places(&self) -> MutexGuard<'_, BTreeMap<Key, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers memory for up to `most` bytes of a stream.
    pub(crate) fn open(&self, link: LinkId, stream: u32, memory: Vec<u8>, most: usize) -> OwnRoom {
        let place = Place { memory: Some(memory), read: 0, taken: 0, most };
        self.places().insert((link, stream), place);
        OwnRoom { rooms: self.clone(), key: (link, stream), taken: 0 }
    }

    /// Lends the room of a stream for its next `length` bytes. `None`: it has none, or it is not
    /// to hold so many.
    pub(crate) fn lend(&self, link: LinkId, stream: u32, length: usize) -> Option<LentRoom> {
        let key = (link, stream);
        let mut places = self.places();
        let place = places.get_mut(&key)?;
        let end = place.read.checked_add(length).filter(|end| *end <= place.most)?;
        let mut memory = place.memory.take()?;
        let (at, most) = (place.read, place.most);
        drop(places);
        reserve(&mut memory, at, end, most);
        if memory.len() < end {
            // What is filled with zeros is filled once: used again, memory is as it was left.
            let whole = memory.capacity().max(end);
            memory.resize(whole, 0);
        }
        Some(LentRoom { rooms: self.clone(), key, memory, at, end })
    }
}

/// Makes room up to `end` behind `filled` bytes: the memory has at most twice what has arrived, and
/// never more than `most`.
fn reserve(memory: &mut Vec<u8>, filled: usize, end: usize, most: usize) {
    if end > memory.capacity() {
        let grown = filled.saturating_mul(2).min(most).max(end);
        memory.truncate(filled);
        memory.reserve_exact(grown.saturating_sub(filled));
    }
}

/// A room, to whom it belongs. It is over when this is dropped.
#[derive(Debug)]
pub(crate) struct OwnRoom {
    rooms: Rooms,
    key: Key,
    taken: usize,
}

impl OwnRoom {
    /// Bytes that were taken.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    /// Takes bytes by copying them. `false`: others were read before them and not taken.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> bool {
        let mut places = self.rooms.places();
        let Some(place) = places.get_mut(&self.key).filter(|place| place.read == place.taken)
        else {
            return false;
        };
        let Some(memory) = &mut place.memory else { return false };
        let at = place.read;
        let end = at.saturating_add(bytes.len());
        reserve(memory, at, end, place.most);
        let room = memory.get_mut(at..).unwrap_or_default();
        let (over, behind) = bytes.split_at(bytes.len().min(room.len()));
        if let Some(room) = room.get_mut(..over.len()) {
            room.copy_from_slice(over);
        }
        memory.extend_from_slice(behind);
        (place.read, place.taken) = (end, end);
        self.taken = end;
        true
    }

    /// Takes bytes that were read. `false`: there are not so many.
    pub(crate) fn take(&mut self, count: usize) -> bool {
        let mut places = self.rooms.places();
        let Some(place) = places.get_mut(&self.key) else { return false };
        let end = place.taken.saturating_add(count);
        if end > place.read {
            return false;
        }
        place.taken = end;
        self.taken = end;
        true
    }

    /// The bytes that were taken, all that was read. `None`: more was, or is being read.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        let place = self.rooms.places().remove(&self.key)?;
        let mut memory = place.memory.filter(|_| place.read == place.taken)?;
        memory.truncate(place.taken);
        Some(memory)
    }

    /// The memory, if it is not lent.
    pub(crate) fn abandon(self) -> Option<Vec<u8>> {
        let place = self.rooms.places().remove(&self.key)?;
        place.memory
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        let places = self.rooms.places();
        let memory = places.get(&self.key).and_then(|place| place.memory.as_ref());
        memory.map_or(0, Vec::capacity)
    }
}

impl Drop for OwnRoom {
    fn drop(&mut self) {
        self.rooms.places().remove(&self.key);
    }
}

/// Room for one record of a stream, to be read into. If it is dropped, the stream's memory is gone:
/// so is its connection, then.
#[derive(Debug)]
pub struct LentRoom {
    rooms: Rooms,
    key: Key,
    memory: Vec<u8>,
    at: usize,
    end: usize,
}

impl LentRoom {
    /// Where the next bytes belong; empty: all of the record are there.
    pub fn space(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.at..self.end).unwrap_or_default()
    }

    /// Declares the first `count` bytes of [`Self::space`] to have arrived.
    pub fn filled(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.end);
    }

    /// Copies what has arrived elsewhere, no more than there is space for.
    pub fn copy(&mut self, bytes: &[u8]) {
        if let Some(place) = self.space().get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
            self.filled(bytes.len());
        }
    }

    /// Has a whole record written to where its bytes belong behind its head, and returns the head.
    /// What stood in the head's place is there again then, also if `write` fails. `None`: nothing
    /// has arrived so far that a head could stand on.
    pub(crate) fn write_record<E>(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Option<Result<[u8; RECORD_HEAD], E>> {
        let begin = self.at.checked_sub(RECORD_HEAD)?;
        let record = self.memory.get_mut(begin..self.end)?;
        let before = *record.first_chunk::<RECORD_HEAD>()?;
        let written = write(record);
        let place = record.first_chunk_mut()?;
        let head = std::mem::replace(place, before);
        Some(written.map(|()| head))
    }

    /// The link.
    pub fn link(&self) -> LinkId {
        self.key.0
    }

    /// The stream.
    pub(crate) fn stream(&self) -> u32 {
        self.key.1
    }

    /// Gives the room back, with `length` more bytes in it. Returns its stream.
    pub(crate) fn give_back(self, length: usize) -> u32 {
        if let Some(place) = self.rooms.places().get_mut(&self.key) {
            place.memory = Some(self.memory);
            place.read = place.read.saturating_add(length);
        }
        self.key.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Lane;

    const LINK: LinkId = LinkId { lane: Lane(0), slot: 0, generation: 0 };

    fn read(rooms: &Rooms, stream: u32, bytes: &[u8]) -> bool {
        let Some(mut room) = rooms.lend(LINK, stream, bytes.len()) else { return false };
        for piece in bytes.chunks(3) {
            room.space()[..piece.len()].copy_from_slice(piece);
            room.filled(piece.len());
        }
        assert!(room.space().is_empty());
        assert_eq!(room.give_back(bytes.len()), stream);
        true
    }

    #[test]
    fn what_is_copied_and_what_is_read_stands_in_order() {
        let rooms = Rooms::default();
        let mut own = rooms.open(LINK, 7, b"left by others".to_vec(), 20);
        assert!(own.copy(b"first"));
        assert!(read(&rooms, 7, b" second") && read(&rooms, 7, b" third"));
        assert!(!own.copy(b"!"), "others stand there");
        assert!(own.take(7) && own.len() == 12);
        assert!(!own.take(7), "so many were not read");
        assert!(own.take(6) && own.copy(b"!"));
        assert!(!read(&rooms, 7, b"too long") && !read(&rooms, 8, b"nobody's"));
        assert_eq!(own.finish().as_deref(), Some(&b"first second third!"[..]));
        assert!(!read(&rooms, 7, b"over"));
    }

    #[test]
    fn memory_has_at_most_twice_what_has_arrived_and_is_used_as_it_was_left() {
        let rooms = Rooms::default();
        let mut own = rooms.open(LINK, 1, Vec::new(), 1000);
        assert!(own.copy(&[1; 100]) && own.capacity() == 100);
        assert!(read(&rooms, 1, &[2; 10]) && own.capacity() == 200);
        assert!(own.take(10) && own.copy(&[3; 600]) && own.capacity() == 710);
        assert!(read(&rooms, 1, &[4; 5]) && own.capacity() == 1000, "the most there may be");
        let memory = own.abandon().unwrap();
        let place = memory.as_ptr();
        let mut own = rooms.open(LINK, 3, memory, 1000);
        assert!(read(&rooms, 3, &[5; 1000]) && own.take(1000));
        assert_eq!(
            own.finish().map(|memory| (memory.as_ptr(), memory)),
            Some((place, vec![5; 1000]))
        );
    }

    fn written(
        room: &mut LentRoom,
        record: &[u8],
        result: Result<(), ()>,
    ) -> Option<Result<[u8; RECORD_HEAD], ()>> {
        room.write_record(|place| {
            place.copy_from_slice(record);
            result
        })
    }

    #[test]
    fn a_record_is_written_behind_its_head_and_leaves_what_stood_there() {
        let rooms = Rooms::default();
        let mut own = rooms.open(LINK, 7, Vec::new(), 100);
        assert!(own.copy(b"12345"));
        let mut room = rooms.lend(LINK, 7, 4).unwrap();
        // Of five bytes there is no place for a head of six.
        assert_eq!(written(&mut room, b"headed----", Ok(())), None);
        room.give_back(0);
        assert!(own.copy(b"6"));
        let mut room = rooms.lend(LINK, 7, 4).unwrap();
        assert_eq!(written(&mut room, b"forged----", Err(())), Some(Err(())));
        assert_eq!(written(&mut room, b"headed7890", Ok(())), Some(Ok(*b"headed")));
        room.give_back(4);
        assert!(own.take(4));
        assert_eq!(own.finish().as_deref(), Some(&b"1234567890"[..]));
    }

    #[test]
    fn a_message_that_ends_while_more_of_it_is_read_is_none() {
        let rooms = Rooms::default();
        let mut own = rooms.open(LINK, 1, Vec::new(), 100);
        let lent = rooms.lend(LINK, 1, 10);
        assert!(lent.is_some() && rooms.lend(LINK, 1, 10).is_none(), "lent once");
        assert!(!own.copy(b"x") && !own.take(1));
        assert_eq!((own.capacity(), own.finish()), (0, None));
        // What comes back after its end is nobody's.
        lent.into_iter().for_each(|lent| assert_eq!(lent.give_back(10), 1));
        let own = rooms.open(LINK, 1, Vec::new(), 100);
        assert!(read(&rooms, 1, b"not taken"));
        assert_eq!(own.finish(), None);
        drop(rooms.open(LINK, 2, Vec::new(), 100));
        assert!(rooms.lend(LINK, 2, 1).is_none() && rooms.places().is_empty());
    }
}
