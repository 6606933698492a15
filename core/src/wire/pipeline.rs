//! The byte pipeline: what happens to a whole frame between codec and transport.
//!
//! Out: messages are encoded one after another into one frame, the frame is compressed if that
//! makes it smaller, then sealed. In: the first byte says which of these steps to undo. All of
//! it happens once per frame, never once per message; a message larger than a frame is compressed
//! before it is cut. In keyed mode the engine lets nothing be compressed but what is said to be
//! harmless: the length of the rest would tell of its content.

use std::sync::Arc;

use crate::counters::Drop;
use crate::dialect::{Form, lean};
use crate::message::Features;
use crate::payload::Arguments;
use crate::ports::{Codec, Compressor, DecodeError, ExpandError, Format, GroupKey, Normalizer};
use crate::wire::sessions;
use crate::wire::transcode::Transcoded;

/// A compressed body may expand to this much, whatever its size, bytes.
const EXPANDS_FREELY: usize = 64 << 10;
/// And to so many times its own size: what is larger is a trap, or goes as it is.
const MAX_RATIO: usize = 100;

/// The formats and transforms a node was built with.
#[derive(Clone)]
pub struct Pipeline {
    codecs: Vec<Arc<dyn Codec>>,
    /// The format of each: asked for several times for each message.
    formats: Vec<Format>,
    /// The place of [`Self::plain`].
    plain: usize,
    /// Whether lean frames are read, and so may be written.
    lean: bool,
    compressor: Option<(Arc<dyn Compressor>, usize)>,
    normalizer: Option<Arc<dyn Normalizer>>,
    keys: Vec<Arc<dyn GroupKey>>,
}

impl Pipeline {
    /// A pipeline of one or more codecs. This node's own arguments are written in the first;
    /// peers that do not read it get them in JSON.
    pub fn new(first: Arc<dyn Codec>) -> Self {
        Self {
            lean: lean::is_claimed_by(first.as_ref()),
            formats: vec![first.format()],
            codecs: vec![first],
            plain: 0,
            compressor: None,
            normalizer: None,
            keys: Vec::new(),
        }
    }

    /// Adds a codec to read, and to write to peers that read it.
    #[must_use]
    pub fn with_codec(mut self, codec: Arc<dyn Codec>) -> Self {
        self.lean |= lean::is_claimed_by(codec.as_ref());
        self.formats.push(codec.format());
        self.codecs.push(codec);
        self.plain = self.place(Format::JSON).unwrap_or(0);
        self
    }

    /// Expands what others have compressed. Compresses frames, and messages that are larger than
    /// one, of at least `threshold` bytes if that saves a tenth; [`usize::MAX`]: none. With a key
    /// only what a call or a function says may be.
    #[must_use]
    pub fn with_compressor(mut self, compressor: Arc<dyn Compressor>, threshold: usize) -> Self {
        self.compressor = Some((compressor, threshold));
        self
    }

    /// Reads frames that older programs write in a way of their own.
    #[must_use]
    pub fn with_normalizer(mut self, normalizer: Arc<dyn Normalizer>) -> Self {
        self.normalizer = Some(normalizer);
        self
    }

    /// Seals every frame, and takes none that is not sealed, under the first of these keys; opens
    /// what is sealed under any. At most 16; more are left out.
    #[must_use]
    pub fn with_key(mut self, key: Arc<dyn GroupKey>) -> Self {
        self.keys.push(key);
        self
    }

    /// The keys it was made with.
    pub fn keys(&self) -> &[Arc<dyn GroupKey>] {
        &self.keys
    }

    /// The codec of this node's own arguments, and of calls to peers that read it.
    pub fn first(&self) -> &Arc<dyn Codec> {
        let [first, ..] = self.codecs.as_slice() else {
            unreachable!("a pipeline is made with a codec")
        };
        first
    }

    /// The codec of what anybody must be able to read: hello, func, bye, and everything to peers
    /// that announce no other. JSON, unless the node was built without it.
    pub fn plain(&self) -> &Arc<dyn Codec> {
        self.codecs.get(self.plain).unwrap_or_else(|| self.first())
    }

    /// The format of [`Self::plain`].
    pub(crate) fn plain_format(&self) -> Format {
        self.formats.get(self.plain).copied().unwrap_or(Format::JSON)
    }

    /// The format of [`Self::first`].
    pub(crate) fn first_format(&self) -> Format {
        self.formats.first().copied().unwrap_or(Format::JSON)
    }

    fn place(&self, format: Format) -> Option<usize> {
        self.formats.iter().position(|own| *own == format)
    }

    /// How messages to a peer with these features are written, unless a call says otherwise.
    pub(crate) fn form_for(&self, far_end: Features) -> Form {
        let first = self.first_format();
        let is_read = self.is_read_by(first, far_end);
        self.form_in(if is_read { first } else { self.plain_format() }, far_end)
    }

    /// How messages in this format are written to a peer with these features.
    pub(crate) fn form_in(&self, format: Format, far_end: Features) -> Form {
        let is_lean = format == Format::MSGPACK && self.lean && far_end.has(Features::LEAN);
        if is_lean { Form::LEAN } else { Form::native(format) }
    }

    /// Whether a peer with these features reads a format that this node has. Formats of one's own
    /// have no bit: who uses one sees to it that all nodes do.
    pub(crate) fn is_read_by(&self, format: Format, far_end: Features) -> bool {
        let announced = format != Format::MSGPACK || far_end.has(Features::MSGPACK);
        announced && self.place(format).is_some()
    }

    /// Appends `value`, one value of format `from`, in format `to`. `false`: one of the formats
    /// is not here, or `value` is none, or nests deeper than `depth` there (a list of numbers takes
    /// the place of bytes where a format has none); nothing was appended.
    pub(crate) fn transcode(
        &self,
        (from, value): (Format, &[u8]),
        to: Format,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> bool {
        let (Some(from), Some(to)) = (self.codec(from), self.codec(to)) else { return false };
        let mut written = false;
        let read = from.deserialize(value, &mut |value| {
            written = to.serialize(&Transcoded::new(value), depth, out).is_ok();
            Ok(())
        });
        read.is_ok() && written
    }

    /// The same for arguments; the list or the map that they stand in counts.
    pub(crate) fn transcode_arguments(
        &self,
        args: &Arguments,
        to: Format,
        depth: u32,
    ) -> Option<Arguments> {
        let mut bytes = Vec::with_capacity(args.len() * 2);
        let put = |part: &[u8], bytes: &mut Vec<u8>| {
            part.is_empty() || self.transcode((args.format(), part), to, depth, bytes)
        };
        let positional = put(args.positional(), &mut bytes);
        let named_at = bytes.len();
        let named = put(args.named(), &mut bytes);
        (positional && named).then(|| Arguments::from_buffer(to, bytes, named_at))
    }

    /// What the far end may know of this pipeline.
    pub fn features(&self) -> Features {
        let none = Features::default();
        let msgpack = self.codec(Format::MSGPACK).map_or(none, |_| Features::MSGPACK);
        let lean = if self.lean { Features::LEAN } else { none };
        let compressed = self.compressor.as_ref().map_or(none, |_| Features::COMPRESSED);
        msgpack.with(lean).with(compressed)
    }

    /// The codec of a format.
    pub fn codec(&self, format: Format) -> Option<&Arc<dyn Codec>> {
        self.codecs.get(self.place(format)?)
    }

    /// The codec that reads frames beginning with `first`.
    pub(crate) fn claimed_by(&self, first: u8) -> Option<&Arc<dyn Codec>> {
        self.codecs.iter().find(|codec| codec.claims(first))
    }

    /// Undoes compression of a received frame, to `limit` bytes at most, and finds its codec.
    /// `scratch` holds the plain form where it is another than the frame itself.
    ///
    /// # Errors
    /// The reason to drop the frame.
    pub fn open<'a>(
        &self,
        frame: &'a [u8],
        limit: usize,
        scratch: &'a mut Vec<u8>,
    ) -> Result<(&Arc<dyn Codec>, &'a [u8]), Drop> {
        let first = *frame.first().ok_or(Drop::Empty)?;
        if first == sessions::VERSION {
            return Err(Drop::Sealed);
        }
        if let Some((compressor, _)) = self.compressor.as_ref().filter(|(c, _)| c.claims(first)) {
            scratch.clear();
            let limit = limit.min(most_of(frame.len()));
            compressor.expand(frame, limit, scratch).map_err(|error| match error {
                ExpandError::TooLarge => Drop::Oversized,
                ExpandError::Damaged => Drop::Compression,
            })?;
            let first = *scratch.first().ok_or(Drop::Empty)?;
            let codec = self.claimed_by(first).ok_or(Drop::UnknownFormat)?;
            return Ok((codec, scratch));
        }
        if let Some(normalizer) = self.normalizer.as_ref().filter(|n| n.claims(frame)) {
            scratch.clear();
            normalizer.normalize(frame, EXPANDS_FREELY, scratch).map_err(drop_of)?;
            let codec = self.codec(Format::JSON).ok_or(Drop::UnknownFormat)?;
            return Ok((codec, scratch));
        }
        let codec = self.claimed_by(first).ok_or(Drop::UnknownFormat)?;
        Ok((codec, frame))
    }

    /// Whether this node tries to make so many bytes smaller, if that is allowed.
    pub(crate) fn compresses(&self, size: usize) -> bool {
        self.compressor.as_ref().is_some_and(|(_, threshold)| size >= *threshold)
    }

    /// Writes a frame, or a message that is larger than one, into `packed` (cleared first) as it
    /// goes out compressed. `false`: it goes as it is, because it may not be compressed (the far
    /// end does not read that, or its length would tell of it) or because it does not pay.
    pub fn close(&self, frame: &[u8], may_shrink: bool, packed: &mut Vec<u8>) -> bool {
        packed.clear();
        let Some((compressor, _)) = self.compressor.as_ref().filter(|_| may_shrink) else {
            return false;
        };
        if !self.compresses(frame.len()) {
            return false;
        }
        compressor.compress(frame, packed);
        let pays = packed.len() <= frame.len() / 10 * 9;
        pays && !packed.is_empty() && frame.len() <= most_of(packed.len())
    }
}

/// What a compressed body of so many bytes may expand to.
fn most_of(packed: usize) -> usize {
    packed.saturating_mul(MAX_RATIO).max(EXPANDS_FREELY)
}

/// The counter of a decoding failure.
pub(crate) fn drop_of(error: DecodeError) -> Drop {
    match error {
        DecodeError::TooDeep => Drop::TooDeep,
        DecodeError::TooManyValues => Drop::TooMany,
        DecodeError::WrongType | DecodeError::Shape => Drop::BadField,
        _ => Drop::Malformed,
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let formats: Vec<_> = self.codecs.iter().map(|codec| codec.format().name()).collect();
        write!(f, "Pipeline({})", formats.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `z`, the count as two bytes, and the byte that is repeated.
    struct RunLength;

    impl Compressor for RunLength {
        fn name(&self) -> &'static str {
            "run"
        }

        fn claims(&self, first: u8) -> bool {
            first == b'z'
        }

        fn compress(&self, plain: &[u8], out: &mut Vec<u8>) {
            match plain {
                [first, rest @ ..] if rest.iter().all(|byte| byte == first) => {
                    let count = u16::try_from(plain.len()).unwrap();
                    out.extend_from_slice(&[
                        b'z',
                        count.to_be_bytes()[0],
                        count.to_be_bytes()[1],
                        *first,
                    ]);
                }
                _ => out.extend_from_slice(plain),
            }
        }

        fn expand(
            &self,
            packed: &[u8],
            limit: usize,
            out: &mut Vec<u8>,
        ) -> Result<(), ExpandError> {
            let [b'z', high, low, byte] = packed else { return Err(ExpandError::Damaged) };
            let count = usize::from(u16::from_be_bytes([*high, *low]));
            if count > limit {
                return Err(ExpandError::TooLarge);
            }
            out.resize(out.len() + count, *byte);
            Ok(())
        }
    }

    /// Claims frames of `{`; nothing else of it is used here.
    struct Braces;

    impl Codec for Braces {
        fn format(&self) -> Format {
            Format::new("braces")
        }
        fn claims(&self, first: u8) -> bool {
            first == b'{'
        }
        fn read_map<'a>(
            &self,
            _: &'a [u8],
            _: &mut crate::ports::Budget,
            _: &mut crate::ports::OnEntry<'_, 'a>,
        ) -> Result<usize, DecodeError> {
            Err(DecodeError::Truncated)
        }
        fn read_list<'a>(
            &self,
            _: &'a [u8],
            _: &mut crate::ports::Budget,
            _: &mut crate::ports::OnItem<'_, 'a>,
        ) -> Result<usize, DecodeError> {
            Err(DecodeError::Truncated)
        }
        fn write_item(&self, _: &crate::ports::Item<'_>, _: &mut Vec<u8>) {}
        fn write_map(&self, _: &[(&str, crate::ports::Item<'_>)], _: &mut Vec<u8>) {}
        fn write_list(&self, _: &[crate::ports::Item<'_>], _: &mut Vec<u8>) {}
        fn write_separator(&self, _: &mut Vec<u8>) {}
        fn serialize(
            &self,
            _: &dyn erased_serde::Serialize,
            _: u32,
            _: &mut Vec<u8>,
        ) -> Result<(), crate::ports::EncodeError> {
            Ok(())
        }
        fn deserialize(&self, _: &[u8], _: &mut crate::ports::OnValue<'_>) -> Result<(), String> {
            Ok(())
        }
    }

    fn open(pipeline: &Pipeline, frame: &[u8]) -> Result<Vec<u8>, Drop> {
        let mut scratch = Vec::new();
        pipeline.open(frame, 1 << 20, &mut scratch).map(|(_, plain)| plain.to_vec())
    }

    #[test]
    fn compresses_only_above_the_threshold_for_those_who_read_it_and_when_it_pays() {
        let plain = Pipeline::new(Arc::new(Braces));
        let pipeline = plain.clone().with_compressor(Arc::new(RunLength), 100);
        assert!(pipeline.features().has(Features::COMPRESSED));
        assert!(!plain.features().has(Features::COMPRESSED));
        let packed = |length: usize, expands: bool| {
            let (frame, mut packed) = (vec![b'{'; length], b"old".to_vec());
            if pipeline.close(&frame, expands, &mut packed) { packed } else { frame }
        };
        assert_eq!(packed(99, true).len(), 99);
        assert_eq!(packed(100, false).len(), 100);
        let small = packed(100, true);
        assert_eq!(small.len(), 4);
        assert_eq!(open(&pipeline, &small), Ok(vec![b'{'; 100]));
        let mixed = [b"{".repeat(100), b"}".to_vec()].concat();
        assert!(!pipeline.close(&mixed, true, &mut Vec::new()), "it does not become smaller");
        // 65,535 bytes in four would be taken for a trap, were it not for what is free.
        assert_eq!(packed(65_535, true).len(), 4);
    }

    /// Says that it makes a tenth of everything less.
    struct Saves(usize);

    impl Compressor for Saves {
        fn name(&self) -> &'static str {
            "saves"
        }
        fn claims(&self, first: u8) -> bool {
            first == b'z'
        }
        fn compress(&self, plain: &[u8], out: &mut Vec<u8>) {
            out.resize(plain.len() - self.0, b'z');
        }
        fn expand(&self, packed: &[u8], limit: usize, _: &mut Vec<u8>) -> Result<(), ExpandError> {
            assert_eq!(limit, 1 << 20, "{} bytes", packed.len());
            Err(ExpandError::TooLarge)
        }
    }

    #[test]
    fn a_tenth_must_be_saved_and_no_more_than_would_look_like_a_trap() {
        let pays = |saves: usize, length: usize| {
            let pipeline =
                Pipeline::new(Arc::new(Braces)).with_compressor(Arc::new(Saves(saves)), 100);
            pipeline.close(&vec![b'{'; length], true, &mut Vec::new())
        };
        assert!(pays(100, 1000) && !pays(99, 1000));
        assert!(pays(198_000, 200_000) && !pays(198_001, 200_000));
        assert!(!pays(1000, 1000), "nothing came out");
    }

    #[test]
    fn a_body_expands_to_a_hundred_times_itself_at_most() {
        assert_eq!((most_of(1), most_of(655), most_of(656)), (65_536, 65_536, 65_600));
        let pipeline = Pipeline::new(Arc::new(Braces)).with_compressor(Arc::new(Saves(0)), 100);
        assert_eq!(open(&pipeline, &vec![b'z'; 20_000]), Err(Drop::Oversized));
    }

    #[test]
    fn every_frame_is_opened_or_dropped_under_its_reason() {
        let plain = Pipeline::new(Arc::new(Braces));
        let pipeline = plain.clone().with_compressor(Arc::new(RunLength), 100);
        assert_eq!(open(&pipeline, b"{}"), Ok(b"{}".to_vec()));
        assert_eq!(open(&pipeline, b""), Err(Drop::Empty));
        assert_eq!(open(&pipeline, &[sessions::VERSION, 1, 2]), Err(Drop::Sealed));
        assert_eq!(open(&pipeline, b"z\xff\xff{"), Ok(vec![b'{'; 65_535]));
        assert_eq!(open(&pipeline, b"z\x00\x05?"), Err(Drop::UnknownFormat));
        assert_eq!(open(&pipeline, b"z\x00\x00{"), Err(Drop::Empty));
        assert_eq!(open(&pipeline, b"zzz"), Err(Drop::Compression));
        assert_eq!(open(&plain, b"z\x00\x05{"), Err(Drop::UnknownFormat));
        let within = |limit| pipeline.open(b"z\x00\x64{", limit, &mut Vec::new()).map(|_| ());
        assert_eq!((within(100), within(99)), (Ok(()), Err(Drop::Oversized)));
    }
}
