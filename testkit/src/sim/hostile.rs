//! Programs that mean harm, among the nodes of a world. They have an address of their own on the
//! segment; what they send always arrives, and what nodes send each other they may overhear.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use lanc_core::Time;
use lanc_core::ports::Cast;
use serde_json::Value;

use super::dice::Dice;
use super::envelope::group_key;
use super::step::{Arrival, Happening, TRANSIT};
use super::world::{Air, World};
use sealed::Insider;
use words::Words;

mod sealed;
mod words;

/// What a hostile program is after, by the threat it stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Script {
    /// T4: claims every function and answers wrongly.
    Announcer,
    /// T5: records what it hears and sends it again, from where it came.
    Replayer,
    /// T6: garbage and invented peers.
    Flooder,
    /// T7: a peer whose answers are malformed, doubled, forged or never come.
    Callee,
    /// T8: a peer that calls too much, cancels at once, and says what nobody may say.
    Caller,
    /// T5 in keyed mode: sends sealed frames again: to whom they were for and to others, from
    /// where they came and from elsewhere, soon and long after, in either form.
    Recorder,
    /// T3 in keyed mode: sends what is nearly a frame that was sealed.
    Garbler,
    /// T14: holds the key of group 1, and says as a member what no member may.
    Insider,
}

impl Script {
    /// Those that speak in plain.
    pub const ALL: [Self; 5] =
        [Self::Announcer, Self::Replayer, Self::Flooder, Self::Callee, Self::Caller];
}

/// A hostile program to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostileSpec {
    /// The segment it is on.
    pub segment: u8,
    /// What it does.
    pub script: Script,
}

/// Names a hostile program of a world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostileId(pub(super) usize);

/// Where a hostile program listens.
pub(super) struct Station {
    host: IpAddr,
    segment: u8,
    overhears: bool,
}

/// The port it lives at.
const PORT: u16 = 6666;
/// Frames it remembers.
const RECORDED: usize = 64;
/// Names that honest nodes offer in a swarm; it claims them.
const NAMES: [&str; 8] = ["echo", "sleep", "fail", "large", "own0", "own1", "own2", "own3"];

/// A hostile program.
pub(super) struct Hostile {
    script: Script,
    address: SocketAddr,
    words: Words,
    dice: Dice,
    hushed: bool,
    recorded: VecDeque<(SocketAddr, SocketAddr, Arc<[u8]>)>,
    insider: Option<Insider>,
    /// What it answers later.
    late: VecDeque<(SocketAddr, String)>,
}

/// A datagram it sends.
struct Shot {
    from: SocketAddr,
    /// `None`: everybody.
    to: Option<SocketAddr>,
    bytes: Vec<u8>,
}

impl World {
    pub(super) fn add_hostile(&mut self, spec: HostileSpec) {
        let number = self.hostiles.len();
        let last = u8::try_from(number + 1).unwrap_or(u8::MAX);
        let host = IpAddr::V4(Ipv4Addr::new(10, spec.segment, 240, last));
        let is_stranger = !Script::SEALED.contains(&spec.script);
        let overhears = !is_stranger || matches!(spec.script, Script::Replayer | Script::Callee);
        self.air.hostiles.push(Station { host, segment: spec.segment, overhears });
        self.book.ledger.relayed |= !is_stranger;
        self.book.ledger.replayed |= spec.script == Script::Replayer;
        let mut dice = Dice::new(self.seed, (1 << 51) + u64::from(last));
        let mut words = Words::new(&mut dice, number);
        let insider = (spec.script == Script::Insider).then(|| Insider::new(&mut dice));
        if let Some(insider) = &insider {
            words = words.of(insider.session);
            self.keys.add(&[group_key(1)]);
            self.seals.insider(insider.session, group_key(1).id());
        }
        self.hostiles.push(Hostile {
            script: spec.script,
            address: SocketAddr::new(host, PORT),
            words,
            dice,
            hushed: false,
            recorded: VecDeque::new(),
            insider,
            late: VecDeque::new(),
        });
        let what = Happening::HostileWake { hostile: HostileId(number) };
        self.air.schedule(self.now + TRANSIT, what);
    }

    pub(super) fn hush(&mut self, id: HostileId) {
        if let Some(hostile) = self.hostiles.get_mut(id.0) {
            hostile.hushed = true;
        }
    }

    pub(super) fn hostile_wakes(&mut self, id: HostileId) {
        let nodes: Vec<SocketAddr> =
            self.nodes.iter().map(|node| self.air.addresses.address(node.address)).collect();
        let hostile = &mut self.hostiles[id.0];
        if hostile.hushed {
            return;
        }
        let mut shots = Vec::new();
        hostile.act(&nodes, &mut shots);
        let next = super::ms(20 + hostile.dice.below(400));
        self.air.schedule(self.now + next, Happening::HostileWake { hostile: id });
        self.shoot(id, shots);
    }

    pub(super) fn hostile_hears(
        &mut self,
        id: HostileId,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &Arc<[u8]>,
    ) {
        let hostile = &mut self.hostiles[id.0];
        let mut shots = Vec::new();
        if Script::SEALED.contains(&hostile.script) {
            hostile.record_sealed(from, to, bytes);
        } else if to.ip() == hostile.address.ip() {
            hostile.hear(from, bytes, &mut shots);
        } else if hostile.recorded.len() < RECORDED {
            hostile.recorded.push_back((from, to, Arc::clone(bytes)));
        }
        self.shoot(id, shots);
    }

    fn shoot(&mut self, id: HostileId, shots: Vec<Shot>) {
        let segment = self.air.hostiles[id.0].segment;
        self.coverage.hostile += u64::try_from(shots.len()).unwrap_or(0);
        let is_member = self.hostiles[id.0].insider.is_some();
        for shot in shots {
            if is_member {
                self.seals.note(&shot.bytes);
            }
            let from = self.air.addresses.intern(shot.from);
            let bytes: Arc<[u8]> = Arc::from(shot.bytes);
            let at = self.now + TRANSIT;
            if let Some(to) = shot.to {
                let address = self.air.addresses.intern(to);
                let arrival = Arrival::foreign(from, None, address, Cast::Unicast, bytes);
                self.air.schedule(at, Happening::Arrival(arrival));
                continue;
            }
            let members = self.air.segments.get(&segment).cloned().unwrap_or_default();
            for node in members {
                let (to, cast) = (Some(node), Cast::Broadcast);
                let arrival = Arrival::foreign(from, to, from, cast, Arc::clone(&bytes));
                self.air.schedule(at, Happening::Arrival(arrival));
            }
        }
    }
}

impl Air {
    /// Brings a broadcast to the hostile programs of a segment.
    pub(super) fn bring_to_hostiles(
        &mut self,
        now: Time,
        segment: u8,
        from: SocketAddr,
        bytes: &Arc<[u8]>,
    ) {
        for place in 0..self.hostiles.len() {
            let Some(station) = self.hostiles.get(place).filter(|s| s.segment == segment) else {
                continue;
            };
            let to = SocketAddr::new(station.host, PORT);
            self.hand(now, place, from, to, bytes);
        }
    }

    /// Brings a datagram to the hostile program at its address. `false`: there is none.
    pub(super) fn bring_to_hostile(
        &mut self,
        now: Time,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &Arc<[u8]>,
    ) -> bool {
        let Some(place) = self.hostiles.iter().position(|station| station.host == to.ip()) else {
            return false;
        };
        self.hand(now, place, from, to, bytes);
        true
    }

    /// Whether a hostile program lives at a host.
    pub(super) fn is_hostile(&self, host: IpAddr) -> bool {
        self.hostiles.iter().any(|station| station.host == host)
    }

    /// Lets those that listen hear what is not for them.
    pub(super) fn overhear(
        &mut self,
        now: Time,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &Arc<[u8]>,
    ) {
        for place in 0..self.hostiles.len() {
            let hears = |station: &Station| station.overhears && station.host != to.ip();
            if self.hostiles.get(place).is_some_and(hears) {
                self.hand(now, place, from, to, bytes);
            }
        }
    }

    fn hand(
        &mut self,
        now: Time,
        place: usize,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &Arc<[u8]>,
    ) {
        let (hostile, bytes) = (HostileId(place), Arc::clone(bytes));
        self.schedule(
            now + TRANSIT,
            Happening::ToHostile { hostile, way: Box::new((from, to)), bytes },
        );
    }
}

impl Hostile {
    fn say(&self, to: Option<SocketAddr>, text: String) -> Shot {
        Shot { from: self.address, to, bytes: text.into_bytes() }
    }

    /// What it does of its own accord.
    fn act(&mut self, nodes: &[SocketAddr], shots: &mut Vec<Shot>) {
        let victim = nodes.get(self.dice.place(nodes.len())).copied();
        let is_quiet = matches!(self.script, Script::Replayer | Script::Flooder)
            || Script::SEALED.contains(&self.script);
        if !is_quiet && self.dice.chance(150) {
            let hello = self.words.hello(5000, None, None, false);
            shots.push(self.say(None, hello));
        }
        match self.script {
            Script::Announcer => self.announce(victim, shots),
            Script::Replayer => self.replay(shots),
            Script::Flooder => self.flood(victim, shots),
            Script::Callee => self.answer_late(victim, shots),
            Script::Caller => self.call(victim, shots),
            Script::Recorder => self.send_again(nodes, shots),
            Script::Garbler => self.garble(nodes, shots),
            Script::Insider => self.betray(victim, shots),
        }
    }

    fn announce(&mut self, victim: Option<SocketAddr>, shots: &mut Vec<Shot>) {
        let cast = if self.dice.chance(500) { None } else { victim };
        let text = match self.dice.below(6) {
            0 => self.words.func(&NAMES),
            1 => {
                let many: Vec<String> = (0..40).map(|n| format!("rogue{n}")).collect();
                let many: Vec<&str> = many.iter().map(String::as_str).collect();
                self.words.func(&many)
            }
            2 => self.words.foreign_bye(),
            3 => self.words.foreign_func(),
            4 => self.words.foreign_hello(),
            _ => self.words.hello(300_000, None, None, self.dice.chance(500)),
        };
        shots.push(self.say(cast, text));
    }

    fn replay(&mut self, shots: &mut Vec<Shot>) {
        for _ in 0..self.dice.below(8) {
            let place = self.dice.place(self.recorded.len());
            let Some((from, to, bytes)) = self.recorded.get(place).cloned() else { return };
            if self.dice.chance(300) {
                self.recorded.remove(place);
            }
            shots.push(Shot { from, to: Some(to), bytes: bytes.to_vec() });
        }
    }

    fn flood(&mut self, victim: Option<SocketAddr>, shots: &mut Vec<Shot>) {
        for _ in 0..=self.dice.below(12) {
            let mut from = self.address;
            from.set_port(u16::try_from(1024 + self.dice.below(4000)).unwrap_or(PORT));
            if self.dice.chance(200) {
                // Nobody lives at these hosts of the segment.
                let [a, b, ..] = match from.ip() {
                    IpAddr::V4(ip) => ip.octets(),
                    IpAddr::V6(_) => [0; 4],
                };
                let last = u8::try_from(self.dice.below(250)).unwrap_or(0);
                from.set_ip(IpAddr::V4(Ipv4Addr::new(a, b, 230, last)));
            }
            let bytes = self.words.garbage(&mut self.dice);
            let to = if self.dice.chance(200) { None } else { victim };
            shots.push(Shot { from, to, bytes });
        }
    }

    fn answer_late(&mut self, victim: Option<SocketAddr>, shots: &mut Vec<Shot>) {
        let cast = if self.dice.chance(300) { None } else { victim };
        if self.dice.chance(100) {
            shots.push(self.say(cast, self.words.func(&["echo", "evil", "large"])));
        }
        if let Some((to, id)) = self.late.pop_front() {
            let text = self.words.callback(&id, "\"late\"");
            shots.push(self.say(Some(to), text));
        }
        // An answer from elsewhere to what somebody was asked.
        while let Some((from, _, bytes)) = self.recorded.pop_front() {
            for id in Words::calls_in(&bytes) {
                let text = self.words.callback(&id, "\"forged\"");
                shots.push(self.say(Some(from), text));
            }
        }
    }

    fn call(&mut self, victim: Option<SocketAddr>, shots: &mut Vec<Shot>) {
        for _ in 0..=self.dice.below(6) {
            let text = self.words.abuse(&mut self.dice);
            let to = if self.dice.chance(150) { None } else { victim };
            shots.push(self.say(to, text));
        }
    }

    /// What it says to what it is told.
    fn hear(&mut self, from: SocketAddr, bytes: &Arc<[u8]>, shots: &mut Vec<Shot>) {
        let text = String::from_utf8_lossy(bytes);
        for line in text.lines() {
            let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
            let part = |name: &str| message.get("data").and_then(|data| data.get(name));
            match message.get("method").and_then(Value::as_str) {
                Some("hello") => {
                    let sid = part("sid").and_then(Value::as_str);
                    self.words.meets(sid.unwrap_or_default());
                    let token = part("tok").and_then(Value::as_str).map(str::to_owned);
                    let wants = part("want").is_some();
                    let stays_strange = matches!(self.script, Script::Replayer | Script::Flooder);
                    if !stays_strange && (token.is_some() || wants) {
                        let own = Some("0123456789abcdef");
                        let hello = self.words.hello(5000, own, token.as_deref(), false);
                        shots.push(self.say(Some(from), hello));
                        shots.push(self.say(Some(from), self.words.func(&NAMES)));
                    }
                }
                Some("call") => {
                    let id = message.get("exe_id").map(Value::to_string);
                    self.answer(from, &id.unwrap_or_else(|| "0".to_owned()), shots);
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, to: SocketAddr, id: &str, shots: &mut Vec<Shot>) {
        let copies = if self.dice.chance(200) { 5 } else { 1 };
        let text = match self.dice.below(10) {
            0 => return,
            1 => return self.late.push_back((to, id.to_owned())),
            2 => self.words.callback(id, &"[".repeat(900)),
            3 => self.words.callback(id, &format!("\"{}\"", "x".repeat(60_000))),
            4 => self.words.error(Some(id), "{\"code\":0,\"name\":\"ok\",\"ex\":\"no\"}"),
            5 => self.words.error(Some(id), "{\"code\":6,\"ex\":\"no\",\"retry_ms\":1e300}"),
            6 => self.words.error(Some(id), "{\"code\":\"x\",\"message\":7}"),
            7 => self.words.callback("\"0123456789abcdef.1.00000000\"", "1"),
            _ => self.words.callback(id, "{\"lie\":true}"),
        };
        for _ in 0..copies {
            shots.push(self.say(Some(to), text.clone()));
        }
    }
}
