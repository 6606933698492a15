//! The numbers of the manual's tables are those of the code.

use std::time::Duration;

use lanc_core::Config;
use lanc_core::error::{CallError, ErrorCode, Executed};

/// The cells of each row of the first table of a section of `docs/protocol.md` that has `columns`.
fn rows(section: &str, columns: usize) -> Vec<Vec<&'static str>> {
    let text = include_str!("../../../docs/protocol.md");
    let text = text.split(&format!("\n## {section}")).nth(1).expect("the section");
    let text = text.split("\n## ").next().unwrap_or_default();
    let cells = |row: &'static str| row.trim_matches('|').split('|').map(str::trim).collect();
    let rows = text.lines().filter(|line| line.starts_with("| ")).map(cells);
    rows.filter(|cells: &Vec<_>| cells.len() == columns).skip(1).collect()
}

#[test]
fn codes_are_those_of_the_manual() {
    let mut found = Vec::new();
    for row in rows("5. Error codes", 7) {
        let [code, name, _, default, _, moves, _] = row[..] else { panic!("{row:?}") };
        let numbers: Vec<u16> = code.split(" to ").map(|end| end.parse().expect(code)).collect();
        for code in numbers.iter().copied().map(ErrorCode) {
            let is_known = ErrorCode::ALL.contains(&code);
            let named = if name == "unassigned" { "unknown" } else { name };
            assert_eq!(code.name(), named, "{}", code.0);
            if !default.is_empty() {
                assert_eq!(code.executed_by_callee().to_string(), default, "{name}");
            }
            let moved =
                |executed, idempotent| CallError::new(code, executed, "").may_move(idempotent);
            // If it has not run, and if it may run twice.
            let expected = match moves {
                "no" => (false, false),
                "if not run" => (true, true),
                "only `idem`" => (false, true),
                other => panic!("{name}: {other}"),
            };
            assert_eq!(
                (moved(Executed::No, false), moved(Executed::Yes, true)),
                expected,
                "{name}"
            );
            assert!(!moved(Executed::Maybe, false), "{name}");
            found.extend(is_known.then_some(code));
        }
    }
    assert_eq!(found, ErrorCode::ALL);
}

/// What stands at the beginning of a cell, as the code writes it. `None`: no number.
fn value(text: &str) -> Option<String> {
    let mut words = text.split_whitespace().map(|word| word.trim_end_matches([',', ':']));
    let number = words.next()?.trim_end_matches("/s").replace(',', "");
    let number: u64 = match number.strip_prefix("2^") {
        Some(power) => 1 << power.parse::<u32>().ok()?,
        None => number.parse().ok()?,
    };
    let millis = |factor: u64| Some(format!("{:?}", Duration::from_millis(number * factor)));
    let bytes = match words.next().map(|unit| unit.trim_end_matches("/s")) {
        Some("ms") => return millis(1),
        Some("s") => return millis(1000),
        Some("min") => return millis(60_000),
        Some("h") => return millis(3_600_000),
        Some("d") => return millis(24 * 3_600_000),
        Some("KiB") => 1 << 10,
        Some("MiB") => 1 << 20,
        Some("GiB") => 1 << 30,
        _ => 1,
    };
    Some((number * bytes).to_string())
}

#[test]
fn settings_are_those_of_the_manual() {
    let settings = Config::default().listed();
    let mut compared = 0;
    for row in rows("6. Limits", 5) {
        let [_, defaults, ranges, _, seen] = row[..] else { panic!("{row:?}") };
        if ranges == "fixed" {
            continue;
        }
        let defaults: Vec<_> = defaults.split(';').collect();
        let ranges: Vec<_> = ranges.split(';').map(str::trim).collect();
        for (place, name) in seen.split('`').skip(1).step_by(2).enumerate() {
            // Those of the transports have tables of their own.
            let Some((_, found, range)) = settings.iter().find(|(known, ..)| *known == name) else {
                continue;
            };
            match defaults.get(place).and_then(|text| value(text)) {
                Some(default) => assert_eq!(*found, default, "the default of {name}"),
                None => assert_eq!(name, "workers", "no default"),
            }
            // One range stands for all of them.
            let told = ranges.get(place).or(ranges.first()).copied().unwrap_or_default();
            let (least, most) = told.split_once("to ").unwrap_or(("", told));
            let [start, end] = range.as_ref().expect(name);
            for (told, end) in [(least, start), (most, end)] {
                if let Some(told) = value(told) {
                    assert_eq!(*end, told, "the range of {name}");
                }
            }
            compared += 1;
        }
    }
    assert!(compared >= 40, "{compared}");
}
