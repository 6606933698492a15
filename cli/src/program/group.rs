//! A program and what it has started: ended together.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::process::{Child, Command};

/// Leaders of the groups that have not ended.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running program, which leads a process group of its own. Whoever drops this before the
/// program has ended kills the whole group.
pub(super) struct Group {
    leader: Option<u32>,
    // Dropped after the group was killed: until then its leader is not reaped, and the number is
    // nobody else's.
    child: Child,
}

impl Group {
    /// Starts a program.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn spawn(command: &mut Command) -> std::io::Result<Self> {
        #[cfg(unix)]
        command.process_group(0);
        let child = command.kill_on_drop(true).spawn()?;
        let leader = child.id().filter(|leader| running().insert(*leader));
        Ok(Self { leader, child })
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits for the program. What it has left in the background goes on.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub(super) async fn wait(mut self) -> std::io::Result<std::process::ExitStatus> {
        let status = self.child.wait().await?;
        if let Some(leader) = self.leader.take() {
            running().remove(&leader);
        }
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader.take().filter(|leader| running().remove(leader)) {
            kill(leader);
        }
    }
}

/// Kills the programs that run, and what they have started: this process is about to end.
pub(crate) fn end_all() {
    std::mem::take(&mut *running()).into_iter().for_each(kill);
}

#[cfg(unix)]
fn kill(leader: u32) {
    let leader = i32::try_from(leader).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(leader) = leader {
        // It may have ended just now.
        let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
    }
}

#[cfg(not(unix))]
fn kill(_: u32) {}
