//! Opening the transport, and what its two halves share.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use async_trait::async_trait;
use lanc_core::endpoint::{Endpoint, Lane};
use lanc_core::ports::{Capabilities, Opened, Statistics, Transport, TransportError};
use tokio::time::Instant;

use crate::config::UdpConfig;
use crate::inlet::UdpInlet;
use crate::interfaces::{Scope, View};
use crate::links::{Links, SCHEME};
use crate::outlet::UdpOutlet;
use crate::sockets;
use crate::stats::{UdpStats, inode};

/// LANC frames over UDP.
pub struct UdpTransport {
    config: UdpConfig,
    stats: UdpStats,
    opened: AtomicBool,
}

impl UdpTransport {
    /// A transport that uses no socket until it is opened.
    pub fn new(config: UdpConfig) -> Self {
        Self { config, stats: UdpStats::default(), opened: AtomicBool::new(false) }
    }

    /// The transport's counters.
    pub fn stats(&self) -> UdpStats {
        self.stats.clone()
    }
}

#[async_trait]
impl Transport for UdpTransport {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            max_frame: self.config.frame_limits().any,
            max_broadcast: UdpConfig::MAX_BROADCAST,
            reliable: false,
            ordered: false,
            broadcast: self.config.broadcasts(),
            connected: false,
        }
    }

    fn scheme(&self) -> &str {
        SCHEME
    }

    async fn open(&self, lane: Lane) -> Result<Opened, TransportError> {
        let known = if_addrs::get_if_addrs()?;
        let scope = Scope::of(&self.config, &known)?;
        let view = View::read(&scope)?;
        if self.opened.swap(true, Ordering::Relaxed) {
            return Err(io::Error::other("a UDP transport is opened once: make another").into());
        }
        let loopback = scope == Scope::Loopback;
        let (private, granted) = sockets::private(&self.config, self.bind_ip(loopback))?;
        let shared_socket = match self.config.broadcasts() {
            true => Some(sockets::shared(&self.config, loopback)?),
            false => None,
        };
        self.stats.granted(granted.receive, granted.send);
        let watched = [inode(&private), shared_socket.as_ref().and_then(inode)];
        self.stats.watch(watched.into_iter().flatten().collect());
        // Until the reactor has reported the socket writable once, every send would be refused.
        private.writable().await?;

        let own = private.local_addr()?;
        let local = Endpoint::socket(SCHEME, dialable(own, &view));
        let private = Arc::new(private);
        let links = Links::new(lane, self.config.max_links, self.config.frame_limits());
        let shared = Arc::new(Shared::new(self.stats.clone(), own, scope, links, view));
        for (setting, asked, granted) in [
            ("receive_buffer", self.config.receive_buffer, granted.receive),
            ("send_buffer", self.config.send_buffer, granted.send),
        ] {
            if granted < asked {
                shared.with(|state| state.links.limited(setting));
            }
        }
        let limits = self.capabilities();
        let inlet = UdpInlet::new(Arc::clone(&private), shared_socket, Arc::clone(&shared));
        let outlet = UdpOutlet::new(private, shared, limits, self.config.port);
        Ok(Opened { outlet: Box::new(outlet), inlet: Box::new(inlet), local })
    }

    fn statistics(&self) -> Option<Arc<dyn Statistics>> {
        Some(Arc::new(self.stats()))
    }
}

impl UdpTransport {
    fn bind_ip(&self, loopback: bool) -> IpAddr {
        let v6 = self.config.is_v6();
        match self.config.bind {
            Some(address) if !(loopback && address.is_unspecified()) => address,
            _ if loopback && v6 => Ipv6Addr::LOCALHOST.into(),
            _ if loopback => Ipv4Addr::LOCALHOST.into(),
            _ => Ipv4Addr::UNSPECIFIED.into(),
        }
    }
}

/// An address that others can dial: "any" is none.
fn dialable(own: SocketAddr, view: &View) -> SocketAddr {
    if !own.ip().is_unspecified() {
        return own;
    }
    let v6 = own.is_ipv6();
    let host = if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
    SocketAddr::new(view.dialable(v6).unwrap_or(host), own.port())
}

/// What both halves use.
pub(crate) struct Shared {
    pub(crate) stats: UdpStats,
    /// The private socket's address.
    pub(crate) own: SocketAddr,
    pub(crate) scope: Scope,
    state: Mutex<State>,
}

/// Reading the interfaces costs system calls: at most this often.
const REREAD: Duration = Duration::from_millis(250);

pub(crate) struct State {
    pub(crate) links: Links,
    pub(crate) view: View,
    /// When the interfaces were looked at.
    last_read: Instant,
    /// Wakes the task that polls the inlet; set while it has nothing to do.
    pub(crate) waker: Option<Waker>,
    /// The outlet left something for the inlet to tell or to wait for.
    pub(crate) attention: bool,
    pub(crate) blocked: Blocked,
}

/// What the blocked links wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Blocked {
    No,
    UntilWritable,
    ForAWhile,
}

impl State {
    /// Whether what is known of the interfaces may be out of date.
    pub(crate) fn may_reread(&self, scope: &Scope) -> bool {
        *scope != Scope::Loopback && self.last_read.elapsed() >= REREAD
    }
}

impl Shared {
    fn new(stats: UdpStats, own: SocketAddr, scope: Scope, links: Links, view: View) -> Self {
        let state = State {
            links,
            view,
            last_read: Instant::now(),
            waker: None,
            attention: false,
            blocked: Blocked::No,
        };
        Self { stats, own, scope, state: Mutex::new(state) }
    }

    /// Looks at the interfaces again, unless that was done just now.
    pub(crate) fn reread(&self) {
        let is_due = self.with(|state| {
            let is_due = state.may_reread(&self.scope);
            if is_due {
                state.last_read = Instant::now();
            }
            is_due
        });
        if !is_due {
            return;
        }
        let view = match View::read(&self.scope) {
            Ok(view) => view,
            Err(error) => {
                tracing::debug!(%error, "the interfaces could not be listed");
                return;
            }
        };
        if self.with(|state| state.view == view) {
            return;
        }
        self.leave(|state| {
            state.links.interfaces_changed(|address| view.origin(address.ip()));
            state.view = view;
        });
    }

    #[cfg(test)]
    pub(crate) fn for_test(own: SocketAddr, lane: Lane) -> Self {
        let links = Links::new(lane, 4, UdpConfig::default().frame_limits());
        Self::new(UdpStats::default(), own, Scope::Loopback, links, View::default())
    }

    /// Works on the state. The lock is held for a few lookups, never for a system call.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Works on the state for the outlet, then has the inlet look at it.
    pub(crate) fn leave<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let (result, waker) = self.with(|state| {
            state.attention = true;
            (work(state), state.waker.take())
        });
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }
}
