//! The text of the published Python package, turned into JSON.

use lanc_codec::{JsonCodec, PythonText};
use lanc_core::ports::{Budget, Codec, Normalizer};

/// Bytes that a datagram of the package may hold, and more.
const LIMITS: [usize; 3] = [64, 1024, 65_536];

/// Whatever is rewritten keeps its limit, is the start of what a larger limit gives or refused,
/// and is JSON where it was rewritten whole.
pub fn python_text(bytes: &[u8]) {
    let claimed = PythonText.claims(bytes);
    assert!(!claimed || JsonCodec.claims(bytes[0]), "a frame that cannot be JSON was claimed");
    let mut largest = None;
    for limit in LIMITS.into_iter().rev() {
        let mut out = b"before".to_vec();
        let result = PythonText.normalize(bytes, limit, &mut out);
        assert!(out.starts_with(b"before"), "what stood there is gone");
        let written = &out[b"before".len()..];
        assert!(written.len() <= limit, "{} bytes, of at most {limit}", written.len());
        if result.is_err() {
            continue;
        }
        let largest = largest.get_or_insert_with(|| written.to_vec());
        assert_eq!(written, largest, "a smaller limit gives another text");
        assert!(std::str::from_utf8(written).is_ok(), "what was text is none any more");
    }
    let Some(text) = largest.filter(|_| claimed) else { return };
    // Rewriting checks no grammar, the codec does. What it takes is JSON for everybody.
    let budget = Budget { depth: 100, nodes: u32::MAX };
    if let Ok(used) = JsonCodec.read_map(&text, &mut budget.clone(), &mut |_, _| Ok(())) {
        let parsed = serde_json::from_slice::<serde_json::Value>(&text[..used]);
        assert!(parsed.is_ok(), "{}: {parsed:?}", String::from_utf8_lossy(&text));
    }
}
