//! A command line with places for arguments. It is split into words before any argument is
//! known, so no argument can ever become a second word, an operator or a variable.

use std::collections::{BTreeMap, BTreeSet};

use lanc::{ErrorCode, Fault};
use serde_json::Value;

use crate::usage;
use crate::values::is_identifier;

/// A program's words.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Template {
    words: Vec<Vec<Part>>,
    positional: usize,
    named: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Debug)]
enum Part {
    Text(String),
    Positional(usize),
    Named(String),
}

impl Template {
    /// Splits the text as a shell would split words, quotes honoured, and finds the
    /// placeholders `{0}`, `{1}`.. and `{name}`; `{{name}}` stands for `{name}` itself.
    ///
    /// # Errors
    /// Text for a person: no program, an open quote, or a placeholder as the program.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let words = shlex::split(text).ok_or_else(|| format!("`{text}` has an open quote"))?;
        let words: Vec<_> = words.iter().map(|word| parts(word)).collect();
        let program = words.first().ok_or("the program is missing: write NAME='program {0}'")?;
        if program.iter().any(|part| !matches!(part, Part::Text(_))) {
            return Err(format!("`{text}` would let the caller choose the program"));
        }
        let mut template = Self { positional: 0, named: BTreeSet::new(), words };
        for part in template.words.iter().flatten() {
            match part {
                Part::Text(_) => {}
                Part::Positional(number) => {
                    template.positional = template.positional.max(number + 1)
                }
                Part::Named(name) => _ = template.named.insert(name.clone()),
            }
        }
        Ok(template)
    }

    /// Which program it is.
    pub(crate) fn program(&self) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => Some(text.clone()),
            _ => None,
        };
        self.words.first().into_iter().flatten().filter_map(text).collect()
    }

    /// Braces that are no placeholder and look like one: `{}` as other programs have it, or a word
    /// of braces alone.
    pub(crate) fn stray_braces(&self) -> Option<&str> {
        self.words.iter().flatten().find_map(|part| match part {
            Part::Text(text) if text.contains("{}") => Some("{}"),
            Part::Text(text) if text == "{" || text == "}" => Some(text.as_str()),
            _ => None,
        })
    }

    /// The words with the arguments in their places.
    ///
    /// # Errors
    /// `invalid_arguments` for one that is missing, has no place, or holds a NUL.
    pub(crate) fn fill(
        &self,
        positional: &[Value],
        named: &BTreeMap<String, Value>,
    ) -> Result<Vec<String>, Fault> {
        self.filled(positional, named)
            .map_err(|text| Fault::new(ErrorCode::INVALID_ARGUMENTS, text))
    }

    fn filled(
        &self,
        positional: &[Value],
        named: &BTreeMap<String, Value>,
    ) -> Result<Vec<String>, String> {
        let called = || usage::tell(self.positional, self.named.iter().map(String::as_str));
        if positional.len() > self.positional {
            return Err(self.too_many(positional.len()) + &called());
        }
        if let Some(name) = named.keys().find(|name| !self.named.contains(*name)) {
            return Err(format!("there is no argument `{name}`{}", called()));
        }
        let fill_word = |word: &Vec<Part>| {
            let parts = word.iter().map(|part| part.fill(positional, named));
            parts.collect::<Result<String, String>>()
        };
        let words: Result<Vec<String>, String> = self.words.iter().map(fill_word).collect();
        let words = words.map_err(|text| text + &called())?;
        if words.iter().any(|word| word.contains('\0')) {
            return Err("a program's argument cannot hold a NUL character".to_owned());
        }
        Ok(words)
    }

    fn too_many(&self, given: usize) -> String {
        let were = if given == 1 { "argument was" } else { "arguments were" };
        let places = match self.positional {
            0 => "none".to_owned(),
            places => places.to_string(),
        };
        let without = if self.named.is_empty() { "" } else { " without a name" };
        format!("{given} {were} given{without}, and the function takes {places}")
    }
}

impl Part {
    /// What is missing, if anything is.
    fn fill(
        &self,
        positional: &[Value],
        named: &BTreeMap<String, Value>,
    ) -> Result<String, String> {
        let value = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::Positional(number) => positional
                .get(*number)
                .ok_or_else(|| format!("argument {} is missing", number + 1))?,
            Self::Named(name) => {
                named.get(name).ok_or_else(|| format!("argument `{name}` is missing"))?
            }
        };
        Ok(match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}

/// Takes one word apart. Braces that hold neither a number nor an identifier are text.
fn parts(word: &str) -> Vec<Part> {
    let (mut out, mut text, mut rest) = (Vec::new(), String::new(), word);
    while let Some(c) = rest.chars().next() {
        if let Some((name, after)) = braced(rest, "{{", "}}") {
            text.push_str(&format!("{{{name}}}"));
            rest = after;
        } else if let Some((name, after)) = braced(rest, "{", "}") {
            if !text.is_empty() {
                out.push(Part::Text(std::mem::take(&mut text)));
            }
            out.push(name.parse().map_or_else(|_| Part::Named(name.to_owned()), Part::Positional));
            rest = after;
        } else {
            text.push(c);
            rest = rest.strip_prefix(c).unwrap_or_default();
        }
    }
    // An empty word (`''`) is a word too.
    if !text.is_empty() || out.is_empty() {
        out.push(Part::Text(text));
    }
    out
}

/// The placeholder's name at the start of `text`, and what follows. Numbers have at most three
/// digits.
fn braced<'t>(text: &'t str, open: &str, close: &str) -> Option<(&'t str, &'t str)> {
    let (name, after) = text.strip_prefix(open)?.split_once(close)?;
    let is_number = (1..=3).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_digit());
    (is_number || is_identifier(name)).then_some((name, after))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fill(template: &str, positional: &[Value], named: Value) -> Result<Vec<String>, Fault> {
        let named = serde_json::from_value(named).unwrap();
        Template::parse(template).unwrap().fill(positional, &named)
    }

    #[test]
    fn arguments_fill_their_places() {
        for (template, positional, named, words) in [
            ("tr a-z A-Z", vec![], json!({}), vec!["tr", "a-z", "A-Z"]),
            ("p {0} x{1}y", vec![json!("a b"), json!(2)], json!({}), vec!["p", "a b", "x2y"]),
            ("p '{0} z'", vec![json!([1, "b"])], json!({}), vec!["p", "[1,\"b\"] z"]),
            ("p {k}{k}", vec![], json!({ "k": true }), vec!["p", "truetrue"]),
            (
                "p {{0}} {{k}} {} {a-b} }{ ''",
                vec![],
                json!({}),
                vec!["p", "{0}", "{k}", "{}", "{a-b}", "}{", ""],
            ),
            (
                "p {0}",
                vec![json!("{1} $(touch x) ; 'q' {0}")],
                json!({}),
                vec!["p", "{1} $(touch x) ; 'q' {0}"],
            ),
            ("p {1}", vec![json!(1), json!("")], json!({}), vec!["p", ""]),
        ] {
            assert_eq!(fill(template, &positional, named).unwrap(), words, "{template}");
        }
    }

    #[test]
    fn arguments_that_do_not_fit_are_refused() {
        for (template, positional, named) in [
            ("p {0}", vec![], json!({})),
            ("p {k}", vec![], json!({})),
            ("p {0}", vec![json!(1), json!(2)], json!({})),
            ("p {k}", vec![], json!({ "k": 1, "l": 2 })),
            ("p", vec![json!(1)], json!({})),
            ("p {0}", vec![json!("a\0b")], json!({})),
        ] {
            let fault = fill(template, &positional, named).unwrap_err();
            assert_eq!(fault.code, ErrorCode::INVALID_ARGUMENTS, "{template}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_with_how_it_is_called() {
        let one = json!(1);
        for (template, given, told) in [
            (
                "p",
                1,
                "1 argument was given, and the function takes none; it is called without arguments",
            ),
            (
                "p {0}",
                2,
                "2 arguments were given, and the function takes 1; it is called with VALUE",
            ),
            (
                "p {path} {a}",
                1,
                "1 argument was given without a name, and the function takes none; it is called \
                 with a=VALUE path=VALUE",
            ),
            ("p {0} {k}", 0, "argument 1 is missing; it is called with VALUE k=VALUE"),
            ("p {0} {k}", 1, "argument `k` is missing; it is called with VALUE k=VALUE"),
        ] {
            let fault = fill(template, &vec![one.clone(); given], json!({})).unwrap_err();
            assert_eq!(fault.message, told, "{template}");
        }
    }

    #[test]
    fn braces_that_look_like_a_place_are_found() {
        for (template, stray) in [
            ("ls {}", Some("{}")),
            ("ls {", Some("{")),
            ("ls a{}b", Some("{}")),
            ("ls {0} {k}", None),
            ("awk '{print $1}'", None),
            ("echo {{0}}", None),
        ] {
            assert_eq!(Template::parse(template).unwrap().stray_braces(), stray, "{template}");
        }
    }

    #[test]
    fn templates_that_make_no_sense_are_refused() {
        for template in ["", "  ", "p 'open", "{0} x", "a{k}"] {
            assert!(Template::parse(template).is_err(), "{template}");
        }
    }
}
