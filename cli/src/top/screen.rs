//! The terminal of `lanc top`: taken over while it is shown, given back however it ends.

use std::io;
use std::time::Duration;

use lanc::ErrorCode;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::model::Model;
use super::view;
use crate::failure::Failure;

/// How soon the reader of keys notices that nobody wants them any more.
const LOOK: Duration = Duration::from_millis(100);

/// The whole terminal. Dropping it gives the terminal back; so does a panic.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    keys: Receiver<Pressed>,
}

/// What the reader of the terminal tells.
pub(super) enum Pressed {
    Key(KeyEvent),
    /// It has another size: to be drawn anew.
    Resized,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// The system's refusal.
    pub(super) fn open() -> Result<Self, Failure> {
        // Also has a panic give the terminal back before it is told.
        let terminal = ratatui::try_init().map_err(|error| refused(&error))?;
        let (sender, keys) = mpsc::channel(16);
        std::thread::spawn(move || read_keys(&sender));
        Ok(Self { terminal, keys })
    }

    /// Draws the model.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn draw(&mut self, model: &Model) -> Result<(), Failure> {
        let drawn = self.terminal.draw(|frame| view::draw(model, frame));
        drawn.map(drop).map_err(|error| refused(&error))
    }

    /// The next key; `None`: the terminal is gone. Cancel safe.
    pub(super) async fn next_key(&mut self) -> Option<Pressed> {
        self.keys.recv().await
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // `restore` would panic where it cannot tell of a failure.
        let _ = ratatui::try_restore();
    }
}

/// Reads the terminal until nobody listens. It can only be read by a thread that may block.
fn read_keys(sender: &Sender<Pressed>) {
    while !sender.is_closed() {
        let pressed = match event::poll(LOOK) {
            Ok(false) => continue,
            Ok(true) => match event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Pressed::Key(key),
                Ok(Event::Resize(..)) => Pressed::Resized,
                Ok(_) => continue,
                Err(_) => return,
            },
            Err(_) => return,
        };
        if sender.blocking_send(pressed).is_err() {
            return;
        }
    }
}

fn refused(error: &io::Error) -> Failure {
    let text = format!("the terminal cannot be used: {error}");
    Failure::before_call(ErrorCode::INTERNAL, text).hint("print it once with `lanc top --once`")
}
