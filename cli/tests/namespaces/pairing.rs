//! A key from one host to another by broadcast, and what open mode stands on an address of the
//! internet.

use std::path::PathBuf;
use std::process::Command;

use lanc_netlab::{Host, Process, run};

use crate::command::Lanc as _;
use crate::neighbours;

/// The state folders of two hosts; gone when dropped.
pub(crate) struct Homes(PathBuf);

impl Homes {
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lanc-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The state folder of one of them.
    pub(crate) fn folder(&self, host: &Host) -> PathBuf {
        self.0.join(host.name())
    }

    pub(crate) fn lanc(&self, host: &Host, words: &[&str]) -> Command {
        let mut command = host.lanc(words);
        command.env("LANC_STATE_DIR", self.folder(host));
        command
    }
}

impl Drop for Homes {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn two_hosts_pair_and_call_with_no_option() {
    let Some([strong, desk]) = neighbours() else { return };
    let homes = Homes::new("pair");
    let mut giving = Process::start(&mut homes.lanc(&strong, &["pair"]));
    let code = giving.line("on the other machine run: lanc pair ");
    let code = code.rsplit(' ').next().unwrap();
    let taken = run(&mut homes.lanc(&desk, &["pair", code]));
    assert!(taken.code == Some(0) && taken.out.contains("paired: both"), "{taken:?}");
    let (code, said) = giving.ended();
    assert!(code == Some(0) && said.contains("paired: both"), "{said}");

    let mut server = Process::start(&mut homes.lanc(&strong, &["serve", "--demo"]));
    server.line("keyed: ");
    server.ready();
    run(&mut homes.lanc(&desk, &["call", "add", "1", "2"])).prints("3\n");
    let text = "z".repeat(100_000);
    let large = run(&mut homes.lanc(&desk, &["call", "echo", &text]));
    assert_eq!((large.code, large.out.len()), (Some(0), text.len() + 1), "{}", large.err);
    // Whoever has no key hears that somebody has one.
    let open = run(&mut desk.lanc(&["call", "add", "1", "2", "--open", "--wait", "7s"]));
    open.fails(3, "1 node with a key");
}

#[test]
fn open_mode_refuses_an_address_of_the_internet() {
    let Some([strong, desk]) = Host::some() else { return };
    strong.wire("wan", "8.8.4.1/24", &desk, "8.8.4.2/24");
    let homes = Homes::new("public");
    let lanc = |words: &[&str]| homes.lanc(&strong, words);
    for verb in [&["serve", "--demo"][..], &["call", "add", "1", "2"], &["peers"]] {
        let refused = run(&mut lanc(verb)).fails(2, "8.8.4.1 is an address of the internet");
        assert!(refused.err.contains("--open-on-public"), "{refused:?}");
    }
    run(&mut lanc(&["peers", "--iface", "lo", "--wait", "0"])).prints("");
    let mut open = Process::start(&mut lanc(&["serve", "--demo", "--open-on-public"]));
    open.ready();
    assert_eq!(run(&mut lanc(&["key", "new", "--store"])).code, Some(0));
    let mut keyed = Process::start(&mut lanc(&["serve", "--demo"]));
    keyed.ready();
}
