//! A whole keyed session on the wire: nothing of it can be read, and no copy of it does anything.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use lanc_netlab::Lab;

use crate::ground::{Callee, Caller, HELLO, Ledger, beside};

const PATIENCE: Duration = Duration::from_secs(60);

/// What nobody may read: names of nodes and functions, arguments and results, words of messages.
const SECRETS: [&[u8]; 10] = [
    b"canary",
    b"callee",
    b"increment",
    b"eeeeeeeeeeeeeeee",
    b"callback",
    b"\"call\"",
    b"\"func\"",
    b"\"node\"",
    b"busy",
    b"exe_id",
];

/// A file of this test, gone when dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("lanc-sealed-{}-{name}", std::process::id())))
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The frames in a capture: behind a header of 24 bytes, each behind one of 16.
fn frames(capture: &[u8]) -> Vec<&[u8]> {
    let (mut frames, mut rest) = (Vec::new(), &capture[24..]);
    while let Some((header, behind)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes(header[8..12].try_into().unwrap());
        let (frame, behind) = behind.split_at(usize::try_from(length).unwrap());
        frames.push(frame);
        rest = behind;
    }
    frames
}

/// Port and content of a datagram over IPv4, if a frame holds one.
fn datagram(frame: &[u8]) -> Option<(u16, &[u8])> {
    let is_udp = frame.get(12..14)? == [8, 0] && *frame.get(23)? == 17;
    let header = 14 + usize::from(frame[14] & 15) * 4;
    let port = u16::from_be_bytes(frame.get(header + 2..header + 4)?.try_into().ok()?);
    is_udp.then(|| (port, &frame[header + 8..]))
}

/// Sends each of them once more, from two hosts that did not send it.
fn replay(lab: &Lab, datagrams: &[(u16, Vec<u8>)], to: Ipv4Addr) {
    for host in [1, 2] {
        lab.host(host).within(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            for (place, (port, bytes)) in datagrams.iter().enumerate() {
                socket.send_to(bytes, SocketAddrV4::new(to, *port)).unwrap();
                // No faster than a socket's buffer takes them.
                if place % 64 == 63 {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        });
    }
}

/// Calls that came, functions that were started.
fn done(callee: &mut Callee) -> (u64, u64) {
    let stats = callee.stats();
    (stats["calls_received"], stats["tasks_started"])
}

/// Calls of every kind: answered at once, by connections, refused.
fn make_calls(lab: &Lab, key: &File) {
    let mut outcomes = Vec::new();
    for (function, more, count) in [
        ("mixed", &["--in-flight", "4"][..], 400),
        ("large", &["--in-flight", "1"], 2),
        // More at once than there is room for: errors come back.
        ("work", &["--in-flight", "400", "--ms", "5"], 600),
    ] {
        let options = [&["--key-file", key.text(), "--function", function], more].concat();
        let mut caller = Caller::start(lab, 1, &format!("canary-{function}"), &options);
        caller.go(count);
        caller.finish(PATIENCE);
        outcomes.extend(caller.kill());
    }
    let busy = |outcome: &&crate::ground::Outcome| {
        outcome.result.as_ref().is_err_and(|error| error.code == "busy")
    };
    assert!(outcomes.iter().filter(|outcome| outcome.is_ok()).count() > 400);
    assert!(outcomes.iter().filter(busy).count() > 10, "errors were to cross the wire too");
}

#[test]
fn a_capture_of_a_keyed_session_tells_nothing_and_does_nothing_again() {
    let _beside = beside();
    let Some(lab) = Lab::new(70, 3) else { return };
    let (ledger, key, other) = (Ledger::new(), File::new("key"), File::new("other"));
    let captured = File::new("pcap");
    lanc_crypto::MasterKey::from_bytes(&[42; 32]).write_file(&key.0).unwrap();
    lanc_crypto::MasterKey::from_bytes(&[43; 32]).write_file(&other.0).unwrap();
    lab.capture(&captured.0).unwrap();

    // Rates would keep most copies from being looked at.
    let keyed = ["--key-file", key.text(), "--private-port", "40000", "--unlimited"];
    let mut callee = Callee::start(&lab, 0, &ledger, &keyed);
    make_calls(&lab, &key);

    // Another file from here on: this one is whole.
    let unused = File::new("unused");
    lab.capture(&unused.0).unwrap();
    let capture = std::fs::read(&captured.0).unwrap();
    for secret in SECRETS {
        let found = capture.windows(secret.len()).any(|bytes| bytes == secret);
        assert!(!found, "{} can be read", String::from_utf8_lossy(secret));
    }
    let datagrams: Vec<(u16, Vec<u8>)> = frames(&capture)
        .into_iter()
        .filter_map(datagram)
        .map(|(port, bytes)| (port, bytes.to_vec()))
        .collect();
    println!("{} frames, {} datagrams, none tells", frames(&capture).len(), datagrams.len());
    assert!(capture.len() > 16_000_000 && datagrams.len() > 300);

    // To the same node.
    let before = done(&mut callee);
    replay(&lab, &datagrams, lab.address(0));
    assert_eq!(done(&mut callee), before);
    let stats = callee.stats();
    assert!(stats["dropped_replayed"] > 300, "{stats:?}");
    // To another one of the group, and to one of another group.
    let mut second = Callee::start(&lab, 2, &ledger, &keyed);
    replay(&lab, &datagrams, lab.address(2));
    assert_eq!(done(&mut second), (0, 0));
    second.0.kill();
    let foreign = ["--key-file", other.text(), "--private-port", "40000", "--unlimited"];
    let mut third = Callee::start(&lab, 2, &ledger, &foreign);
    replay(&lab, &datagrams, lab.address(2));
    assert_eq!(done(&mut third), (0, 0));
    assert_eq!(third.stats()["frames_accepted"], 0, "nothing is opened");
    third.0.kill();
    // In another life of the callee.
    callee.0.kill();
    let mut callee = Callee::start(&lab, 0, &ledger, &keyed);
    replay(&lab, &datagrams, lab.address(0));
    assert_eq!(done(&mut callee), (0, 0));
    // Which works.
    let options = ["--key-file", key.text()];
    let mut caller = Caller::start(&lab, 1, "canary-last", &options);
    caller.go(20);
    caller.finish(HELLO + PATIENCE);
    assert!(caller.outcomes.iter().all(crate::ground::Outcome::is_ok));
    // Echoes are not written down; of all others each ran once.
    assert!(ledger.starts().values().all(|sessions| sessions.len() == 1));
}
