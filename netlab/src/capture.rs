//! A record of what passed, to be opened with Wireshark: the classic pcap format.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

/// Nanosecond stamps, version 2.4, whole frames, Ethernet.
const HEADER: [u32; 6] = [0xa1b2_3c4d, 0x0004_0002, 0, 0, 0x0004_0000, 1];

pub(crate) struct Capture {
    file: BufWriter<File>,
}

impl Capture {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        for word in HEADER {
            file.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { file })
    }

    /// Adds a frame, stamped with the time since the switch began.
    pub(crate) fn add(&mut self, at: Duration, frame: &[u8]) -> io::Result<()> {
        let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        for word in [seconds, at.subsec_nanos(), length, length] {
            self.file.write_all(&word.to_le_bytes())?;
        }
        self.file.write_all(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_the_header_and_the_frames() {
        let path = std::env::temp_dir().join(format!("lanc-capture-{}.pcap", std::process::id()));
        let mut capture = Capture::create(&path).unwrap();
        capture.add(Duration::new(3, 4), b"frame").unwrap();
        drop(capture);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(bytes.len(), 24 + 16 + 5);
        assert_eq!(bytes[..8], [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0]);
        assert_eq!(bytes[24..40], [3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0]);
        assert_eq!(&bytes[40..], b"frame");
    }
}
