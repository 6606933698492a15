//! A network for tests, made of what one Linux machine has: each host is a network namespace, and
//! a program in user space is the switch between them. Frames are lost, delayed, repeated,
//! overtaken, spoiled or cut off by seeded rules, one set for each direction, that may change
//! while the network runs. The kernel's own `netem` is not needed.
//!
//! ```no_run
//! # #[cfg(target_os = "linux")] {
//! use lanc_netlab::{Lab, Rule};
//! // `None`: this user may not make namespaces; the reason was printed.
//! let Some(lab) = Lab::new(7, 2) else { return };
//! lab.everywhere(Rule::after_ms(1).losing(0.3));
//! let ping = lab.host(0).command("ping", &["-c", "3", &lab.address(1).to_string()]).status();
//! println!("{ping:?}, {:?}", lab.counts(0, 1));
//! # }
//! ```
//!
//! Nothing reaches the machine's own network, and everything is gone when the values are dropped,
//! also while a test panics. What a killed test left behind, the next one clears away.

#![cfg(target_os = "linux")]

mod capture;
mod frame;
mod host;
mod inside;
mod lab;
mod process;
mod rule;
mod switch;

pub use host::Host;
pub use inside::{inside, is_inside};
pub use lab::Lab;
pub use nix::sys::signal::Signal;
pub use process::{Done, Process, now, run};
pub use rule::Rule;
pub use switch::Counts;
