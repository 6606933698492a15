//! Relay: what an older program said to a port that the nodes of a host share, from the node that
//! got it to the one it was meant for.

use std::net::IpAddr;

use super::read::Unreadable;
use crate::fields::{Fields, map_or_nothing};
use crate::id::Version;
use crate::ports::{Budget, Codec, DecodeError, Item};

/// The method's name.
const RELAY: &str = "relay";

/// A message of an older program, as its receiver read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Relay<'a> {
    /// The host it came from.
    pub from: IpAddr,
    /// The message: one encoded map.
    pub frame: &'a [u8],
}

/// Whether a message is one.
pub fn is_relay(fields: &Fields<'_>) -> bool {
    let text = |value: &Option<crate::ports::Value<'_>>, wanted| {
        value.as_ref().and_then(|value| value.item.as_text()) == Some(wanted)
    };
    text(&fields.method, RELAY) && text(&fields.kind, "LANC")
}

/// Reads one.
///
/// # Errors
/// [`Unreadable::Field`].
pub fn read_relay<'a>(
    fields: &Fields<'a>,
    codec: &dyn Codec,
    budget: &mut Budget,
) -> Result<Relay<'a>, Unreadable> {
    let (mut from, mut frame) = (None, None);
    let raw = map_or_nothing(fields.data.as_ref())?;
    if !raw.is_empty() {
        codec.read_map(raw, budget, &mut |key, value| {
            match (key, &value.item) {
                ("from", Item::Text(text)) => from = text.parse().ok(),
                ("frame", Item::Map(raw)) => frame = Some(*raw),
                _ => {}
            }
            Ok(())
        })?;
    }
    match (from, frame) {
        (Some(from), Some(frame)) => Ok(Relay { from, frame }),
        _ => Err(DecodeError::WrongType.into()),
    }
}

/// Appends one.
pub fn write_relay(relay: &Relay<'_>, codec: &dyn Codec, out: &mut Vec<u8>) {
    let word = |text: &'static str| Item::Text(text.into());
    let mut data = Vec::new();
    let from = Item::Text(relay.from.to_string().into());
    codec.write_map(&[("from", from), ("frame", Item::Map(relay.frame))], &mut data);
    let entries = [
        ("type", word("LANC")),
        ("method", word(RELAY)),
        ("version", word(Version::NATIVE_TEXT)),
        ("data", Item::Encoded(&data)),
        ("encrypted", word("no")),
        ("compress", word("no")),
    ];
    codec.write_map(&entries, out);
}
