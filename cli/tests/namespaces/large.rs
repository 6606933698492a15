//! Values larger than a datagram, and a power cut while one is under way.

use std::path::PathBuf;

use lanc_netlab::{Host, Process, run};

use crate::command::Lanc as _;
use crate::{neighbours, serve};

const SIZE: usize = 5_000_000;

/// A file that holds a JSON text of 5 MB; gone when dropped.
struct Big(PathBuf);

impl Big {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lanc-{name}-{}.json", std::process::id()));
        std::fs::write(&path, format!("\"{}\"", "z".repeat(SIZE))).unwrap();
        Self(path)
    }

    fn echo(&self, desk: &Host, more: &[&str]) -> std::process::Command {
        let argument = format!("@{}", self.0.display());
        desk.lanc(&[&["call", "echo", &argument], more].concat())
    }

    fn comes_back(&self, desk: &Host, more: &[&str]) {
        let done = run(&mut self.echo(desk, more));
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{more:?}");
        assert_eq!(done.out.len(), SIZE + 1, "{more:?}");
        assert!(done.out.trim_end().bytes().all(|byte| byte == b'z'));
    }
}

impl Drop for Big {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn five_megabytes_go_and_return() {
    let Some([strong, desk]) = neighbours() else { return };
    let _server = serve(&strong);
    let big = Big::new("return");
    big.comes_back(&desk, &[]);
    for codec in ["json", "msgpack"] {
        big.comes_back(&desk, &["--transport", "tcp", "--codec", codec]);
    }
    run(&mut big.echo(&desk, &["--transport", "udp"])).fails(6, "ran: no");
}

#[test]
fn every_transport_and_format_answers() {
    let Some([strong, desk]) = neighbours() else { return };
    let _server = serve(&strong);
    for transport in ["udp", "tcp", "auto"] {
        for codec in ["json", "msgpack", "auto"] {
            let with = ["--transport", transport, "--codec", codec];
            run(&mut desk.lanc(&[&["call", "add", "1", "2"], &with[..]].concat())).prints(
                "3
",
            );
        }
    }
}

#[test]
fn a_power_cut_in_the_middle_of_an_answer_is_told() {
    let Some([strong, desk]) = neighbours() else { return };
    let server = serve(&strong);
    let big = Big::new("cut");
    // 5 MB take two seconds, and the call is wholly there once its answer is half sent.
    strong.slow_down("lan", 20);
    let call = Process::start(&mut big.echo(&desk, &[]));
    strong.sends("lan", 2_000_000);
    server.kill();
    let (code, said) = call.ended();
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("ran: maybe"), "{said}");
    assert!(said.contains("strong"), "it says who: {said}");

    let _server = serve(&strong);
    big.comes_back(&desk, &[]);
}
