//! Scenarios, golden vectors and real sockets. Here is what the suites share: in which mode they
//! run.
//!
//! A suite builds its nodes [`in_mode!`]. Run by itself that is open mode; the binary
//! `keyed_suites` has the same files as modules, and there it is keyed mode.

use std::sync::Arc;

use lanc::{Group, GroupKey, MasterKey, NodeBuilder};
use lanc_core::Pipeline;

/// Whether the suite runs in keyed mode, where what a test writes by hand, in plain, is not heard.
#[macro_export]
macro_rules! is_keyed {
    () => {
        $crate::is_name_of_keyed(env!("CARGO_CRATE_NAME"))
    };
}

/// A [`NodeBuilder`] or a [`Pipeline`], in keyed mode with [`key`].
#[macro_export]
macro_rules! in_mode {
    ($built:expr) => {
        $crate::InMode::in_mode($built, $crate::is_keyed!())
    };
}

#[doc(hidden)]
pub fn is_name_of_keyed(binary: &str) -> bool {
    binary == "keyed_suites"
}

/// The key of all nodes that have one.
pub fn key() -> Arc<dyn GroupKey> {
    Arc::new(Group::new(&MasterKey::from_bytes(&[7; 32])))
}

/// What takes keys.
pub trait InMode: Sized {
    /// The same with [`key`].
    #[must_use]
    fn sealed(self) -> Self;

    /// The same in one of the modes.
    #[must_use]
    fn in_mode(self, is_keyed: bool) -> Self {
        if is_keyed { self.sealed() } else { self }
    }
}

impl InMode for NodeBuilder {
    fn sealed(self) -> Self {
        self.key(key())
    }
}

impl InMode for Pipeline {
    fn sealed(self) -> Self {
        self.with_key(key())
    }
}
