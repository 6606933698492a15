//! Commands that a person is advised to run: with the options that were given to this one, or
//! they would look at another network.

use super::Settings;
use crate::failure::Failure;

/// The verbs that the options of the network matter to, as advice names them.
const VERBS: [&str; 4] = ["`lanc peers", "`lanc functions", "`lanc ping", "`lanc call"];

impl Settings {
    /// An advice whose commands have the options that were given. Done twice it changes nothing.
    pub(crate) fn advice(&self, text: &str) -> String {
        if self.given.is_empty() {
            return text.to_owned();
        }
        VERBS.iter().fold(text.to_owned(), |text, verb| with(&text, verb, &self.given))
    }

    /// A failure with such advice.
    pub(crate) fn advise(&self, failure: Failure) -> Failure {
        let next = self.advice(failure.advice());
        failure.next(next)
    }
}

fn with(text: &str, verb: &str, options: &str) -> String {
    let mut parts = text.split(verb);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        out.push_str(verb);
        let has_them = rest.strip_prefix(' ').is_some_and(|rest| rest.starts_with(options));
        if rest.starts_with([' ', '`']) && !has_them {
            out.push(' ');
            out.push_str(options);
        }
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use lanc::ErrorCode;

    use super::*;

    #[test]
    fn commands_have_the_options_that_were_given() {
        let given = |words: &str| Settings { given: words.to_owned(), ..Settings::default() };
        let text = "see `lanc functions`, `lanc peers --wait 7s`, `lanc functionsX`, `lanc jobs`";
        assert_eq!(given("").advice(text), text);
        let lo = given("--iface lo --port 7");
        let told = lo.advice(text);
        assert_eq!(
            told,
            "see `lanc functions --iface lo --port 7`, `lanc peers --iface lo --port 7 --wait 7s`, \
             `lanc functionsX`, `lanc jobs`"
        );
        assert_eq!(lo.advice(&told), told);
        let failure = lo.advise(Failure::before_call(ErrorCode::TIMEOUT, ""));
        assert!(failure.advice().ends_with("`lanc ping --iface lo --port 7`"), "{failure:?}");
    }
}
