//! A private network of `lanc` processes: a discovery port and a folder.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// No single command of these tests takes longer unless it hangs.
const HANGS: Duration = Duration::from_secs(30);

/// A discovery port, and an empty folder that is home and working directory.
pub(crate) struct Lan {
    port: u16,
    folder: PathBuf,
}

impl Lan {
    pub(crate) fn new() -> Self {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("lanc-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self { port, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A command with a clean environment and no network options.
    pub(crate) fn bare(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanc"));
        command.args(words).current_dir(&self.folder).stdin(Stdio::null());
        command.env_clear().env("HOME", &self.folder);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// The same, kept on loopback and on this network's port.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let port = self.port.to_string();
        let mut all = vec!["--iface", "lo", "--port", &port];
        all.extend(words);
        self.bare(&all)
    }

    /// The same on another machine of this network, as far as its home folder goes.
    pub(crate) fn on(&self, machine: &str, words: &[&str]) -> Command {
        let home = self.folder.join(machine);
        std::fs::create_dir_all(&home).unwrap();
        let mut command = self.command(words);
        command.env("HOME", home);
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Done {
        finish(&mut self.command(words))
    }

    /// Starts `serve` and waits until it is ready.
    pub(crate) fn serve(&self, words: &[&str]) -> Server {
        let mut all = vec!["serve"];
        all.extend(words);
        Server::start(&mut self.command(&all))
    }

    /// Starts `serve`, whose log goes somewhere, and waits until it is ready.
    pub(crate) fn serve_with_log(&self, words: &[&str], log: Stdio) -> Server {
        Server::started(self.command(words).stderr(log))
    }

    /// A named pipe in the folder.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }
}

impl Lan {
    /// The calls that are in the background.
    pub(crate) fn jobs(&self) -> Vec<serde_json::Value> {
        let jobs = finish(&mut self.bare(&["jobs", "--json"])).json();
        jobs.as_array().unwrap().clone()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        // What a test has left in the background ends with it.
        if self.folder.join(".local").exists() {
            for job in self.jobs() {
                signal(job["pid"].as_u64().and_then(|pid| pid.try_into().ok()).unwrap(), "-KILL");
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Below the range from which the system hands out ports, so that no private socket takes it.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = u16::try_from(std::process::id() % 200).unwrap() * 60;
    loop {
        // The one above is for pairing.
        let port = 20_000 + base + NEXT.fetch_add(2, Ordering::Relaxed);
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, out: &str) {
        assert_eq!((self.code, self.out.as_str()), (code, out), "{self:?}");
    }

    /// Checks the exit code and that the error has three lines, of which some hold `parts`.
    #[track_caller]
    pub(crate) fn expect_error(&self, code: i32, parts: &[&str]) {
        self.expect_lines(code, &["error: ", "  ran: ", " next: "], parts);
    }

    /// The same of a verb that calls no function, and says nothing about one.
    #[track_caller]
    pub(crate) fn expect_refusal(&self, code: i32, parts: &[&str]) {
        self.expect_lines(code, &["error: ", " next: "], parts);
    }

    #[track_caller]
    fn expect_lines(&self, code: i32, beginnings: &[&str], parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        let lines: Vec<_> = self.err.lines().collect();
        assert_eq!(lines.len(), beginnings.len(), "{self:?}");
        for (line, beginning) in lines.iter().zip(beginnings) {
            assert!(line.starts_with(beginning), "{self:?}");
        }
        for part in parts {
            assert!(self.err.contains(part), "{part}: {self:?}");
        }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn json_error(&self) -> serde_json::Value {
        let value: serde_json::Value =
            serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        value["error"].clone()
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Done {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    end(command.spawn().unwrap())
}

/// The same, with text on its standard input.
pub(crate) fn finish_with_input(command: &mut Command, input: &str) -> Done {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    end(child)
}

/// Waits for a child that was started with pipes; one that hangs is ended, and its test fails.
pub(crate) fn end(child: Child) -> Done {
    let pid = child.id();
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(HANGS) {
        Ok(output) => output.unwrap().into(),
        Err(_) => {
            signal(pid, "-KILL");
            panic!("the command hangs: {:?}", receiver.recv());
        }
    }
}

/// Reads the first line of a child's standard output; a child that hangs is ended, and its test fails.
pub(crate) fn first_line(child: &mut Child) -> (BufReader<ChildStdout>, String) {
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = stdout.read_line(&mut line);
        sender.send(read.map(|_| (stdout, line)))
    });
    receiver.recv_timeout(HANGS).map(Result::unwrap).unwrap_or_else(|_| {
        signal(child.id(), "-KILL");
        panic!("the command hangs and prints nothing")
    })
}

/// Reads what a child with a pipe writes to standard error until a line holds `text`; that line.
pub(crate) fn wait_for_log(child: &mut Child, text: &str) -> String {
    log_until(child, text).lines().last().unwrap_or_default().to_owned()
}

/// The same; all that was read.
fn log_until(child: &mut Child, text: &str) -> String {
    let stderr = child.stderr.as_mut().unwrap();
    let (mut log, mut line, mut byte) = (String::new(), Vec::new(), [0]);
    // Byte by byte, so that what follows stays for the next reader.
    while stderr.read(&mut byte).unwrap() == 1 {
        line.extend(byte);
        if byte == *b"\n" {
            let line = String::from_utf8(std::mem::take(&mut line)).unwrap();
            log.push_str(&line);
            if line.contains(text) {
                return log;
            }
        }
    }
    panic!("`{text}` is not in the log: {log}");
}

/// Sends a signal to one process.
pub(crate) fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// A running `lanc serve`, ended when dropped.
pub(crate) struct Server {
    child: Option<Child>,
    /// Where it serves.
    pub(crate) address: String,
    // Kept open: a server whose reader has gone is another test.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::started(command.stderr(Stdio::piped()))
    }

    fn started(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (stdout, line) = first_line(&mut child);
        let Some(address) = line.strip_prefix("ready ") else {
            panic!("not ready: {line}{:?}", child.wait_with_output());
        };
        let address = address.trim_end().to_owned();
        Self { child: Some(child), address, _stdout: stdout }
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Reads its log until a line holds `text`, and returns that line.
    pub(crate) fn wait_for_log(&mut self, text: &str) -> String {
        wait_for_log(self.child.as_mut().unwrap(), text)
    }

    /// The same; all that was read.
    pub(crate) fn log_until(&mut self, text: &str) -> String {
        log_until(self.child.as_mut().unwrap(), text)
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Done {
        end(self.child.take().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
