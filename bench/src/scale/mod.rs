//! `scale`: what an engine costs that knows many peers and functions.

mod crowd;
mod svg;

use std::fmt::Write as _;
use std::path::Path;

use lanc::Config;
use lanc_bench::pair::{Form, Pair};

use crate::allocations;
use crate::{Fallible, process};
use crowd::{BOTH, Crowd};

/// Peers that are known, and functions in all. The first is the base.
const SIZES: [(u32, usize); 6] =
    [(1, 1), (10, 10), (100, 100), (1000, 1000), (10_000, 10_000), (1000, 10_000)];
/// How often each is measured, in turn.
const ROUNDS: usize = 5;
/// Calls for each measurement.
const CALLS: u32 = 20_000;
/// Hellos for each, at least.
const HELLOS: usize = 20_000;

/// Memory is told from so many peers on.
const FEW: usize = 10;

/// A network of one size.
struct Network {
    peers: u32,
    functions: usize,
    pair: Pair,
    crowd: Crowd,
    /// Bytes of heap for each, where they are counted.
    heap: Option<Heap>,
    /// CPU microseconds of a call, both engines together, by round.
    call: Vec<f64>,
    /// CPU microseconds of a hello that is received.
    hello: Vec<f64>,
}

/// Bytes that the client holds for each.
#[derive(Clone, Copy)]
struct Heap {
    peer: f64,
    function: f64,
}

/// What is drawn of a network.
struct Point {
    peers: u32,
    functions: usize,
    call: f64,
    hello: f64,
    heap: Option<Heap>,
}

/// Measures, prints, and draws if that is wished.
///
/// # Errors
/// The drawing cannot be written.
pub(crate) fn run(svg: Option<&Path>) -> Fallible<()> {
    let mut networks = Vec::new();
    for (peers, functions) in SIZES {
        eprintln!("{peers} peers, {functions} functions");
        networks.push(Network::new(peers, functions)?);
    }
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for network in &mut networks {
            network.measure();
        }
    }
    let points: Vec<_> = networks.iter().map(Network::point).collect();
    print!("{}", table(&points));
    if let Some(path) = svg {
        // The last has another ratio of functions to peers.
        std::fs::write(path, svg::draw(&points[1..points.len() - 1]))?;
    }
    Ok(())
}

impl Network {
    fn new(peers: u32, functions: usize) -> Fallible<Self> {
        let config = Config::default()
            .with_max_peers(65_536)
            .with_max_tentative(4096)
            .with_hello_replies(100_000)
            .with_unproved_rate_total(10_000_000);
        let mut pair = Pair::with_config(Form::ALL[0], &config);
        let mut crowd = Crowd::new(peers);
        let mut heap = None;
        for end in BOTH {
            let before = allocations::held();
            crowd.meet(&mut pair, end);
            let met = allocations::held();
            crowd.offer(&mut pair, end, functions);
            let told = allocations::held();
            // With few, what tables have in reserve is more than what is in them.
            let counts = end == 0 && crowd.len() >= FEW;
            if let (true, Some(before), Some(met), Some(told)) = (counts, before, met, told) {
                let each = |more: u64, of: usize| more as f64 / of as f64;
                let peer = each(met.saturating_sub(before), crowd.len());
                let function = each(told.saturating_sub(met), functions);
                heap = Some(Heap { peer, function });
            }
            let [client, server] = pair.ends();
            let core = if end == 0 { client.core() } else { server.core() };
            if !crowd.is_known(core) {
                return Err(format!("{peers} peers are not all known: {:?}", core.tables()).into());
            }
        }
        crowd.write_hellos();
        Ok(Self { peers, functions, pair, crowd, heap, call: Vec::new(), hello: Vec::new() })
    }

    fn measure(&mut self) {
        let ((), secs) = cpu_of(|| (0..CALLS).for_each(|_| self.pair.call(1)));
        self.call.push(secs * 1e6 / f64::from(CALLS));
        let rounds = HELLOS.div_ceil(self.crowd.len());
        let ((), secs) = cpu_of(|| (0..rounds).for_each(|_| self.crowd.say_hello(&mut self.pair)));
        self.hello.push(secs * 1e6 / (rounds * self.crowd.len()) as f64);
    }

    fn point(&self) -> Point {
        let (peers, functions, heap) = (self.peers, self.functions, self.heap);
        Point { peers, functions, call: median(&self.call), hello: median(&self.hello), heap }
    }
}

/// CPU seconds of something.
fn cpu_of<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let before = process::cpu();
    let done = work();
    (done, process::cpu().saturating_sub(before).as_secs_f64())
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn table(points: &[Point]) -> String {
    let mut out = format!(
        "lanc-bench {}, {} {}; medians of {ROUNDS} rounds\n\n\
         | peers known | functions known | CPU us/call | / with one | CPU us/hello | heap bytes/peer | heap bytes/function |\n\
         |---:|---:|---:|---:|---:|---:|---:|\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
    );
    let base = points.first().map_or(0.0, |point| point.call);
    for Point { peers, functions, call, hello, heap } in points {
        let heap =
            |of: fn(Heap) -> f64| heap.map_or("-".to_owned(), |heap| format!("{:.0}", of(heap)));
        let _ = writeln!(
            out,
            "| {peers} | {functions} | {call:.2} | {:.2} | {hello:.2} | {} | {} |",
            call / base,
            heap(|heap| heap.peer),
            heap(|heap| heap.function),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_known_and_calls_and_hellos_are_measured() {
        let mut network = Network::new(100, 200).unwrap();
        network.measure();
        let point = network.point();
        assert!(point.call > 0.0 && point.hello > 0.0);
        let text = table(&[point]);
        assert!(text.contains("| 100 | 200 | ") && text.contains(" | 1.00 | "), "{text}");
    }
}
