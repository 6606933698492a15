//! Durations as people write them: `500ms`, `2s`, `1m`, or plain seconds.

use std::time::Duration;

/// Longest duration that may be written: 24 hours, the longest deadline of a call.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Reads a decimal number with a unit `ms`, `s`, `m` or `h`; without one it means seconds.
///
/// # Errors
/// Text for a person: no number, an unknown unit, or longer than 24 hours.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit.trim() {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(advice(text)),
    };
    let number: f64 = number.parse().map_err(|_| advice(text))?;
    let seconds = number * scale;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        _ => Err(format!("`{text}` is longer than 24h")),
    }
}

fn advice(text: &str) -> String {
    format!("`{text}` is no duration: write 500ms, 2s, 1m, 1h, or a plain number of seconds")
}

/// A duration for people, with three digits that matter.
pub(crate) fn show(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    if ms < 10.0 {
        format!("{ms:.2} ms")
    } else if ms < 1000.0 {
        format!("{ms:.0} ms")
    } else if ms < 120_000.0 {
        format!("{:.1} s", ms / 1000.0)
    } else {
        format!("{:.0} min", ms / 60_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, ms) in [
            ("500ms", 500),
            ("2s", 2000),
            ("1m", 60_000),
            ("24h", 86_400_000),
            ("3", 3000),
            ("0.25", 250),
            ("1.5s", 1500),
            ("0", 0),
            (" 2 s ", 2000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "s", "-1", "2x", "1.2.3", "1e3", "inf", "NaN", "24.01h", "99999999999h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_shown_short() {
        for (us, text) in
            [(123, "0.12 ms"), (12_345, "12 ms"), (1_500_000, "1.5 s"), (180_000_000, "3 min")]
        {
            assert_eq!(show(Duration::from_micros(us)), text);
        }
    }
}
