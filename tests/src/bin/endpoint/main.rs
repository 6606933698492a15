//! A node for tests in a process of its own: it serves functions that write down every start, or
//! makes calls and prints every outcome. What it is told comes by standard input, a line each;
//! when that closes it ends.

mod call;
mod ledger;
mod serve;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use lanc::{Config, MasterKey, Node, TcpConfig, TcpTransport, UdpConfig, UdpTransport};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Offers `increment`, `work`, `slow` and `echo`; prints `ready ADDR:PORT`.
    Serve(serve::Options),
    /// Prints `warm`, then makes so many calls for each `go COUNT`, without end for `go 0`.
    Call(call::Options),
}

/// What both have.
#[derive(Args, Clone)]
struct Common {
    /// The node's name.
    #[arg(long)]
    name: String,
    /// Port of datagrams and connections; 0 is any.
    #[arg(long, default_value_t = 0)]
    private_port: u16,
    /// The datagram sockets' buffers in bytes.
    #[arg(long, default_value_t = 4 << 20)]
    buffers: usize,
    /// The file of the group's key; without one the node is open.
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// Takes as many frames of strangers as come.
    #[arg(long)]
    unlimited: bool,
}

/// A node and what its sockets count.
struct Endpoint {
    node: Node,
    udp: lanc::UdpStats,
    tcp: lanc::TcpStats,
}

impl Endpoint {
    async fn open(
        common: &Common,
        name: &str,
        config: Config,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let udp = UdpConfig::default()
            .with_private_port(common.private_port)
            .with_buffers(common.buffers, common.buffers);
        let udp = UdpTransport::new(udp);
        let tcp = TcpTransport::new(TcpConfig::default().with_port(common.private_port));
        let (udp_stats, tcp_stats) = (udp.stats(), tcp.stats());
        let config = match common.unlimited {
            true => config.with_unproved_rate(0).with_unproved_rate_total(0),
            false => config,
        };
        let builder = match &common.key_file {
            Some(file) => lanc::keyed(&MasterKey::read_file(file)?),
            None => lanc::builder(),
        };
        let builder = builder.name(name).config(config).transport(udp).transport(tcp);
        Ok(Self { node: builder.open().await?, udp: udp_stats, tcp: tcp_stats })
    }

    /// Everything that is counted, by name.
    fn stats(&self) -> Value {
        let mut stats = serde_json::Map::new();
        let counters = self.node.counters();
        for (name, value) in counters.named() {
            stats.insert(name.to_owned(), value.into());
        }
        for why in lanc::counters::Drop::ALL {
            stats.insert(format!("dropped_{}", why.name()), counters.dropped(*why).into());
        }
        let (udp, tcp) = (self.udp.counts(), self.tcp.counts());
        for (name, value) in [
            ("udp_kernel_drops", self.udp.kernel_drops().unwrap_or_default()),
            ("udp_send_refused", udp.send_refused),
            ("tcp_accepted", tcp.accepted),
            ("tcp_accept_failures", tcp.accept_failures),
            ("tcp_closed_stalled", tcp.closed_stalled),
            ("tcp_closed_silent", tcp.closed_silent),
        ] {
            stats.insert(name.to_owned(), value.into());
        }
        json!({ "stats": stats })
    }

    async fn close(&self) {
        // Whoever waits for the end knows how long to wait.
        let _ = tokio::time::timeout(Duration::from_secs(10), self.node.shutdown()).await;
    }
}

/// The lines of standard input.
fn commands() -> Lines<BufReader<Stdin>> {
    BufReader::new(tokio::io::stdin()).lines()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    match Arguments::parse().verb {
        Verb::Serve(options) => serve::run(options).await,
        Verb::Call(options) => call::run(options).await,
    }
}
