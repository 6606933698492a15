//! The bench runs, its nodes answer without errors, and the counters say what was packed. Times
//! are not looked at.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

const BENCH: &str = env!("CARGO_BIN_EXE_lanc-bench");
const IN_FLIGHT: u64 = 64;

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace()
}

/// A server process; ends with its input.
struct Server {
    process: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    fn start(line: &str) -> Self {
        let mut command = Command::new(BENCH);
        let command = command.args(words(line)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let stdin = process.stdin.take();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut server = Self { process, stdin, stdout, address: String::new() };
        server.address = server.line().strip_prefix("ADDR ").unwrap().to_owned();
        server
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn stats(&mut self) -> Value {
        writeln!(self.stdin.as_mut().unwrap(), "stats").unwrap();
        serde_json::from_str(&self.line()).unwrap()
    }

    fn end(mut self) {
        drop(self.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, but for a test that fails.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a client to its end; returns the line it ended with.
fn client(line: &str) -> Value {
    let out = Command::new(BENCH).args(words(line)).stderr(Stdio::inherit()).output().unwrap();
    assert!(out.status.success(), "{line}");
    let text = String::from_utf8(out.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "START"), "{text}");
    serde_json::from_str(lines[1]).unwrap()
}

fn count(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no `{key}` in {value}"))
}

#[test]
fn every_transport_and_format_packs_calls_and_loses_none() {
    for options in ["udp --codec json", "udp --codec msgpack", "tcp --codec json", "tcp"] {
        // On one thread all callers are ready before anything is sent: packing is certain.
        let options = format!("--transport {options} --runtime current");
        let mut server = Server::start(&format!("{options} bench-server"));
        let load = format!("--in-flight {IN_FLIGHT} --secs 0.2 --payload 0");
        let report = client(&format!("{options} bench-client {} {load}", server.address));
        let calls = count(&report, "calls");
        assert!(calls > IN_FLIGHT && report["cpu_s"].as_f64() > Some(0.0), "{options}: {report}");
        assert_eq!(count(&report, "errors"), 0, "{options}: {report}");
        assert!(report["p50_us"].as_f64() <= report["p99_us"].as_f64());

        let stats = server.stats();
        let [taken, sent] = ["messages_accepted", "messages_sent"].map(|key| count(&stats, key));
        assert!(taken > calls && sent > calls, "{options}: {stats}");
        assert!(taken > count(&stats, "frames_received"), "{options}: no frame held two calls");
        assert!(sent > count(&stats, "frames_sent"), "{options}: no frame held two answers");
        assert_eq!(count(&stats, "dropped"), 0, "{options}: {stats}");
        server.end();
    }
}

/// A file with a key; gone when dropped.
struct KeyFile(std::path::PathBuf);

impl KeyFile {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lanc-bench-{test}-{}", std::process::id()));
        lanc::MasterKey::from_bytes(&[7; 32]).write_file(&path).unwrap();
        Self(path)
    }

    fn option(&self) -> String {
        format!("--key-file {}", self.0.display())
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn sealed_calls_and_echoes_come_back_and_lose_none() {
    let key = KeyFile::new("calls");
    for transport in ["udp", "tcp"] {
        let options = format!("{} --transport {transport}", key.option());
        let mut server = Server::start(&format!("{options} bench-server"));
        // A megabyte takes longer to seal and to open than the others on a busy machine.
        for (bytes, secs) in [(0, 0.2), (1000, 0.2), (1 << 16, 0.2), (1 << 20, 2.0)] {
            let load = format!("--in-flight 2 --secs {secs} --payload {bytes}");
            let report = client(&format!("{options} bench-client {} {load}", server.address));
            assert!(count(&report, "calls") > 0, "{transport}, {bytes}: {report}");
            assert_eq!(count(&report, "errors"), 0, "{transport}, {bytes}: {report}");
        }
        let stats = server.stats();
        assert_eq!(count(&stats, "dropped"), 0, "{transport}: {stats}");
        server.end();
    }
}

#[test]
fn a_table_tells_what_sealing_costs() {
    let key = KeyFile::new("table");
    let rows = "lanc-udp-msgpack,lanc-udp-msgpack+key";
    let line = format!("{} table --rounds 1 --secs 0.1 --rows {rows}", key.option());
    let out = Command::new(BENCH).args(words(&line)).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    assert!(text.contains("### What sealing costs"), "{text}");
    let sealed = text.lines().filter(|line| line.starts_with("| lanc-udp-msgpack+key |"));
    assert_eq!(sealed.count(), 4, "{text}");
}

#[test]
fn functions_on_worker_threads_answer_too() {
    let server = Server::start("bench-server --pooled");
    let load = format!("--in-flight {IN_FLIGHT} --secs 0.1");
    let report = client(&format!("bench-client {} {load}", server.address));
    assert!(count(&report, "calls") > IN_FLIGHT, "{report}");
    assert_eq!(count(&report, "errors"), 0, "{report}");
    server.end();
}

#[test]
fn large_bytes_come_back() {
    for transport in ["udp", "tcp"] {
        let options = format!("--transport {transport}");
        let server = Server::start(&format!("{options} bench-server"));
        for bytes in [1000, 1 << 16, 1 << 20] {
            let load = format!("--in-flight 8 --secs 0.2 --payload {bytes}");
            let report = client(&format!("{options} bench-client {} {load}", server.address));
            assert!(count(&report, "calls") > 0, "{transport}, {bytes}: {report}");
            assert_eq!(count(&report, "errors"), 0, "{transport}, {bytes}: {report}");
        }
        server.end();
    }
}

#[test]
fn a_table_has_every_row_and_every_figure() {
    let rows = ["raw-udp-std", "raw-tcp-tokio", "lanc-udp-msgpack", "lanc-tcp-msgpack"];
    let line = format!("table --rounds 1 --secs 0.2 --rows {}", rows.join(","));
    let out = Command::new(BENCH).args(words(&line)).output().unwrap();
    let (text, progress) = (String::from_utf8_lossy(&out.stdout), out.stderr);
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&progress));
    for row in rows {
        let lines: Vec<_> =
            text.lines().filter(|line| line.starts_with(&format!("| {row} |"))).collect();
        // Measured, ratios, packing.
        assert_eq!(lines.len(), 3, "{row}: {text}");
        let cells: Vec<_> = lines[0].split('|').map(str::trim).collect();
        let echoes = if row == "raw-udp-std" { 0 } else { 2 };
        for place in (2..6 + echoes).chain(8..11) {
            assert!(cells[place].parse::<f64>().unwrap() > 0.0, "{row}: {}", lines[0]);
        }
    }
    assert!(text.contains("Small calls that failed: 0."), "{text}");
}

#[test]
fn what_cannot_be_measured_is_an_error_that_says_why() {
    for (line, wanted) in [
        ("table --rows nonsense", "there is no row `nonsense`"),
        ("floor-client raw-udp-std 127.0.0.1:9 --payload 100", "only raw-tcp-tokio echoes"),
    ] {
        let out = Command::new(BENCH).args(words(line)).output().unwrap();
        let text = String::from_utf8(out.stderr).unwrap();
        assert!(!out.status.success() && text.contains(wanted), "{line}: {text}");
    }
}
