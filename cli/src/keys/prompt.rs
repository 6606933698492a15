//! Asking for a passphrase: typed at the terminal, not shown, in no history and in no list of
//! processes.

use std::io::{self, IsTerminal as _};

use lanc::Executed;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::output;

/// Most characters.
const LONGEST: usize = 1024;

/// Asks at the terminal.
///
/// # Errors
/// There is none, or it was interrupted.
pub(crate) fn passphrase() -> Result<Zeroizing<String>, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let text = "a passphrase is typed at a terminal, and there is none";
        let next = "use --key-file or a stored key (`lanc key new FILE --store`)";
        return Err(Failure::usage(text, next));
    }
    output::note("passphrase: ");
    let raw = Raw::begin()?;
    let mut line = Line::new();
    let typed = loop {
        let event = event::read().map_err(|error| unreadable(&error))?;
        let Event::Key(key) = event else { continue };
        match line.press(key) {
            Pressed::More => {}
            Pressed::Done => break Ok(line.0),
            Pressed::Interrupted => {
                let text = "no passphrase was given";
                break Err(Failure::interrupted(text, Executed::No));
            }
        }
    };
    drop(raw);
    output::note("\n");
    typed
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::usage(format!("cannot read from the terminal: {error}"), "use --key-file")
}

/// The terminal shows nothing as long as this lives.
struct Raw;

impl Raw {
    fn begin() -> Result<Self, Failure> {
        terminal::enable_raw_mode().map_err(|error| unreadable(&error))?;
        Ok(Self)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = terminal::disable_raw_mode();
    }
}

/// What has been typed.
struct Line(Zeroizing<String>);

#[derive(PartialEq, Debug)]
enum Pressed {
    More,
    Done,
    Interrupted,
}

impl Line {
    fn new() -> Self {
        // Room for all of it, so that it is never moved and left behind.
        Self(Zeroizing::new(String::with_capacity(4 * LONGEST)))
    }

    fn press(&mut self, key: KeyEvent) -> Pressed {
        if key.kind == KeyEventKind::Release {
            return Pressed::More;
        }
        match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
            (KeyCode::Enter, _) => return Pressed::Done,
            (KeyCode::Char('c' | 'd'), true) => return Pressed::Interrupted,
            (KeyCode::Char('u'), true) => self.0.clear(),
            (KeyCode::Backspace, _) => drop(self.0.pop()),
            (KeyCode::Char(c), false) if self.0.len() + c.len_utf8() <= 4 * LONGEST => {
                self.0.push(c);
            }
            _ => {}
        }
        Pressed::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(line: &mut Line, code: KeyCode, control: bool) -> Pressed {
        let modifiers = if control { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
        line.press(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn a_line_is_typed_and_mended() {
        let mut line = Line::new();
        for c in "xcörrecy".chars() {
            assert_eq!(press(&mut line, KeyCode::Char(c), false), Pressed::More);
        }
        press(&mut line, KeyCode::Backspace, false);
        press(&mut line, KeyCode::Char('t'), false);
        press(&mut line, KeyCode::Left, false);
        assert_eq!(*line.0, "xcörrect");
        press(&mut line, KeyCode::Char('u'), true);
        assert_eq!(*line.0, "");
        assert_eq!(press(&mut line, KeyCode::Enter, false), Pressed::Done);
        assert_eq!(press(&mut line, KeyCode::Char('c'), true), Pressed::Interrupted);
    }

    #[test]
    fn a_line_has_a_longest_length_and_does_not_move() {
        let mut line = Line::new();
        let before = line.0.as_ptr();
        for _ in 0..5 * LONGEST {
            press(&mut line, KeyCode::Char('x'), false);
        }
        assert_eq!((line.0.len(), line.0.as_ptr()), (4 * LONGEST, before));
    }
}
