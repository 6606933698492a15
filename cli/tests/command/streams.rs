//! `lanc call --stream`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use lanc::{Interfaces, Node, TcpConfig, TcpTransport, UdpConfig, UdpTransport};
use tokio::runtime::Runtime;

use crate::support::{Lan, end, signal};

/// A node on the same network, in this process.
fn serve(lan: &Lan) -> (Node, Runtime) {
    let runtime = Runtime::new().unwrap();
    let udp = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_port(lan.port());
    let tcp = TcpConfig::default().with_bind(std::net::Ipv4Addr::LOCALHOST.into());
    let builder = lanc::builder().name("here").transport(UdpTransport::new(udp));
    let builder = builder.transport(TcpTransport::new(tcp));
    let node = runtime.block_on(builder.open()).unwrap();
    node.register_stream("count", |from: u64| from..).unwrap();
    let words = || ["one", "two\nlines"].map(Ok).into_iter().chain([Err("no third")]);
    node.register_stream("words", words).unwrap();
    node.register("plain", |n: u64| n).unwrap();
    (node, runtime)
}

#[test]
fn each_value_is_a_line_and_a_failure_comes_last() {
    let lan = Lan::new();
    let (_node, _runtime) = serve(&lan);
    let done = lan.run(&["call", "words", "--stream", "--wait", "20s"]);
    assert_eq!((done.code, done.out.as_str()), (1, "one\n\"two\\nlines\"\n"), "{done:?}");
    done.expect_error(1, &["no third", "ran: yes"]);
    let done = lan.run(&["call", "words", "--stream", "--json", "--wait", "20s"]);
    assert_eq!((done.code, done.out.as_str()), (1, "\"one\"\n\"two\\nlines\"\n"), "{done:?}");
    lan.run(&["call", "plain", "7", "--stream", "--wait", "20s"]).expect(0, "7\n");
    let done = lan.run(&["call", "plane", "7", "--stream", "--wait", "0s"]);
    done.expect_error(3, &["nobody here offers `plane`"]);
}

#[test]
fn an_interrupt_or_a_reader_that_leaves_stops_the_function() {
    let lan = Lan::new();
    let (node, _runtime) = serve(&lan);
    for interrupted in [true, false] {
        let mut command = lan.command(&["call", "count", "5", "--stream", "--wait", "20s"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for expected in ["5", "6", "7"] {
            assert_eq!(lines.next().unwrap().unwrap(), expected);
        }
        if interrupted {
            signal(child.id(), "-INT");
            // What was printed before must not fill the pipe.
            lines.for_each(drop);
        } else {
            drop(lines);
        }
        let done = end(child);
        assert_eq!(done.code, if interrupted { 130 } else { 0 }, "{done:?}");
        while node.tables().running > 0 {
            std::thread::yield_now();
        }
    }
}
