//! The wire form of stream records: `02`, service, stream number, body.

use crate::error::ErrorCode;
use crate::framing::{RECORD, RECORD_HEAD, Service};

/// Bytes of the longest body of a control record.
pub(crate) const CONTROL: usize = 5;

const CREDIT: u8 = 1;
const RESET: u8 = 2;

/// What one record says of its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Record<'a> {
    /// The stream's next bytes; none: there are no more in this direction.
    Bytes(&'a [u8]),
    /// So many more bytes may be sent.
    Credit(u32),
    /// Both directions end.
    Reset(ErrorCode),
}

/// Reads a record and the number of its stream; `None`: it is none.
pub(super) fn read(frame: &[u8]) -> Option<(u32, Record<'_>)> {
    let [RECORD, service, n0, n1, n2, n3, body @ ..] = frame else { return None };
    let record = match (Service(*service), body) {
        (Service::STREAM, bytes) => Record::Bytes(bytes),
        (Service::CONTROL, [CREDIT, b0, b1, b2, b3]) => {
            Record::Credit(u32::from_be_bytes([*b0, *b1, *b2, *b3]))
        }
        (Service::CONTROL, [RESET, b0, b1]) => {
            Record::Reset(ErrorCode(u16::from_be_bytes([*b0, *b1])))
        }
        _ => return None,
    };
    Some((u32::from_be_bytes([*n0, *n1, *n2, *n3]), record))
}

/// The stream that a frame brings bytes of; `None`: it is no record that does.
pub(crate) fn stream_of_bytes(frame: &[u8]) -> Option<u32> {
    match read(frame)? {
        (number, Record::Bytes(_)) => Some(number),
        _ => None,
    }
}

fn head(service: Service, number: u32) -> [u8; RECORD_HEAD] {
    let [n0, n1, n2, n3] = number.to_be_bytes();
    [RECORD, service.0, n0, n1, n2, n3]
}

/// The head of a record of a stream's bytes.
pub(crate) fn bytes_head(number: u32) -> [u8; RECORD_HEAD] {
    head(Service::STREAM, number)
}

/// Appends the head of a record of bytes; they, if any, are to follow.
pub(super) fn write_bytes_head(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&bytes_head(number));
}

/// Appends a grant of credit.
pub(super) fn write_credit(number: u32, bytes: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&head(Service::CONTROL, number));
    out.push(CREDIT);
    out.extend_from_slice(&bytes.to_be_bytes());
}

/// Appends a reset.
pub(super) fn write_reset(number: u32, code: ErrorCode, out: &mut Vec<u8>) {
    out.extend_from_slice(&head(Service::CONTROL, number));
    out.push(RESET);
    out.extend_from_slice(&code.0.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_laid_out_as_written() {
        let mut out = Vec::new();
        write_bytes_head(0x0102_0304, &mut out);
        assert_eq!(out, [2, 1, 1, 2, 3, 4]);
        assert_eq!(read(&out), Some((0x0102_0304, Record::Bytes(&[]))));
        out.extend(*b"abc");
        assert_eq!(read(&out), Some((0x0102_0304, Record::Bytes(b"abc"))));
        out.clear();
        write_credit(7, 0x0a0b_0c0d, &mut out);
        assert_eq!(out, [2, 2, 0, 0, 0, 7, 1, 0x0a, 0x0b, 0x0c, 0x0d]);
        assert_eq!(out.len(), RECORD_HEAD + CONTROL);
        assert_eq!(read(&out), Some((7, Record::Credit(0x0a0b_0c0d))));
        out.clear();
        write_reset(8, ErrorCode::TOO_LARGE, &mut out);
        assert_eq!(out, [2, 2, 0, 0, 0, 8, 2, 0, 9]);
        assert_eq!(read(&out), Some((8, Record::Reset(ErrorCode::TOO_LARGE))));
    }

    #[test]
    fn what_is_no_record_is_not_read() {
        for bad in [
            &[][..],
            &[2],
            &[2, 1, 0, 0, 0],
            &[1, 1, 0, 0, 0, 1],
            &[2, 0, 0, 0, 0, 1],
            &[2, 3, 0, 0, 0, 1],
            &[2, 2, 0, 0, 0, 1],
            &[2, 2, 0, 0, 0, 1, 1, 0, 0, 0],
            &[2, 2, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0],
            &[2, 2, 0, 0, 0, 1, 2, 0],
            &[2, 2, 0, 0, 0, 1, 2, 0, 0, 0],
            &[2, 2, 0, 0, 0, 1, 3, 0, 0],
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
