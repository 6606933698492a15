//! Ctrl-C and the system's wish to end the program.

use lanc::ErrorCode;

use crate::failure::Failure;

/// Checks that the process may open what the runtime needs: it panics where it cannot have the
/// descriptors by which it hears of signals.
///
/// # Errors
/// The system's refusal.
pub(crate) fn check_room() -> Result<(), Failure> {
    #[cfg(unix)]
    {
        let pair = || std::os::unix::net::UnixStream::pair();
        let pairs: std::io::Result<Vec<_>> = (0..PAIRS).map(|_| pair()).collect();
        pairs.map_err(|error| {
            let text = format!("cannot start the runtime: {error}");
            let next = "allow it to open more files: `ulimit -n 256`";
            Failure::before_call(ErrorCode::INTERNAL, text).next(next)
        })?;
    }
    Ok(())
}

/// Two descriptors for signals, one that is a copy, and those of the system's events: this many
/// pairs hold them.
#[cfg(unix)]
const PAIRS: usize = 4;

/// Interrupts from now on.
pub(crate) struct Interrupts {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Interrupts {
    /// Takes over SIGINT and SIGTERM (Ctrl-C elsewhere): they no longer end the program by
    /// themselves.
    ///
    /// # Errors
    /// The system's refusal.
    pub(crate) fn listen() -> Result<Self, Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let listen = |kind| {
                signal(kind).map_err(|error| {
                    let text = format!("cannot listen to signals: {error}");
                    Failure::before_call(ErrorCode::INTERNAL, text)
                })
            };
            Ok(Self {
                interrupt: listen(SignalKind::interrupt())?,
                terminate: listen(SignalKind::terminate())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            // Without Ctrl-C there is nothing to wait for.
            std::future::pending::<()>().await;
        }
    }
}
