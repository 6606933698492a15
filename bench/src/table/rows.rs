//! What is measured.

use std::time::Duration;

use crate::Fallible;

/// The floor of latency.
pub(crate) const UDP_FLOOR: &str = "raw-udp-std";
/// The floor of throughput.
pub(crate) const TCP_FLOOR: &str = "raw-tcp-tokio";

/// Echoes in flight.
const ECHOES: u32 = 8;

/// One load.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Cell {
    /// `add`, so many in flight.
    Calls(u32),
    /// `echo` of so many bytes, 8 in flight.
    Echo(u32),
}

pub(crate) const ONE: Cell = Cell::Calls(1);
pub(crate) const SOME: Cell = Cell::Calls(64);
pub(crate) const MANY: Cell = Cell::Calls(256);
pub(crate) const ECHO_64K: Cell = Cell::Echo(64 << 10);
pub(crate) const ECHO_1M: Cell = Cell::Echo(1 << 20);

/// All of them, in the order they are measured.
pub(crate) const CELLS: [Cell; 5] = [ONE, SOME, MANY, ECHO_64K, ECHO_1M];

impl Cell {
    /// As it is called in the table.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Calls(in_flight) => format!("@{in_flight}"),
            Self::Echo(bytes) if bytes >= 1 << 20 => format!("{} MiB echo", bytes >> 20),
            Self::Echo(bytes) => format!("{} KiB echo", bytes >> 10),
        }
    }

    fn load(self) -> (u32, u32) {
        match self {
            Self::Calls(in_flight) => (in_flight, 0),
            Self::Echo(bytes) => (ECHOES, bytes),
        }
    }
}

/// Whose processes make the calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Program {
    /// This program's: LANC and the floors.
    Bench,
    /// Those of `bench/peers`.
    Peers,
}

/// One way to call: `@ct` is tokio's current-thread runtime at both ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    /// Options before the verb.
    options: &'static str,
    /// Verbs of the server and of the client.
    verbs: [&'static str; 2],
    echoes: bool,
    /// The row it is without a key, if it has one.
    pub(crate) sealed_form_of: Option<&'static str>,
}

const fn floor(
    name: &'static str,
    options: &'static str,
    verbs: [&'static str; 2],
    echoes: bool,
) -> Row {
    Row { name, program: Program::Bench, options, verbs, echoes, sealed_form_of: None }
}

const fn lanc(name: &'static str, options: &'static str) -> Row {
    floor(name, options, ["bench-server", "bench-client"], true)
}

const fn peer(name: &'static str, options: &'static str, verbs: [&'static str; 2]) -> Row {
    Row { program: Program::Peers, ..floor(name, options, verbs, true) }
}

/// The same with a key.
const fn sealed(name: &'static str, plain: Row) -> Row {
    Row { name, sealed_form_of: Some(plain.name), ..plain }
}

const UDP: Row = lanc("lanc-udp-msgpack", "--transport udp --codec msgpack --runtime multi");
const UDP_CT: Row =
    lanc("lanc-udp-msgpack@ct", "--transport udp --codec msgpack --runtime current");
const TCP: Row = lanc("lanc-tcp-msgpack", "--transport tcp --codec msgpack --runtime multi");
const TCP_CT: Row =
    lanc("lanc-tcp-msgpack@ct", "--transport tcp --codec msgpack --runtime current");

const MULTI: &str = "--runtime multi";
const CURRENT: &str = "--runtime current";
const UDP_STD: [&str; 2] = ["floor-server raw-udp-std", "floor-client raw-udp-std"];
const UDP_TOKIO: [&str; 2] = ["floor-server raw-udp-tokio", "floor-client raw-udp-tokio"];
const TCP_TOKIO: [&str; 2] = ["floor-server raw-tcp-tokio", "floor-client raw-tcp-tokio"];
const TARPC_BINCODE: [&str; 2] = ["peer-server tarpc-bincode", "peer-client tarpc-bincode"];
const TARPC_JSON: [&str; 2] = ["peer-server tarpc-json", "peer-client tarpc-json"];
const TONIC: [&str; 2] = ["peer-server tonic", "peer-client tonic"];

const ROWS: [Row; 29] = [
    floor(UDP_FLOOR, CURRENT, UDP_STD, false),
    floor("raw-udp-tokio", MULTI, UDP_TOKIO, false),
    floor("raw-udp-tokio@ct", CURRENT, UDP_TOKIO, false),
    floor(TCP_FLOOR, MULTI, TCP_TOKIO, true),
    floor("raw-tcp-tokio@ct", CURRENT, TCP_TOKIO, true),
    UDP,
    sealed("lanc-udp-msgpack+key", UDP),
    UDP_CT,
    sealed("lanc-udp-msgpack@ct+key", UDP_CT),
    lanc("lanc-udp-msgpack@ct+poll", "--transport udp --runtime current --busy-poll 200"),
    lanc("lanc-udp-json", "--transport udp --codec json --runtime multi"),
    lanc("lanc-udp-json@ct", "--transport udp --codec json --runtime current"),
    TCP,
    sealed("lanc-tcp-msgpack+key", TCP),
    TCP_CT,
    sealed("lanc-tcp-msgpack@ct+key", TCP_CT),
    lanc("lanc-tcp-msgpack@ct+poll", "--transport tcp --runtime current --busy-poll 200"),
    lanc("lanc-tcp-json", "--transport tcp --codec json --runtime multi"),
    lanc("lanc-tcp-json@ct", "--transport tcp --codec json --runtime current"),
    floor(
        "lanc-udp-msgpack-pooled",
        "--transport udp --codec msgpack --runtime multi",
        ["bench-server --pooled", "bench-client"],
        true,
    ),
    peer("tarpc-bincode", MULTI, TARPC_BINCODE),
    peer("tarpc-bincode@ct", CURRENT, TARPC_BINCODE),
    peer("tarpc-json", MULTI, TARPC_JSON),
    peer("tarpc-json@ct", CURRENT, TARPC_JSON),
    peer("tonic", MULTI, TONIC),
    peer("tonic@ct", CURRENT, TONIC),
    // Brings a runtime of its own.
    peer("zenoh-tcp", MULTI, ["peer-server zenoh-tcp", "peer-client zenoh-tcp"]),
    peer("zenoh-udp", MULTI, ["peer-server zenoh-udp", "peer-client zenoh-udp"]),
    peer("nats", MULTI, ["peer-server nats", "peer-client nats"]),
];

impl Row {
    /// Whether the cell means something for it: a bare datagram holds no large echo.
    pub(crate) fn has(&self, cell: Cell) -> bool {
        self.echoes || matches!(cell, Cell::Calls(_))
    }

    /// Arguments of its server.
    pub(crate) fn server(&self) -> Vec<String> {
        let [verb, _] = self.verbs;
        words(&format!("{} {verb}", self.options))
    }

    /// Arguments of its client.
    pub(crate) fn client(&self, address: &str, cell: Cell, secs: Duration) -> Vec<String> {
        let ([_, verb], (in_flight, payload)) = (self.verbs, cell.load());
        let secs = secs.as_secs_f64();
        words(&format!(
            "{} {verb} {address} --in-flight {in_flight} --secs {secs} --payload {payload}",
            self.options
        ))
    }
}

/// The rows of these names, or all; those with a key only where there `is_key`, those of others
/// only by name or where they are wanted `with_peers`.
///
/// # Errors
/// A name is not known, or needs a key.
pub(crate) fn choose(names: &[String], is_key: bool, with_peers: bool) -> Fallible<Vec<Row>> {
    if let Some(name) = names.iter().find(|name| !ROWS.iter().any(|row| row.name == **name)) {
        let known: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("there is no row `{name}`; there are {}", known.join(", ")).into());
    }
    let named = |row: &&Row| names.iter().any(|name| name == row.name);
    let has_key = |row: &&Row| is_key || row.sealed_form_of.is_none();
    if let Some(row) = ROWS.iter().filter(named).find(|row| !has_key(row)) {
        return Err(format!("the row `{}` needs --key-file before the verb", row.name).into());
    }
    let unnamed = |row: &&Row| names.is_empty() && (with_peers || row.program == Program::Bench);
    let wanted = |row: &&Row| (unnamed(row) || named(row)) && has_key(row);
    Ok(ROWS.iter().filter(wanted).copied().collect())
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn every_row_is_a_command_line_of_this_program() {
        for row in ROWS.iter().filter(|row| row.program == Program::Bench) {
            let client = row.client("127.0.0.1:9", ECHO_64K, Duration::from_millis(200));
            for line in [row.server(), client] {
                let line = std::iter::once("lanc-bench".to_owned()).chain(line);
                if let Err(error) = crate::Cli::try_parse_from(line) {
                    panic!("{}: {error}", row.name);
                }
            }
        }
    }

    #[test]
    fn rows_are_chosen_by_name() {
        assert_eq!(choose(&[], true, true).unwrap().len(), ROWS.len());
        assert_eq!(choose(&[], true, false).unwrap().len(), ROWS.len() - 9);
        assert_eq!(choose(&[], false, true).unwrap().len(), ROWS.len() - 4);
        let named = |name: &str, is_key| choose(&[name.to_owned()], is_key, false);
        assert_eq!(named("tonic", false).unwrap()[0].program, Program::Peers);
        assert_eq!(named(TCP_FLOOR, false).unwrap()[0].name, TCP_FLOOR);
        assert!(named("nonsense", true).unwrap_err().to_string().contains(UDP_FLOOR));
        let sealed = "lanc-udp-msgpack+key";
        assert_eq!(named(sealed, true).unwrap()[0].sealed_form_of, Some("lanc-udp-msgpack"));
        assert!(named(sealed, false).unwrap_err().to_string().contains("--key-file"));
    }
}
