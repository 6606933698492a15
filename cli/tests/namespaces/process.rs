//! Processes of the tests: waited for by what they print, ended when dropped.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Longer than any single thing awaited here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running command whose lines, of both streams, are read as they come.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = sync_channel(10_000);
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line that holds `text` and returns it.
    #[track_caller]
    pub(crate) fn line(&mut self, text: &str) -> String {
        let began = now();
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("no `{text}` in {:#?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended without `{text}`: {:#?}", self.seen)
                }
            }
        }
    }

    /// Waits for `ready ADDR:PORT` and returns the address.
    #[track_caller]
    pub(crate) fn ready(&mut self) -> String {
        let line = self.line("ready ");
        line.strip_prefix("ready ").unwrap().to_owned()
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }

    /// Ends it as a power cut would: it says nothing more.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What it has printed once it has ended, and its exit code.
    #[track_caller]
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let began = now();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
            self.seen.push(line);
        }
        assert!(began.elapsed() < PATIENCE, "it hangs: {:#?}", self.seen);
        (self.child.wait().unwrap().code(), self.seen.join("\n"))
    }

    /// Waits for its end and returns the exit code, and how long that took.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Option<i32>, Duration) {
        let began = now();
        // Both streams close when it has ended.
        while let Ok(line) = self.lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
            self.seen.push(line);
        }
        assert!(began.elapsed() < PATIENCE, "it hangs: {:#?}", self.seen);
        (self.child.wait().unwrap().code(), began.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end. Every verb used here bounds its own time.
pub(crate) fn run(command: &mut Command) -> Done {
    let began = now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    Done {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        took: began.elapsed(),
    }
}

impl Done {
    #[track_caller]
    pub(crate) fn prints(self, out: &str) -> Self {
        assert_eq!((self.code, self.out.as_str()), (Some(0), out), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn fails(self, code: i32, text: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.out.is_empty() && self.err.contains(text), "{self:?}");
        self
    }
}

#[allow(clippy::disallowed_methods, reason = "the tests time what a person would wait for")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
