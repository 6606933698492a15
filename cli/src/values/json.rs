//! Text as a value: JSON where it parses, else text; and JSON that would arrive as another value
//! than it looks like.

use lanc::{ErrorCode, JsonCodec};
use serde::de::IgnoredAny;
use serde_json::Value;
use thiserror::Error;

/// How much of a number is repeated to who wrote it.
const SHOWN: usize = 40;

/// JSON that is not sent. As text, or with other numbers, it would arrive as another value than it
/// looks like, and nobody would see why.
#[derive(Clone, PartialEq, Debug, Error)]
pub(crate) enum Unsent {
    /// Lists and maps stand deeper in each other than may be sent.
    #[error("JSON that nests {levels} levels deep, and at most {most} are sent")]
    TooDeep {
        /// How deep.
        levels: u32,
        /// How deep they may.
        most: u32,
    },
    /// A whole number of more than 64 bits.
    #[error("JSON with the whole number {0}, and whole numbers have 64 bits at most")]
    TooLong(String),
    /// A number beyond the range of floats.
    #[error("JSON with the number {0}, and numbers end at 1.8e308")]
    Infinite(String),
}

impl Unsent {
    /// What kind of error it is where it is an argument.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::TooDeep { .. } => ErrorCode::TOO_LARGE,
            Self::TooLong(_) | Self::Infinite(_) => ErrorCode::INVALID_ARGUMENTS,
        }
    }

    /// What whoever wrote it can do.
    pub(crate) fn advice(&self) -> String {
        match self {
            Self::TooDeep { .. } => {
                "nest it less, or give it as text, a JSON string that holds the JSON".to_owned()
            }
            Self::TooLong(number) => {
                let float = number.chars().all(|c| c.is_ascii_digit() || c == '-');
                let float = if float { format!(": {number}.0") } else { String::new() };
                format!(
                    "give it as text, in JSON's quotes ('\"...\"') or by --text, or as a float, \
                     which has 15 digits{float}"
                )
            }
            Self::Infinite(_) => {
                "give it as text, in JSON's quotes ('\"...\"') or by --text, or as a float that is \
                 smaller"
                    .to_owned()
            }
        }
    }
}

/// JSON where it parses, else text.
///
/// # Errors
/// [`Unsent`]: it is JSON of more than `most` levels, or has a number that would become another.
pub(crate) fn parse(text: &str, most: u32) -> Result<Value, Unsent> {
    let as_text = || Value::String(text.to_owned());
    let parsed = serde_json::from_str(text);
    // Of 128 levels and more no value is made, nor of a number beyond floats; what nobody keeps is
    // read however deep and large it is.
    if parsed.is_err() && serde_json::from_str::<IgnoredAny>(text).is_err() {
        return Ok(as_text());
    }
    let levels = JsonCodec::levels(text.as_bytes());
    if levels > most {
        return Err(Unsent::TooDeep { levels, most });
    }
    match numbers(text).find_map(unsent) {
        Some(unsent) => Err(unsent),
        None => Ok(parsed.unwrap_or_else(|_| as_text())),
    }
}

/// What a program printed: as [`parse`], but a number that stands alone is one only if JSON writes
/// it the same way. Whoever prints `1.10`, `14e5` or a long number may mean a price, a hash or a
/// version, and nobody's digits are changed.
///
/// # Errors
/// As [`parse`], of lists and maps.
pub(crate) fn printed(text: &str, most: u32) -> Result<Value, Unsent> {
    let is_number = text.trim_start().starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let as_text = || Value::String(text.to_owned());
    match parse(text, most) {
        Ok(Value::Number(number)) if number.to_string() != text => Ok(as_text()),
        Err(Unsent::TooLong(_) | Unsent::Infinite(_)) if is_number => Ok(as_text()),
        value => value,
    }
}

/// The numbers of JSON, as they are written.
fn numbers(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?;
            let (_, found) = rest.split_at(start);
            if let Some(string) = found.strip_prefix('"') {
                rest = behind_string(string);
                continue;
            }
            let is_of_it = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
            let end = found.find(|c| !is_of_it(c)).unwrap_or(found.len());
            let (number, behind) = found.split_at(end);
            rest = behind;
            return Some(number);
        }
    })
}

/// What follows a string whose opening quote was read.
fn behind_string(mut text: &str) -> &str {
    while let Some(at) = text.find(['"', '\\']) {
        let (_, found) = text.split_at(at);
        if let Some(behind) = found.strip_prefix('"') {
            return behind;
        }
        let mut chars = found.chars();
        // The backslash, and what it escapes.
        let _ = (chars.next(), chars.next());
        text = chars.as_str();
    }
    ""
}

/// Why a number would become another; none that is written with 18 characters does.
fn unsent(number: &str) -> Option<Unsent> {
    let shown = || {
        let cut = number.get(..SHOWN).filter(|_| number.len() > SHOWN);
        cut.map_or_else(|| number.to_owned(), |cut| format!("{cut}..."))
    };
    if number.contains(['.', 'e', 'E']) {
        let is_infinite = number.parse::<f64>().is_ok_and(f64::is_infinite);
        return is_infinite.then(|| Unsent::Infinite(shown()));
    }
    let fits = number.len() <= 18 || number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    (!fits).then(|| Unsent::TooLong(shown()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_json_or_text() {
        for (text, value) in [
            ("1", json!(1)),
            ("-2.5", json!(-2.5)),
            ("true", json!(true)),
            ("null", json!(null)),
            ("[1, \"a\"]", json!([1, "a"])),
            ("\"1\"", json!("1")),
            ("hello", json!("hello")),
            ("", json!("")),
            ("{broken", json!("{broken")),
            ("NaN", json!("NaN")),
            ("007", json!("007")),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("\"18446744073709551616\"", json!("18446744073709551616")),
            ("18446744073709551616.0", json!(18_446_744_073_709_551_616.0)),
            ("18446744073709551616x", json!("18446744073709551616x")),
            ("1e3", json!(1000.0)),
        ] {
            assert_eq!(parse(text, 1), Ok(value), "{text}");
        }
    }

    #[test]
    fn numbers_that_would_become_others_are_refused() {
        let long = "12345678901234567890123";
        for (text, unsent) in [
            (long.to_owned(), Unsent::TooLong(long.to_owned())),
            (format!("-{long}"), Unsent::TooLong(format!("-{long}"))),
            (format!("[{long}]"), Unsent::TooLong(long.to_owned())),
            (format!("{{\"a\\\"b\": [1, \"c\", {long} ]}}"), Unsent::TooLong(long.to_owned())),
            ("18446744073709551616".into(), Unsent::TooLong("18446744073709551616".into())),
            ("-9223372036854775809".into(), Unsent::TooLong("-9223372036854775809".into())),
            ("9".repeat(1000), Unsent::TooLong(format!("{}...", "9".repeat(SHOWN)))),
            ("1e400".into(), Unsent::Infinite("1e400".into())),
            ("[\"\\\\\",-1E+400]".into(), Unsent::Infinite("-1E+400".into())),
        ] {
            assert_eq!(parse(&text, 2), Err(unsent), "{text}");
        }
        // Strings hold what they like.
        for text in [format!("{{\"{long}\":\"\\\"{long}\"}}"), format!("[\"{long} 1e400\"]")] {
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(parse(&text, 1), Ok(value));
        }
        let told = parse(long, 1).unwrap_err();
        assert!(told.to_string().contains(long), "{told}");
        for way in ["'\"...\"'", "--text", "12345678901234567890123.0"] {
            assert!(told.advice().contains(way), "{}", told.advice());
        }
    }

    #[test]
    fn json_that_nests_too_deep_is_no_text() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for levels in [1, 62, 127, 128, 200, 100_000] {
            let most = u32::try_from(levels).unwrap();
            let text = nested(levels);
            let deep = Unsent::TooDeep { levels: most, most: most - 1 };
            assert_eq!(parse(&text, most - 1), Err(deep), "{levels}");
            // Of 128 levels no value can be made, even where so many were sent.
            assert_eq!(parse(&text, most).is_ok_and(|value| value.is_array()), levels < 128);
            assert_eq!(parse(&text[1..], 0), Ok(json!(text[1..])), "no JSON is text");
        }
        let flat = r#"{"[[[\"[[[":"[[[{{{\\"}"#;
        assert!(parse(flat, 1).is_ok_and(|value| value.is_object()));
        let told = parse(r#"[{"a":[]},1]"#, 2).unwrap_err().to_string();
        assert_eq!(told, "JSON that nests 3 levels deep, and at most 2 are sent");
    }

    #[test]
    fn what_is_printed_keeps_its_digits() {
        let long = "1234567890123456789012345678901234567890";
        for text in ["1.10", "14e5", "1e400", "-0", "007", " 3", "3 ", "1E3", "0x1", long] {
            assert_eq!(printed(text, 1), Ok(json!(text)));
        }
        for (text, value) in [
            ("3", json!(3)),
            ("-1.5", json!(-1.5)),
            ("18446744073709551615", json!(u64::MAX)),
            ("true", json!(true)),
            ("\"1.10\"", json!("1.10")),
            ("\"\\u00e4\"", json!("\u{e4}")),
            (" [1.10, \"1.10\"]", json!([1.1, "1.10"])),
        ] {
            assert_eq!(printed(text, 1), Ok(value), "{text}");
        }
        for text in [format!("[{long}]"), "{\"a\":1e400}".to_owned(), "[[]]".to_owned()] {
            assert!(printed(&text, 1).is_err(), "{text}");
        }
    }
}
