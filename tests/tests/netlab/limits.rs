//! What the system has only so much of: descriptors, socket buffers, memory; and peers that do
//! not take what they asked for.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::time::Duration;

use lanc_core::framing::{Header, Kind, Service};
use lanc_netlab::{Lab, Rule, now};
use serde_json::json;

use crate::ground::{Callee, Caller, HELLO, Ledger, Outcome, beside, percentile, tally, turn};
use crate::usage::{cpu, descriptors, rss};

const PORT: [&str; 2] = ["--private-port", "41000"];

/// A callee on the first host that may have so many descriptors.
fn limited(lab: &Lab, ledger: &Ledger, descriptors: u32) -> Callee {
    let endpoint = env!("CARGO_BIN_EXE_endpoint");
    let ledger = ledger.path().display();
    let serve = format!("{endpoint} serve --name callee --ledger {ledger} --private-port 41000");
    let script = format!("ulimit -n {descriptors}; exec {serve}");
    Callee::launch(lab.host(0).command("sh", &["-c", &script]))
}

#[test]
fn without_descriptors_datagrams_go_on_and_connections_come_back() {
    let _beside = beside();
    let Some(lab) = Lab::new(80, 2) else { return };
    let ledger = Ledger::new();
    lab.everywhere(Rule::after_ms(1));
    let mut callee = limited(&lab, &ledger, 64);
    let mut caller = Caller::start(&lab, 1, "caller", &["--function", "hold"]);
    assert!(caller.run(1, HELLO)[0].is_ok());
    assert!(descriptors(callee.0.id()) >= 60);

    let (before, began) = (cpu(callee.0.id()), now());
    let knock = || TcpStream::connect((lab.address(0), 41_000));
    let _waiting = lab.host(1).within(|| [knock().unwrap(), knock().unwrap()]);
    let mut datagrams = Caller::start(&lab, 1, "datagrams", &[]);
    let outcomes = datagrams.run(500, Duration::from_secs(20));
    assert!(outcomes.iter().all(Outcome::is_ok), "{:?}", tally(&outcomes));
    // The rest of the time in which attempts are counted.
    datagrams.listen(Duration::from_secs(2).saturating_sub(began.elapsed()));
    let stats = callee.stats();
    let failures = stats["tcp_accept_failures"];
    // After 10, 20, 40, 80 ... ms.
    assert!((1..=12).contains(&failures), "{failures} attempts in 2 s");
    let busy = cpu(callee.0.id()) - before;
    assert!(busy < began.elapsed() / 2, "{busy:?} of {:?} on the processor", began.elapsed());

    // The second call lets go of them.
    assert!(caller.run(1, HELLO)[0].is_ok());
    assert!(descriptors(callee.0.id()) < 40);
    let mut large = Caller::start(&lab, 1, "large", &["--function", "large"]);
    let outcome = &large.run(1, Duration::from_secs(10))[0];
    assert!(outcome.is_ok(), "{outcome:?}");
    println!(
        "descriptors: {failures} attempts to accept in 2 s; a large call {:.0} ms afterwards",
        outcome.ms
    );
}

#[test]
fn who_takes_nothing_is_cut_off_and_nobody_else_notices() {
    let _beside = beside();
    let Some(lab) = Lab::new(81, 3) else { return };
    let ledger = Ledger::new();
    lab.everywhere(Rule::after_ms(1));
    let mut callee = Callee::start(&lab, 0, &ledger, &PORT);
    // One that asks for much and reads nothing.
    let mut greedy = lab.host(1).within(|| TcpStream::connect((lab.address(0), 41_000))).unwrap();
    let asking = std::thread::spawn(move || {
        // Cut off, it cannot ask any more: that is the end of it.
        let _ = ask_for_much(&mut greedy);
        greedy
    });

    // One that speaks, a byte in a second.
    let mut loris = lab.host(1).within(|| TcpStream::connect((lab.address(0), 41_000))).unwrap();
    let began = now();
    let mut other = Caller::start(&lab, 2, "other", &["--in-flight", "2"]);
    other.go(0);
    let mut cut_off = None;
    while began.elapsed() < Duration::from_secs(13) {
        other.listen(Duration::from_secs(1));
        // Twice: the first write after the end is taken, and answered with a reset.
        let gone = loris.write_all(b"\x01").is_err();
        if gone && cut_off.is_none() {
            cut_off = Some(began.elapsed());
        }
    }
    let stats = callee.stats();
    other.stop(HELLO);
    let p99 = percentile(&other.outcomes, 0.99);
    println!(
        "slow ones: a byte in a second is cut off after {cut_off:?}, {} stalled; {} other calls, p99 {p99:.1} ms",
        stats["tcp_closed_stalled"],
        other.outcomes.len()
    );
    assert!(cut_off.is_some_and(|after| after <= Duration::from_secs(10)), "{cut_off:?}");
    assert!(stats["tcp_closed_stalled"] >= 1, "{stats:?}");
    assert!(other.outcomes.iter().all(Outcome::is_ok), "{:?}", tally(&other.outcomes));
    assert!(p99 < 100.0, "{p99} ms");
    drop(asking.join());
}

/// Says hello, and asks 400 times for 60,000 bytes.
fn ask_for_much(stream: &mut TcpStream) -> std::io::Result<()> {
    let frame = |text: &str| {
        let header = Header::new(Kind::JSON, Service::MESSAGES, 0, text.len()).unwrap();
        [&header.encode(), text.as_bytes()].concat()
    };
    stream.write_all(&frame(&hello(7)))?;
    let text = "x".repeat(60_000);
    (0..400).try_for_each(|number| {
        let call = json!({ "type": "LANC", "method": "call", "version": "0.2", "data": "echo",
            "args": [text], "exe_id": number.to_string() });
        stream.write_all(&frame(&call.to_string()))
    })
}

/// A hello of a session that is not there.
fn hello(number: u32) -> String {
    format!(
        r#"{{"type":"LANC","method":"hello","version":"0.2","data":{{"node":"crowd","sid":"{number:032x}","iv":6000,"rev":1,"feat":8}},"encrypted":"no","compress":"no"}}"#
    )
}

/// Throws so many hellos at everybody on the network, as fast as they can be sent.
fn burst(lab: &Lab, from: usize, count: u32) {
    let socket = lab.host(from).within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
    socket.set_broadcast(true).unwrap();
    for number in 1..=count {
        // A full queue on the way is a part of it.
        let _ = socket.send_to(hello(number).as_bytes(), (Ipv4Addr::new(10, 77, 0, 255), 5127));
    }
}

#[test]
fn a_burst_of_hellos_is_dropped_counted_and_over_at_once() {
    let _turn = turn();
    let Some(lab) = Lab::new(82, 3) else { return };
    let ledger = Ledger::new();
    let mut callee = Callee::start(&lab, 0, &ledger, &["--buffers", "16384"]);
    let mut caller = Caller::start(&lab, 1, "caller", &[]);
    let (before, arrived) = (callee.stats(), lab.counts(2, 0).delivered);
    burst(&lab, 2, 20_000);
    let outcome = caller.run(1, HELLO).remove(0);
    let (after, arrived) = (callee.stats(), lab.counts(2, 0).delivered - arrived);
    let rise = |name: &str| after[name] - before[name];
    let (kernel, received) = (rise("udp_kernel_drops"), rise("frames_received"));
    let dropped: u64 =
        after.keys().filter(|name| name.starts_with("dropped_")).map(|name| rise(name)).sum();
    println!(
        "burst: of 20000 hellos {arrived} arrived, {received} were read and {dropped} of them refused, \
         {kernel} dropped by the kernel; a call took {:.1} ms after it",
        outcome.ms
    );
    assert!(outcome.is_ok() && outcome.ms < 500.0, "{outcome:?}");
    assert!(kernel > 0, "the buffer held them all");
    assert_eq!(received, dropped + rise("frames_accepted"), "{after:?}");
    ledger.agrees(&[outcome]);
}

#[test]
fn a_narrow_way_is_waited_for_without_spinning() {
    let _beside = beside();
    let Some(lab) = Lab::new(83, 2) else { return };
    let ledger = Ledger::new();
    lab.everywhere(Rule::after_ms(1));
    let _callee = Callee::start(&lab, 0, &ledger, &[]);
    let options = ["--in-flight", "500", "--deadline-ms", "3000", "--buffers", "8192"];
    let mut caller = Caller::start(&lab, 1, "caller", &options);
    let narrow = "qdisc add dev lan root tbf rate 64kbit burst 2kb limit 1mb";
    let words: Vec<&str> = narrow.split(' ').collect();
    assert!(lab.host(1).command("tc", &words).status().unwrap().success());
    let (before, began) = (cpu(caller.process.id()), now());
    caller.go(0);
    caller.listen(Duration::from_secs(5));
    let refused = caller.stats()["udp_send_refused"];
    let share = (cpu(caller.process.id()) - before).as_secs_f64() / began.elapsed().as_secs_f64();
    let words = ["qdisc", "del", "dev", "lan", "root"];
    assert!(lab.host(1).command("tc", &words).status().unwrap().success());
    caller.catch_up();
    let took = caller.succeeds(Duration::from_secs(1));
    caller.stop(HELLO);
    println!(
        "64 kbit/s: {refused} sends refused, {:.1} % of a processor, a call succeeds {took:?} after it is wide again; {:?}",
        share * 100.0,
        tally(&caller.outcomes)
    );
    assert!(refused > 0, "the socket's buffer held everything");
    assert!(share < 0.05, "{share}");
    ledger.agrees(&caller.outcomes);
}

/// A group of processes that may use so much memory; `None`, with the reason printed, where none
/// can be made. Gone when dropped.
struct MemoryLimit(std::path::PathBuf);

impl MemoryLimit {
    fn new(mib: u64) -> Option<Self> {
        let path = format!("/sys/fs/cgroup/memory/lanc-{}", std::process::id());
        let made = std::fs::create_dir(&path).and_then(|()| {
            std::fs::write(format!("{path}/memory.limit_in_bytes"), format!("{mib}M"))
        });
        match made {
            Ok(()) => Some(Self(path.into())),
            Err(why) => {
                eprintln!("skipped: no memory limit can be set here: {why}");
                None
            }
        }
    }
}

impl MemoryLimit {
    /// From now on the limit is this process's.
    fn hold(&self, process: u32) {
        std::fs::write(self.0.join("tasks"), process.to_string()).unwrap();
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_flood_stays_within_a_memory_limit() {
    let _turn = turn();
    let Some(lab) = Lab::new(84, 3) else { return };
    let Some(limit) = MemoryLimit::new(128) else { return };
    let ledger = Ledger::new();
    let callee = Callee::start(&lab, 0, &ledger, &[]);
    limit.hold(callee.0.id());
    let mut caller = Caller::start(&lab, 1, "caller", &["--in-flight", "8"]);
    caller.go(0);
    let mut most = 0;
    for _ in 0..5 {
        burst(&lab, 2, 20_000);
        caller.listen(Duration::from_millis(200));
        most = most.max(rss(callee.0.id()));
    }
    caller.catch_up();
    caller.succeeds(HELLO);
    caller.stop(Duration::from_secs(40));
    println!("flood under a limit of 128 MiB: {most} MiB at most, {:?}", tally(&caller.outcomes));
    ledger.agrees(&caller.outcomes);
}
