//! Peers that outlive a restart: a node with the stored key contacts whom nodes of this user have
//! met, and `lanc serve` notes whom it meets. On one segment a broadcast finds them in any case;
//! across routers nobody is found who is not named, or remembered.

mod file;

use std::net::IpAddr;
use std::time::Duration;

use lanc::{Endpoint, Event, Node, PeerInfo, Reach, Trust};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::settings::Settings;
use crate::{escape, network};

pub(crate) use file::{File, now};
use file::{Seen, newest};

/// How often the file is written at most.
const PAUSE: Duration = Duration::from_secs(60);
/// A peer's functions are heard a little later than itself.
const SOON: Duration = Duration::from_secs(1);
/// Who offers nothing is remembered after this time: callers come and go, each at a new port.
const STAYS: Duration = Duration::from_secs(60);
/// How long an exit waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// The file that nodes of these settings use.
fn file(settings: &Settings) -> Option<File> {
    // What cannot be looked at is refused where it is opened.
    let is_alone = || Reach::of(&network::udp(settings)).is_ok_and(|reach| reach.is_loopback());
    if !may_remember(settings) || is_alone() { None } else { File::of_user() }
}

/// Not so if a node is open, has a key of its own, or is to know nobody who is not configured.
fn may_remember(settings: &Settings) -> bool {
    let has_stored = settings.keys.are_stored && !settings.keys.all.is_empty();
    has_stored && settings.discovery.unwrap_or(true)
}

/// The endpoints to contact, besides those that are configured.
pub(crate) fn endpoints(settings: &Settings) -> Vec<Endpoint> {
    let Some(file) = file(settings) else { return Vec::new() };
    match file.read(now()) {
        Ok(peers) => peers.into_iter().map(|seen| seen.endpoint).collect(),
        Err(error) => {
            tracing::warn!("cannot read {}: {error}", file.path().display());
            Vec::new()
        }
    }
}

/// Notes whom a node meets, until [`Remembering::end`].
pub(crate) struct Remembering {
    task: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

impl Remembering {
    /// `None`: this node is to remember nobody.
    pub(crate) fn of(node: &Node, settings: &Settings) -> Option<Self> {
        let mut own = Reach::of(&network::udp(settings)).ok()?.addresses().to_vec();
        own.extend(settings.bind);
        let memory = Memory { file: file(settings)?, own, seen: Vec::new(), has_warned: false };
        let (end, ended) = oneshot::channel();
        Some(Self { task: tokio::spawn(remember(node.clone(), memory, ended)), end })
    }

    /// Writes down who is there; to be called while they are. A disk that hangs holds up no exit.
    pub(crate) async fn end(self) {
        let _ = self.end.send(());
        let _ = tokio::time::timeout(PATIENCE, self.task).await;
    }
}

async fn remember(node: Node, mut memory: Memory, mut ended: oneshot::Receiver<()>) {
    let mut events = node.events();
    let mut save_at = Instant::now();
    // Whoever was met before this task listened is there.
    let mut look_at = save_at + SOON;
    loop {
        tokio::select! {
            _ = &mut ended => break,
            event = events.next() => match event {
                Some(Event::PeerVerified { .. } | Event::FunctionUp { .. }) => {
                    look_at = look_at.min(Instant::now() + SOON);
                }
                Some(_) => {}
                None => break,
            },
            () = tokio::time::sleep_until(look_at) => {
                memory.look(&node.peers(), now());
                if save_at <= Instant::now() {
                    memory.save(false).await;
                    save_at = Instant::now() + PAUSE;
                }
                look_at = save_at;
            }
        }
    }
    memory.look(&node.peers(), now());
    memory.save(true).await;
}

/// Whom a node has met.
struct Memory {
    file: File,
    /// The addresses of this host: who is on it is found without a memory.
    own: Vec<IpAddr>,
    seen: Vec<Seen>,
    has_warned: bool,
}

impl Memory {
    fn look(&mut self, peers: &[PeerInfo], now: u64) {
        let worth = peers.iter().filter(|peer| self.is_worth(peer)).map(|peer| Seen {
            endpoint: peer.endpoint.clone(),
            name: peer.name.clone(),
            at: now,
        });
        let worth: Vec<_> = worth.collect();
        let known = std::mem::take(&mut self.seen);
        self.seen = newest(known.iter().cloned().chain(worth), now);
        for new in &self.seen {
            if known.iter().all(|seen| seen.endpoint != new.endpoint) {
                let address = new.endpoint.address();
                tracing::info!("{} is remembered, at {address}", escape::line(&new.name));
            }
        }
    }

    fn is_worth(&self, peer: &PeerInfo) -> bool {
        let is_elsewhere = peer.endpoint.scheme() == "udp"
            && peer.endpoint.ip().is_some_and(|ip| !ip.is_loopback() && !self.own.contains(&ip));
        let stays = peer.functions > 0 || peer.known_for >= STAYS;
        peer.trust == Trust::Verified && is_elsewhere && stays
    }

    /// What cannot be written is said once, and tried again.
    async fn save(&mut self, all: bool) {
        if self.seen.is_empty() {
            return;
        }
        let (file, seen) = (self.file.clone(), self.seen.clone());
        let added = tokio::task::spawn_blocking(move || file.add(&seen, now(), all)).await;
        if let Ok(Err(error)) = added
            && !self.has_warned
        {
            self.has_warned = true;
            let path = self.file.path();
            tracing::warn!("peers are not remembered: cannot write {}: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use lanc::{Dialect, MasterKey, SessionId};

    use super::*;
    use crate::keys::Keys;
    use crate::test_folder::TestFolder;

    const OWN: [u8; 4] = [10, 0, 0, 1];

    fn memory(folder: &TestFolder) -> Memory {
        let file = File::in_folder(&folder.path().join("gone"));
        Memory { file, own: vec![OWN.into()], seen: Vec::new(), has_warned: false }
    }

    fn peer(endpoint: &str, trust: Trust, functions: usize, known_for: Duration) -> PeerInfo {
        PeerInfo {
            session: SessionId([1; 16]),
            name: "shop".to_owned(),
            endpoint: endpoint.parse().unwrap(),
            trust,
            features: Default::default(),
            dialect: Dialect::Native,
            interval: Duration::from_secs(5),
            known_for,
            silent_for: Duration::ZERO,
            functions,
            round_trip: None,
            window: 1,
            open_calls: 0,
            load: 0,
        }
    }

    #[test]
    fn who_is_verified_elsewhere_and_stays_is_remembered() {
        let folder = TestFolder::new();
        let (far, new) = ("udp://10.0.0.2:40112", Duration::ZERO);
        let nearly = STAYS.checked_sub(Duration::from_nanos(1)).unwrap();
        for (peer, is_remembered) in [
            (peer(far, Trust::Verified, 1, new), true),
            (peer(far, Trust::Verified, 0, STAYS), true),
            (peer(far, Trust::Verified, 0, nearly), false),
            (peer(far, Trust::Tentative, 1, STAYS), false),
            (peer("tcp://10.0.0.2:40112", Trust::Verified, 1, STAYS), false),
            (peer("udp://10.0.0.1:40112", Trust::Verified, 1, STAYS), false),
            (peer("udp://127.0.0.2:40112", Trust::Verified, 1, STAYS), false),
            (peer("memory://3", Trust::Verified, 1, STAYS), false),
        ] {
            let mut memory = memory(&folder);
            memory.look(std::slice::from_ref(&peer), 7);
            memory.look(std::slice::from_ref(&peer), 8);
            let at: Vec<_> = memory.seen.iter().map(|seen| seen.at).collect();
            assert_eq!(at, if is_remembered { vec![8] } else { vec![] }, "{peer:?}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_kept_for_the_next_time() {
        let folder = TestFolder::new();
        let mut memory = memory(&folder);
        memory.look(&[peer("udp://10.0.0.2:1", Trust::Verified, 1, STAYS)], now());
        memory.save(false).await;
        assert!(memory.has_warned);
        std::fs::create_dir(folder.path().join("gone")).unwrap();
        memory.save(false).await;
        assert_eq!(memory.file.read(now()).unwrap(), memory.seen);
    }

    #[test]
    fn only_the_stored_key_has_a_memory() {
        let settings = |all: &[MasterKey], are_stored, discovery| Settings {
            keys: Keys { all: all.to_vec(), are_stored },
            discovery,
            ..Settings::default()
        };
        let key = [MasterKey::from_bytes(&[3; 32])];
        for (settings, may) in [
            (settings(&key, true, None), true),
            (settings(&key, true, Some(true)), true),
            (settings(&key, true, Some(false)), false),
            (settings(&key, false, None), false),
            (settings(&[], true, None), false),
            (settings(&[], false, None), false),
        ] {
            assert_eq!(may_remember(&settings), may, "{settings:?}");
        }
        let alone = Settings { iface: Some(vec!["lo".to_owned()]), ..settings(&key, true, None) };
        assert!(file(&alone).is_none());
    }
}
