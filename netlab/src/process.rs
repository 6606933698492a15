//! Processes of the tests: waited for by what they print, ended when dropped.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longer than any single thing awaited here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running command whose lines, of both streams, are read as they come.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Line>,
    seen: Vec<Line>,
}

/// A line of one of the two streams. Nothing orders the lines of one by those of the other.
struct Line {
    stream: usize,
    text: String,
    /// A line of the same stream that came later has been waited for.
    is_passed: bool,
}

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// What it printed on standard output.
    pub out: String,
    /// What it printed on standard error.
    pub err: String,
    /// How long it ran.
    pub took: Duration,
}

impl Process {
    /// Starts it with nothing to read.
    pub fn start(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::null()))
    }

    /// Starts it so that it can be told something: see [`Self::tell`].
    pub fn start_to_tell(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::piped()))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = sync_channel(10_000);
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for (stream, source) in streams.into_iter().enumerate() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for text in BufReader::new(source).lines().map_while(Result::ok) {
                    if sender.send(Line { stream, text, is_passed: false }).is_err() {
                        break;
                    }
                }
            });
        }
        let input = child.stdin.take();
        Self { child, input, lines, seen: Vec::new() }
    }

    /// Writes a line to its standard input.
    #[track_caller]
    pub fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it was started with nothing to read");
        writeln!(input, "{line}").unwrap();
    }

    /// Its process id, which is the program's own: nothing stands between.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line it prints within `patience`. `None`: it printed none, or has ended.
    pub fn next_line(&mut self, patience: Duration) -> Option<String> {
        self.lines.recv_timeout(patience).ok().map(|line| line.text)
    }

    /// Waits for a line that holds `text` and returns it: one that came, on its stream, after the
    /// last one waited for there.
    #[track_caller]
    pub fn line(&mut self, text: &str) -> String {
        let began = now();
        loop {
            if let Some(line) = self.take(text) {
                return line;
            }
            let left = PATIENCE.saturating_sub(began.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("no `{text}` in\n{}", self.said()),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended without `{text}`:\n{}", self.said())
                }
            }
        }
    }

    /// The first line seen and not passed that holds `text`; passes those of its stream before it.
    fn take(&mut self, text: &str) -> Option<String> {
        let fits = |line: &Line| !line.is_passed && line.text.contains(text);
        let at = self.seen.iter().position(fits)?;
        let taken = self.seen.remove(at);
        for line in self.seen.iter_mut().take(at) {
            line.is_passed |= line.stream == taken.stream;
        }
        Some(taken.text)
    }

    /// What it has printed and nobody waited for.
    fn said(&self) -> String {
        self.seen.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// Waits for `ready ADDR:PORT` and returns the address.
    #[track_caller]
    pub fn ready(&mut self) -> String {
        let line = self.line("ready ");
        line.strip_prefix("ready ").unwrap().to_owned()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(id, signal).unwrap();
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&self) {
        self.signal(Signal::SIGINT);
    }

    /// Ends it as a power cut would: it says nothing more.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What it has printed once it has ended, and its exit code.
    #[track_caller]
    pub fn ended(mut self) -> (Option<i32>, String) {
        let began = now();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
            self.seen.push(line);
        }
        assert!(began.elapsed() < PATIENCE, "it hangs:\n{}", self.said());
        (self.child.wait().unwrap().code(), self.said())
    }

    /// Waits for its end and returns the exit code, and how long that took.
    #[track_caller]
    pub fn end(mut self) -> (Option<i32>, Duration) {
        let began = now();
        // Both streams close when it has ended.
        while let Ok(line) = self.lines.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) {
            self.seen.push(line);
        }
        assert!(began.elapsed() < PATIENCE, "it hangs:\n{}", self.said());
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
pub fn run(command: &mut Command) -> Done {
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
    /// Checks that it succeeded and printed just this.
    #[track_caller]
    pub fn prints(self, out: &str) -> Self {
        assert_eq!((self.code, self.out.as_str()), (Some(0), out), "{self:?}");
        self
    }

    /// Checks that it failed with this code, and that its complaint holds `text`.
    #[track_caller]
    pub fn fails(self, code: i32, text: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.out.is_empty() && self.err.contains(text), "{self:?}");
        self
    }
}

/// The time, for what a person would wait for.
#[allow(clippy::disallowed_methods, reason = "the network of the tests runs in real time")]
pub fn now() -> Instant {
    Instant::now()
}
