//! The transport port: how frames move between nodes.
//!
//! A [`Transport`] is opened once, by the driver, into two halves. The [`Outlet`] never waits,
//! so that one slow reader cannot hold up another peer; the [`Inlet`] is polled, so that one
//! task can listen on several transports and on its own wake-ups at once. Both speak of links
//! and frames, never of socket addresses: memory, UDP, TCP and the tree look alike from here.

use std::io::IoSlice;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use thiserror::Error;

use crate::endpoint::{Endpoint, Lane, LinkId};
use crate::ports::{RecvBatch, Statistics};

/// What a lane can do. The core plans with it; nothing else depends on the kind of transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Largest frame a link carries of which [`LinkEvent::Limit`] says nothing else, in bytes. At
    /// least 1200.
    pub max_frame: usize,
    /// Largest broadcast frame in bytes; at most 1024 where older peers may listen.
    pub max_broadcast: usize,
    /// Whether a frame that was sent arrives, as long as its link stays up.
    pub reliable: bool,
    /// Whether the frames of one link arrive in the order they were sent.
    pub ordered: bool,
    /// Whether [`Dest::Broadcast`] reaches the neighbours.
    pub broadcast: bool,
    /// Whether links are connections: they come up by a handshake and go down by themselves.
    pub connected: bool,
}

impl Capabilities {
    /// Those of a lane like UDP: frames of up to `max_frame` bytes that may be lost or overtake
    /// each other, and broadcasts of up to 1024.
    pub const fn datagrams(max_frame: usize) -> Self {
        Self {
            max_frame,
            max_broadcast: 1024,
            reliable: false,
            ordered: false,
            broadcast: true,
            connected: false,
        }
    }
}

/// Where a frame goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dest {
    /// One link of the lane.
    Link(LinkId),
    /// Every neighbour of the lane.
    Broadcast(Lane),
}

/// How a frame was addressed. Only the adapter can tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cast {
    /// To this node alone.
    Unicast,
    /// To this host alone, but to a port that several programs share: the system chose which of
    /// them gets it.
    Shared,
    /// To everybody; or to a shared port, where the system does not tell the two apart.
    Broadcast,
}

/// Where a frame's source is, as seen from this host. Only the adapter can tell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// Another program of this very host, or this one.
    Host,
    /// A host on a directly attached network.
    Network,
    /// Anywhere else.
    Beyond,
}

impl Origin {
    /// Whether the source is on a directly attached network or is this host.
    pub fn is_near(self) -> bool {
        self != Self::Beyond
    }
}

/// One received frame. The bytes are mutable because a sealed frame is opened in place.
#[derive(Debug)]
pub struct Received<'a> {
    /// The link it came on; answers go there.
    pub link: LinkId,
    /// How it was addressed.
    pub cast: Cast,
    /// Where its source is.
    pub origin: Origin,
    /// The frame.
    pub bytes: &'a mut [u8],
}

/// What happened to a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkEvent {
    /// A link exists from now on. Comes before its first frame.
    Up {
        /// The new link.
        link: LinkId,
        /// Its far end. Of an accepted connection this need not be dialable.
        remote: Endpoint,
        /// Who began it.
        initiator: Initiator,
    },
    /// The link is gone; its id is stale.
    Down {
        /// The link that was.
        link: LinkId,
        /// Why, for people.
        reason: DownReason,
    },
    /// A link that said [`SendRefused::Full`] takes frames again.
    Writable(LinkId),
    /// A connection that was asked for could not be made.
    Failed {
        /// The endpoint that was dialled.
        remote: Endpoint,
        /// Why, for people.
        reason: String,
        /// Whether the far host has said itself that nobody listens there. That nothing came back
        /// is not that.
        is_refused: bool,
    },
    /// The largest frame this link carries has changed.
    Limit {
        /// The link.
        link: LinkId,
        /// The new limit in bytes.
        max_frame: usize,
    },
    /// A setting of the transport was in the way of something, or the system grants less than
    /// the setting asks for.
    Limited {
        /// The lane.
        lane: Lane,
        /// The setting's name.
        limit: &'static str,
    },
    /// The system dropped so many datagrams since this was told last.
    KernelDrops {
        /// The lane.
        lane: Lane,
        /// How many.
        count: u64,
    },
    /// The set of network interfaces changed: it is worth saying hello again.
    InterfacesChanged(Lane),
}

/// Who began a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Initiator {
    /// This node, through [`Outlet::connect`].
    Us,
    /// The far end.
    Them,
}

/// Why a link went down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DownReason {
    /// This node closed it.
    ClosedHere,
    /// The far end closed it, in order.
    ClosedThere,
    /// It broke: reset, timed out, interface gone.
    Broken,
    /// The far end took nothing of what was to be sent to it, for too long.
    Stalled,
    /// The transport needed its place.
    Evicted,
}

/// The result of a send that was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// Handed to the kernel or to the far end, or gathered for the next [`Outlet::flush`]. Says
    /// nothing about its arrival.
    Whole,
    /// Taken into the link's one partly written buffer; no further frame until `Writable`.
    Buffered,
}

/// A frame was not taken. It may be offered again only where it says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SendRefused {
    /// No room now: keep the frame, [`LinkEvent::Writable`] follows. Never said of a broadcast,
    /// which is lost instead ([`Self::Unreachable`]): `Writable` names a link.
    #[error("no room in the link's buffer")]
    Full,
    /// The link is gone, or the id is stale.
    #[error("the link is gone")]
    Gone,
    /// The frame is larger than the link carries.
    #[error("the frame is larger than the link carries")]
    TooLarge,
    /// The network refused (no route, interface down, firewall), or the transport has no form
    /// for such a frame: it is lost.
    #[error("the network refused the frame")]
    Unreachable,
}

/// How to close a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// After what was accepted has left, whether [`Outlet::flush`] followed it or not.
    Flush,
    /// At once.
    Abort,
}

/// The sending half. Contract:
///
/// * No method waits, and none blocks on I/O.
/// * At most one partly written buffer is kept per link, and no queue of frames: order, credit
///   and fairness are the core's.
/// * A frame arrives whole and alone, or not at all.
/// * A failed link does not disturb the others.
/// * Frames that were taken may be gathered, up to a bound of the transport's own, until
///   [`Self::flush`]: many small frames then cost one system call. A frame never waits longer.
///
/// A frame says by its first byte what it is (`docs/protocol.md`, 2.1). A transport may have a
/// form of its own for each kind; what arrives is the frame as it was offered. Other first bytes
/// are those of formats the transport does not know, and such frames arrive as well; only a
/// stream record that is none ([`crate::framing::Header::of_frame`]) may be refused.
pub trait Outlet: Send {
    /// Offers one frame, given in pieces that belong together. It may stay here until
    /// [`Self::flush`].
    ///
    /// # Errors
    /// [`SendRefused`]; nothing of the frame was sent.
    fn try_send(&mut self, to: Dest, frame: &[IoSlice<'_>]) -> Result<Sent, SendRefused>;

    /// Offers frames to one link, each in two pieces of which the second may be empty: one after the
    /// other, until one is refused. Returns how many were taken and why the next one was not;
    /// nothing of it and of those behind it was sent. A transport that can sends them at once: many
    /// records of streams then cost one system call.
    fn try_send_all(
        &mut self,
        to: Dest,
        frames: &[[IoSlice<'_>; 2]],
    ) -> (usize, Option<SendRefused>) {
        for (taken, frame) in frames.iter().enumerate() {
            if let Err(why) = self.try_send(to, frame) {
                return (taken, Some(why));
            }
        }
        (frames.len(), None)
    }

    /// Sends what was gathered, as far as there is room; the rest leaves by itself. The driver
    /// calls it after each batch of frames and before it waits for anything. A transport that
    /// gathers nothing has nothing to do here.
    fn flush(&mut self) {}

    /// Begins a link to `to`. The answer is a later [`LinkEvent::Up`] or [`LinkEvent::Failed`]
    /// from the inlet. An endpoint that has a link already gets [`LinkEvent::Up`] again with
    /// the same id.
    fn connect(&mut self, to: &Endpoint);

    /// Ends a link. [`LinkEvent::Down`] follows; closing a stale link does nothing.
    fn close(&mut self, link: LinkId, how: Close);
}

/// The receiving half. Contract:
///
/// * `poll_recv` adds what is there, at most [`RecvBatch::MAX_FRAMES`] frames, and returns
///   `Ready` when it added anything; else it registers the waker and returns `Pending`.
/// * Dropping the caller's future between two polls loses nothing.
/// * Events and frames of one link keep their order.
pub trait Inlet: Send {
    /// Moves waiting frames and link events into `into`.
    ///
    /// # Errors
    /// [`TransportError`] when the transport cannot receive any more and must be opened anew.
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>>;

    /// The same, and asks the system itself where the runtime has told of nothing yet: for a driver
    /// that looks for a moment, again and again, before it sleeps. What a look does not find still
    /// wakes the task, whoever it was that looked. By default nobody is asked.
    ///
    /// # Errors
    /// Those of [`Self::poll_recv`].
    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>> {
        self.poll_recv(cx, into)
    }

    /// Ends every link in order: what the outlet took leaves first, then the far ends are told. `Ready`
    /// once that is done, or given up. Nothing is received any more; the driver calls it last, when
    /// its node has said farewell, and bounds the time. By default there is nothing to wait for.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }
}

/// A transport could not be opened, or cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// An address or port cannot be used.
    #[error("cannot use {address}: {source}. {advice}")]
    Bind {
        /// What was asked for.
        address: String,
        /// The system's reason.
        source: std::io::Error,
        /// What a person can do about it.
        advice: String,
    },
    /// There is no network interface as configured.
    #[error("no network interface `{name}`: there are {known}")]
    NoInterface {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The system refused in another way.
    #[error("the network failed: {0}")]
    Io(#[from] std::io::Error),
    /// The transport was closed.
    #[error("the transport is closed")]
    Closed,
}

/// A way for frames to move. Implement it to carry LANC over something new; the contract
/// suite in `lanc-testkit` checks an implementation rule by rule.
#[async_trait]
pub trait Transport: Send + Sync {
    /// What this lane can do. Constant for the life of the transport.
    fn capabilities(&self) -> Capabilities;

    /// The scheme of the endpoints it dials, `udp` say.
    fn scheme(&self) -> &str;

    /// Opens the transport as lane `lane`; all its link ids carry that lane. Called once.
    ///
    /// Not cancel safe: a future dropped half-way may leave a port bound until the transport
    /// is dropped too.
    ///
    /// # Errors
    /// [`TransportError`], worded for the person who configured it.
    async fn open(&self, lane: Lane) -> Result<Opened, TransportError>;

    /// What it counts by itself, if it does. Asked for once, before or after it is opened.
    fn statistics(&self) -> Option<Arc<dyn Statistics>> {
        None
    }
}

/// The two halves of an open transport.
pub struct Opened {
    /// The sending half.
    pub outlet: Box<dyn Outlet>,
    /// The receiving half.
    pub inlet: Box<dyn Inlet>,
    /// The node's own endpoint on this lane, as others may dial it.
    pub local: Endpoint,
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Box<T> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn scheme(&self) -> &str {
        (**self).scheme()
    }

    async fn open(&self, lane: Lane) -> Result<Opened, TransportError> {
        (**self).open(lane).await
    }

    fn statistics(&self) -> Option<Arc<dyn Statistics>> {
        (**self).statistics()
    }
}
