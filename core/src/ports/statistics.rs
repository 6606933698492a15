//! What an adapter counts by itself, below what the core sees.

/// The numbers of an adapter, for people and their instruments. A handle: it goes on telling
/// after the adapter was opened, and after it was closed.
pub trait Statistics: Send + Sync {
    /// Tells every number to `each`. May read files of the system: it is for reports, not for
    /// every frame.
    fn read(&self, each: &mut dyn FnMut(Statistic));
}

/// One number of an adapter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statistic {
    /// What it counts, in `snake_case`. Stable.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: StatisticKind,
    /// The number.
    pub value: u64,
}

/// What a number of an adapter is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StatisticKind {
    /// Things that happened. Only rises.
    Count,
    /// Frames, or what may have been frames, that are lost; its name is the reason. Only rises.
    Drop,
    /// A size or a state, which may fall again.
    Gauge,
}
