//! Names and numbers that identify things on the wire.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::hex;
use crate::slots::Key;

/// What the keys of the core's tables stand for.
pub mod tag {
    /// An entry of the peer table.
    #[derive(Debug)]
    pub enum Peer {}
    /// An outgoing call.
    #[derive(Debug)]
    pub enum Call {}
    /// An incoming (or local) call on its way through queue and function.
    #[derive(Debug)]
    pub enum Task {}
    /// A function name.
    #[derive(Debug)]
    pub enum Function {}
    /// Somebody whose calls this node runs.
    #[derive(Debug)]
    pub enum Caller {}
    /// A ping that waits for its pong.
    #[derive(Debug)]
    pub enum Ping {}
}

/// Names a peer of this node. Stale once the peer is gone.
pub type PeerKey = Key<tag::Peer>;
/// Names a call of this node. Stale once its outcome has been taken.
pub type CallKey = Key<tag::Call>;
/// Names a call that this node runs for somebody.
pub type TaskKey = Key<tag::Task>;
/// Names a function name this node has heard of.
pub type FunctionKey = Key<tag::Function>;
/// Names a life of somebody whose calls this node runs.
pub type CallerKey = Key<tag::Caller>;
/// Names a ping in flight.
pub type PingKey = Key<tag::Ping>;

/// One life of a node: 128 random bits drawn when it starts. Another life, another id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// The first eight bytes: how calls name a session.
    pub fn short(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Reads 32 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|id| Self(id.to_be_bytes()))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.short())
    }
}

/// The identity of one execution (S0's `exe_id`), made by the caller.
///
/// Written `SESSION.NUMBER.RANDOM`: 16 hex digits of the caller's session, the call's number in
/// that session, and 8 random hex digits that a blind forger would have to guess. Text like
/// this only in the API, in logs and in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExeId {
    /// [`SessionId::short`] of the caller.
    pub session: u64,
    /// 1 for the session's first call, then one more each.
    pub number: u64,
    /// Drawn anew for every call.
    pub random: u32,
}

impl fmt::Display for ExeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}.{:08x}", self.session, self.number, self.random)
    }
}

impl fmt::Debug for ExeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no call id of LANC 0.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a call id: expected SESSION.NUMBER.RANDOM as `lanc call` prints it")]
pub struct ParseExeIdError;

impl FromStr for ExeId {
    type Err = ParseExeIdError;

    /// Exactly the form that is written, so that an id is echoed byte for byte.
    fn from_str(text: &str) -> Result<Self, ParseExeIdError> {
        let read = || {
            let (session, rest) = text.as_bytes().split_first_chunk::<16>()?;
            let (rest, random) = rest.split_last_chunk::<8>()?;
            let [b'.', number @ .., b'.'] = rest else { return None };
            Some(Self {
                session: hex::read(session, hex::LOWER)?,
                number: read_decimal(number)?,
                random: u32::try_from(hex::read(random, hex::LOWER)?).ok()?,
            })
        };
        read().ok_or(ParseExeIdError)
    }
}

/// Without a zero in front.
fn read_decimal(text: &[u8]) -> Option<u64> {
    if matches!(text, [] | [b'0', ..]) {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A function's name: 1 to 128 bytes of `[A-Za-z_][A-Za-z0-9_.:-]*`.
///
/// The narrow alphabet keeps names safe in logs, terminals and file names. Clones share the text.
#[derive(Clone, Eq, PartialOrd, Ord)]
pub struct FunctionName(Arc<str>);

impl PartialEq for FunctionName {
    /// What is compared for each call has come from one text, mostly.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl std::hash::Hash for FunctionName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// The text cannot name a function.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` cannot name a function: use 1 to {max} of A-Z a-z 0-9 _ . : -, beginning with a letter or _",
    max = FunctionName::MAX
)]
pub struct InvalidName(String);

impl FunctionName {
    /// Longest name in bytes.
    pub const MAX: usize = 128;

    /// Whether `name` may name a function.
    pub fn is_valid(name: &str) -> bool {
        let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
        first && name.len() <= Self::MAX && name.bytes().all(rest)
    }

    /// A checked name.
    ///
    /// # Errors
    /// [`InvalidName`], with the name cut to a printable length.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        if Self::is_valid(name) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidName(name.chars().take(64).flat_map(char::escape_default).collect()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for FunctionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A version of the protocol as it stands in a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version {
    /// Peers with another major number answer `incompatible_version`.
    pub major: u16,
    /// A higher minor number only adds.
    pub minor: u16,
}

impl Version {
    /// What this crate speaks.
    pub const NATIVE: Self = Self { major: 0, minor: 2 };
    /// [`Self::NATIVE`] as it is written.
    pub const NATIVE_TEXT: &'static str = "0.2";

    /// Reads `MAJOR.MINOR`.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        let digits =
            |t: &str| !t.is_empty() && t.len() <= 5 && t.bytes().all(|b| b.is_ascii_digit());
        if !digits(major) || !digits(minor) {
            return None;
        }
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exe_ids_read_back() {
        let id = ExeId { session: 0x1011_1213_1415_1617, number: 42, random: 0x9f2c_4e1a };
        assert_eq!(id.to_string(), "1011121314151617.42.9f2c4e1a");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            "1",
            "1.2.3",
            "1011121314151617.-1.9f2c4e1a",
            "+011121314151617.1.9f2c4e1a",
            "1011121314151617.01.9f2c4e1a",
            "A011121314151617.1.9f2c4e1a",
        ] {
            assert!(bad.parse::<ExeId>().is_err(), "{bad}");
        }
        for number in (0..64).map(|bits| 1 << bits).chain([9, 10, u64::MAX / 10, u64::MAX]) {
            let random = u32::try_from(number & 0xffff_ffff).unwrap();
            let id = ExeId { session: number.rotate_left(9), number, random };
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    /// What the parser of the standard library makes of it.
    fn plainly(text: &str) -> Option<ExeId> {
        let mut parts = text.split('.');
        let (session, number, random) = (parts.next()?, parts.next()?, parts.next()?);
        let id = ExeId {
            session: u64::from_str_radix(session, 16).ok()?,
            number: number.parse().ok()?,
            random: u32::from_str_radix(random, 16).ok()?,
        };
        (id.number > 0 && id.to_string() == text).then_some(id)
    }

    #[test]
    fn an_id_is_read_in_no_form_but_its_own() {
        let good = "1011a21314151617.18446744073709551615.9f2c4e1a";
        assert!(plainly(good).is_some());
        let cut = (0..good.len()).flat_map(|at| [&good[at..], &good[..at]]);
        let cut: Vec<_> = cut.map(str::to_owned).collect();
        let changed = (0..good.len()).flat_map(|at| {
            ["", "0", "9", "g", "A", ".", "-", "+", " ", "\0", "ä"].map(|other| {
                let (before, behind) = good.split_at(at);
                format!("{before}{other}{}", &behind[1..])
            })
        });
        let others = ["1011a21314151617..9f2c4e1a", "1011a21314151617.0.9f2c4e1a", "ä"];
        for text in cut.into_iter().chain(changed).chain(others.map(str::to_owned)) {
            assert_eq!(text.parse().ok(), plainly(&text), "{text}");
        }
    }

    #[test]
    fn names_are_bounded_and_printable() {
        assert!(FunctionName::is_valid("add"));
        assert!(FunctionName::is_valid(&"a".repeat(128)));
        assert!(!FunctionName::is_valid(&"a".repeat(129)));
        for bad in ["", "1a", "a b", "a\n", "ä", "a/b", "\u{1b}[31m"] {
            assert!(!FunctionName::is_valid(bad), "{bad:?}");
        }
        assert!(!FunctionName::new("\u{1b}[31m").unwrap_err().to_string().contains('\u{1b}'));
    }
}
