//! What a frame of the core looks like in a stream, and back.
//!
//! A frame tells what it is by its first byte. In a stream its header tells the same, and of a
//! stream record all of its head, so that head does not travel a second time.

use super::{Frame, Header, Kind, Service};

/// The first byte of a stream record. Behind it: the service (u8), the stream (u32, big-endian)
/// and the body.
pub const RECORD: u8 = 0x02;

/// Bytes of a stream record before its body.
pub const RECORD_HEAD: usize = 6;

impl Kind {
    /// The kind of a frame that begins with `first`; `None`: a stream record.
    const fn of(first: Option<u8>) -> Option<Self> {
        match first {
            Some(RECORD) => None,
            Some(b'{') => Some(Self::JSON),
            Some(0x80..=0x9f | 0xde | 0xdf) => Some(Self::MESSAGE_PACK),
            Some(0x01) => Some(Self::SEALED),
            Some(0x78) => Some(Self::COMPRESSED),
            _ => Some(Self::RAW),
        }
    }
}

impl Header {
    /// The header of a frame of `length` bytes, and how many of its first bytes the header
    /// stands for: these are not sent. `start` is the beginning of the frame, at least
    /// [`RECORD_HEAD`] bytes or all there are.
    ///
    /// `None`: a stream record that is too short or of an unknown service, or a length of
    /// 2^32 - 12 or more.
    ///
    /// ```
    /// use lanc_core::framing::{Header, Kind, Service};
    ///
    /// let record = [2, 1, 0, 0, 0, 7, b'h', b'i'];
    /// let (header, skip) = Header::of_frame(&record, record.len()).unwrap();
    /// assert_eq!((header.kind, header.service, header.id), (Kind::RAW, Service::STREAM, 7));
    /// assert_eq!((header.length(), &record[skip..]), (14, &b"hi"[..]));
    /// ```
    pub fn of_frame(start: &[u8], length: usize) -> Option<(Self, usize)> {
        if let Some(kind) = Kind::of(start.first().copied()) {
            return Some((Self::new(kind, Service::MESSAGES, 0, length)?, 0));
        }
        let [_, service, s0, s1, s2, s3] = *start.first_chunk::<RECORD_HEAD>()?;
        let (service, stream) = (Service(service), u32::from_be_bytes([s0, s1, s2, s3]));
        let body = length.checked_sub(RECORD_HEAD).filter(|_| service.is_of_streams())?;
        Some((Self::new(Kind::RAW, service, stream, body)?, RECORD_HEAD))
    }

    /// Of a record that brings bytes: its stream, and how many.
    pub fn of_stream(&self) -> Option<(u32, usize)> {
        let is_one = self.kind == Kind::RAW && self.service == Service::STREAM;
        let length = usize::try_from(self.length()).ok()?.checked_sub(Self::SIZE)?;
        is_one.then_some((self.id, length))
    }
}

impl Service {
    fn is_of_streams(self) -> bool {
        matches!(self, Self::STREAM | Self::CONTROL)
    }
}

impl<'a> Frame<'a> {
    /// The frame as its sender's core handed it over. `None`: its header says what this version
    /// does not know, or something else than its body.
    pub fn restore(self) -> Option<&'a mut [u8]> {
        let Header { kind, service, id, .. } = self.header;
        if service == Service::MESSAGES {
            let is_what_it_says = Kind::of(self.body().first().copied()) == Some(kind);
            return (is_what_it_says && id == 0).then(|| self.into_body());
        }
        if kind != Kind::RAW || !service.is_of_streams() {
            return None;
        }
        // The record's head takes the place of the header's last bytes.
        let whole = self.whole.get_mut(Header::SIZE - RECORD_HEAD..)?;
        let [i0, i1, i2, i3] = id.to_be_bytes();
        *whole.first_chunk_mut()? = [RECORD, service.0, i0, i1, i2, i3];
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Splitter;
    use super::*;

    /// What a stream holds of a frame; `None`: it is refused.
    fn sent(frame: &[u8]) -> Option<Vec<u8>> {
        let start = &frame[..frame.len().min(RECORD_HEAD)];
        let (header, skip) = Header::of_frame(start, frame.len())?;
        Some([&header.encode(), &frame[skip..]].concat())
    }

    /// What the far end's core gets of it.
    fn received(stream: &[u8]) -> Option<Vec<u8>> {
        let mut splitter = Splitter::new(1 << 16);
        assert_eq!(splitter.feed(stream), stream.len());
        let frame = splitter.next_frame().unwrap().expect("a whole frame");
        frame.restore().map(|frame| frame.to_vec())
    }

    fn headed(kind: u8, service: u8, id: u32, body: &[u8]) -> Vec<u8> {
        let header = Header::new(Kind(kind), Service(service), id, body.len()).unwrap();
        [&header.encode(), body].concat()
    }

    #[test]
    fn every_kind_of_frame_is_laid_out_as_written_and_comes_back() {
        type Case = (&'static [u8], u8, u8, u32, &'static [u8]);
        let cases: [Case; 11] = [
            (b"{}", 1, 0, 0, b"{}"),
            (b"\x81\xa1a\x01", 2, 0, 0, b"\x81\xa1a\x01"),
            (b"\x9f", 2, 0, 0, b"\x9f"),
            (b"\xde\x00\x00", 2, 0, 0, b"\xde\x00\x00"),
            (b"\x01sealed", 3, 0, 0, b"\x01sealed"),
            (b"\x78\x9c", 4, 0, 0, b"\x78\x9c"),
            (b"m of another format", 0, 0, 0, b"m of another format"),
            (b"", 0, 0, 0, b""),
            (b"\x02\x01\x01\x02\x03\x04bytes", 0, 1, 0x0102_0304, b"bytes"),
            (b"\x02\x02\xff\xff\xff\xff\x02", 0, 2, u32::MAX, b"\x02"),
            (b"\x02\x01\x00\x00\x00\x00", 0, 1, 0, b""),
        ];
        for (frame, kind, service, id, body) in cases {
            let stream = sent(frame).unwrap();
            assert_eq!(stream, headed(kind, service, id, body), "{frame:x?}");
            assert_eq!(received(&stream).as_deref(), Some(frame));
        }
    }

    #[test]
    fn whatever_it_begins_with_a_frame_comes_back_or_is_refused() {
        for first in 0..=u8::MAX {
            for length in 1..9 {
                let mut frame = vec![1_u8; length];
                frame[0] = first;
                let stream = sent(&frame);
                assert_eq!(stream.is_none(), first == RECORD && length < RECORD_HEAD, "{frame:?}");
                if let Some(stream) = stream {
                    assert_eq!(received(&stream), Some(frame));
                }
            }
        }
        for service in (0..=u8::MAX).filter(|service| !(1..=2).contains(service)) {
            assert_eq!(sent(&[RECORD, service, 0, 0, 0, 1, 9]), None);
        }
    }

    #[test]
    fn a_record_too_long_for_a_header_is_refused() {
        let (record, most) = ([RECORD, 1, 0, 0, 0, 1], usize::try_from(u32::MAX).unwrap());
        let length = |length| Header::of_frame(&record, length).map(|(header, _)| header.length());
        assert_eq!(length(most - 12 + RECORD_HEAD), Some(u32::MAX));
        assert_eq!(length(most - 11 + RECORD_HEAD), None);
        assert_eq!(length(RECORD_HEAD - 1), None, "less than what was shown of it");
    }

    #[test]
    fn a_header_and_a_body_that_contradict_each_other_are_no_frame() {
        let bodies: [(&[u8], u8); 7] = [
            (b"{}", 1),
            (b"\x80", 2),
            (b"\x93", 2),
            (b"\x01", 3),
            (b"\x78", 4),
            (b"", 0),
            (b"\x02\x01\x00\x00\x00\x01", 255),
        ];
        for (body, own) in bodies {
            for kind in 0..=254 {
                let got = received(&headed(kind, 0, 0, body));
                assert_eq!(got.is_some(), kind == own, "kind {kind} of {body:x?}");
            }
        }
    }

    #[test]
    fn what_this_version_does_not_know_is_no_frame() {
        for (kind, service, id) in [
            (0, 3, 1),
            (1, 1, 1),
            (1, 2, 1),
            (3, 1, 1),
            (4, 2, 1),
            (1, 0, 1),
            (1, 255, 0),
            (9, 0, 0),
        ] {
            let stream = headed(kind, service, id, b"{}");
            assert_eq!(received(&stream), None, "type {kind}, service {service}, id {id}");
        }
    }
}
