//! Every start of a function, in a file that only grows: what it says survives the process.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use lanc::Context;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ledger {
    file: Arc<File>,
}

impl Ledger {
    /// Goes on with the file if it is there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Arc::new(File::options().create(true).append(true).open(path)?) })
    }

    /// Writes a start down, in one write, before anything else is done.
    ///
    /// # Errors
    /// The system's, as a text: the function fails with it.
    pub(crate) fn start(&self, ctx: &Context, key: &str) -> Result<(), String> {
        let id = ctx.exe_id().unwrap_or("-");
        let line = format!("{key} {} {id}\n", ctx.node().session());
        (&*self.file).write_all(line.as_bytes()).map_err(|error| error.to_string())
    }
}
