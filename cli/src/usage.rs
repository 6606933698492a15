//! How a function is called, in words: whoever refuses a call tells it at the end of the message,
//! and `lanc call` makes its advice of it.

use std::fmt::Write as _;

use crate::values::is_identifier;

const WITH: &str = "; it is called with ";
const WITHOUT: &str = "; it is called without arguments";

/// What stands for any value.
const VALUE: &str = "VALUE";

/// More arguments than this are not told.
const MOST: usize = 16;

/// What follows a message. Nothing for more arguments than anybody reads.
pub(crate) fn tell<'n>(positional: usize, named: impl IntoIterator<Item = &'n str>) -> String {
    let mut words = vec![VALUE.to_owned(); positional.min(MOST + 1)];
    words.extend(named.into_iter().map(|name| format!("{name}={VALUE}")));
    match words.len() {
        0 => WITHOUT.to_owned(),
        1..=MOST => format!("{WITH}{}", words.join(" ")),
        _ => String::new(),
    }
}

/// The words behind `lanc call NAME` that a message ends with. The message may be anybody's:
/// what is not made of values alone is nothing.
pub(crate) fn read(message: &str) -> Option<String> {
    if message.ends_with(WITHOUT) {
        return Some(String::new());
    }
    let (_, told) = message.rsplit_once(WITH)?;
    let mut words = String::new();
    for (number, word) in told.split(' ').enumerate() {
        let name = word.strip_suffix(VALUE)?;
        let is_word = name.is_empty() || name.strip_suffix('=').is_some_and(is_identifier);
        if !is_word || number == MOST {
            return None;
        }
        let _ = write!(words, " {word}");
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read() {
        for (positional, named, words) in [
            (0, &[][..], ""),
            (1, &[], " VALUE"),
            (2, &["a", "b_2"], " VALUE VALUE a=VALUE b_2=VALUE"),
            (MOST, &[], &" VALUE".repeat(MOST)),
        ] {
            let message = format!("it is wrong{}", tell(positional, named.iter().copied()));
            assert_eq!(read(&message).as_deref(), Some(words), "{message}");
        }
        assert_eq!(tell(MOST + 1, []), "");
        assert_eq!(tell(usize::MAX, ["a"]), "");
    }

    #[test]
    fn what_others_write_is_no_advice() {
        for message in [
            "",
            "it is wrong",
            "; it is called with ",
            "; it is called with VALUE ; rm -rf VALUE",
            "; it is called with $(x)=VALUE",
            "; it is called with =VALUE",
            "; it is called with VALUE  VALUE",
            "; it is called with VALUE\n",
            "; it is called with VAL",
            &format!("; it is called with{}", " VALUE".repeat(MOST + 1)),
        ] {
            assert_eq!(read(message), None, "{message}");
        }
    }
}
