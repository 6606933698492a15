//! Another process, of this program mostly, spoken with line by line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child as Process, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use crate::Fallible;

/// Ends with this value.
pub(crate) struct Child {
    process: Process,
    stdin: Option<ChildStdin>,
    lines: Receiver<std::io::Result<String>>,
    command: String,
}

impl Child {
    /// Starts a program with these arguments.
    pub(crate) fn start(program: &Path, args: &[String]) -> Fallible<Self> {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().ok_or("a process without output")?;
        let (out, lines) = sync_channel(16);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if out.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { process, stdin, lines, command: args.join(" ") })
    }

    /// The next line it prints.
    ///
    /// # Errors
    /// It ended, or printed nothing for so long.
    pub(crate) fn line(&mut self, within: Duration) -> Fallible<String> {
        let line = self.lines.recv_timeout(within);
        Ok(line.map_err(|error| format!("`{}` said nothing: {error}", self.command))??)
    }

    /// Gives it a line to read.
    pub(crate) fn say(&mut self, line: &str) -> Fallible<()> {
        let stdin = self.stdin.as_mut().ok_or("its input is closed")?;
        writeln!(stdin, "{line}")?;
        Ok(stdin.flush()?)
    }

    /// Closes its input and waits until it ends.
    pub(crate) fn end(mut self) -> Fallible<()> {
        self.stdin = None;
        self.wait()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) -> Fallible<()> {
        let status = self.process.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(format!("`{}` ended with {status}", self.command).into())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
