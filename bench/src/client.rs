//! Callers over a LANC node.

use std::net::SocketAddr;
use std::time::Duration;

use lanc::{Bytes, CallError, Node};

use crate::Fallible;
use crate::args::Options;
use crate::load::Load;
use crate::measure::{self, Caller, PATIENCE, is_stamped, stamp};
use crate::node;

/// How long the first call waits until the server has been heard of.
const GREETING: Duration = Duration::from_secs(5);

/// Measures and prints the line.
///
/// # Errors
/// The node cannot be opened, or the server is not there.
pub(crate) async fn run(options: &Options, address: SocketAddr, load: Load) -> Fallible<()> {
    let node = node::connect(options, address, load.in_flight).await?;
    let sum: i64 = node.call("add", (1_i64, 7_i64)).wait(GREETING).deadline(GREETING).await?;
    if sum != 8 {
        return Err(format!("1 + 7 came back as {sum}").into());
    }
    let callers = (0..load.in_flight).map(|_| node.clone());
    let report = match load.payload {
        0 => measure::measure(callers.map(Adding).collect(), load).await?,
        bytes => {
            let bytes = usize::try_from(bytes)?;
            let callers = callers.map(|node| Echoing { node, bytes: vec![0x5a; bytes].into() });
            measure::measure(callers.collect(), load).await?
        }
    };
    options.print(&report)?;
    node.shutdown().await;
    Ok(())
}

struct Adding(Node);

impl Caller for Adding {
    async fn call(&mut self, number: i64) -> Result<(), String> {
        let call = self.0.call::<i64>("add", (number, 7_i64)).deadline(PATIENCE);
        match call.await {
            Ok(sum) if sum == number + 7 => Ok(()),
            Ok(sum) => Err(format!("{number} + 7 came back as {sum}")),
            Err(error) => Err(text(&error)),
        }
    }
}

struct Echoing {
    node: Node,
    bytes: Bytes,
}

impl Caller for Echoing {
    async fn call(&mut self, number: i64) -> Result<(), String> {
        stamp(&mut self.bytes, number);
        let call = self.node.call::<Bytes>("echo", (&self.bytes,));
        match call.deadline(PATIENCE).await {
            Ok(back) if back.len() == self.bytes.len() && is_stamped(&back, number) => Ok(()),
            Ok(back) => Err(format!("{} other bytes came back", back.len())),
            Err(error) => Err(text(&error)),
        }
    }
}

fn text(error: &CallError) -> String {
    error.to_string()
}
