//! Where settings come from.

use crate::support::{Lan, finish};

#[test]
fn a_bad_key_is_named_with_file_line_and_the_nearest() {
    let lan = Lan::new();
    std::fs::write(lan.folder().join("lanc.toml"), "name = 'x'\nprot = 1\n").unwrap();
    let done = finish(&mut lan.bare(&["peers"]));
    done.expect_refusal(2, &["lanc.toml:2: unknown key `prot`", "did you mean `port`?"]);
    let error = finish(&mut lan.bare(&["peers", "--json"])).json_error();
    assert_eq!(error["name"], "usage");
    assert!(error["code"].is_null());
}

#[test]
fn each_source_reaches_the_node() {
    let lan = Lan::new();
    let _server = lan.serve(&["--demo"]);
    let port = lan.port().to_string();
    let call = ["call", "add", "1", "2", "--wait", "500ms"];

    // The environment.
    let mut command = lan.bare(&call);
    finish(command.env("LANC_IFACE", "lo").env("LANC_PORT", &port)).expect(0, "3\n");

    // The project's file, found from a folder below.
    std::fs::create_dir_all(lan.folder().join(".git")).unwrap();
    std::fs::create_dir_all(lan.folder().join("deep")).unwrap();
    let file = lan.folder().join("lanc.toml");
    std::fs::write(&file, format!("iface = ['lo']\nport = {port}\n")).unwrap();
    let below = lan.folder().join("deep");
    finish(lan.bare(&call).current_dir(&below)).expect(0, "3\n");

    // The user's file, below the project's.
    std::fs::write(&file, "iface = ['lo']\n").unwrap();
    let user = lan.folder().join("xdg/lanc");
    std::fs::create_dir_all(&user).unwrap();
    std::fs::write(user.join("config.toml"), format!("port = {port}\niface = ['none']\n")).unwrap();
    let xdg = lan.folder().join("xdg");
    finish(lan.bare(&call).env("XDG_CONFIG_HOME", &xdg)).expect(0, "3\n");

    // An option over a variable over a file: on another port nobody is there.
    let other = Lan::new();
    let elsewhere = other.port().to_string();
    std::fs::write(&file, format!("iface = ['lo']\nport = {port}\n")).unwrap();
    let done = finish(lan.bare(&call).env("LANC_PORT", &elsewhere));
    done.expect_error(3, &["no_provider"]);
    let mut words = call.to_vec();
    words.extend(["--port", &port]);
    finish(lan.bare(&words).env("LANC_PORT", &elsewhere)).expect(0, "3\n");
}

#[test]
fn the_deadline_and_the_name_are_settings() {
    let lan = Lan::new();
    let mut serve = lan.command(&["serve", "--demo"]);
    let _server = crate::support::Server::start(serve.env("LANC_NAME", "from-variable"));
    let mut call = lan.command(&["call", "sleep", "60000", "--on", "from-variable"]);
    finish(call.env("LANC_TIMEOUT", "300ms")).expect_error(4, &["timeout", "from-variable"]);
}

#[test]
fn settings_that_make_no_sense_are_usage_errors() {
    let lan = Lan::new();
    lan.run(&["peers", "--config", "missing.toml"]).expect_refusal(2, &["missing.toml"]);
    finish(lan.command(&["peers"]).env("LANC_LOG", "a=b=c")).expect_refusal(2, &["LANC_LOG"]);
    finish(lan.command(&["peers"]).env("LANC_BIND", "here")).expect_refusal(2, &["LANC_BIND"]);
    lan.run(&["serve", "--name", ""]).expect_refusal(2, &["name"]);
    let unknown = finish(&mut lan.bare(&["peers", "--iface", "none0"]));
    unknown.expect_refusal(2, &["no network interface `none0`", "lo"]);
}
