//! The options of the network that a person gave, to be given again with the commands that the
//! person is advised to run.

use std::fmt::Display;
use std::path::Path;

use super::NetworkArgs;

impl NetworkArgs {
    /// The options as a person would type them; empty if there are none.
    pub(crate) fn given(&self) -> String {
        let mut words = Words(Vec::new());
        self.iface.iter().for_each(|name| words.option("--iface", name));
        self.bind.iter().for_each(|address| words.option("--bind", address));
        self.port.iter().for_each(|port| words.option("--port", port));
        self.private_port.iter().for_each(|port| words.option("--private-port", port));
        self.peer.iter().for_each(|peer| words.option("--peer", peer));
        words.switch("--no-discovery", self.no_discovery);
        words.switch("--compress", self.compress);
        self.config.iter().for_each(|path| words.path("--config", path));
        self.key_file.iter().for_each(|path| words.path("--key-file", path));
        words.switch("--passphrase", self.passphrase);
        if self.passphrase && self.group != super::GROUP {
            words.option("--group", &self.group);
        }
        words.switch("--open", self.open);
        words.switch("--open-on-public", self.open_on_public);
        words.0.join(" ")
    }
}

struct Words(Vec<String>);

impl Words {
    fn switch(&mut self, name: &str, is_given: bool) {
        self.0.extend(is_given.then(|| name.to_owned()));
    }

    fn option(&mut self, name: &str, value: &dyn Display) {
        let value = value.to_string();
        // A value with a NUL never came from a command line.
        let value = shlex::try_quote(&value).map(Into::into).unwrap_or_default();
        self.0.extend([name.to_owned(), value]);
    }

    fn path(&mut self, name: &str, path: &Path) {
        self.option(name, &path.display());
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use crate::args::Cli;

    const LINES: [&str; 3] = [
        "--iface lo --iface eth0 --bind 127.0.0.1 --port 7 --private-port 8 --peer 'a b' \
         --no-discovery --compress --config 'my lanc.toml' --key-file k",
        "--passphrase --group g",
        "--open --open-on-public",
    ];

    #[test]
    fn what_was_given_is_given_again() {
        for line in LINES {
            let words = shlex::split(&format!("lanc {line} peers")).unwrap();
            assert_eq!(Cli::try_parse_from(words).unwrap().network.given(), line);
        }
        assert_eq!(Cli::try_parse_from(["lanc", "peers"]).unwrap().network.given(), "");
    }

    #[test]
    fn no_option_of_the_network_is_forgotten() {
        let given: Vec<_> = LINES.iter().flat_map(|line| line.split(' ')).collect();
        for option in Cli::command().get_arguments() {
            if matches!(option.get_help_heading(), Some("Network" | "Keys")) {
                let option = format!("--{}", option.get_long().unwrap());
                assert!(given.contains(&option.as_str()), "{option}");
            }
        }
    }
}
