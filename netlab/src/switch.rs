//! The switch: one thread that reads frames from TAP devices, draws what becomes of each, and
//! writes those that are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use tun_rs::SyncDevice;

use crate::capture::Capture;
use crate::frame::{self, Mac};
use crate::process::now;
use crate::rule::Rule;

/// Frames under way at once; further ones are dropped and counted.
const MAX_UNDER_WAY: usize = 100_000;
/// Frames read from one device before it is the next one's turn.
const BATCH: usize = 64;
/// How late a stop may be noticed.
const PATIENCE: Duration = Duration::from_millis(20);
/// Room for the largest frame of a device whose MTU is 1500.
const ROOM: usize = 2048;

/// What happened in one direction. Broadcasts count once for every host they are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Frames that were to go this way.
    pub offered: u64,
    /// Frames that arrived, repeated ones included.
    pub delivered: u64,
    /// Frames lost by the rule's share.
    pub lost: u64,
    /// Frames that arrived twice.
    pub duplicated: u64,
    /// Frames held back.
    pub overtaken: u64,
    /// Datagrams spoiled.
    pub spoiled: u64,
    /// Frames that met a cut.
    pub cut: u64,
    /// Frames that were due and that the far end's device did not take: it was down.
    pub refused: u64,
    /// Frames dropped because too many were under way.
    pub overflowed: u64,
}

impl Counts {
    /// Frames that have set out and not arrived yet.
    pub fn under_way(&self) -> u64 {
        let gone = self.cut + self.lost + self.delivered + self.refused + self.overflowed;
        (self.offered + self.duplicated).saturating_sub(gone)
    }
}

/// One device of a host.
pub(crate) struct Port {
    pub(crate) device: SyncDevice,
    pub(crate) mac: Mac,
}

/// The running switch; it ends, and closes its devices, when dropped.
pub(crate) struct Switch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// By from and to.
    directions: Vec<Vec<Direction>>,
    capture: Option<Capture>,
}

struct Direction {
    rule: Rule,
    counts: Counts,
    /// Its own, so that what happens in one direction does not depend on the others.
    dice: Rng,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Switch {
    pub(crate) fn start(seed: u64, ports: Vec<Port>) -> io::Result<Self> {
        let mut seeds = Rng::with_seed(seed);
        let mut direction = || Direction {
            rule: Rule::default(),
            counts: Counts::default(),
            dice: Rng::with_seed(seeds.u64(..)),
        };
        let mut row = || (0..ports.len()).map(|_| direction()).collect();
        let directions = (0..ports.len()).map(|_| row()).collect();
        let state = Mutex::new(State { directions, capture: None });
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), state });
        let work = Work {
            shared: Arc::clone(&shared),
            ports,
            under_way: BinaryHeap::new(),
            number: 0,
            began: now(),
        };
        let thread = std::thread::Builder::new().name("switch".to_owned());
        let thread = Some(thread.spawn(move || work.run())?);
        Ok(Self { shared, thread })
    }

    pub(crate) fn set(&self, from: usize, to: usize, rule: Rule) {
        self.shared.state().directions[from][to].rule = rule;
    }

    pub(crate) fn counts(&self, from: usize, to: usize) -> Counts {
        self.shared.state().directions[from][to].counts
    }

    pub(crate) fn capture(&self, path: &Path) -> io::Result<()> {
        let capture = Capture::create(path)?;
        self.shared.state().capture = Some(capture);
        Ok(())
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If it panicked it has said why.
            let _ = thread.join();
        }
    }
}

/// A frame under way. Those that are due at the same time arrive in the order they were sent.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    due: Instant,
    number: u64,
    from: usize,
    to: usize,
    frame: Vec<u8>,
}

struct Work {
    shared: Arc<Shared>,
    ports: Vec<Port>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    number: u64,
    began: Instant,
}

impl Work {
    fn run(mut self) {
        let mut room = vec![0; ROOM];
        while !self.shared.stop.load(Ordering::Relaxed) {
            let ready = self.wait();
            let shared = Arc::clone(&self.shared);
            let mut state = shared.state();
            for from in ready {
                self.read(from, &mut room, &mut state);
            }
            self.deliver(&mut state);
        }
    }

    /// Waits for a frame, or until one is due. Returns the ports that have something to read.
    fn wait(&self) -> Vec<usize> {
        let due =
            self.under_way.peek().map(|Reverse(next)| next.due.saturating_duration_since(now()));
        let patience = due.map_or(PATIENCE, |due| due.min(PATIENCE));
        let devices = self.ports.iter().map(|port| port.device.as_fd());
        let mut polls: Vec<_> = devices.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match ppoll(&mut polls, Some(TimeSpec::from_duration(patience)), None) {
            Ok(0) | Err(_) => Vec::new(),
            Ok(_) => {
                let ready = |poll: &PollFd<'_>| poll.any().unwrap_or(false);
                (0..polls.len()).filter(|port| ready(&polls[*port])).collect()
            }
        }
    }

    fn read(&mut self, from: usize, room: &mut [u8], state: &mut State) {
        for _ in 0..BATCH {
            match self.ports[from].device.recv(room) {
                Ok(length) => self.forward(from, &room[..length], state),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nothing more, or the device is down.
                Err(_) => return,
            }
        }
    }

    fn forward(&mut self, from: usize, frame: &[u8], state: &mut State) {
        let Some(mac) = frame::destination(frame) else { return };
        for to in 0..self.ports.len() {
            if to != from && (frame::is_for_all(mac) || self.ports[to].mac == mac) {
                self.send(from, to, frame, &mut state.directions[from][to]);
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, frame: &[u8], direction: &mut Direction) {
        let Direction { rule, counts, dice } = direction;
        counts.offered += 1;
        if rule.cut {
            counts.cut += 1;
            return;
        }
        let fate = rule.draw(dice, frame::is_ip(frame));
        let [first, second] = fate.arrivals;
        counts.lost += u64::from(first.is_none());
        counts.duplicated += u64::from(second.is_some());
        counts.overtaken += u64::from(fate.overtaken);
        let mut frame = frame.to_vec();
        if fate.spoiled {
            counts.spoiled += u64::from(frame::spoil(&mut frame, dice));
        }
        let sent = now();
        for after in [first, second].into_iter().flatten() {
            if self.under_way.len() >= MAX_UNDER_WAY {
                counts.overflowed += 1;
                continue;
            }
            self.number += 1;
            let (due, number) = (sent + after, self.number);
            self.under_way.push(Reverse(UnderWay { due, number, from, to, frame: frame.clone() }));
        }
    }

    fn deliver(&mut self, state: &mut State) {
        let now = now();
        while self.under_way.peek().is_some_and(|Reverse(next)| next.due <= now) {
            let Some(Reverse(UnderWay { from, to, frame, .. })) = self.under_way.pop() else {
                return;
            };
            let counts = &mut state.directions[from][to].counts;
            if self.ports[to].device.send(&frame).is_err() {
                counts.refused += 1;
                continue;
            }
            counts.delivered += 1;
            let at = now.saturating_duration_since(self.began);
            if state.capture.as_mut().is_some_and(|capture| capture.add(at, &frame).is_err()) {
                eprintln!("the capture was given up: its file cannot be written");
                state.capture = None;
            }
        }
    }
}
