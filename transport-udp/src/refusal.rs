//! What the system's answer to a send or a receive means.

use std::io::{self, ErrorKind};

/// Why a datagram was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// The socket's buffer is full; the reactor tells when it is not.
    NotReady,
    /// The interface's queue is full; nothing tells when it is not.
    NoBuffers,
    /// Larger than the path carries.
    TooLarge,
    /// An earlier datagram's bad news, which says nothing about this one.
    Noise,
    /// No route, interface down, or a firewall: the interfaces may have changed.
    Unreachable,
}

impl Refusal {
    pub(crate) fn of(error: &io::Error) -> Self {
        if error.raw_os_error() == Some(NO_BUFFERS) {
            return Self::NoBuffers;
        }
        if error.raw_os_error() == Some(MESSAGE_SIZE) {
            return Self::TooLarge;
        }
        match error.kind() {
            ErrorKind::WouldBlock => Self::NotReady,
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::Interrupted => {
                Self::Noise
            }
            _ => Self::Unreachable,
        }
    }
}

/// Whether an error of a receive is the echo of an earlier send, or passes by itself.
pub(crate) fn is_noise(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::Interrupted
    )
}

#[cfg(unix)]
const NO_BUFFERS: i32 = libc::ENOBUFS;
#[cfg(unix)]
const MESSAGE_SIZE: i32 = libc::EMSGSIZE;
/// `WSAENOBUFS`.
#[cfg(not(unix))]
const NO_BUFFERS: i32 = 10055;
/// `WSAEMSGSIZE`.
#[cfg(not(unix))]
const MESSAGE_SIZE: i32 = 10040;

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_meaning() {
        for (number, meaning) in [
            (libc::EAGAIN, Refusal::NotReady),
            (libc::ENOBUFS, Refusal::NoBuffers),
            (libc::EMSGSIZE, Refusal::TooLarge),
            (libc::ECONNREFUSED, Refusal::Noise),
            (libc::EINTR, Refusal::Noise),
            (libc::ENETUNREACH, Refusal::Unreachable),
            (libc::EHOSTUNREACH, Refusal::Unreachable),
            (libc::ENETDOWN, Refusal::Unreachable),
            (libc::EPERM, Refusal::Unreachable),
            (libc::EACCES, Refusal::Unreachable),
            (libc::EINVAL, Refusal::Unreachable),
        ] {
            assert_eq!(Refusal::of(&io::Error::from_raw_os_error(number)), meaning, "{number}");
        }
    }

    #[test]
    fn a_broken_socket_is_no_noise() {
        assert!(is_noise(&io::Error::from_raw_os_error(libc::ECONNREFUSED)));
        assert!(is_noise(&io::Error::from_raw_os_error(libc::ENETDOWN)));
        assert!(!is_noise(&io::Error::from_raw_os_error(libc::EBADF)));
        assert!(!is_noise(&io::Error::from_raw_os_error(libc::ENOTCONN)));
    }
}
