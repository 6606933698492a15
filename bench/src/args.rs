//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::load::{Load, seconds};

/// Measures calls on loopback, beside the floor of bare sockets.
#[derive(Parser)]
#[command(name = "lanc-bench", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What holds for every verb; stands before it.
#[derive(Args, Clone)]
pub(crate) struct Options {
    /// What small calls travel by, the same at both ends; large ones take TCP in any case.
    #[arg(long, value_enum, default_value_t = TransportKind::Udp)]
    pub(crate) transport: TransportKind,
    /// The data format this end writes; answers come in the format of the call.
    #[arg(long, value_enum, default_value_t = CodecKind::Msgpack)]
    pub(crate) codec: CodecKind,
    /// Seals everything with the key in this file, the same at both ends; a table has rows for
    /// this beside those without.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// How long a node looks for more to do before it sleeps, microseconds, the same at both ends.
    #[arg(long, value_name = "US", default_value_t = 0)]
    pub(crate) busy_poll: u64,
    /// tokio's runtime: one thread, or one for each core.
    #[arg(long, value_enum, default_value_t = RuntimeKind::Multi)]
    pub(crate) runtime: RuntimeKind,
    /// Says also how often and how much is allocated for a call. Needs the feature of this name.
    #[arg(long)]
    pub(crate) count_allocations: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum TransportKind {
    Udp,
    Tcp,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum CodecKind {
    Json,
    Msgpack,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum RuntimeKind {
    Current,
    Multi,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Serves `add` and `echo` on 127.0.0.1, prints `ADDR <address>`, ends when its input does.
    BenchServer {
        /// Registers them as ordinary functions, which run on worker threads, not inline.
        #[arg(long)]
        pooled: bool,
    },
    /// Calls a bench-server; prints `START` when it has warmed up, then one line of JSON.
    BenchClient {
        /// What the server printed.
        address: SocketAddr,
        #[command(flatten)]
        load: Load,
    },
    /// The same server over a bare socket.
    FloorServer { kind: FloorKind },
    /// The same client over a bare socket.
    FloorClient {
        kind: FloorKind,
        /// What the server printed.
        address: SocketAddr,
        #[command(flatten)]
        load: Load,
    },
    /// Measures everything, interleaved, and prints a Markdown table.
    Table(Wanted),
    /// What an engine costs that knows many peers and functions, in a Markdown table. Memory needs
    /// a build with `--features count-allocations`.
    Scale {
        /// Draws it too.
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FloorKind {
    /// Blocking UDP, one thread at each end.
    #[value(name = "raw-udp-std")]
    UdpStd,
    /// UDP on tokio.
    #[value(name = "raw-udp-tokio")]
    UdpTokio,
    /// TCP on tokio, frames with their length before them.
    #[value(name = "raw-tcp-tokio")]
    TcpTokio,
}

/// What a table holds.
#[derive(Args)]
pub(crate) struct Wanted {
    /// How often every cell is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Seconds for each cell after the warm-up: 0.01 to 600.
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub(crate) secs: Duration,
    /// Rows by name, with commas between; all but those of others unless given.
    #[arg(long, value_delimiter = ',')]
    pub(crate) rows: Vec<String>,
    /// Beside all rows those of others: tarpc, tonic, zenoh, NATS. Builds them first, which takes
    /// several minutes once.
    #[arg(long, conflicts_with = "rows")]
    pub(crate) peers: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_before_the_verb() {
        let line = "lanc-bench --transport tcp --codec json --runtime current \
                    bench-client 127.0.0.1:9 --in-flight 64 --secs 0.5 --payload 0";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Verb::BenchClient { address, load } = cli.verb else { panic!("another verb") };
        assert_eq!((address.port(), load.in_flight), (9, 64));
        assert_eq!(load.secs, Duration::from_millis(500));
    }

    #[test]
    fn loads_are_bounded() {
        for (option, value) in
            [("in-flight", "0"), ("in-flight", "16385"), ("secs", "601"), ("payload", "8388609")]
        {
            let line = format!("lanc-bench bench-client 127.0.0.1:9 --{option} {value}");
            assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }
}
