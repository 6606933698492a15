//! The bytes of a message that is being sent.

use crate::payload::{Shared, Spliced};

/// Large bytes that a message was written without, and where they belong.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    pub(crate) at: usize,
    pub(crate) bulk: Shared,
    /// Bytes of the encoded value that are written out.
    own: usize,
}

impl Gap {
    /// In an encoded value, whose other bytes are written.
    pub(crate) fn of(parts: Spliced<'_>) -> Self {
        Self { at: parts.at, bulk: parts.bulk.clone(), own: parts.own.len() }
    }

    /// The same in a message that ends with the bytes of the value.
    pub(crate) fn at_end_of(self, message: &[u8]) -> Self {
        Self { at: message.len().saturating_sub(self.own).saturating_add(self.at), ..self }
    }

    /// The same behind so many more bytes.
    pub(crate) fn behind(self, room: usize) -> Self {
        Self { at: self.at.saturating_add(room), ..self }
    }

    /// The bytes, if they are to follow the message; it is filled where something stands behind
    /// them.
    pub(crate) fn close(self, message: &mut Vec<u8>) -> Option<Shared> {
        if self.at == message.len() {
            return Some(self.bulk);
        }
        self.fill(message);
        None
    }

    /// Puts the bytes where they belong.
    pub(crate) fn fill(self, message: &mut Vec<u8>) {
        let at = self.at.min(message.len());
        message.extend_from_slice(&self.bulk);
        // Mostly there is nothing behind it.
        message.get_mut(at..).unwrap_or_default().rotate_right(self.bulk.len());
    }
}

/// A whole message: its own bytes, and those that it was written without.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    own: Vec<u8>,
    gap: Option<Gap>,
}

impl Body {
    pub(crate) fn with_gap(own: Vec<u8>, gap: Gap) -> Self {
        let gap = Gap { at: gap.at.min(own.len()), ..gap };
        Self { own, gap: Some(gap) }
    }

    pub(crate) fn len(&self) -> usize {
        self.own.len().saturating_add(self.gap.as_ref().map_or(0, |gap| gap.bulk.len()))
    }

    /// The buffer of its own bytes.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.own
    }

    /// Appends up to `count` bytes from `from` on, and returns how many.
    pub(super) fn append(&self, from: usize, count: usize, out: &mut Vec<u8>) -> usize {
        let (mut skip, mut left) = (from, count);
        for piece in self.pieces() {
            let rest = piece.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(piece.len());
            let bytes = rest.get(..left).unwrap_or(rest);
            out.extend_from_slice(bytes);
            left -= bytes.len();
        }
        count - left
    }

    /// Like [`Self::append`], but the last of the bytes are not copied where they are shared: they
    /// are to follow `out`. There may be fewer than asked for.
    pub(super) fn append_or_share(
        &self,
        from: usize,
        count: usize,
        out: &mut Vec<u8>,
    ) -> (usize, Option<Shared>) {
        let Some(gap) = &self.gap else { return (self.append(from, count, out), None) };
        let before = gap.at.saturating_sub(from).min(count);
        let inside = from.saturating_add(before).checked_sub(gap.at);
        let Some(inside) = inside.filter(|inside| before < count && *inside < gap.bulk.len())
        else {
            return (self.append(from, count, out), None);
        };
        let copied = self.append(from, before, out);
        let shared = gap.bulk.slice(inside, count - before);
        (copied + shared.len(), Some(shared))
    }

    fn pieces(&self) -> [&[u8]; 3] {
        let Some(gap) = &self.gap else { return [&self.own, &[], &[]] };
        let (before, behind) = self.own.split_at(gap.at.min(self.own.len()));
        [before, &gap.bulk, behind]
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.own.capacity()
    }
}

impl From<Vec<u8>> for Body {
    fn from(own: Vec<u8>) -> Self {
        Self { own, gap: None }
    }
}

/// By what is sent.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.pieces().concat() == other.pieces().concat()
    }
}

impl Eq for Body {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_in_several_places_is_cut_anywhere_as_if_it_were_one() {
        let bulk = Shared::new(b"bulk".to_vec());
        let gap = Gap::of(Spliced { own: b"<>", at: 1, bulk: &bulk }).at_end_of(b"head<>");
        let body = Body::with_gap(b"head<>".to_vec(), gap.clone());
        let whole = b"head<bulk>";
        assert_eq!(body.len(), whole.len());
        for from in 0..=whole.len() {
            for count in 0..=whole.len() + 1 {
                let mut out = Vec::new();
                let wanted = &whole[from..(from + count).min(whole.len())];
                assert_eq!(body.append(from, count, &mut out), wanted.len());
                assert_eq!(out, wanted);
            }
        }
        for from in 0..=whole.len() {
            for count in 1..=whole.len() + 1 {
                let mut out = Vec::new();
                let (size, shared) = body.append_or_share(from, count, &mut out);
                let address = shared.as_ref().map(|shared| shared.as_ptr());
                let is_inside =
                    address.is_none_or(|address| bulk.as_ptr_range().contains(&address));
                out.extend_from_slice(shared.as_deref().unwrap_or_default());
                assert!(is_inside && (size > 0 || from == whole.len()));
                assert_eq!(out, &whole[from..from + size]);
            }
        }
        let (mut filled, mut closed) = (b"head<>".to_vec(), b"head<".to_vec());
        assert!(gap.clone().close(&mut closed).is_some_and(|tail| tail.as_ptr() == bulk.as_ptr()));
        assert!(gap.clone().behind(2).close(&mut b"--head<>".to_vec()).is_none());
        assert!(closed == b"head<" && gap.close(&mut filled).is_none());
        assert_eq!((filled.as_slice(), body), (&whole[..], Body::from(whole.to_vec())));
    }
}
