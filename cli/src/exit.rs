//! The exit codes of the command, by error code.

use lanc::ErrorCode;

/// Everything went well.
pub(crate) const OK: u8 = 0;
/// Standard output cannot be written.
pub(crate) const OUTPUT: u8 = 1;
/// The command line, an environment variable or a configuration file is wrong.
pub(crate) const USAGE: u8 = 2;
/// Some of several calls failed.
pub(crate) const PARTIAL: u8 = 8;
/// Ended by Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit code for a call's error.
pub(crate) fn of(code: ErrorCode) -> u8 {
    match code.0 {
        0 => OK,
        1 | 2 | 12 | 23 => 3,
        3 | 9 => 6,
        4 | 11 | 14 | 17 | 18 => 1,
        5 => 5,
        6 | 15 => 9,
        7 | 22 => 4,
        8 => INTERRUPTED,
        10 | 16 | 19 => 10,
        13 | 20 | 21 => 7,
        // The function's own codes: it ran and failed.
        number if number >= ErrorCode::FIRST_APPLICATION => 1,
        // A code of a later version: the two sides do not fully understand each other.
        _ => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_exit_code() {
        let table = [0, 3, 3, 6, 1, 5, 9, 4, 130, 6, 10, 1, 3, 7, 1, 9, 10, 1, 1, 10, 7, 7, 4, 3];
        assert_eq!(table.len(), ErrorCode::ALL.len());
        for (code, exit) in ErrorCode::ALL.iter().zip(table) {
            assert_eq!(of(*code), exit, "{code}");
        }
        assert_eq!(of(ErrorCode(1000)), 1);
        assert_eq!(of(ErrorCode(65_535)), 1);
        assert_eq!(of(ErrorCode(24)), 10);
        assert_eq!(of(ErrorCode(999)), 10);
    }

    #[test]
    fn the_protocol_page_has_the_same_table() {
        let page = include_str!("../../docs/protocol.md");
        for code in ErrorCode::ALL.iter().filter(|code| **code != ErrorCode::OK) {
            let row = format!("| {} | {} |", code.0, code.name());
            let row = page.lines().find(|line| line.starts_with(&row));
            let row = row.unwrap_or_else(|| panic!("{code} is not on the page"));
            assert!(row.ends_with(&format!(" | {} |", of(*code))), "{row}");
        }
    }
}
