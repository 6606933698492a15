//! "Did you mean": the nearest of the known names.

/// The known name that is nearest to `meant`, if one is near enough to be a slip: at most a
/// third of its letters differ (one at least may).
pub(crate) fn nearest<'a>(
    meant: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = (meant.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|name| name.len() <= LONGEST && meant.len() <= LONGEST && *name != meant)
        .map(|name| {
            (strsim::damerau_levenshtein(&meant.to_lowercase(), &name.to_lowercase()), name)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Names beyond this many bytes are not compared: the distance costs the product of lengths.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["add", "echo", "sleep", "render_frame"];
        for (meant, expected) in [
            ("ad", Some("add")),
            ("ADD", Some("add")),
            ("slepe", Some("sleep")),
            ("renderframe", Some("render_frame")),
            ("nosuch", None),
            ("add", None),
            ("", None),
        ] {
            assert_eq!(nearest(meant, known), expected, "{meant}");
        }
    }

    #[test]
    fn long_names_are_not_compared() {
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(nearest(&long, [&long[1..]]), None);
        assert_eq!(nearest(&long[2..], [&long[1..]]), Some(&long[1..]));
    }
}
