//! Compressed bodies: within their limit, the same however much more is allowed, and never a
//! second meaning.

use lanc_codec::Zlib;
use lanc_core::ports::{Compressor, ExpandError};

use super::Script;

/// The first two bytes are the limit, the rest a body; and then a plain text to be compressed.
pub fn compressed_body(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let limit = usize::from(script.pair());
    let body = script.rest();
    let zlib = Zlib::new();
    let expand = |body: &[u8], limit: usize| {
        let mut out = b"kept".to_vec();
        let result = zlib.expand(body, limit, &mut out);
        assert!(out.starts_with(b"kept") && out.len() - 4 <= limit, "{} bytes", out.len() - 4);
        assert!(result.is_ok() || out.len() == 4, "what was refused left a trace");
        result.map(|()| out.split_off(4))
    };
    match expand(body, limit) {
        Ok(plain) => {
            assert_eq!(expand(body, usize::from(u16::MAX)).as_ref(), Ok(&plain));
            if let Some(less) = plain.len().checked_sub(1) {
                assert_eq!(expand(body, less), Err(ExpandError::TooLarge));
            }
            assert_eq!(expand(&[body, b"\0"].concat(), limit), Err(ExpandError::Damaged));
            assert_eq!(expand(&body[..body.len() - 1], limit), Err(ExpandError::Damaged));
        }
        Err(ExpandError::TooLarge) => {
            let more = expand(body, limit + 1).map(|plain| plain.len());
            assert!(more != Ok(limit), "it would have fitted");
        }
        Err(ExpandError::Damaged) => {}
    }
    let mut packed = Vec::new();
    zlib.compress(body, &mut packed);
    assert_eq!(expand(&packed, body.len()).as_deref(), Ok(body));
}
