//! Opening the transport, and what its two halves share.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lanc_core::endpoint::{Endpoint, Lane, LinkId};
use lanc_core::ports::{Capabilities, Opened, Statistics, Transport, TransportError};

use crate::config::TcpConfig;
use crate::inlet::TcpInlet;
use crate::line::Line;
use crate::listener::Listener;
use crate::networks;
use crate::outlet::TcpOutlet;
use crate::ready::{Ready, Token};
use crate::stats::TcpStats;

pub(crate) const SCHEME: &str = "tcp";

/// Dials that wait to be begun; of further ones the oldest is dropped.
const MAX_DIALS: usize = 1024;

/// LANC frames over TCP.
pub struct TcpTransport {
    config: TcpConfig,
    stats: TcpStats,
    opened: AtomicBool,
}

impl TcpTransport {
    /// A transport that uses no socket until it is opened.
    pub fn new(config: TcpConfig) -> Self {
        Self { config, stats: TcpStats::default(), opened: AtomicBool::new(false) }
    }

    /// The transport's counters.
    pub fn stats(&self) -> TcpStats {
        self.stats.clone()
    }
}

#[async_trait]
impl Transport for TcpTransport {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            max_frame: self.config.max_frame,
            max_broadcast: 0,
            reliable: true,
            ordered: true,
            broadcast: false,
            connected: true,
        }
    }

    fn scheme(&self) -> &str {
        SCHEME
    }

    async fn open(&self, lane: Lane) -> Result<Opened, TransportError> {
        if self.opened.swap(true, Ordering::Relaxed) {
            return Err(io::Error::other("a TCP transport is opened once: make another").into());
        }
        let listener = Listener::open(&self.config)?;
        let own = listener.address()?;
        let local = Endpoint::socket(SCHEME, dialable(own));
        let shared = Arc::new(Shared {
            config: self.config.clone(),
            stats: self.stats.clone(),
            own,
            ready: Arc::new(Ready::default()),
            table: Mutex::default(),
        });
        let inlet = TcpInlet::new(lane, listener, Arc::clone(&shared));
        Ok(Opened { outlet: Box::new(TcpOutlet::new(shared)), inlet: Box::new(inlet), local })
    }

    fn statistics(&self) -> Option<Arc<dyn Statistics>> {
        Some(Arc::new(self.stats()))
    }
}

/// An address that others can dial: "any" is none.
fn dialable(own: SocketAddr) -> SocketAddr {
    if !own.ip().is_unspecified() {
        return own;
    }
    let v6 = own.is_ipv6();
    let host: IpAddr = if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    SocketAddr::new(networks::dialable(v6).unwrap_or(host), own.port())
}

/// What both halves use.
pub(crate) struct Shared {
    pub(crate) config: TcpConfig,
    pub(crate) stats: TcpStats,
    /// Where this node listens.
    pub(crate) own: SocketAddr,
    pub(crate) ready: Arc<Ready>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// The live links by slot.
    lines: Vec<Option<Arc<Line>>>,
    dials: VecDeque<Endpoint>,
}

impl Shared {
    /// The line of a live link.
    pub(crate) fn line(&self, link: LinkId) -> Option<Arc<Line>> {
        let slot = usize::try_from(link.slot).ok()?;
        let line = self.table().lines.get(slot)?.clone();
        line.filter(|line| line.link == link)
    }

    pub(crate) fn insert(&self, line: Arc<Line>) {
        let Ok(slot) = usize::try_from(line.link.slot) else { return };
        let mut table = self.table();
        if table.lines.len() <= slot {
            table.lines.resize(slot.saturating_add(1), None);
        }
        if let Some(place) = table.lines.get_mut(slot) {
            *place = Some(line);
        }
    }

    pub(crate) fn remove(&self, slot: u32) {
        let slot = usize::try_from(slot).unwrap_or(usize::MAX);
        let mut table = self.table();
        // Dropped after the lock: that closes the socket.
        let gone = table.lines.get_mut(slot).and_then(Option::take);
        drop(table);
        drop(gone);
    }

    /// Takes all lines out.
    pub(crate) fn clear(&self) -> Vec<Arc<Line>> {
        std::mem::take(&mut self.table().lines).into_iter().flatten().collect()
    }

    /// Has the inlet dial `to`.
    pub(crate) fn dial(&self, to: Endpoint) {
        let mut table = self.table();
        if table.dials.len() >= MAX_DIALS {
            table.dials.pop_front();
        }
        table.dials.push_back(to);
        drop(table);
        self.ready.wake(Token::Dials);
    }

    /// The next endpoint to be dialled.
    pub(crate) fn next_dial(&self) -> Option<Endpoint> {
        self.table().dials.pop_front()
    }

    /// Held for a few lookups, never for a system call.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
