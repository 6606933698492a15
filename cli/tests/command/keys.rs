//! Nodes with keys, and the verbs that make, store and exchange keys.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Lan, Server, end, finish};

const ADD: [&str; 3] = ["call", "add", "1"];

/// Makes a key file; returns its path and the key's id.
fn key_file(lan: &Lan, name: &str) -> (String, String) {
    let path = lan.folder().join(name).display().to_string();
    let done = finish(&mut lan.bare(&["key", "new", &path, "--json"]));
    (path, done.json()["id"].as_str().unwrap().to_owned())
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn a_stored_key_needs_no_option() {
    let lan = Lan::new();
    let id = finish(&mut lan.bare(&["key", "new", "--store", "--json"])).json()["id"].clone();
    let id = id.as_str().unwrap();
    let keys = lan.folder().join(".local/state/lanc/keys");
    assert_eq!((mode(&keys), mode(&keys.join(format!("{id}.key")))), (0o700, 0o600));
    let mut server = lan.serve(&["--demo", "--name", "shop"]);
    assert!(server.wait_for_log("keyed: ").contains(id));

    lan.run(&[&ADD[..], &["2"]].concat()).expect(0, "3\n");
    let peers = lan.run(&["peers"]);
    assert!(peers.out.contains("shop") && peers.err.contains(&format!("keyed: {id}")), "{peers:?}");
    // What goes on in the background has the key too, and is asked as ever.
    let job = lan.run(&[&ADD[..], &["5", "--async"]].concat());
    assert_eq!(job.code, 0, "{job:?}");
    finish(&mut lan.bare(&["join", job.out.trim()])).expect(0, "6\n");
    let stats = finish(&mut lan.bare(&["stats", "shop"]));
    assert!(stats.out.contains(&format!("keyed: {id}\n")), "{stats:?}");
    let large = "z".repeat(100_000);
    assert_eq!(lan.run(&["call", "echo", &large]).out.len(), 100_001);

    // Who goes without it and finds nobody is reminded of it.
    let open = lan.run(&["call", "nosuch", "--open", "--wait", "300ms"]);
    open.expect_error(3, &["no_provider", "next: leave out --open"]);
    // A second one would shadow it.
    let again = finish(&mut lan.bare(&["key", "new", "--store"]));
    again.expect_refusal(2, &[id, "stored here already", "lanc key rotate"]);
    // What is stored and cannot be trusted is no reason to be open.
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o755)).unwrap();
    lan.run(&["peers", "--wait", "0"]).expect_refusal(2, &["not yours alone", "chmod 700"]);
    let open = lan.run(&["peers", "--wait", "0", "--open"]);
    assert!(open.code == 0 && open.err.contains("open: this node has no key"), "{open:?}");
}

#[test]
fn a_node_that_compresses_does_so_for_who_reads_it() {
    let lan = Lan::new();
    let (key, _) = key_file(&lan, "lan.key");
    let text: String = (0..20_000).map(|n| format!("{} ", n % 997)).collect();
    let saved = |name: &str| {
        let stats = finish(&mut lan.bare(&["stats", name, "--json"])).json();
        stats["counters"]["bytes_saved"].as_u64().unwrap_or_else(|| panic!("{stats}"))
    };
    let cases: [(&str, &[&str], bool); 3] = [
        ("packs", &["--compress"], true),
        ("plain", &[], false),
        // What may be compressed with a key must be said of each function.
        ("keyed", &["--compress", "--key-file", &key], false),
    ];
    for (name, options, saves) in cases {
        let keys = options.strip_prefix(&["--compress"]).unwrap_or_default();
        let serve = [&["--demo", "--name", name][..], options].concat();
        let _server = lan.serve(&serve);
        // The caller reads what is compressed and writes none.
        let call = [&["call", "echo", &text, "--on", name, "--wait", "20s"][..], keys].concat();
        assert_eq!(lan.run(&call).out.len(), text.len() + 1, "{name}");
        let compressing = [&call[..], &["--compress"]].concat();
        assert_eq!(lan.run(&compressing).out.len(), text.len() + 1, "{name}");
        let saved = saved(name);
        assert_eq!(saved > text.len() as u64, saves, "{name}: {saved} of {}", text.len());
    }
}

#[test]
fn a_key_file_comes_from_option_variable_or_configuration() {
    let lan = Lan::new();
    let (path, id) = key_file(&lan, "lan.key");
    let (other, _) = key_file(&lan, "other.key");
    let _server = lan.serve(&["--demo", "--key-file", &path]);
    let call = [&ADD[..], &["2"]].concat();
    let hasty = [&call[..], &["--wait", "300ms"]].concat();
    lan.run(&[&call[..], &["--key-file", &path]].concat()).expect(0, "3\n");
    finish(lan.command(&call).env("LANC_KEY_FILE", &path)).expect(0, "3\n");
    lan.run(&hasty).expect_error(3, &["no_provider"]);
    finish(lan.command(&hasty).env("LANC_KEY_FILE", &other)).expect_error(3, &["no_provider"]);
    std::fs::write(lan.folder().join("lanc.toml"), "key_file = 'lan.key'\n").unwrap();
    lan.run(&call).expect(0, "3\n");
    finish(lan.command(&hasty).env("LANC_KEY_FILE", &other)).expect_error(3, &["no_provider"]);
    lan.run(&[&hasty[..], &["--open"]].concat()).expect_error(3, &["no_provider"]);
    // A stored key comes last.
    assert_eq!(finish(&mut lan.bare(&["key", "new", "--store"])).code, 0);
    lan.run(&call).expect(0, "3\n");
    finish(&mut lan.bare(&["key", "show"])).expect(0, &format!("{id}\n"));

    let missing = lan.run(&["peers", "--key-file", "none.key"]);
    missing.expect_refusal(2, &["cannot read the key file none.key", "--open"]);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    lan.run(&["peers"]).expect_refusal(2, &["lan.key", " next: chmod 600 "]);
    lan.run(&["peers", "--passphrase"]).expect_refusal(2, &["terminal"]);
}

#[test]
fn who_has_another_key_or_none_is_told_where_nobody_is_found() {
    let lan = Lan::new();
    let ((mine, id), (theirs, other)) = (key_file(&lan, "mine.key"), key_file(&lan, "theirs.key"));
    let _keyed = lan.serve(&["--demo", "--key-file", &theirs]);
    let mut open = lan.serve(&["--cmd", "uptime=uptime"]);
    open.wait_for_log("OPEN MODE");
    // Each says hello every five seconds, give or take one.
    let begin = |words: &[&str]| {
        let mut command = lan.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let call = ["call", "nosuch", "--wait", "7s"];
    let keyed_call = begin(&[&call[..], &["--key-file", &mine]].concat());
    let open_call = begin(&call);
    let ping = begin(&["ping", "nosuch", "--wait", "7s", "--key-file", &mine]);
    let functions = begin(&["functions", "nosuch", "--wait", "7s", "--key-file", &mine]);
    let parts: [&str; 5] = [
        &format!("with a different key was heard (id {other})"),
        "1 node with a",
        &format!("without a key here, and this node has one (id {id})"),
        "lanc pair",
        "--open",
    ];
    end(keyed_call).expect_error(3, &parts);
    for done in [end(ping), end(functions)] {
        done.expect_refusal(3, &parts);
    }
    let done = end(open_call);
    done.expect_error(3, &["with a key w", &other, "--key-file", "lanc pair"]);
    // After those that have its key.
    let done = end(begin(&["peers", "--wait", "7s", "--key-file", &mine]));
    done.expect(0, "");
    assert!(done.err.contains("no peers were heard; 1 node with a different key"), "{done:?}");
}

/// Other groups answer nobody, so that a call that ends before their next hello cannot name them.
#[test]
fn who_hears_nobody_is_told_how_to_hear_other_groups() {
    let lan = Lan::new();
    let (mine, id) = key_file(&lan, "mine.key");
    let call = ["call", "nosuch", "--wait", "300ms"];
    let how = |options: &str| {
        format!("within 7 s: `lanc peers --iface lo --port {}{options} --wait 7s`", lan.port())
    };
    let keyed = lan.run(&[&call[..], &["--key-file", &mine]].concat());
    let silence = format!("no node of this group (key id {id}) answered");
    keyed.expect_error(3, &["no_provider", &silence, &how(&format!(" --key-file {mine}"))]);
    lan.run(&call).expect_error(3, &["no_provider", "no node without a key answered", &how("")]);
    // Whoever hears one of its own has no such doubt.
    let _server = lan.serve(&["--demo", "--key-file", &mine]);
    let known = lan.run(&["call", "nosuch", "--key-file", &mine]);
    known.expect_error(3, &["no_provider"]);
    assert!(!known.err.contains("answered"), "{known:?}");
}

#[test]
fn keys_are_made_shown_and_derived() {
    let lan = Lan::new();
    let path = lan.folder().join("lan.key");
    let made = finish(&mut lan.bare(&["key", "new", "lan.key"]));
    assert!(made.code == 0 && made.out.contains("scp -p lan.key"), "{made:?}");
    assert_eq!((mode(&path), path.metadata().unwrap().len()), (0o600, 32));
    let bytes = std::fs::read(&path).unwrap();
    finish(&mut lan.bare(&["key", "new", "lan.key"])).expect_refusal(
        2,
        &["is there already", "next: name another file", "lanc key store lan.key"],
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);

    let shown = finish(&mut lan.bare(&["key", "show", "lan.key", "--json"])).json();
    let id = shown[0]["id"].as_str().unwrap().to_owned();
    assert!(made.out.contains(&id) && shown[0]["secret"].is_null());
    let secret = finish(&mut lan.bare(&["key", "show", "lan.key", "--secret", "--json"])).json();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(secret[0]["secret"], hex.as_str());
    let nothing = finish(&mut lan.bare(&["key", "show"]));
    nothing.expect(0, "");
    assert!(nothing.err.contains("no key is stored"), "{nothing:?}");

    let derive = ["key", "derive", "render", "--key-file", "lan.key"];
    let printed = finish(&mut lan.bare(&derive)).out;
    assert_eq!(printed.trim().len(), 64);
    let written = finish(&mut lan.bare(&[&derive[..], &["--out", "render.key"]].concat()));
    assert_eq!((written.code, mode(&lan.folder().join("render.key"))), (0, 0o600), "{written:?}");
    let both = finish(&mut lan.bare(&["key", "show", "render.key", "--secret"])).out;
    assert!(both.contains(printed.trim()) && !both.contains(&id), "{both}");
    let other = finish(&mut lan.bare(&["key", "derive", "other", "--key-file", "lan.key"])).out;
    assert_ne!(other, printed);
    finish(&mut lan.bare(&["key", "derive", "x"])).expect_refusal(2, &["no key to derive"]);
}

/// Whoever is killed while it writes leaves nothing that is taken for a key.
#[test]
fn a_key_that_was_cut_off_in_the_middle_is_none() {
    let lan = Lan::new();
    let (key, id) = key_file(&lan, "lan.key");
    let store =
        format!("ulimit -c 0; ulimit -f 0; exec {} key store lan.key", env!("CARGO_BIN_EXE_lanc"));
    let mut killed = Command::new("sh");
    killed.args(["-c", &store]).current_dir(lan.folder()).env_clear().env("HOME", lan.folder());
    assert_ne!(finish(&mut killed).code, 0);
    let keys = lan.folder().join(".local/state/lanc/keys");
    assert!(keys.is_dir());
    let none = finish(&mut lan.bare(&["key", "show"]));
    none.expect(0, "");
    assert_eq!(finish(&mut lan.bare(&["key", "store", &key])).code, 0);
    finish(&mut lan.bare(&["key", "show"])).expect(0, &format!("{id}\n"));
    let names: Vec<_> = keys.read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, [&*format!("{id}.key")]);
    // One of before is removed by hand, and says so.
    std::fs::write(keys.join(format!("{id}.key")), "").unwrap();
    let empty = lan.run(&["peers", "--wait", "0"]);
    empty
        .expect_refusal(2, &[" next: no key was ever in it: rm /", &format!("{id}.key"), "--open"]);
}

/// Whoever opens a pipe waits until somebody writes into it.
#[test]
fn remembered_peers_are_read_from_a_file_only() {
    let lan = Lan::new();
    assert_eq!(finish(&mut lan.bare(&["key", "new", "--store"])).code, 0);
    lan.fifo(".local/state/lanc/keys/peers");
    let shown = finish(&mut lan.bare(&["key", "show"]));
    assert!(shown.code == 0 && shown.err.contains("peers: it is no file"), "{shown:?}");
}

#[test]
fn a_key_file_that_is_not_there_is_told_as_what_it_is() {
    let lan = Lan::new();
    for words in [&["store", "none.key"][..], &["rotate", "none.key"], &["show", "none.key"]] {
        let done = finish(&mut lan.bare(&[&["key"], words].concat()));
        done.expect_refusal(2, &["cannot read the key file none.key", "check the name"]);
        assert!(!done.err.contains("--open"), "{done:?}");
    }
}

#[test]
fn a_stored_key_is_exchanged_while_a_node_runs() {
    let lan = Lan::new();
    let ((old, old_id), (new, new_id)) = (key_file(&lan, "old.key"), key_file(&lan, "new.key"));
    assert_eq!(finish(&mut lan.bare(&["key", "store", &old])).code, 0);
    let server = Server::start(&mut lan.command(&["serve", "--demo", "--name", "shop"]));
    let rotate = |words: &[&str]| {
        finish(&mut lan.bare(&[&["key", "rotate", "--json"], words].concat())).json()
    };
    let calls = |key: &str, code| {
        let wait = if code == 0 { "10s" } else { "300ms" };
        let call = ["call", "add", "1", "2", "--wait", wait, "--key-file", key];
        let done = lan.run(&call);
        assert_eq!(done.code, code, "{key}: {done:?}");
    };
    calls(&old, 0);
    calls(&new, 3);
    let listed = rotate(&[&new]);
    assert_eq!(
        (&listed[0]["id"], &listed[1]["id"]),
        (&old_id.clone().into(), &new_id.clone().into())
    );
    assert_eq!((&listed[1]["primary"], &listed[1]["nodes"]), (&false.into(), &1.into()));
    calls(&old, 0);
    calls(&new, 0);
    assert!(rotate(&[])[1]["needed_ms"].is_u64(), "who has the new key only has just used it");
    let refused = finish(&mut lan.bare(&["key", "rotate", "--remove", &old_id]));
    refused.expect_refusal(2, &["seal under", "--primary ID"]);
    assert_eq!(rotate(&["--primary", &new_id])[0]["id"], new_id);
    calls(&old, 0);
    let table = finish(&mut lan.bare(&["key", "rotate"]));
    assert!(table.out.contains("sealed under") && table.out.contains(" ago"), "{table:?}");
    let left = rotate(&["--remove", &old_id]);
    assert_eq!((left.as_array().unwrap().len(), &left[0]["nodes"]), (1, &1.into()));
    calls(&old, 3);
    calls(&new, 0);
    drop(server);

    // The last one goes only if somebody says what that means.
    let slip = finish(&mut lan.bare(&["key", "rotate", "--remove", &new_id]));
    slip.expect_refusal(2, &["the only key", "--open"]);
    let last = finish(&mut lan.bare(&["key", "rotate", "--remove", &new_id, "--open"]));
    assert!(last.code == 0 && last.err.contains("are open"), "{last:?}");
    finish(&mut lan.bare(&["key", "rotate", "--remove", &new_id])).expect_refusal(2, &["no key"]);
}
