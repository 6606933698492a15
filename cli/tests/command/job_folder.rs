//! The folder of control sockets, and what strangers say to one.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Done, Lan, finish};

fn leave_in(lan: &Lan, folder: &Path) -> Done {
    let mut command = lan.command(&["call", "echo", "x", "--async", "--wait", "20s"]);
    finish(command.env("LANC_STATE_DIR", folder))
}

#[test]
fn a_folder_that_does_not_serve_is_named() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let file = lan.folder().join("file");
    std::fs::write(&file, "").unwrap();
    for folder in [Path::new("/proc/lanc"), &file, &file.join("below")] {
        let part = folder.display().to_string();
        leave_in(&lan, folder).expect_error(2, &["usage", &part, "did not run", "LANC_STATE_DIR"]);
    }
    let open = lan.folder().join("open");
    std::fs::create_dir(&open).unwrap();
    for mode in [0o755, 0o701, 0o770] {
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(mode)).unwrap();
        leave_in(&lan, &open).expect_error(2, &["not yours alone", "chmod 700"]);
        let mut jobs = lan.bare(&["jobs"]);
        finish(jobs.env("LANC_STATE_DIR", &open)).expect_refusal(2, &["not yours alone"]);
    }
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o700)).unwrap();
    let id = leave_in(&lan, &open);
    assert_eq!(id.code, 0, "{id:?}");
    let mut join = lan.bare(&["join", id.out.trim_end()]);
    finish(join.env("LANC_STATE_DIR", &open)).expect(0, "x\n");
}

#[test]
fn a_full_disk_is_told_before_the_call_is_made() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let folder = lan.folder().join("full");
    std::fs::create_dir(&folder).unwrap();
    let script = "mount -t tmpfs -o nr_inodes=1,mode=700 none \"$1\" && shift && exec \"$@\"";
    let namespace = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, "sh"]).arg(&folder).args(words);
        finish(command.env("LANC_STATE_DIR", &folder))
    };
    if namespace(&["true"]).code != 0 {
        println!("skipped: a file system cannot be mounted here");
        return;
    }
    let port = lan.port().to_string();
    let lanc = env!("CARGO_BIN_EXE_lanc");
    let done = namespace(&[lanc, "--iface", "lo", "--port", &port, "call", "echo", "x", "--async"]);
    done.expect_error(1, &["control socket", "No space left", "did not run", "LANC_STATE_DIR"]);
}

#[test]
fn a_path_that_is_too_long_for_a_socket_serves() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let deep = lan.folder().join("deep".repeat(30)).join("down".repeat(30));
    let id = leave_in(&lan, &deep);
    assert_eq!(id.code, 0, "{id:?}");
    let jobs = finish(lan.bare(&["jobs", "--json"]).env("LANC_STATE_DIR", &deep)).json();
    assert_eq!(jobs.as_array().unwrap().len(), 1, "{jobs}");
    let mut join = lan.bare(&["join", id.out.trim_end()]);
    finish(join.env("LANC_STATE_DIR", &deep)).expect(0, "x\n");
}

#[test]
fn the_runtime_folder_comes_first_and_both_are_searched() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let run = lan.folder().join("run");
    let call = ["call", "echo", "x", "--async", "--wait", "20s"];
    let first = finish(lan.command(&call).env("XDG_RUNTIME_DIR", &run));
    let second = finish(&mut lan.command(&call));
    for (id, folder) in [(&first, run.join("lanc")), (&second, state(&lan))] {
        assert!(folder.join(format!("{}.job", id.out.trim_end())).exists(), "{id:?}");
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
    for id in [&first, &second] {
        let mut join = lan.bare(&["join", id.out.trim_end()]);
        finish(join.env("XDG_RUNTIME_DIR", &run)).expect(0, "x\n");
    }
}

fn state(lan: &Lan) -> PathBuf {
    lan.folder().join(".local/state/lanc")
}

/// What a control socket answers to `bytes`.
fn answer(socket: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // What it did not read is lost with the connection, which is no end in order.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn garbage_on_the_socket_harms_nothing() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let id = lan.run(&["call", "echo", "x", "--async", "--wait", "20s"]).out;
    let id = id.trim_end();
    let socket = state(&lan).join(format!("{id}.job"));
    let long = "x".repeat(4097);
    for (bytes, part) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "\"protocol\""),
        (b"\xff\xfe\n", "\"protocol\""),
        (b"\n", "\"protocol\""),
        (b"{\"v\":1}\n", "\"protocol\""),
        (long.as_bytes(), "longer than 4096 bytes"),
        (b"{\"v\":2,\"ask\":\"get\"}\n", "\"incompatible_version\""),
        (b"{\"v\":1,\"ask\":\"dance\"}\n", "\"unsupported\""),
        (b"{\"v\":1,\"ask\":\"status\",\"new\":0}\n", "\"function\":\"echo\""),
    ] {
        let answer = answer(&socket, bytes);
        assert!(answer.contains(part) && answer.ends_with('\n'), "{part}: {answer}");
    }
    drop(UnixStream::connect(&socket).unwrap());
    UnixStream::connect(&socket).unwrap().write_all(b"{\"v\":1,\"as").unwrap();
    // As many as it takes, and one more.
    let mut open: Vec<_> = (0..64).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let refused = answer(&socket, b"");
    assert!(refused.contains("\"busy\""), "{refused}");
    open.clear();
    // It notices in its own time that they have gone.
    while answer(&socket, b"{\"v\":1,\"ask\":\"status\"}\n").contains("\"busy\"") {}
    finish(&mut lan.bare(&["join", id])).expect(0, "x\n");
}
