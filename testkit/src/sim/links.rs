//! The transport's part: a link for every address heard from or dialled, as UDP has it, and the
//! measure of what strangers are sent.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use lanc_core::Time;
use lanc_core::endpoint::{Lane, LinkId};
use memchr::memmem::Finder;

use super::invariant::{Broken, Invariant};
use super::network::{AddressId, Addresses};

/// Links one transport keeps; a frame from yet another address is lost.
const MAX_LINKS: usize = 1 << 16;
/// The window of the sum that one unproved host may be sent.
const WINDOW: Duration = Duration::from_secs(10);

/// Where a hello tells a token, and sends one back.
static TOKEN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"tok\":\""));
static ECHO: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"echo\":\""));

/// What is known of the far end of a link.
pub(super) struct Link {
    pub(super) id: LinkId,
    /// Strangers' bounds no longer apply: the address echoed our token, or is configured.
    proved: bool,
    heard: usize,
    sent: usize,
    /// The token the node last sent there, as its hex digits.
    token: Option<[u8; 16]>,
}

struct Slot {
    generation: u32,
    address: Option<AddressId>,
}

/// All links of one life of a node.
pub(super) struct LinkTable {
    lane: Lane,
    by_address: Vec<Option<Link>>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Tokens of links that were closed: an address keeps its token.
    tokens: BTreeMap<AddressId, [u8; 16]>,
    /// Bytes sent to unproved addresses lately: when, to which address of which host, how many.
    recent: VecDeque<(Time, AddressId, usize, usize)>,
    /// The sum of `recent` per host.
    sums: Vec<usize>,
}

impl LinkTable {
    pub(super) fn new(lane: Lane) -> Self {
        let (by_address, slots, free) = (Vec::new(), Vec::new(), Vec::new());
        let (tokens, recent, sums) = (BTreeMap::new(), VecDeque::new(), Vec::new());
        Self { lane, by_address, slots, free, tokens, recent, sums }
    }

    pub(super) fn get(&self, address: AddressId) -> Option<&Link> {
        self.by_address.get(address.0)?.as_ref()
    }

    /// Takes an address for proved.
    pub(super) fn prove(&mut self, address: AddressId) {
        if let Some(link) = self.get_mut(address) {
            link.proved = true;
        }
    }

    fn get_mut(&mut self, address: AddressId) -> Option<&mut Link> {
        self.by_address.get_mut(address.0)?.as_mut()
    }

    /// The address behind a link, unless the id is stale.
    pub(super) fn address(&self, id: LinkId) -> Option<AddressId> {
        let slot = self.slots.get(usize::try_from(id.slot).ok()?)?;
        if id.lane == self.lane && slot.generation == id.generation { slot.address } else { None }
    }

    /// A new link for an address that has none. `None`: the table is full.
    pub(super) fn open(&mut self, address: AddressId, proved: bool) -> Option<LinkId> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < MAX_LINKS => {
                self.slots.push(Slot { generation: 0, address: None });
                u32::try_from(self.slots.len() - 1).ok()?
            }
            None => return None,
        };
        let place = self.slots.get_mut(usize::try_from(slot).ok()?)?;
        place.address = Some(address);
        let id = LinkId { lane: self.lane, slot, generation: place.generation };
        if self.by_address.len() <= address.0 {
            self.by_address.resize_with(address.0 + 1, || None);
        }
        let token = self.tokens.remove(&address);
        self.by_address[address.0] = Some(Link { id, proved, heard: 0, sent: 0, token });
        Some(id)
    }

    /// Ends a link. `false`: it was gone.
    pub(super) fn close(&mut self, id: LinkId) -> bool {
        let Some(address) = self.address(id) else { return false };
        if let Some(token) = self.by_address[address.0].take().and_then(|link| link.token) {
            self.tokens.insert(address, token);
        }
        if let Some(slot) = self.slots.get_mut(usize::try_from(id.slot).unwrap_or(usize::MAX)) {
            slot.address = None;
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(id.slot);
        }
        true
    }

    /// Notes what arrives from an address, and how long it is with its seal. What it says is
    /// read only where a token may come back.
    pub(super) fn heard<'f>(
        &mut self,
        from: AddressId,
        size: usize,
        said: impl FnOnce() -> Cow<'f, [u8]>,
    ) {
        let Some(link) = self.get_mut(from).filter(|link| !link.proved) else { return };
        link.heard += size;
        let Some(token) = link.token else { return };
        if let Some(echo) = after(&said(), &ECHO) {
            link.proved = echo.eq_ignore_ascii_case(&token);
            if link.proved {
                self.forgive(from);
            }
        }
    }

    /// What was sent to an address that has proved itself was sent to nobody else.
    fn forgive(&mut self, proved: AddressId) {
        let sums = &mut self.sums;
        self.recent.retain(|(_, address, host, bytes)| {
            if *address == proved {
                sums[*host] -= bytes;
            }
            *address != proved
        });
    }

    /// Notes what is sent to an address: what it says, and how long it is with its seal.
    ///
    /// # Errors
    /// The bound on strangers that it breaks.
    pub(super) fn sent(
        &mut self,
        now: Time,
        to: AddressId,
        addresses: &Addresses,
        (bytes, size): (&[u8], usize),
        budget: usize,
    ) -> Result<(), Broken> {
        let Some(link) = self.get_mut(to) else { return Ok(()) };
        if link.proved {
            return Ok(());
        }
        link.token = after(bytes, &TOKEN).or(link.token);
        link.sent += size;
        if link.sent > 3 * link.heard {
            let (sent, heard) = (link.sent, link.heard);
            let to: SocketAddr = addresses.address(to);
            let why = format!("{sent} bytes sent to unproved {to}, which sent {heard}");
            return Err(Invariant::Unamplified.broken(why));
        }
        let host = addresses.host(to);
        if self.sums.len() <= host {
            self.sums.resize(host + 1, 0);
        }
        while let Some((at, _, host, bytes)) = self.recent.front().copied() {
            if now.since(at) < WINDOW {
                break;
            }
            self.recent.pop_front();
            self.sums[host] -= bytes;
        }
        self.recent.push_back((now, to, host, size));
        self.sums[host] += size;
        if self.sums[host] > budget {
            let sum = self.sums[host];
            let ip = addresses.address(to).ip();
            let why = format!("{sum} bytes sent to unproved {ip} within 10 s");
            return Err(Invariant::Unamplified.broken(why));
        }
        Ok(())
    }
}

/// The 16 bytes behind the first occurrence of a key.
fn after(bytes: &[u8], key: &Finder<'_>) -> Option<[u8; 16]> {
    let start = key.find(bytes)? + key.needle().len();
    bytes.get(start..)?.first_chunk().copied()
}
