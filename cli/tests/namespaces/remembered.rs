//! Peers that are remembered beside the stored key, where no broadcast finds them.

use std::os::unix::fs::PermissionsExt as _;

use lanc_netlab::{Host, Process, run};

use crate::pairing::Homes;
use crate::routed;

const STRONG: &str = "10.77.4.2:40112";
const DESK: &str = "10.77.5.2:40113";

/// Stores one key on both.
fn share_a_key(homes: &Homes, strong: &Host, desk: &Host) {
    let file = homes.folder(strong).with_extension("key");
    let file = file.to_str().unwrap();
    assert_eq!(run(&mut homes.lanc(strong, &["key", "new", file, "--store"])).code, Some(0));
    assert_eq!(run(&mut homes.lanc(desk, &["key", "store", file])).code, Some(0));
}

/// Serves on the port of its endpoint, under the host's name.
fn serve(homes: &Homes, host: &Host, endpoint: &str, name: &str, more: &[&str]) -> Process {
    let port = endpoint.rsplit(':').next().unwrap();
    let words = ["serve", "--demo", "--name", name, "--private-port", port];
    let mut server = Process::start(&mut homes.lanc(host, &[&words[..], more].concat()));
    assert_eq!(server.ready(), endpoint);
    server
}

fn end(server: Process) {
    server.interrupt();
    let (code, said) = server.ended();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn who_has_met_across_a_router_meets_again_with_no_option() {
    let Some([strong, desk, _router]) = routed() else { return };
    let homes = Homes::new("remembered");
    share_a_key(&homes, &strong, &desk);
    let on_strong = |more: &[&str]| serve(&homes, &strong, STRONG, "strong", more);
    let on_desk = |more: &[&str]| serve(&homes, &desk, DESK, "desk", more);

    let (mut first, mut second) = (on_strong(&["--peer", DESK]), on_desk(&["--peer", STRONG]));
    first.line("desk is remembered, at 10.77.5.2:40113");
    second.line("strong is remembered, at 10.77.4.2:40112");
    end(first);
    end(second);
    let file = homes.folder(&desk).join("keys/peers");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let shown = run(&mut homes.lanc(&desk, &["key", "show"]));
    let told = format!("peers remembered: 1, in {}; remove the file", file.display());
    assert!(shown.code == Some(0) && shown.err.contains(&told), "{shown:?}");

    let (mut first, mut second) = (on_strong(&[]), on_desk(&[]));
    // Said a second after it is here, and so after `ready`.
    first.line("desk is remembered");
    second.line("strong is remembered");
    end(second);
    // Verbs that only ask contact them, too.
    let port = ["--private-port", "40113"];
    let call = [&["call", "add", "1", "2"][..], &port].concat();
    run(&mut homes.lanc(&desk, &call)).prints("3\n");
    let peers = run(&mut homes.lanc(&desk, &[&["peers"][..], &port].concat()));
    assert!(peers.out.contains("strong") && peers.out.contains(STRONG), "{peers:?}");
    end(first);

    // With the last key goes what is known of its group.
    let id = run(&mut homes.lanc(&desk, &["key", "show"])).out;
    let removed = run(&mut homes.lanc(&desk, &["key", "rotate", "--remove", id.trim(), "--open"]));
    assert!(removed.code == Some(0) && !file.exists(), "{removed:?}");
}
