//! Text from others, made harmless: names, messages and results may come from anyone on the
//! network, and a terminal obeys control characters.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

/// One line: every character that a terminal would obey, that reorders text, or that nobody sees,
/// is written as its escape.
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
            // They can only stand inside strings, where the escape means the same.
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
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

/// Control characters, and what is in [`UNSEEN`].
fn is_unsafe(c: char) -> bool {
    c.is_control() || UNSEEN.iter().any(|range| range.contains(&c))
}

/// What makes text read otherwise than it stands, or leaves no trace in it, so that two names look
/// alike: the general categories Cf, Zl and Zp (`DerivedGeneralCategory.txt`) and what has the
/// property `Default_Ignorable_Code_Point` (`DerivedCoreProperties.txt`), of Unicode 16.0.
const UNSEEN: &[RangeInclusive<char>] = &[
    '\u{AD}'..='\u{AD}',
    '\u{34F}'..='\u{34F}',
    '\u{600}'..='\u{605}',
    '\u{61C}'..='\u{61C}',
    '\u{6DD}'..='\u{6DD}',
    '\u{70F}'..='\u{70F}',
    '\u{890}'..='\u{891}',
    '\u{8E2}'..='\u{8E2}',
    '\u{115F}'..='\u{1160}',
    '\u{17B4}'..='\u{17B5}',
    '\u{180B}'..='\u{180F}',
    '\u{200B}'..='\u{200F}',
    '\u{2028}'..='\u{202E}',
    '\u{2060}'..='\u{206F}',
    '\u{3164}'..='\u{3164}',
    '\u{FE00}'..='\u{FE0F}',
    '\u{FEFF}'..='\u{FEFF}',
    '\u{FFA0}'..='\u{FFA0}',
    '\u{FFF0}'..='\u{FFFB}',
    '\u{110BD}'..='\u{110BD}',
    '\u{110CD}'..='\u{110CD}',
    '\u{13430}'..='\u{1343F}',
    '\u{1BCA0}'..='\u{1BCA3}',
    '\u{1D173}'..='\u{1D17A}',
    '\u{E0000}'..='\u{E0FFF}',
];

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
    #[test]
    fn what_nobody_sees_is_escaped() {
        for c in [
            '\u{AD}',
            '\u{34F}',
            '\u{61C}',
            '\u{115F}',
            '\u{180E}',
            '\u{200B}',
            '\u{200D}',
            '\u{200F}',
            '\u{2028}',
            '\u{2060}',
            '\u{2066}',
            '\u{206F}',
            '\u{3164}',
            '\u{FE0F}',
            '\u{FEFF}',
            '\u{FFF9}',
            '\u{1D173}',
            '\u{E0001}',
            '\u{E0041}',
            '\u{E01EF}',
        ] {
            let name = format!("wo{c}rk");
            assert_eq!(line(&name), format!("wo{}rk", c.escape_default()));
            let value = serde_json::Value::from(name);
            let text = json(&value);
            assert!(text.is_ascii(), "{text}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        }
        assert_eq!(json(&"\u{e0041}".into()), r#""\udb40\udc41""#);
        assert!(UNSEEN.is_sorted_by(|a, b| a.end() < b.start()));
        for seen in ["a b", "\u{A0}", "é", "e\u{301}", "漢", "ب", "\u{1F469}", "\u{E1000}"] {
            assert_eq!(line(seen), seen);
        }
    }
}
