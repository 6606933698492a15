//! Every start of a function, in a file that only grows: what it says survives the process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use lanc::Context;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ledger {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    file: File,
    starts: BTreeMap<String, u64>,
}

impl Ledger {
    /// Goes on with the file if it is there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let inner = Inner { file, starts: BTreeMap::new() };
        Ok(Self { inner: Arc::new(Mutex::new(inner)) })
    }

    /// Writes a start down, in one write, before anything else is done. Returns how many this
    /// process has seen of the key.
    pub(crate) fn start(&self, ctx: &Context, key: &str) -> io::Result<u64> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inner.starts.entry(key.to_owned()).or_default();
        *count += 1;
        let count = *count;
        let line =
            format!("{key} {count} {} {}\n", ctx.node().session(), ctx.exe_id().unwrap_or("-"));
        inner.file.write_all(line.as_bytes())?;
        Ok(count)
    }
}
