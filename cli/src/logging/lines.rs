//! Lines of the log on their way to standard error. A thread of their own writes them, so that
//! whoever logs neither waits for a reader that does not read nor fails with a disk that is full.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that may wait; lines beyond them are left out.
const MOST_WAITING: usize = 1 << 20;

/// What was logged and is not written yet.
pub(super) struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: Vec<u8>,
    /// Lines for which there was no room.
    left_out: usize,
    is_writing: bool,
}

impl Lines {
    pub(super) const fn new() -> Self {
        let state = State { waiting: Vec::new(), left_out: 0, is_writing: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until the process ends.
    pub(super) fn write_to(&self, mut out: impl Write) -> ! {
        let mut missing = 0;
        loop {
            self.write_some(&mut out, &mut missing);
        }
    }

    /// Waits for lines and writes all there are. `missing`: how many were lost before and have not
    /// been told of.
    fn write_some(&self, out: &mut impl Write, missing: &mut usize) {
        let state = self.changed.wait_while(self.state(), |state| state.waiting.is_empty());
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut state.waiting);
        let left_out = std::mem::take(&mut state.left_out);
        state.is_writing = true;
        drop(state);
        // What failed may have left half a line.
        let gap: &[u8] = if *missing > 0 { b"\n" } else { b"" };
        *missing += left_out;
        let told = match *missing {
            0 => String::new(),
            missing => format!("lines of the log that could not be written: {missing}\n"),
        };
        let mut all = [gap, &lines, told.as_bytes()].into_iter();
        match all.try_for_each(|bytes| out.write_all(bytes)) {
            Ok(()) => *missing = 0,
            // Who would be told is who cannot be written to.
            Err(_) => *missing += lines.iter().filter(|byte| **byte == b'\n').count(),
        }
        self.state().is_writing = false;
        self.changed.notify_all();
    }

    /// Waits until everything is written, or for so long.
    pub(super) fn flush(&self, most: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        drop(self.changed.wait_timeout_while(self.state(), most, is_busy));
    }
}

impl Write for &Lines {
    /// Takes one line or several, whole; never fails and never waits for the reader.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        if state.waiting.len() + lines.len() > MOST_WAITING {
            state.left_out += 1;
        } else {
            state.waiting.extend_from_slice(lines);
        }
        drop(state);
        self.changed.notify_all();
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Disk {
        room: usize,
        holds: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.room);
            if length == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= length;
            self.holds.extend(bytes.iter().take(length));
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_was_full_goes_on_when_there_is_room() {
        let (lines, mut missing) = (Lines::new(), 0);
        let mut disk = Disk { room: 6, holds: Vec::new() };
        for line in ["one\n", "two\n", "three\n"] {
            (&lines).write_all(line.as_bytes()).unwrap();
            lines.write_some(&mut disk, &mut missing);
        }
        assert_eq!((disk.holds.as_slice(), missing), (&b"one\ntw"[..], 2));
        disk.room = usize::MAX;
        for line in ["four\n", "five\n"] {
            (&lines).write_all(line.as_bytes()).unwrap();
            lines.write_some(&mut disk, &mut missing);
        }
        let told = "lines of the log that could not be written: 2";
        let holds = String::from_utf8(disk.holds).unwrap();
        assert_eq!(holds, format!("one\ntw\nfour\n{told}\nfive\n"));
        lines.flush(Duration::MAX);
    }

    #[test]
    fn who_logs_does_not_wait_for_who_reads() {
        let (lines, mut missing) = (Lines::new(), 0);
        let line = [b'x'; 1024];
        for _ in 0..MOST_WAITING / line.len() + 2 {
            (&lines).write_all(&line).unwrap();
        }
        // Returns although nobody writes.
        lines.flush(Duration::ZERO);
        let mut out = Vec::new();
        lines.write_some(&mut out, &mut missing);
        assert!(out.ends_with(b"xlines of the log that could not be written: 2\n"));
        assert_eq!((out.iter().filter(|byte| **byte == b'x').count(), missing), (MOST_WAITING, 0));
    }
}
