//! Text from others, made harmless: names, messages and results may come from anyone on the
//! network, and a terminal obeys control characters.

use std::borrow::Cow;

/// One line: every character that a terminal would obey, or that reorders text, is written as
/// its escape.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escape_where(text, is_unsafe)
}

/// Several lines: like [`line`], but line feeds and tabs stay.
pub(crate) fn block(text: &str) -> Cow<'_, str> {
    escape_where(text, |c| is_unsafe(c) && c != '\n' && c != '\t')
}

/// A value as compact JSON on one line. What a terminal would obey is written `\uXXXX`, so the
/// text stays the same JSON.
pub(crate) fn json(value: &serde_json::Value) -> String {
    json_text(value.to_string())
}

/// The same for JSON that is written already.
pub(crate) fn json_text(text: String) -> String {
    if !text.contains(is_unsafe) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            // All of them are in the basic plane: four digits suffice. They can only stand
            // inside strings, where the escape means the same.
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

fn escape_where(text: &str, is_unsafe: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Control characters, line separators, and the marks that make text read in another order
/// than it stands.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200E}' | '\u{200F}' | '\u{061C}')
        || ('\u{202A}'..='\u{202E}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        for (text, safe) in [
            ("plain ä 漢", "plain ä 漢"),
            ("\x1b[2Jgone", "\\u{1b}[2Jgone"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}txt", "\\u{202e}txt"),
        ] {
            assert_eq!(line(text), safe);
        }
        let value = serde_json::json!({ "k": "\u{9b}31m\u{202e}\x1b" });
        let text = json(&value);
        assert_eq!(text, r#"{"k":"\u009b31m\u202e\u001b"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        assert_eq!(block("a\n\tb\x07"), "a\n\tb\\u{7}");
    }
}
