//! The switch between real hosts: what its rules say is what sockets see.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed set-up ends the test")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use lanc_netlab::{Lab, Rule, now};

const PORT: u16 = 7000;
const COUNT: u32 = 2000;
/// As many as a socket has room for.
const ROUND: u32 = 100;

/// More than anything awaited here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn sockets(lab: &Lab) -> [UdpSocket; 2] {
    [0, 1].map(|number| {
        let open = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT));
        let socket = lab.host(number).within(open).unwrap();
        socket.set_broadcast(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    })
}

/// Waits until so many frames have set out between the first two hosts in all, and none is under
/// way any more.
fn settle(lab: &Lab, from: usize, offered: u64) {
    let ways = || [(0, 1), (1, 0), (0, 2), (1, 2)].into_iter().filter(|(_, to)| *to < lab.hosts());
    let began = now();
    while lab.counts(from, 1 - from).offered < offered
        || ways().any(|(from, to)| lab.counts(from, to).under_way() > 0)
    {
        assert!(began.elapsed() < PATIENCE, "{:?}", lab.counts(from, 1 - from));
        std::thread::yield_now();
    }
}

/// The numbers that have arrived, in their order.
fn heard(at: &UdpSocket) -> Vec<u32> {
    let (mut room, mut heard) = ([0; 64], Vec::new());
    at.set_nonblocking(true).unwrap();
    while at.recv(&mut room).is_ok() {
        heard.push(u32::from_be_bytes(*room.first_chunk().unwrap()));
    }
    at.set_nonblocking(false).unwrap();
    heard
}

/// Sends so many numbered datagrams from one of the first two hosts, and returns the numbers that
/// arrive at the other.
fn stream(lab: &Lab, sockets: &[UdpSocket; 2], from: usize, to: SocketAddr) -> Vec<u32> {
    let mut numbers = Vec::new();
    for round in 0..COUNT / ROUND {
        let before = lab.counts(from, 1 - from).offered;
        for number in 0..ROUND {
            sockets[from].send_to(&(round * ROUND + number).to_be_bytes(), to).unwrap();
        }
        settle(lab, from, before + u64::from(ROUND));
        numbers.extend(heard(&sockets[1 - from]));
    }
    numbers
}

#[test]
fn faults_come_as_asked_for_and_are_counted() {
    let Some(lab) = Lab::new(1, 3) else { return };
    let sockets = sockets(&lab);
    let broadcast = SocketAddr::from((Ipv4Addr::new(10, 77, 0, 255), PORT));

    // Without rules everything arrives, once and in order.
    let whole: Vec<u32> = (0..COUNT).collect();
    assert!(stream(&lab, &sockets, 0, broadcast) == whole);
    // The third host heard the broadcasts, and nothing of what is for the second.
    let third = lab.counts(0, 2).delivered;
    assert!(third >= u64::from(COUNT));
    assert!(stream(&lab, &sockets, 0, (lab.address(1), PORT).into()) == whole);
    assert!(lab.counts(0, 2).delivered < third + 50, "{:?}", lab.counts(0, 2));

    lab.direction(
        0,
        1,
        Rule { duplication: 0.05, reordering: 0.2, ..Rule::after_ms(1).losing(0.3) },
    );
    let before = lab.counts(0, 1);
    let mut arrived = stream(&lab, &sockets, 0, (lab.address(1), PORT).into());
    let now = lab.counts(0, 1);
    assert!(!arrived.is_sorted(), "none overtook another");
    // The kernels ask for each other's addresses now and then, which is carried and counted too.
    let own = 0..5;
    assert!(own.contains(&(now.delivered - before.delivered - arrived.len() as u64)), "{now:?}");
    arrived.sort_unstable();
    arrived.dedup();
    let lost = u64::from(COUNT) - arrived.len() as u64;
    assert!(own.contains(&(now.lost - before.lost - lost)), "{now:?}");
    assert!((500..700).contains(&(now.lost - before.lost)), "{now:?}");
    assert!((40..100).contains(&(now.duplicated - before.duplicated)), "{now:?}");
    assert!((200..360).contains(&(now.overtaken - before.overtaken)), "{now:?}");
    // The other direction has rules of its own. The sender's own broadcasts lie there as well.
    heard(&sockets[0]);
    assert!(stream(&lab, &sockets, 1, (lab.address(0), PORT).into()) == whole);
}

#[test]
fn a_cut_has_directions_and_is_mended_while_running() {
    let Some(lab) = Lab::new(2, 2) else { return };
    let sockets = sockets(&lab);
    lab.direction(0, 1, Rule::cut());
    assert_eq!(stream(&lab, &sockets, 0, (lab.address(1), PORT).into()), []);
    assert_eq!(stream(&lab, &sockets, 1, (lab.address(0), PORT).into()).len(), COUNT as usize);
    assert!(lab.counts(0, 1).cut >= u64::from(COUNT));
    lab.direction(0, 1, Rule::default());
    assert_eq!(stream(&lab, &sockets, 0, (lab.address(1), PORT).into()).len(), COUNT as usize);
}

#[test]
fn spoiled_datagrams_reach_the_program_and_streams_stay_whole() {
    let Some(lab) = Lab::new(3, 2) else { return };
    let sockets = sockets(&lab);
    lab.everywhere(Rule { corruption: 0.2, ..Rule::after_ms(1).losing(0.05) });
    let heard = stream(&lab, &sockets, 0, (lab.address(1), PORT).into());
    let strange = heard.iter().zip(&heard[1..]).filter(|(a, b)| b <= a).count();
    assert!(strange > 100, "{strange} of {} were out of order", heard.len());

    let listener = lab.host(1).within(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))).unwrap();
    let to = SocketAddr::from((lab.address(1), PORT));
    let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
    std::thread::scope(|scope| {
        let send =
            || lab.host(0).within(|| TcpStream::connect(to)).unwrap().write_all(&sent).unwrap();
        scope.spawn(send);
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    });
}

#[test]
fn delay_is_kept_and_a_capture_holds_what_passed() {
    let Some(lab) = Lab::new(4, 2) else { return };
    let sockets = sockets(&lab);
    let path = std::env::temp_dir().join(format!("lanc-lab-{}.pcap", std::process::id()));
    lab.everywhere(Rule::after_ms(20));
    lab.capture(&path).unwrap();
    let (mut room, began) = ([0; 64], now());
    sockets[0].send_to(b"there", (lab.address(1), PORT)).unwrap();
    sockets[1].recv(&mut room).unwrap();
    sockets[1].send_to(b"back", (lab.address(0), PORT)).unwrap();
    sockets[0].recv(&mut room).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(40), "{:?}", began.elapsed());
    drop(lab);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(holds(b"there") && holds(b"back"));
}

#[test]
fn nothing_is_left_of_a_test_that_panics() {
    let Some(lab) = Lab::new(5, 2) else { return };
    let names = [0, 1].map(|number| lab.host(number).name().to_owned());
    let there = |name: &String| std::path::Path::new(&format!("/run/netns/{name}")).exists();
    assert!(names.iter().all(there));
    let panicking = std::thread::spawn(move || {
        let _lab = lab;
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(panicking.join().is_err());
    assert!(!names.iter().any(there));
}
