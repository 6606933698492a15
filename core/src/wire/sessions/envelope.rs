//! The secure envelope, byte by byte: what stands before every sealed frame, what is
//! authenticated with it, and the two ways through. `docs/protocol.md`, 2.7.
//!
//! Pure: a node does this through its core, which chooses counters and remembers what came. It is
//! here for programs that look at captures and for tests.

use super::tokens::Token;
use crate::counters::Drop;
use crate::id::SessionId;
use crate::ports::{KeyId, OpenError, SessionKey, TAG};

/// Bytes before the sealed ones.
pub const HEAD: usize = 44;
/// Bytes a sealed frame is longer than the plain one.
pub const OVERHEAD: usize = HEAD + TAG;
/// The first byte: the version of the envelope.
pub const VERSION: u8 = 0x01;
/// AES-256-GCM under keys made by HKDF-SHA256.
const SUITE: u8 = 0x01;
/// The last counter of a session.
pub const LAST_COUNTER: u64 = (1 << 48) - 1;
/// An epoch, which has a key of its own, is so many bits of the counter.
const EPOCH_BITS: u32 = 24;

/// The head of an envelope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The key the session's key was made from.
    pub key: KeyId,
    /// Who sealed it.
    pub session: SessionId,
    /// For whom: a token the receiver has given out. `None`: for everybody.
    pub to: Option<Token>,
    /// The session's n-th envelope, from 1.
    pub counter: u64,
    /// Random: a fork or a clone of a machine repeats counters.
    pub salt: [u8; 4],
    /// Of a record of a large message: the low 16 bits of its stream's number, so that it can be
    /// opened where the message is put together. 0: not said.
    pub stream: u16,
}

/// What a receiver has looked at before it opens an envelope, and so is authenticated with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Labels<'a> {
    /// `method` of the message around it.
    pub method: &'a str,
    /// `version` of it.
    pub version: &'a str,
    /// `compress` of it.
    pub compress: &'a str,
}

impl Labels<'static> {
    /// Of a frame for everybody, and of the first one on a connection: it may announce, never
    /// act.
    pub const HELLO: Self = Self::of("hello");
    /// Of a datagram to one node.
    pub const BATCH: Self = Self::of("batch");
    /// Of what follows the first frame of a connection.
    pub const RECORD: Self = Self::of("tcp");

    const fn of(method: &'static str) -> Self {
        Self { method, version: "0.2", compress: "no" }
    }
}

impl Head {
    /// Reads the head of a whole envelope that is no [`Labels::RECORD`].
    ///
    /// # Errors
    /// [`Drop::Envelope`]: like [`Self::read_record`], or it names a stream.
    pub fn read(envelope: &[u8]) -> Result<Self, Drop> {
        Self::read_record(envelope).and_then(|head| match head.stream {
            0 => Ok(head),
            _ => Err(Drop::Envelope),
        })
    }

    /// Reads the head of a whole envelope of [`Labels::RECORD`], which may name a stream.
    ///
    /// # Errors
    /// [`Drop::Envelope`]: shorter than [`OVERHEAD`], another version or suite, a counter of 0 or
    /// above [`LAST_COUNTER`].
    pub fn read_record(envelope: &[u8]) -> Result<Self, Drop> {
        if envelope.len() < OVERHEAD {
            return Err(Drop::Envelope);
        }
        let (head, _) = envelope.split_first_chunk::<HEAD>().ok_or(Drop::Envelope)?;
        let mut rest = &head[..];
        if take(&mut rest)? != [VERSION, SUITE] {
            return Err(Drop::Envelope);
        }
        let stream = u16::from_be_bytes(take(&mut rest)?);
        let key = KeyId(take(&mut rest)?);
        let session = SessionId(take(&mut rest)?);
        let to = Token::read(take(&mut rest)?);
        let counter = u64::from_be_bytes(take(&mut rest)?);
        let salt = take(&mut rest)?;
        if !(1..=LAST_COUNTER).contains(&counter) {
            return Err(Drop::Envelope);
        }
        Ok(Self { key, session, to, counter, salt, stream })
    }

    /// The head as it goes on the wire.
    pub fn write(&self) -> [u8; HEAD] {
        let mut out = [0; HEAD];
        let to = Token::write(self.to);
        let counter = self.counter.to_be_bytes();
        let stream = self.stream.to_be_bytes();
        let (key, session) = (&self.key.0, &self.session.0);
        let parts: [&[u8]; 7] =
            [&[VERSION, SUITE], &stream, key, session, &to, &counter, &self.salt];
        for (place, byte) in out.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        out
    }

    /// Which of the session's keys it is sealed under.
    pub fn epoch(&self) -> u32 {
        u32::try_from(self.counter >> EPOCH_BITS).unwrap_or(u32::MAX)
    }

    /// Used once with a session's key: the counter makes it so, and the salt if that repeats.
    pub fn nonce(&self) -> [u8; 12] {
        let [s0, s1, s2, s3] = self.salt;
        let [c0, c1, c2, c3, c4, c5, c6, c7] = self.counter.to_be_bytes();
        [s0, s1, s2, s3, c0, c1, c2, c3, c4, c5, c6, c7]
    }
}

/// Seals a plain frame in place. `key` is of the head's session and epoch. `false`: a label is
/// longer than 16 bytes, and the frame is as it was.
pub fn seal(head: &Head, labels: Labels<'_>, key: &dyn SessionKey, frame: &mut Vec<u8>) -> bool {
    let bytes = head.write();
    let Some(authenticated) = Authenticated::new(&bytes, labels) else { return false };
    let plain = frame.len();
    frame.resize(plain + HEAD, 0);
    frame.copy_within(..plain, HEAD);
    seal_with(head, &bytes, &authenticated, key, frame);
    true
}

/// Like [`seal`], of a frame that stands behind [`HEAD`] bytes of room: nothing of it is moved.
pub(crate) fn seal_behind_room(
    head: &Head,
    labels: Labels<'_>,
    key: &dyn SessionKey,
    frame: &mut Vec<u8>,
) -> bool {
    let bytes = head.write();
    let authenticated = Authenticated::new(&bytes, labels).filter(|_| frame.len() >= HEAD);
    let Some(authenticated) = authenticated else { return false };
    seal_with(head, &bytes, &authenticated, key, frame);
    true
}

/// Like [`seal_behind_room`], of the first `count` bytes of the buffer and `tail` behind them: what
/// the buffer holds there is room. Sealed, they are one frame.
pub(crate) fn seal_with_tail(
    head: &Head,
    labels: Labels<'_>,
    key: &dyn SessionKey,
    (frame, count): (&mut Vec<u8>, usize),
    tail: &[u8],
) -> bool {
    let bytes = head.write();
    let Some(authenticated) = Authenticated::new(&bytes, labels) else { return false };
    if !(HEAD..=frame.len()).contains(&count) {
        return false;
    }
    put_head(&bytes, frame);
    key.seal_with_tail(&head.nonce(), authenticated.as_slice(), frame, HEAD..count, tail);
    true
}

fn seal_with(
    head: &Head,
    bytes: &[u8; HEAD],
    authenticated: &Authenticated,
    key: &dyn SessionKey,
    frame: &mut Vec<u8>,
) {
    put_head(bytes, frame);
    key.seal(&head.nonce(), authenticated.as_slice(), frame, HEAD);
}

fn put_head(bytes: &[u8; HEAD], frame: &mut [u8]) {
    if let Some(place) = frame.first_chunk_mut() {
        *place = *bytes;
    }
}

/// Opens an envelope in place and returns what was sealed. `head` is what [`Head::read`] found in
/// it, `key` is of that session and epoch.
///
/// # Errors
/// [`OpenError`]: not sealed under this key with these labels, or changed since.
pub fn open<'a>(
    head: &Head,
    labels: Labels<'_>,
    key: &dyn SessionKey,
    envelope: &'a mut [u8],
) -> Result<&'a mut [u8], OpenError> {
    let (bytes, sealed) = envelope.split_first_chunk_mut().ok_or(OpenError)?;
    let authenticated = Authenticated::new(bytes, labels).ok_or(OpenError)?;
    key.open(&head.nonce(), authenticated.as_slice(), sealed)
}

/// Like [`open`], but what was sealed is written to `out`, which is [`OVERHEAD`] bytes shorter than
/// the envelope.
///
/// # Errors
/// [`OpenError`], also where `out` has another length: nothing plain is in it then.
pub(crate) fn open_into(
    head: &Head,
    labels: Labels<'_>,
    key: &dyn SessionKey,
    envelope: &[u8],
    out: &mut [u8],
) -> Result<(), OpenError> {
    let (bytes, sealed) = envelope.split_first_chunk().ok_or(OpenError)?;
    let authenticated = Authenticated::new(bytes, labels).ok_or(OpenError)?;
    key.open_into(&head.nonce(), authenticated.as_slice(), sealed, out)
}

/// Takes the next bytes of a head.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Drop> {
    let (bytes, behind) = rest.split_first_chunk().ok_or(Drop::Envelope)?;
    *rest = behind;
    Ok(*bytes)
}

/// The bytes that are authenticated but not sealed: the head and the labels, each with its length
/// before it. Without a heap.
struct Authenticated {
    bytes: [u8; Self::MOST],
    count: usize,
}

impl Authenticated {
    /// Bytes of one label, at most.
    const LABEL: usize = 16;
    const MOST: usize = HEAD + 3 * (1 + Self::LABEL);

    /// `None`: a label that is longer than any there is.
    fn new(head: &[u8; HEAD], labels: Labels<'_>) -> Option<Self> {
        let mut all = Self { bytes: [0; Self::MOST], count: 0 };
        all.push(head)?;
        for label in [labels.method, labels.version, labels.compress] {
            if label.len() > Self::LABEL {
                return None;
            }
            all.push(&[u8::try_from(label.len()).ok()?])?;
            all.push(label.as_bytes())?;
        }
        Some(all)
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.count.checked_add(bytes.len())?;
        self.bytes.get_mut(self.count..end)?.copy_from_slice(bytes);
        self.count = end;
        Some(())
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.count).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            key: KeyId([1, 2, 3, 4]),
            session: SessionId([5; 16]),
            to: Token::read([6; 8]),
            counter: 0x0102_0304_0506,
            salt: [7, 8, 9, 10],
            stream: 0,
        }
    }

    #[test]
    fn a_head_is_laid_out_as_written() {
        let mut bytes = head().write().to_vec();
        let expected = [
            &[1, 1, 0, 0, 1, 2, 3, 4][..],
            &[5; 16],
            &[6; 8],
            &[0, 0, 1, 2, 3, 4, 5, 6],
            &[7, 8, 9, 10],
        ];
        assert_eq!(bytes, expected.concat());
        bytes.extend([0; TAG]);
        assert_eq!(Head::read(&bytes), Ok(head()));
        assert_eq!(head().epoch(), 0x01_0203);
        assert_eq!(head().nonce(), [7, 8, 9, 10, 0, 0, 1, 2, 3, 4, 5, 6]);
        let everybody = Head { to: None, ..head() };
        assert_eq!(&everybody.write()[24..32], [0; 8]);
    }

    #[test]
    fn a_record_alone_names_a_stream() {
        let of_stream = Head { stream: 0x0a0b, ..head() };
        let whole = [&of_stream.write()[..], &[0; TAG]].concat();
        assert_eq!(whole[..4], [1, 1, 0x0a, 0x0b]);
        assert_eq!(Head::read_record(&whole), Ok(of_stream));
        assert_eq!(Head::read(&whole), Err(Drop::Envelope));
        let whole = [&head().write()[..], &[0; TAG]].concat();
        assert_eq!((Head::read_record(&whole), Head::read(&whole)), (Ok(head()), Ok(head())));
    }

    /// Seals by saying what it was given, and opens what ends with zeros.
    struct Key;
    impl SessionKey for Key {
        fn seal(&self, nonce: &[u8; 12], aad: &[u8], buffer: &mut Vec<u8>, from: usize) {
            buffer.extend_from_slice(&[nonce, aad, &[u8::try_from(from).unwrap()]].concat());
        }
        fn open<'a>(
            &self,
            _: &[u8; 12],
            _: &[u8],
            buffer: &'a mut [u8],
        ) -> Result<&'a mut [u8], OpenError> {
            let (plain, tag) = buffer.split_last_chunk_mut().ok_or(OpenError)?;
            if *tag == [0; TAG] { Ok(plain) } else { Err(OpenError) }
        }
    }

    #[test]
    fn a_frame_behind_room_is_sealed_as_one_that_is_moved() {
        let (mut moved, mut behind) = (b"frame".to_vec(), [&[0; HEAD][..], b"frame"].concat());
        assert!(seal(&head(), Labels::RECORD, &Key, &mut moved));
        assert!(seal_behind_room(&head(), Labels::RECORD, &Key, &mut behind));
        assert_eq!(moved, behind);
        assert!(!seal_behind_room(&head(), Labels::RECORD, &Key, &mut vec![0; HEAD - 1]));
        // Its last bytes elsewhere, and something behind the first ones.
        for left in [&b""[..], b"left", &[7; 99]] {
            let mut apart = [&[0; HEAD][..], b"fra", left].concat();
            let parts = (&mut apart, HEAD + 3);
            assert!(seal_with_tail(&head(), Labels::RECORD, &Key, parts, b"me"));
            assert_eq!(apart, moved);
        }
        let mut short = vec![0; HEAD];
        for count in [HEAD - 1, HEAD + 1] {
            assert!(!seal_with_tail(&head(), Labels::RECORD, &Key, (&mut short, count), b"me"));
        }
    }

    #[test]
    fn what_is_opened_elsewhere_is_what_is_opened_in_place() {
        let whole = [&head().write()[..], b"frame", &[0; TAG]].concat();
        let mut out = [0; 5];
        assert_eq!(open_into(&head(), Labels::RECORD, &Key, &whole, &mut out), Ok(()));
        let mut here = whole.clone();
        let opened = open(&head(), Labels::RECORD, &Key, &mut here);
        assert_eq!((opened.as_deref(), &out), (Ok(&b"frame"[..]), b"frame"));
        let mut other = [1; 6];
        let longer = open_into(&head(), Labels::RECORD, &Key, &whole, &mut other);
        assert_eq!((longer, other), (Err(OpenError), [1; 6]));
        let forged = [&whole[..whole.len() - 1], &[1]].concat();
        assert_eq!(open_into(&head(), Labels::RECORD, &Key, &forged, &mut out), Err(OpenError));
    }

    #[test]
    fn what_cannot_be_a_head_is_dropped() {
        let whole = [&head().write()[..], &[0; TAG]].concat();
        for length in 0..OVERHEAD {
            assert_eq!(Head::read(&whole[..length]), Err(Drop::Envelope));
            assert_eq!(Head::read_record(&whole[..length]), Err(Drop::Envelope));
        }
        for (place, value) in [(0, 2), (1, 0), (1, 2), (2, 1), (3, 1), (32, 1), (33, 1)] {
            let mut bytes = whole.clone();
            bytes[place] = value;
            assert_eq!(Head::read(&bytes), Err(Drop::Envelope), "byte {place}");
        }
        let mut bytes = whole.clone();
        bytes[32..40].fill(0);
        assert_eq!(Head::read(&bytes), Err(Drop::Envelope), "a counter of 0");
        bytes[34..40].fill(0xff);
        assert!(Head::read(&bytes).is_ok(), "the last one");
    }

    #[test]
    fn labels_are_authenticated_with_their_lengths() {
        let aad = Authenticated::new(&[9; HEAD], Labels::HELLO).unwrap();
        assert_eq!(aad.as_slice()[..HEAD], [9; HEAD]);
        assert_eq!(&aad.as_slice()[HEAD..], b"\x05hello\x030.2\x02no");
        let longest = Labels { method: &"m".repeat(16), version: "", compress: "" };
        assert!(Authenticated::new(&[9; HEAD], longest).is_some());
        let longer = Labels { method: &"m".repeat(17), ..longest };
        assert!(Authenticated::new(&[9; HEAD], longer).is_none());
    }
}
