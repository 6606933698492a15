//! What nodes tell of themselves, printed: `lanc stats`, and `lanc top` where there is no
//! terminal.

use std::time::Duration;

use lanc::stats::{FunctionStats, Latency, Numbers, PeerStats};
use lanc::{ErrorCode, Executed, Stats};

use crate::args::StatsArgs;
use crate::failure::Failure;
use crate::{duration, escape, exit, local, output, table};

/// How long a process may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the processes of this machine have told.
#[derive(Default)]
pub(crate) struct Processes {
    /// By the names of their nodes.
    pub(crate) all: Vec<Stats>,
    /// Those that live and have told nothing.
    pub(crate) silent: Vec<Silent>,
}

/// One of them.
#[cfg_attr(not(unix), expect(dead_code, reason = "nobody can be asked there"))]
pub(crate) enum Process {
    /// It has told.
    Told(Box<Stats>),
    /// It has not.
    Silent(Silent),
}

/// A process that has told nothing: it was stopped, or is busy.
pub(crate) struct Silent {
    /// Not known of one that takes no more connections.
    pub(crate) pid: Option<u32>,
    /// How it did not answer: what follows that it did not.
    pub(crate) why: String,
}

impl Silent {
    fn text(&self) -> String {
        let pid = self.pid.map(|pid| format!("process {pid}"));
        format!("{} did not answer {}", pid.as_deref().unwrap_or("a process"), self.why)
    }
}

/// Asks the processes of this machine and prints what they tell; returns the exit code.
///
/// # Errors
/// As [`print`], or the folder of control sockets cannot be read.
pub(crate) async fn run(args: &StatsArgs, as_json: bool) -> Result<u8, Failure> {
    print(&local::processes(PATIENCE).await?, args, as_json)?;
    Ok(exit::OK)
}

/// Prints the statistics of the processes that are meant, of all that there are: as tables, or
/// as one JSON object in a line for each.
///
/// # Errors
/// `no_provider` when none of them is meant, `timeout` or `partial` when some that may be meant
/// have told nothing, and the system's refusal of the output.
fn print(found: &Processes, args: &StatsArgs, as_json: bool) -> Result<(), Failure> {
    let is_meant = |stats: &&Stats| {
        let named = args.name.as_ref().is_none_or(|name| *name == stats.node);
        named && args.pid.is_none_or(|pid| pid == stats.pid)
    };
    let meant: Vec<_> = found.all.iter().filter(is_meant).collect();
    let is_one_meant = args.pid.is_some() || args.name.is_some();
    let may_be_meant = |silent: &&Silent| {
        // What has no name here may have the one that was asked for, unless another has it.
        let is_named = args.name.is_none() || meant.is_empty();
        let is_pid = |pid| silent.pid.is_none_or(|of| of == pid) && meant.is_empty();
        is_named && args.pid.is_none_or(is_pid)
    };
    let silent: Vec<_> = found.silent.iter().filter(may_be_meant).collect();
    if meant.is_empty() && silent.is_empty() && is_one_meant {
        return Err(no_such(&found.all));
    }
    if meant.is_empty() && silent.is_empty() {
        output::note(
            "no `lanc` process of yours runs on this machine: start one with `lanc serve`\n",
        );
    }
    let told = meant.len();
    let texts = meant.into_iter().map(|stats| if as_json { json(stats) } else { text(stats) });
    let between = if as_json { "" } else { "\n" };
    output::bytes(texts.collect::<Vec<_>>().join(between).as_bytes())?;
    if silent.is_empty() { Ok(()) } else { Err(unheard(&silent, told)) }
}

fn no_such(all: &[Stats]) -> Failure {
    let names: Vec<_> = all.iter().map(|one| format!("{} ({})", one.node, one.pid)).collect();
    let text = "no such `lanc` process of yours runs on this machine";
    let failure = Failure::before_call(ErrorCode::NO_PROVIDER, text);
    match names.is_empty() {
        true => failure.next("start one with `lanc serve`"),
        false => failure.next(format!("there are: {}", names.join(", "))),
    }
}

/// Processes that have told nothing, beside `told` others that have.
fn unheard(silent: &[&Silent], told: usize) -> Failure {
    let texts: Vec<_> = silent.iter().map(|one| one.text()).collect();
    let pid = silent.iter().find_map(|one| one.pid);
    let pid = pid.map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
    let next = format!("ask again; if it was stopped, `kill -CONT {pid}` lets it go on");
    let text = texts.join("; ");
    if told == 0 {
        return Failure::before_call(ErrorCode::TIMEOUT, text).next(next);
    }
    let text = format!("{} of {} processes: {text}", silent.len(), silent.len() + told);
    Failure::partial(text, next).executed(Executed::No)
}

/// One line.
fn json(stats: &Stats) -> String {
    // Names and numbers have a form in JSON.
    let value = serde_json::to_value(stats).unwrap_or_default();
    format!("{}\n", escape::json(&value))
}

/// Tables for people. What has not happened is left out.
pub(crate) fn text(stats: &Stats) -> String {
    let mut text = format!(
        "{}: pid {}, lanc {}, up {}\n",
        escape::line(&stats.node),
        stats.pid,
        escape::line(&stats.version),
        duration::show(Duration::from_millis(stats.uptime_ms))
    );
    let ids: Vec<_> = stats.keys.iter().map(|key| escape::line(&key.id)).collect();
    match ids.split_first() {
        Some((primary, [])) => text.push_str(&format!("keyed: {primary}\n")),
        Some((primary, others)) => {
            text.push_str(&format!("keyed: {primary}; opened too: {}\n", others.join(", ")));
        }
        None => text.push_str("open: no key\n"),
    }
    let sections = [served(stats), called(stats), peers(&stats.peers), counters(stats)];
    for section in sections.into_iter().flatten() {
        text.push('\n');
        text.push_str(&section);
    }
    text
}

fn served(stats: &Stats) -> Option<String> {
    let heading =
        ["RUNS HERE", "COUNT", "FAILED", "QUEUED", "RUNNING", "WAIT P99", "P50", "P99", "MAX"];
    let row = |function: &FunctionStats| {
        let served = function.served.as_ref()?;
        Some([
            function.name.clone(),
            served.count.to_string(),
            served.failed.to_string(),
            served.queued.to_string(),
            served.running.to_string(),
            quantile(&served.wait, served.wait.p99_us),
            quantile(&served.run, served.run.p50_us),
            quantile(&served.run, served.run.p99_us),
            quantile(&served.run, served.run.max_us),
        ])
    };
    render(heading, stats.functions.iter().filter_map(row).collect())
}

fn called(stats: &Stats) -> Option<String> {
    let heading = ["CALLED FROM HERE", "COUNT", "FAILED", "IN FLIGHT", "P50", "P95", "P99", "MAX"];
    let row = |function: &FunctionStats| {
        let called = function.called.as_ref()?;
        Some([
            function.name.clone(),
            called.count.to_string(),
            called.failed.to_string(),
            called.in_flight.to_string(),
            quantile(&called.whole, called.whole.p50_us),
            quantile(&called.whole, called.whole.p95_us),
            quantile(&called.whole, called.whole.p99_us),
            quantile(&called.whole, called.whole.max_us),
        ])
    };
    render(heading, stats.functions.iter().filter_map(row).collect())
}

/// The peers as rows: `lanc top` shows the same.
pub(crate) const PEER_HEADING: [&str; 7] =
    ["PEER", "ADDRESS", "STATE", "ROUND TRIP", "IN FLIGHT", "FUNCTIONS", "SEEN"];

/// See [`PEER_HEADING`].
pub(crate) fn peer_row(peer: &PeerStats) -> [String; 7] {
    let address = peer.endpoint.split_once("://").map_or(peer.endpoint.as_str(), |(_, rest)| rest);
    [
        peer.name.clone(),
        address.to_owned(),
        peer.state.clone(),
        peer.round_trip_us.map_or_else(|| "-".to_owned(), micros),
        peer.calls_in_flight.to_string(),
        peer.functions.to_string(),
        format!("{} ago", duration::show(Duration::from_millis(peer.silent_ms))),
    ]
}

fn peers(peers: &[PeerStats]) -> Option<String> {
    render(PEER_HEADING, peers.iter().map(peer_row).collect())
}

/// Every number that is not zero; those that come in kinds with a name of their kind.
fn counters(stats: &Stats) -> Option<String> {
    let rows = drops(stats).into_iter().map(|(name, count)| [name, count.to_string()]);
    let kinds: [(&str, &Numbers); 6] = [
        ("calls_ended", &stats.calls_ended),
        ("attempts_ended", &stats.attempts_ended),
        ("calls_refused", &stats.calls_refused),
        ("tasks_ended", &stats.tasks_ended),
        ("tasks_unstarted", &stats.tasks_unstarted),
        ("limit_hit", &stats.limits),
    ];
    let kinds = kinds.into_iter().flat_map(|(kind, numbers)| {
        let named = numbers.iter().map(move |(name, count)| (format!("{kind} {name}"), *count));
        named.collect::<Vec<_>>()
    });
    let plain = stats.counters.iter().map(|(name, count)| (name.clone(), *count));
    let transports = stats.transports.iter().flat_map(|transport| {
        let name =
            |(name, count): (&String, &u64)| (format!("{} {name}", transport.scheme), *count);
        transport.counters.iter().map(name).collect::<Vec<_>>()
    });
    let happened = plain.chain(kinds).chain(transports).filter(|(_, count)| *count > 0);
    let all = happened.map(|(name, count)| [name, count.to_string()]).chain(rows).collect();
    render(["COUNTER", ""], all)
}

/// Everything that was dropped, by where and why, and how often; without what never was.
pub(crate) fn drops(stats: &Stats) -> Vec<(String, u64)> {
    let of = |place: &str, numbers: &Numbers| {
        let happened = numbers.iter().filter(|(_, count)| **count > 0);
        let named = happened.map(|(why, count)| (format!("{place} dropped: {why}"), *count));
        named.collect::<Vec<_>>()
    };
    let mut all = of("frames", &stats.frames_dropped);
    for transport in &stats.transports {
        all.extend(of(&transport.scheme, &transport.dropped));
    }
    all
}

fn render<const N: usize>(heading: [&str; N], rows: Vec<[String; N]>) -> Option<String> {
    (!rows.is_empty()).then(|| table::render(heading, &rows))
}

/// A quantile of something; a dash where there was nothing.
pub(crate) fn quantile(of: &Latency, at: u64) -> String {
    if of.count == 0 { "-".to_owned() } else { micros(at) }
}

/// Microseconds with three digits that matter.
pub(crate) fn micros(micros: u64) -> String {
    match micros {
        ..1000 => format!("{micros} us"),
        _ => duration::show(Duration::from_micros(micros)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Stats {
        let latency =
            json!({ "count": 2, "p50_us": 12, "p95_us": 15, "p99_us": 2500, "max_us": 2500 });
        let value = json!({
            "node": "shop\u{1b}[m", "pid": 7, "version": "0.2.0", "uptime_ms": 65_000,
            "counters": { "frames_sent": 3, "frames_refused": 0 },
            "frames_dropped": { "malformed": 1, "own": 0 },
            "calls_ended": { "ok": 2, "busy": 0 },
            "transports": [{ "scheme": "udp", "counters": { "frames_in": 4 }, "dropped": { "kernel": 5 } }],
            "keys": [{ "id": "8b21ace9", "primary": true }, { "id": "11111111", "unused_ms": 5 }],
            "peers": [{
                "name": "desk", "endpoint": "udp://10.0.0.7:4000", "state": "verified",
                "round_trip_us": 310, "silent_ms": 1500,
            }],
            "functions": [{
                "name": "add",
                "served": { "count": 2, "failed": 1, "running": 1, "wait": {}, "run": latency },
                "called": { "count": 2, "in_flight": 3, "whole": latency },
            }],
        });
        serde_json::from_value(value).unwrap()
    }

    use serde_json::json;

    #[test]
    fn people_see_what_happened() {
        let expected = "\
shop\\u{1b}[m: pid 7, lanc 0.2.0, up 65.0 s
keyed: 8b21ace9; opened too: 11111111

RUNS HERE  COUNT  FAILED  QUEUED  RUNNING  WAIT P99  P50    P99      MAX
add        2      1       0       1        -         12 us  2.50 ms  2.50 ms

CALLED FROM HERE  COUNT  FAILED  IN FLIGHT  P50    P95    P99      MAX
add               2      0       3          12 us  15 us  2.50 ms  2.50 ms

PEER  ADDRESS        STATE     ROUND TRIP  IN FLIGHT  FUNCTIONS  SEEN
desk  10.0.0.7:4000  verified  310 us      0          0          1.5 s ago

COUNTER
frames_sent                3
calls_ended ok             2
udp frames_in              4
frames dropped: malformed  1
udp dropped: kernel        5
";
        assert_eq!(text(&sample()), expected);
    }

    #[test]
    fn programs_get_a_line_for_each_process() {
        let line = json(&sample());
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains('\u{1b}'));
        assert_eq!(serde_json::from_str::<Stats>(&line).unwrap(), sample());
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        let args = |pid, name: Option<&str>| StatsArgs { pid, name: name.map(str::to_owned) };
        let told = |all| Processes { all, silent: Vec::new() };
        assert!(print(&told(vec![sample()]), &args(Some(8), None), true).is_err());
        assert!(print(&told(Vec::new()), &args(None, Some("shop")), true).is_err());
        assert!(print(&told(Vec::new()), &args(None, None), true).is_ok());
    }
}
