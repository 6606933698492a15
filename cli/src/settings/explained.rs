//! What may be set and how it is explained to people: the keys of configuration files, which
//! their reader takes from here, and the variables of the environment.

use std::fmt::Write as _;

use clap_mangen::roff::{Roff, bold, roman};
use lanc::{Config, UdpConfig};

/// Something that may be set.
pub(crate) struct Explained {
    /// Its key in a configuration file, with an example.
    pub(crate) key: Option<(&'static str, &'static str)>,
    /// Its variable in the environment.
    pub(crate) variable: Option<&'static str>,
    /// The option that comes before both.
    option: Option<&'static str>,
    meaning: &'static str,
    /// What a file and a variable may say, with units and ranges.
    values: [&'static str; 2],
    default: fn() -> String,
}

const PORT: &str = "1 to 65535";
const SWITCH: &str = "true or false";

/// All of them, in the order in which they are told.
pub(crate) const ALL: [Explained; 14] = [
    Explained {
        key: Some(("port", "port = 6000")),
        variable: Some("LANC_PORT"),
        option: Some("--port"),
        meaning: "the UDP port on which nodes find each other, the same for all of a network",
        values: [PORT, PORT],
        default: || UdpConfig::PORT.to_string(),
    },
    Explained {
        key: Some(("iface", "iface = [\"eth0\"]")),
        variable: Some("LANC_IFACE"),
        option: Some("--iface"),
        meaning: "the network interfaces to use; lo alone keeps everything on this machine",
        values: ["a list of names", "names, with commas between them"],
        default: || "all that are up and can broadcast".to_owned(),
    },
    Explained {
        key: Some(("bind", "bind = \"192.168.1.4\"")),
        variable: Some("LANC_BIND"),
        option: Some("--bind"),
        meaning: "the local address; one of IPv6 means no broadcast",
        values: ["an IP address", "an IP address"],
        default: || "0.0.0.0; 127.0.0.1 with the interface lo alone".to_owned(),
    },
    Explained {
        key: Some(("private_port", "private_port = 6001")),
        variable: Some("LANC_PRIVATE_PORT"),
        option: Some("--private-port"),
        meaning: "the port, of UDP and of TCP, that this node sends from and is contacted at",
        values: [PORT, PORT],
        default: || "any free one".to_owned(),
    },
    Explained {
        key: Some(("timeout", "timeout = \"2s\"")),
        variable: Some("LANC_TIMEOUT"),
        option: Some("call --timeout"),
        meaning: "how long a call may take",
        values: [
            "\"500ms\", \"2s\", \"1m\", \"1h\" or seconds as a number, more than 0 and at most 24h",
            "500ms, 2s, 1m, 1h or seconds as a number, more than 0 and at most 24h",
        ],
        default: || format!("{}s", Config::default().call_deadline().as_secs()),
    },
    Explained {
        key: Some(("name", "name = \"workshop\"")),
        variable: Some("LANC_NAME"),
        option: Some("serve --name"),
        meaning: "the name under which `lanc serve` appears to others",
        values: ["text", "text"],
        default: || "the host's name and four digits".to_owned(),
    },
    Explained {
        key: Some(("discovery", "discovery = false")),
        variable: None,
        option: Some("--no-discovery"),
        meaning: "whether to broadcast and to listen to broadcasts",
        values: [SWITCH, ""],
        default: || "true".to_owned(),
    },
    Explained {
        key: Some(("compress", "compress = true")),
        variable: None,
        option: Some("--compress"),
        meaning: "whether to compress what is larger than 1 KiB, to peers that read it",
        values: [SWITCH, ""],
        default: || "false".to_owned(),
    },
    Explained {
        key: Some(("peer", "peer = [\"attic\", \"10.0.0.7:40112\"]")),
        variable: Some("LANC_PEERS"),
        option: Some("--peer"),
        meaning: "peers to contact directly",
        values: [
            "a list of ADDR:PORT or of names from [peers]",
            "ADDR:PORT or names from [peers], with commas between them",
        ],
        default: || "none".to_owned(),
    },
    Explained {
        key: Some(("key_file", "key_file = \"lan.key\"")),
        variable: Some("LANC_KEY_FILE"),
        option: Some("--key-file"),
        meaning: "the key to seal everything with",
        values: ["a path, as seen from the file that names it", "a path"],
        default: || "the stored key (`lanc key show`); open if there is none".to_owned(),
    },
    // Last of the keys: in a file whatever follows a table would belong to it.
    Explained {
        key: Some(("peers", "[peers]\nattic = \"192.168.7.2:40112\"")),
        variable: None,
        option: None,
        meaning: "names for addresses, for --peer, LANC_PEERS and `peer`",
        values: ["a table: NAME = \"ADDR:PORT\"", ""],
        default: || "none".to_owned(),
    },
    Explained {
        key: None,
        variable: Some("LANC_CONFIG"),
        option: Some("--config"),
        meaning: "the configuration file to read, and neither the project's nor the user's",
        values: ["", "a path"],
        default: || "none".to_owned(),
    },
    Explained {
        key: None,
        variable: Some("LANC_LOG"),
        option: Some("-q and -v"),
        meaning: "what is logged on standard error, as RUST_LOG is written",
        values: ["", "error, warn, info, debug, trace, or module=level, with commas between them"],
        default: || "info for `lanc serve`, else warn".to_owned(),
    },
    Explained {
        key: None,
        variable: Some("LANC_STATE_DIR"),
        option: None,
        meaning: "the folder of control sockets, stored keys and remembered peers; it must be \
                  yours alone (mode 0700)",
        values: ["", "a path"],
        default: || {
            let places = "sockets: $XDG_RUNTIME_DIR/lanc; the rest: $XDG_STATE_HOME/lanc, which is \
                          ~/.local/state/lanc unless that is set";
            places.to_owned()
        },
    },
];

/// The keys of a configuration file.
pub(crate) fn keys() -> impl Iterator<Item = &'static str> {
    ALL.iter().filter_map(|setting| setting.key).map(|(key, _)| key)
}

/// The sections of the manual page that tell all this.
pub(crate) fn sections() -> Roff {
    let mut page = Roff::default();
    page.control("SH", ["ENVIRONMENT"]);
    page.text([roman(
        "A variable that is empty counts as not set. Options come before variables.",
    )]);
    for setting in &ALL {
        let Some(variable) = setting.variable else { continue };
        let [_, values] = setting.values;
        let same = setting.key.map(|(key, _)| format!("`{key}` in lanc.toml"));
        entry(&mut page, variable, setting, values, same);
    }
    page.control("SH", ["CONFIGURATION FILES"]);
    page.text([roman(
        "Files are TOML. lanc.toml is the project's: the nearest one from the working directory up \
         to the root of its repository, or to the home directory; in neither only the working \
         directory is looked at. The user's is $XDG_CONFIG_HOME/lanc/config.toml or \
         ~/.config/lanc/config.toml (macOS: ~/Library/Application Support/lanc/config.toml, \
         Windows: %APPDATA%\\lanc\\config.toml). Variables come before the project's file, and that \
         before the user's. An unknown key is an error. The keys:",
    )]);
    for setting in &ALL {
        let Some((key, _)) = setting.key else { continue };
        let [values, _] = setting.values;
        entry(&mut page, key, setting, values, setting.variable.map(str::to_owned));
    }
    page.control("PP", []);
    page.text([roman("A file that says everything:")]);
    page.control("RS", ["4"]);
    page.control("nf", []);
    for line in example().lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
    page.control("RE", []);
    page
}

fn entry(page: &mut Roff, name: &str, setting: &Explained, values: &str, same: Option<String>) {
    let mut text = format!("{}: {values}. Default: {}.", setting.meaning, (setting.default)());
    let same: Vec<_> = setting.option.map(str::to_owned).into_iter().chain(same).collect();
    if !same.is_empty() {
        let _ = write!(text, " Also: {}.", same.join(", "));
    }
    page.control("TP", []);
    page.text([bold(name)]);
    page.text([roman(text)]);
}

/// A configuration file with every key.
fn example() -> String {
    let lines = ALL.iter().filter_map(|setting| setting.key).map(|(_, example)| example);
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::settings::{Settings, environment, file};

    #[test]
    fn every_key_is_read_and_is_on_the_page() {
        let page = sections().to_roff();
        for (key, example) in ALL.iter().filter_map(|setting| setting.key) {
            assert_ne!(file::layer("x", example), Ok(Settings::default()), "{key} is not read");
            assert!(page.contains(&format!("\n\\fB{key}\\fR\n")), "{key}: {page}");
        }
        assert!(file::layer("x", &example()).is_ok());
    }

    #[test]
    fn every_setting_that_a_file_may_hold_is_on_the_page() {
        let full = file::layer("x", &example()).unwrap();
        let Settings {
            port: Some(_),
            iface: Some(_),
            bind: Some(_),
            private_port: Some(_),
            timeout: Some(_),
            name: Some(_),
            discovery: Some(_),
            compress: Some(_),
            peer: Some(_),
            peers,
            keying: Some(_),
            // No file says these.
            open_on_public: None,
            keys: _,
            given: _,
        } = full
        else {
            panic!("{full:?}")
        };
        assert!(!peers.is_empty());
    }

    /// The variables that the sources name.
    fn named(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                named(&path, found);
            } else if !path.ends_with("explained.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let names = text.split("\"LANC_").skip(1).filter_map(|rest| rest.split_once('"'));
                let is_name = |name: &&str| {
                    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
                };
                let names = names.map(|(name, _)| name).filter(is_name);
                found.extend(names.map(|name| format!("LANC_{name}")));
            }
        }
    }

    #[test]
    fn every_variable_is_on_the_page_and_none_that_is_not_read() {
        let mut found = BTreeSet::new();
        named(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let told: BTreeSet<_> = ALL.iter().filter_map(|setting| setting.variable).collect();
        assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), told);
        let page = sections().to_roff();
        for variable in told {
            assert!(page.contains(&format!("\n\\fB{variable}\\fR\n")), "{variable}: {page}");
        }
    }

    #[test]
    fn ranges_are_those_that_are_read() {
        let read = |name: &'static str, value: &'static str| {
            environment::layer(&|asked| (asked == name).then(|| value.to_owned())).is_ok()
        };
        for (name, good, bad) in [
            ("LANC_PORT", ["1", "65535"], ["0", "65536"]),
            ("LANC_PRIVATE_PORT", ["1", "65535"], ["0", "65536"]),
            ("LANC_TIMEOUT", ["1ms", "24h"], ["0", "25h"]),
        ] {
            assert!(good.iter().all(|value| read(name, value)), "{name}");
            assert!(!bad.iter().any(|value| read(name, value)), "{name}");
        }
    }
}
