//! The byte pipeline: what happens to a whole frame between codec and transport.
//!
//! Out: messages are encoded one after another into one frame, the frame is compressed if that
//! makes it smaller, then sealed. In: the first byte says which of these steps to undo. All of
//! it happens once per frame, never once per message.

use std::sync::Arc;

use crate::counters::Drop;
use crate::message::Features;
use crate::ports::{Codec, Compressor, DecodeError, ExpandError, Format};

/// First byte of a sealed frame: the version of its envelope.
const SEALED: u8 = 0x01;

/// The formats and transforms a node was built with.
#[derive(Clone)]
pub struct Pipeline {
    codecs: Vec<Arc<dyn Codec>>,
    compressor: Option<(Arc<dyn Compressor>, usize)>,
    max_expanded: usize,
}

impl Pipeline {
    /// A pipeline of one or more codecs. The first is what this node writes to peers that
    /// announce nothing else.
    pub fn new(first: Arc<dyn Codec>) -> Self {
        Self { codecs: vec![first], compressor: None, max_expanded: 64 << 10 }
    }

    /// Adds a codec to read, and to write to peers that read it.
    #[must_use]
    pub fn with_codec(mut self, codec: Arc<dyn Codec>) -> Self {
        self.codecs.push(codec);
        self
    }

    /// Compresses frames of at least `threshold` bytes that become smaller by it.
    #[must_use]
    pub fn with_compressor(mut self, compressor: Arc<dyn Compressor>, threshold: usize) -> Self {
        self.compressor = Some((compressor, threshold));
        self
    }

    /// The codec this node writes by default.
    pub fn preferred(&self) -> &Arc<dyn Codec> {
        let [first, ..] = self.codecs.as_slice() else {
            unreachable!("a pipeline is made with a codec")
        };
        first
    }

    /// What the far end may know of this pipeline.
    pub fn features(&self) -> Features {
        let none = Features::default();
        let msgpack = self.codec(Format::MSGPACK).map_or(none, |_| Features::MSGPACK);
        let compressed = self.compressor.as_ref().map_or(none, |_| Features::COMPRESSED);
        msgpack.with(compressed)
    }

    /// The codec of a format.
    pub fn codec(&self, format: Format) -> Option<&Arc<dyn Codec>> {
        self.codecs.iter().find(|codec| codec.format() == format)
    }

    /// The codec that reads frames beginning with `first`.
    fn claimed_by(&self, first: u8) -> Option<&Arc<dyn Codec>> {
        self.codecs.iter().find(|codec| codec.claims(first))
    }

    /// Undoes sealing and compression of a received frame and finds its codec. `scratch` holds
    /// the plain form where it is another than the frame itself.
    ///
    /// # Errors
    /// The reason to drop the frame.
    pub fn open<'a>(
        &self,
        frame: &'a [u8],
        scratch: &'a mut Vec<u8>,
    ) -> Result<(&Arc<dyn Codec>, &'a [u8]), Drop> {
        let first = *frame.first().ok_or(Drop::Empty)?;
        if first == SEALED {
            return Err(Drop::Sealed);
        }
        if let Some((compressor, _)) = self.compressor.as_ref().filter(|(c, _)| c.claims(first)) {
            scratch.clear();
            let limit = self.max_expanded;
            compressor.expand(frame, limit, scratch).map_err(|error| match error {
                ExpandError::TooLarge => Drop::Oversized,
                ExpandError::Damaged => Drop::Compression,
            })?;
            let first = *scratch.first().ok_or(Drop::Empty)?;
            let codec = self.claimed_by(first).ok_or(Drop::UnknownFormat)?;
            return Ok((codec, scratch));
        }
        let codec = self.claimed_by(first).ok_or(Drop::UnknownFormat)?;
        Ok((codec, frame))
    }

    /// Compresses the frame `out[from..]` in place where the far end reads that and it pays.
    pub fn close(&self, out: &mut Vec<u8>, from: usize, far_end_expands: bool) {
        let Some((compressor, threshold)) = &self.compressor else { return };
        let Some(plain) = out.get(from..).filter(|p| far_end_expands && p.len() >= *threshold)
        else {
            return;
        };
        let mut packed = Vec::with_capacity(plain.len());
        compressor.compress(plain, &mut packed);
        if packed.len() < plain.len() {
            out.truncate(from);
            out.extend_from_slice(&packed);
        }
    }
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
