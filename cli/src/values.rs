//! Values on their way in and out: the arguments of `call`, and its printed result.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use lanc::Config;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::escape;
use crate::failure::Failure;

mod json;

pub(crate) use json::{Unsent, parse, printed};

/// The arguments of a call.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Arguments {
    /// In order.
    pub(crate) positional: Vec<Value>,
    /// By name.
    pub(crate) named: BTreeMap<String, Value>,
}

/// What the words of a command line are taken for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Reading {
    /// JSON where they parse, else text.
    Json,
    /// Text, whatever they look like.
    Text,
}

/// Reads arguments from the words of the command line. `literal` are the words after `--`:
/// always positional, never a file. Values from a file or `stdin` are no larger than a message may
/// be by `config`, none nests deeper than an argument may, and none has a number that would become
/// another.
///
/// # Errors
/// A file that cannot be read, a name given twice, two values from standard input, or one that
/// is too large or too deep, or whose numbers are.
pub(crate) fn arguments(
    words: &[String],
    literal: &[String],
    mut stdin: impl Read,
    config: &Config,
    reading: Reading,
) -> Result<Arguments, Failure> {
    let (limit, depth) = (config.max_message(), config.max_argument_depth());
    let mut out = Arguments::default();
    let mut stdin_is_used = false;
    let parse = |name: &str, text: &str| {
        if reading == Reading::Text {
            return Ok(Value::String(text.to_owned()));
        }
        parse(text, depth).map_err(|unsent| {
            let failure = Failure::before_call(unsent.code(), format!("{name} is {unsent}"));
            failure.next(unsent.advice())
        })
    };
    let mut value = |name: &str, word: &str| {
        if word == "-" {
            if std::mem::replace(&mut stdin_is_used, true) {
                let text = "`-` stands twice, but standard input can be read only once";
                return Err(Failure::usage(text, "write one of the values to a file, and @FILE"));
            }
            let text = text_of("standard input", read_bounded(&mut stdin, limit))?;
            return parse(name, &text);
        }
        match word.strip_prefix('@') {
            Some(path) => {
                let bytes = File::open(path).map_err(ReadError::from);
                let text = text_of(path, bytes.and_then(|file| read_bounded(file, limit)))?;
                parse(name, &text)
            }
            None => parse(name, word),
        }
    };
    for word in words {
        match named(word) {
            Some((name, text)) => {
                let given = value(&format!("argument `{name}`"), text)?;
                if out.named.insert(name.to_owned(), given).is_some() {
                    let text = format!("the argument `{name}` is given twice");
                    return Err(Failure::usage(text, "give every named argument once"));
                }
            }
            None => {
                let name = format!("argument {}", out.positional.len() + 1);
                out.positional.push(value(&name, word)?);
            }
        }
    }
    for word in literal {
        let name = format!("argument {}", out.positional.len() + 1);
        out.positional.push(parse(&name, word)?);
    }
    Ok(out)
}

/// Splits `k=v` where `k` is an identifier.
fn named(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    is_identifier(name).then_some((name, value))
}

/// The names of those words that are named arguments.
pub(crate) fn names(words: &[String]) -> impl Iterator<Item = &str> {
    words.iter().filter_map(|word| named(word).map(|(name, _)| name))
}

/// Whether `name` is a letter or underscore, then letters, digits and underscores (ASCII).
pub(crate) fn is_identifier(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn text_of(source: &str, bytes: Result<Vec<u8>, ReadError>) -> Result<String, Failure> {
    let cannot = |reason: String, next: String| {
        Failure::usage(format!("cannot read an argument from {source}: {reason}"), next)
    };
    let bytes = bytes.map_err(|error| {
        let next = match &error {
            ReadError::Io(_) => "check the file; text that begins with @ goes after `--`".into(),
            ReadError::TooLarge(limit) => {
                format!("a call may have {limit} bytes: give less, or call more than once")
            }
        };
        cannot(error.to_string(), next)
    })?;
    String::from_utf8(bytes).map_err(|_| {
        let next = "an argument is JSON or text; bytes go as base64 text by --text: \
                    `lanc call --help` shows how";
        cannot("it is not UTF-8 text".to_owned(), next.to_owned())
    })
}

/// A source could not be read whole.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// The system's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// More than the limit.
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
}

/// Reads all, if that is at most `limit` bytes.
///
/// # Errors
/// [`ReadError`]; at most one byte more than the limit is read.
pub(crate) fn read_bounded(reader: impl Read, limit: usize) -> Result<Vec<u8>, ReadError> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    reader.take(most).read_to_end(&mut bytes)?;
    if bytes.len() > limit { Err(ReadError::TooLarge(limit)) } else { Ok(bytes) }
}

/// How a result is printed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Style {
    /// JSON whatever it is.
    Json,
    /// Text as it is, byte for byte; anything else as JSON. For pipes and files.
    Plain,
    /// The same, with control characters escaped. For terminals.
    Terminal,
}

/// A result as it is printed, without a line feed at the end.
pub(crate) fn show(value: &Value, style: Style) -> String {
    match (value, style) {
        (Value::String(text), Style::Plain) => text.clone(),
        (Value::String(text), Style::Terminal) => escape::block(text).into_owned(),
        (value, _) => escape::json(value),
    }
}

/// The same for a result that is JSON already: no number is read and written anew.
pub(crate) fn show_raw(value: &RawValue, style: Style) -> String {
    match serde_json::from_str::<String>(value.get()) {
        Ok(text) if style != Style::Json => show(&Value::String(text), style),
        _ => escape::json_text(value.get().to_owned()),
    }
}

/// A result in one line, for lists: text as it is where that is one harmless line.
pub(crate) fn show_in_line(value: &Value) -> String {
    match value {
        Value::String(text) if escape::line(text) == *text => text.clone(),
        value => escape::json(value),
    }
}

#[cfg(test)]
mod tests {
    use lanc::ErrorCode;
    use serde_json::json;

    use super::*;
    use crate::test_folder::TestFolder;

    fn config() -> Config {
        Config::default().with_max_message(10).with_max_depth(4)
    }

    fn read(words: &[&str], literal: &[&str], stdin: &str) -> Result<Arguments, Failure> {
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        arguments(&owned(words), &owned(literal), stdin.as_bytes(), &config(), Reading::Json)
    }

    #[test]
    fn everything_is_text_where_that_is_asked_for() {
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let words = owned(&["1.10", "k=007", "null", "-", "1e400"]);
        let literal = owned(&["[[[[[[]]]]]]", "a=1"]);
        let got = arguments(&words, &literal, &b"3\n"[..], &config(), Reading::Text).unwrap();
        let texts = ["1.10", "null", "3\n", "1e400", "[[[[[[]]]]]]", "a=1"];
        assert_eq!(got.positional, texts);
        assert_eq!(json!(got.named), json!({ "k": "007" }));
    }

    #[test]
    fn what_is_json_and_cannot_be_sent_is_told_with_its_place() {
        let large = "18446744073709551616";
        for (words, literal, stdin, code, told) in [
            (
                &["1", "[[[]]]"][..],
                &[][..],
                "",
                ErrorCode::TOO_LARGE,
                "argument 2 is JSON that nests",
            ),
            (&["k=[[[]]]"], &[], "", ErrorCode::TOO_LARGE, "argument `k` is JSON that nests"),
            (&["1", "-"], &[], "[[[]]]", ErrorCode::TOO_LARGE, "argument 2 is JSON that nests"),
            (&["1"], &["2", "[[[]]]"], "", ErrorCode::TOO_LARGE, "argument 3 is JSON that nests"),
            (&["1", large], &[], "", ErrorCode::INVALID_ARGUMENTS, "argument 2 is JSON with the"),
            (&["k=[1e400]"], &[], "", ErrorCode::INVALID_ARGUMENTS, "argument `k` is JSON with"),
        ] {
            let failure = read(words, literal, stdin).unwrap_err();
            assert_eq!(failure.code(), Some(code));
            assert!(failure.message().starts_with(told), "{failure:?}");
        }
        assert_eq!(read(&["[[]]"], &[], "").unwrap().positional, [json!([[]])]);
    }

    #[test]
    fn words_become_arguments() {
        let got =
            read(&["1", "k=2", "a b=c", "=x", "_k9=-", "url=a=b"], &["k=v", "-", "@x"], "[3]");
        let got = got.unwrap();
        assert_eq!(
            got.positional,
            [json!(1), json!("a b=c"), json!("=x"), json!("k=v"), json!("-"), json!("@x")]
        );
        assert_eq!(json!(got.named), json!({ "k": 2, "_k9": [3], "url": "a=b" }));
    }

    #[test]
    fn files_are_values() {
        let folder = TestFolder::new();
        for (text, value) in [("{\"a\":1}\n", json!({ "a": 1 })), ("plain\n", json!("plain\n"))] {
            let path = folder.path().join("value");
            std::fs::write(&path, text).unwrap();
            let at = format!("@{}", path.display());
            assert_eq!(read(&[&at], &[], "").unwrap().positional[0], value);
            assert_eq!(read(&[&format!("k={at}")], &[], "").unwrap().named["k"], value);
        }
        assert_eq!(read(&["@/no/such/file"], &[], "").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn standard_input_is_read_once_and_bounded() {
        assert_eq!(read(&["-"], &[], "0123456789").unwrap().positional, [json!("0123456789")]);
        let told = read(&["-"], &[], "0123456789x").unwrap_err().to_text(true);
        assert!(told.contains("larger than 10 bytes"), "{told}");
        assert!(read(&["-", "-"], &[], "1").is_err());
        assert!(read(&["k=1", "k=2"], &[], "").is_err());
        let bytes = arguments(&["-".to_owned()], &[], &b"\xff"[..], &config(), Reading::Json);
        assert!(bytes.unwrap_err().to_text(true).contains("not UTF-8"));
    }

    #[test]
    fn results_are_printed_by_style() {
        let text = json!("a\x1b\n");
        for (value, style, shown) in [
            (&json!(3), Style::Plain, "3"),
            (&json!({ "a": [1, 2] }), Style::Terminal, "{\"a\":[1,2]}"),
            (&json!(null), Style::Plain, "null"),
            (&text, Style::Plain, "a\x1b\n"),
            (&text, Style::Terminal, "a\\u{1b}\n"),
            (&text, Style::Json, "\"a\\u001b\\n\""),
        ] {
            assert_eq!(show(value, style), shown);
            let raw = serde_json::value::to_raw_value(value).unwrap();
            assert_eq!(show_raw(&raw, style), shown);
        }
        assert_eq!(show_in_line(&json!("two words")), "two words");
        assert_eq!(show_in_line(&json!("two\nlines")), "\"two\\nlines\"");
        assert_eq!(show_in_line(&json!("tab\t")), "\"tab\\t\"");
    }
}
