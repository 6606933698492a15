//! From the tables of a node to its statistics.

use std::collections::BTreeMap;

use lanc_core::counters::{Drop, Outcomes};
use lanc_core::measures::{Called, Measured, Served};
use lanc_core::ports::{StatisticKind, Statistics};
use lanc_core::{FunctionInfo, KeyInfo, PeerInfo, Trust};

use super::{
    CalledStats, FunctionStats, KeyStats, Latency, Numbers, PeerStats, ServedStats, Stats,
    TransportStats,
};
use crate::node::Node;

impl Node {
    /// What the node counted and holds now. Takes time in proportion to the peers and functions:
    /// it is for reports once a second, not for every call.
    pub fn stats(&self) -> Stats {
        let hub = self.hub();
        let now = hub.clock.now();
        let (mut stats, peers, functions, measures, in_flight) = {
            let state = hub.state();
            let core = &state.core;
            let measures: Vec<_> = core.measures().iter().map(measured).collect();
            let functions = core.functions();
            (numbers(core), core.peers(now), functions, measures, core.in_flight())
        };
        self.name().clone_into(&mut stats.node);
        stats.session = self.session().to_string();
        env!("CARGO_PKG_VERSION").clone_into(&mut stats.version);
        stats.pid = std::process::id();
        stats.uptime_ms = now.as_millis();
        stats.keys = self.keys().iter().map(key).collect();
        stats.peers = peers.iter().map(peer).collect();
        stats.functions = with_in_flight(with_offers(measures, &functions), in_flight);
        let transports = self.endpoints().iter().zip(self.statistics());
        stats.transports = transports
            .map(|(endpoint, statistics)| TransportStats {
                scheme: endpoint.scheme().to_owned(),
                endpoint: endpoint.to_string(),
                ..statistics.as_deref().map(transport).unwrap_or_default()
            })
            .collect();
        stats
    }
}

/// What is no row of its own.
fn numbers(core: &lanc_core::Core) -> Stats {
    let counters = core.counters();
    let drops = |counts: &[u64]| {
        let names = Drop::ALL.iter().map(|kind| kind.name().to_owned());
        names.zip(counts.iter().copied()).collect()
    };
    let owned = |(name, count): (&str, u64)| (name.to_owned(), count);
    Stats {
        counters: counters.named().into_iter().map(owned).collect(),
        frames_dropped: drops(&counters.drops),
        messages_dropped: drops(&counters.message_drops),
        calls_ended: outcomes(&counters.calls_ended),
        attempts_ended: outcomes(&counters.attempts_ended),
        calls_refused: outcomes(&counters.calls_refused),
        tasks_ended: outcomes(&counters.tasks_ended),
        tasks_unstarted: outcomes(&counters.tasks_unstarted),
        limits: counters.limits.iter().map(|(name, count)| owned((name, *count))).collect(),
        tables: core.tables().named().map(owned).into_iter().collect(),
        ..Stats::default()
    }
}

fn outcomes(outcomes: &Outcomes) -> Numbers {
    outcomes.named().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// Only what has happened: there are many functions.
fn few(outcomes: &Outcomes) -> Numbers {
    let named = outcomes.named().filter(|(_, count)| *count > 0);
    named.map(|(name, count)| (name.to_owned(), count)).collect()
}

fn key(key: &KeyInfo) -> KeyStats {
    KeyStats {
        id: key.id.to_string(),
        primary: key.primary,
        unused_ms: key.unused_for.map(|time| to_u64(time.as_millis())),
        failures: key.failures,
    }
}

fn peer(peer: &PeerInfo) -> PeerStats {
    let millis = |duration: std::time::Duration| to_u64(duration.as_millis());
    PeerStats {
        name: peer.name.clone(),
        session: peer.session.to_string(),
        endpoint: peer.endpoint.to_string(),
        state: match peer.trust {
            Trust::Verified => "verified".to_owned(),
            Trust::Tentative => "tentative".to_owned(),
        },
        lane: peer.endpoint.scheme().to_owned(),
        round_trip_us: peer.round_trip.map(|trip| to_u64(trip.as_micros())),
        window: u64::from(peer.window),
        calls_in_flight: to_u64(peer.open_calls),
        functions: to_u64(peer.functions),
        known_ms: millis(peer.known_for),
        silent_ms: millis(peer.silent_for),
    }
}

fn measured(row: &Measured) -> FunctionStats {
    let served = |served: &Served| ServedStats {
        count: served.ended.total(),
        failed: served.ended.failed(),
        ended: few(&served.ended),
        wait: Latency::from(&served.waited),
        run: Latency::from(&served.ran),
        ..ServedStats::default()
    };
    let called = |called: &Called| CalledStats {
        count: called.ended.total(),
        failed: called.ended.failed(),
        ended: few(&called.ended),
        whole: Latency::from(&called.took),
        ..CalledStats::default()
    };
    FunctionStats {
        name: row.name().to_owned(),
        served: row.served().map(served),
        called: row.called().map(called),
        ..FunctionStats::default()
    }
}

/// Adds the functions of this node that have not run yet, and what is offered of the others.
fn with_offers(
    rows: Vec<FunctionStats>,
    known: &[FunctionInfo],
) -> BTreeMap<String, FunctionStats> {
    let mut rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.name.clone(), row)).collect();
    for function in known {
        if function.local.is_some() && !rows.contains_key(&function.name) {
            let row = FunctionStats { name: function.name.clone(), ..FunctionStats::default() };
            rows.insert(function.name.clone(), row);
        }
        if let Some(row) = rows.get_mut(&function.name) {
            row.class = function.local.map(|class| class.name().to_owned());
            row.providers = to_u64(function.providers.len());
        }
    }
    rows
}

/// Adds what goes on now.
fn with_in_flight(
    mut rows: BTreeMap<String, FunctionStats>,
    in_flight: Vec<lanc_core::InFlight>,
) -> Vec<FunctionStats> {
    for one in in_flight {
        let name = one.function.as_str();
        if !rows.contains_key(name) {
            let row = FunctionStats { name: name.to_owned(), ..FunctionStats::default() };
            rows.insert(name.to_owned(), row);
        }
        let Some(row) = rows.get_mut(name) else { continue };
        if one.queued + one.running > 0 {
            let served = row.served.get_or_insert_default();
            served.queued = to_u64(one.queued);
            served.running = to_u64(one.running);
        }
        if one.calls > 0 {
            row.called.get_or_insert_default().in_flight = to_u64(one.calls);
        }
    }
    rows.into_values().collect()
}

fn transport(statistics: &dyn Statistics) -> TransportStats {
    let mut stats = TransportStats::default();
    statistics.read(&mut |one| {
        let numbers = match one.kind {
            StatisticKind::Count => &mut stats.counters,
            StatisticKind::Drop => &mut stats.dropped,
            StatisticKind::Gauge => &mut stats.gauges,
        };
        numbers.insert(one.name.to_owned(), one.value);
    });
    stats
}

fn to_u64(number: impl TryInto<u64>) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}
