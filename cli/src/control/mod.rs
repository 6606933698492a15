//! The control socket: how the `lanc` of a shell speaks to the `lanc` processes that go on
//! behind it. A Unix domain socket in a folder of the user's own, one request per connection.
//!
//! Who may ask is settled twice: the folder is the user's and closed to all others, and both
//! ends compare the other's user with their own. There is no control socket on other systems:
//! a loopback port would be open to every user of the machine and need secrets in files, for
//! systems that no test of this product runs on.

mod client;
mod folder;
mod path;
mod protocol;
mod server;

pub(crate) use client::{Unanswered, ask, ask_within};
pub(crate) use folder::{Entry, Fate, Folder, Kind, Socket};
pub(crate) use protocol::{Answer, Ask, MAX_ANSWER, good, read_answer, read_line, to_line};
pub(crate) use server::{Question, Server};
