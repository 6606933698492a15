//! The ports: what the core needs from outside, as traits it owns.
//!
//! | port | who calls it | adapters |
//! |---|---|---|
//! | [`Codec`] | the wire layer, and the node for arguments and results | `lanc-codec` |
//! | [`Normalizer`] | the byte pipeline | `lanc-codec` |
//! | [`Compressor`], [`GroupKey`] | the byte pipeline | later parts |
//! | [`Transport`] | the driver in `lanc-node`, the simulator | `lanc-transport-*` |
//! | [`Entropy`] | the core | the node (operating system), the simulator (a seed) |
//!
//! Each trait states its contract; `lanc-testkit` turns every sentence of it into a check that
//! a new adapter can run.

mod batch;
mod codec;
mod compressor;
mod letters;
mod normalizer;
mod rooms;
mod sealer;
mod statistics;
mod transport;

pub use crate::random::Entropy;
pub use batch::{Arrived, Handed, Lent, Placed, RecvBatch};
pub use codec::{
    BYTES_NEWTYPE, Budget, Codec, DecodeError, EncodeError, Format, Item, OnEntry, OnItem, OnValue,
    Short, Shorts, Value,
};
pub use compressor::{Compressor, ExpandError};
pub use letters::Letters;
pub use normalizer::Normalizer;
pub(crate) use rooms::OwnRoom;
pub use rooms::{LentRoom, Rooms};
pub use sealer::{GroupKey, KeyId, OpenError, SessionKey, TAG};
pub use statistics::{Statistic, StatisticKind, Statistics};
pub use transport::{
    Capabilities, Cast, Close, Dest, DownReason, Initiator, Inlet, LinkEvent, Opened, Origin,
    Outlet, Received, SendRefused, Sent, Transport, TransportError,
};
