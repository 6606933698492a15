//! The command on a host.

use std::process::Command;

use lanc_netlab::Host;

pub(crate) trait Lanc {
    /// `lanc` inside.
    fn lanc(&self, words: &[&str]) -> Command;
}

impl Lanc for Host {
    fn lanc(&self, words: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_lanc"), words)
    }
}
