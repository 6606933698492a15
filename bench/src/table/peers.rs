//! The programs of the rows: this one, and that of `bench/peers`, which is built when it is needed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::rows::{Program, Row};
use crate::Fallible;
use crate::args::Options;

/// Where each program is.
pub(super) struct Programs {
    bench: PathBuf,
    peers: Option<PathBuf>,
}

impl Programs {
    /// Finds those of these rows, and builds what is not there.
    ///
    /// # Errors
    /// It cannot be built.
    pub(super) fn of(rows: &[Row], options: &Options) -> Fallible<Self> {
        let bench = std::env::current_exe()?;
        let peers = rows.iter().any(|row| row.program == Program::Peers);
        if peers && options.count_allocations {
            return Err("allocations of others are not counted; leave one of the two out".into());
        }
        Ok(Self { bench, peers: if peers { Some(build()?) } else { None } })
    }

    /// That of a row.
    pub(super) fn path(&self, row: &Row) -> &Path {
        match (row.program, &self.peers) {
            (Program::Peers, Some(peers)) => peers,
            _ => &self.bench,
        }
    }

    /// Why a row cannot be measured here, if it cannot: it needs a third program.
    pub(super) fn why_not(&self, row: &Row) -> Option<String> {
        if row.program == Program::Bench {
            return None;
        }
        let asked = Command::new(self.path(row)).args(row.server()).stdin(Stdio::null()).output();
        let said = String::from_utf8(asked.ok()?.stdout).ok()?;
        Some(said.strip_prefix("SKIP ")?.trim().to_owned())
    }
}

/// Builds `bench/peers` with its own lock file; takes a second when it is there already.
fn build() -> Fallible<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers");
    eprintln!("building {}: several minutes the first time", folder.display());
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--release", "--locked", "--manifest-path"]);
    command.arg(folder.join("Cargo.toml")).arg("--target-dir").arg(&target);
    // What `cargo run` says of this package; build scripts that look at it would run anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if !command.stdin(Stdio::null()).status()?.success() {
        return Err(format!("{} cannot be built", folder.display()).into());
    }
    let name = format!("lanc-bench-peers{}", std::env::consts::EXE_SUFFIX);
    Ok(target.join("release").join(name))
}
