//! The datagrams of a pairing. Every kind has one length.

/// No datagram is longer.
pub const MAX_DATAGRAM: usize = HEAD + ELEMENT + PROOF;

/// Bytes of an element of the group, with the letter of its side before it.
pub(super) const ELEMENT: usize = 33;
/// Bytes of a proof.
pub(super) const PROOF: usize = 32;
/// Bytes of a sealed key.
pub(super) const SEALED: usize = 32 + 16;
/// Bytes that name one pairing.
pub(super) const SESSION: usize = 16;

const MAGIC: &[u8; 8] = b"LANCpair";
const VERSION: u8 = 1;
/// Magic, version, kind, place, session.
const HEAD: usize = 8 + 1 + 1 + 2 + SESSION;

/// What a datagram is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Ask,
    Offer,
    Proof,
    Accept,
    Ready,
    Key,
    Done,
    No,
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::Ask,
        Self::Offer,
        Self::Proof,
        Self::Accept,
        Self::Ready,
        Self::Key,
        Self::Done,
        Self::No,
    ];

    fn number(self) -> u8 {
        match self {
            Self::Ask => 1,
            Self::Offer => 2,
            Self::Proof => 3,
            Self::Accept => 4,
            Self::Ready => 5,
            Self::Key => 6,
            Self::Done => 7,
            Self::No => 8,
        }
    }

    fn length(self) -> usize {
        match self {
            // As long as its answer: nobody's question is made larger.
            Self::Ask | Self::Offer => ELEMENT,
            Self::Proof => ELEMENT + PROOF,
            Self::Accept | Self::Ready | Self::Done => PROOF,
            Self::Key => SEALED,
            Self::No => 0,
        }
    }
}

/// A datagram that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: Kind,
    /// The first two digits of the code.
    pub(super) place: [u8; 2],
    pub(super) session: [u8; SESSION],
    /// Of the kind's length.
    pub(super) body: &'a [u8],
    /// Everything before the body.
    pub(super) head: &'a [u8],
}

/// `None`: it is no datagram of a pairing, or one of another version.
pub(super) fn read(datagram: &[u8]) -> Option<Message<'_>> {
    let (head, body) = datagram.split_at_checked(HEAD)?;
    let rest = head.strip_prefix(MAGIC)?.strip_prefix(&[VERSION])?;
    let (kind, rest) = rest.split_first()?;
    let kind = Kind::ALL.into_iter().find(|known| known.number() == *kind)?;
    let (place, session) = rest.split_first_chunk::<2>()?;
    let session = session.try_into().ok()?;
    (body.len() == kind.length()).then_some(Message { kind, place: *place, session, body, head })
}

/// The bytes before the body.
pub(super) fn head(kind: Kind, place: [u8; 2], session: &[u8; SESSION]) -> Vec<u8> {
    let mut out = Vec::with_capacity(MAX_DATAGRAM);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[VERSION, kind.number()]);
    out.extend_from_slice(&place);
    out.extend_from_slice(session);
    out
}

/// A datagram.
pub(super) fn write(
    kind: Kind,
    place: [u8; 2],
    session: &[u8; SESSION],
    body: &[&[u8]],
) -> Vec<u8> {
    let mut out = head(kind, place, session);
    body.iter().for_each(|part| out.extend_from_slice(part));
    out
}
