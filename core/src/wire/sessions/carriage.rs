//! The message that an envelope travels in where others listen who know no envelopes: one object
//! of S0's six keys, with the envelope in `data`. Broadcasts always do.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::envelope::Labels;
use crate::counters::Drop;
use crate::fields::Fields;
use crate::id::Version;
use crate::ports::{Budget, Codec, Format, Item, Value};

/// What stands in `encrypted` of such a message.
const CIPHER: &str = "AES-256-GCM";
/// Bytes of it besides the envelope, at most.
pub(crate) const AROUND: usize = 108;
/// Bytes of the text of one field.
const LABEL: usize = 16;

/// What such a message says besides its envelope.
pub struct Outer {
    method: Label,
    version: Label,
    compress: Label,
}

/// A short text of a message, copied: the message need not outlive it.
struct Label {
    bytes: [u8; LABEL],
    count: usize,
}

impl Label {
    fn of(field: Option<&Value<'_>>) -> Option<Self> {
        let text = field?.item.as_text()?;
        let mut label = Self { bytes: [0; LABEL], count: text.len() };
        label.bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(label)
    }

    fn text(&self) -> &str {
        let bytes = self.bytes.get(..self.count).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl Outer {
    /// What is authenticated of it.
    pub fn labels(&self) -> Labels<'_> {
        let (method, version) = (self.method.text(), self.version.text());
        Labels { method, version, compress: self.compress.text() }
    }
}

/// Reads a message into `envelope` (cleared first).
///
/// # Errors
/// [`Drop::Plaintext`] when it says that it carries none, another reason when it is no message or
/// what it carries cannot be an envelope.
pub fn read(codec: &dyn Codec, message: &[u8], envelope: &mut Vec<u8>) -> Result<Outer, Drop> {
    let mut budget = Budget { depth: 4, nodes: 64 };
    // Deeper than this is no envelope, so somebody speaks in plain.
    let fields = Fields::read(codec, message, &mut budget);
    let (fields, _) = fields.map_err(|_| Drop::Plaintext)?;
    let text = |field: &Option<Value<'_>>, text| {
        field.as_ref().and_then(|value| value.item.as_text()) == Some(text)
    };
    if !text(&fields.kind, "LANC") {
        return Err(Drop::NotLanc);
    }
    if !text(&fields.encrypted, CIPHER) {
        return Err(Drop::Plaintext);
    }
    envelope.clear();
    match fields.data.as_ref().map(|value| &value.item) {
        Some(Item::Bytes(bytes)) => envelope.extend_from_slice(bytes),
        Some(Item::Text(text)) => {
            STANDARD.decode_vec(text.as_bytes(), envelope).map_err(|_| Drop::Envelope)?;
        }
        _ => return Err(Drop::Envelope),
    }
    let label = |field: &Option<_>| Label::of(field.as_ref()).ok_or(Drop::Envelope);
    let (method, version) = (label(&fields.method)?, label(&fields.version)?);
    Ok(Outer { method, version, compress: label(&fields.compress)? })
}

/// Appends the message around an envelope that announces.
pub fn write(envelope: &[u8], codec: &dyn Codec, out: &mut Vec<u8>) {
    let encoded;
    let data = if codec.format() == Format::JSON {
        encoded = STANDARD.encode(envelope);
        text(&encoded)
    } else {
        Item::Bytes(envelope)
    };
    let entries = [
        ("type", text("LANC")),
        ("method", text(Labels::HELLO.method)),
        ("version", text(Version::NATIVE_TEXT)),
        ("data", data),
        ("encrypted", text(CIPHER)),
        ("compress", text(Labels::HELLO.compress)),
    ];
    codec.write_map(&entries, out);
}

fn text(text: &str) -> Item<'_> {
    Item::Text(Cow::Borrowed(text))
}
