//! NATS: requests by a nats-server, which is a third process. It is started here, ends with the
//! server and is counted with it.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::ConnectOptions;
use bytes::Bytes;
use futures::StreamExt as _;

use super::{Client, free_port, integer, pair, run, sum};
use crate::Fallible;
use crate::attend::{Stats, attend};
use crate::load::Load;
use crate::measure::{PATIENCE, Report};

const ADD: &str = "bench.add";
const ECHO: &str = "bench.echo";
/// Debian puts it where only root looks.
const PROGRAMS: [&str; 2] = ["nats-server", "/usr/sbin/nats-server"];

/// The third process; ends with this value.
struct Broker(Child);

impl Broker {
    /// `None`: it is not installed.
    fn start(port: u16) -> Option<Self> {
        let is_there = |program: &&str| {
            let asked = Command::new(program).arg("--version").stdout(Stdio::null()).status();
            asked.is_ok_and(|status| status.success())
        };
        let program = PROGRAMS.into_iter().find(|program| is_there(&program))?;
        // It must not outlive this process, whatever ends it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program, "--addr", "127.0.0.1"]);
        command.args(["--port", &port.to_string()]);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().ok().map(Self)
    }

    /// CPU seconds and MiB, as `/proc` has them.
    fn used(id: u32) -> Option<(f64, f64)> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // Behind the name, which may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u64>().ok();
        let used = (ticks()? + ticks()?) as f64;
        let seconds = used / rustix::param::clock_ticks_per_second() as f64;
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some((seconds, kib / 1024.0))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn connect(address: &str) -> Fallible<async_nats::Client> {
    let options = ConnectOptions::new().request_timeout(Some(PATIENCE)).retry_on_initial_connect();
    let reconnect = |_| Duration::from_millis(20);
    let client = options.reconnect_delay_callback(reconnect).connect(address).await?;
    // Answered by the broker once it is there.
    client.flush().await?;
    Ok(client)
}

pub(super) async fn serve() -> Fallible<()> {
    let port = free_port()?;
    let Some(broker) = Broker::start(port) else {
        println!("SKIP nats-server and setpriv are needed (`apt-get install nats-server`)");
        return Ok(());
    };
    let address = format!("127.0.0.1:{port}");
    let client = connect(&address).await?;
    let mut adds = client.subscribe(ADD).await?;
    let mut echoes = client.subscribe(ECHO).await?;
    client.flush().await?;
    let answers = client.clone();
    tokio::spawn(async move {
        while let Some(message) = adds.next().await {
            if let (Some(to), Some(sum)) = (message.reply, sum(&message.payload)) {
                let _ = answers.publish(to, Bytes::copy_from_slice(&sum)).await;
            }
        }
    });
    tokio::spawn(async move {
        while let Some(message) = echoes.next().await {
            if let Some(to) = message.reply {
                let _ = client.publish(to, message.payload).await;
            }
        }
    });
    let id = broker.0.id();
    let stats = move || {
        let own = Stats::of_process();
        let (cpu_s, mib) = Broker::used(id).unwrap_or_default();
        Stats { cpu_s: own.cpu_s + cpu_s, rss_mib: own.rss_mib.map(|own| own + mib), ..own }
    };
    attend(address, stats).await
}

pub(super) async fn measure(address: &str, load: Load) -> Fallible<Report> {
    run(Requests(connect(address).await?), load).await
}

#[derive(Clone)]
struct Requests(async_nats::Client);

impl Client for Requests {
    async fn add(&mut self, a: i64, b: i64) -> Fallible<i64> {
        let message = self.0.request(ADD, Bytes::copy_from_slice(&pair(a, b))).await?;
        integer(&message.payload, 0).ok_or_else(|| "an answer without a number".into())
    }

    async fn echo(
        &mut self,
        bytes: &[u8],
        check: impl Fn(&[u8]) -> bool + Send + Sync,
    ) -> Fallible<bool> {
        let message = self.0.request(ECHO, Bytes::copy_from_slice(bytes)).await?;
        Ok(check(&message.payload))
    }
}
