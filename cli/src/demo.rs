//! `lanc demo`: two nodes on this machine find and call each other.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use lanc::{CallError, Config, ErrorCode, Event, Executed, Node};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::settings::Settings;
use crate::{duration, exit, network, output};

/// How long the two may take to find each other.
const DISCOVERY: Duration = Duration::from_secs(4);
/// The deadline of the calls.
const CALL: Duration = Duration::from_secs(2);
/// How long the slow function takes.
const SLOW: Duration = Duration::from_millis(300);

/// Walks through discovery, a call, an error and a result that is fetched later.
///
/// # Errors
/// [`Failure`] of the first step that went wrong.
pub(crate) async fn run() -> Result<u8, Failure> {
    let port = free_port()?;
    let settings =
        Settings { port: Some(port), iface: Some(vec!["lo".to_owned()]), ..Settings::default() };
    say("Two nodes on this machine. They use the loopback interface and a port of their own,")?;
    say(&format!("{port}, so nothing leaves the machine and no running node is disturbed."))?;
    let workshop = network::open(&settings, Some("workshop"), Config::default()).await?;
    register(&workshop)?;
    let laptop = network::open(&settings, Some("laptop"), Config::default()).await?;
    let shown = walk(&laptop).await;
    network::close(&laptop).await;
    network::close(&workshop).await;
    shown?;
    say("")?;
    say("That is all of it. To see it between two terminals:")?;
    say("  lanc serve --demo --iface lo")?;
    say("  lanc call --iface lo add 1 2")?;
    Ok(exit::OK)
}

async fn walk(laptop: &Node) -> Result<(), Failure> {
    say("\n1. Discovery. `workshop` offers functions; `laptop` knows nobody and no address.")?;
    let began = Instant::now();
    discover(laptop).await?;
    let peers = laptop.peers();
    let workshop = network::find_peer(&peers, "workshop");
    let address = workshop.map(|peer| peer.endpoint.address()).unwrap_or_default();
    let names: Vec<_> = laptop.functions().into_iter().map(|function| function.name).collect();
    let names = names.join(", ");
    say(&format!("   laptop found workshop at {address} with {names}, {}", took(began)))?;

    say("\n2. A call. laptop calls add(1, 2) by name.")?;
    let began = Instant::now();
    let sum: i64 = laptop.call("add", (1, 2)).deadline(CALL).await?;
    expect(sum == 3, &format!("add(1, 2) gave {sum}"))?;
    say(&format!("   the result is {sum}, {}", took(began)))?;

    say("\n3. An error. laptop calls divide(1, 0).")?;
    let began = Instant::now();
    let quotient: Result<i64, CallError> = laptop.call("divide", (1, 0)).deadline(CALL).await;
    let error = match quotient {
        Err(error) if error.code == ErrorCode::EXECUTION_ERROR => error,
        Err(error) => return Err(error.into()),
        Ok(number) => return expect(false, &format!("divide(1, 0) gave {number}")),
    };
    expect(error.executed == Executed::Yes, "the error does not say that the function ran")?;
    say(&format!("   {}: {}; the function ran, {}", error.code, error.message, took(began)))?;

    say("\n4. A result for later. laptop starts slow_square(12), and goes on at once.")?;
    let began = Instant::now();
    let call = laptop.call("slow_square", (12,)).deadline(CALL).start()?;
    say(&format!("   the call is {call}, {}", took(began)))?;
    let square: i64 = laptop.join(call, CALL).await?;
    expect(square == 144, &format!("slow_square(12) gave {square}"))?;
    say(&format!("   joined: the result is {square}, {}", took(began)))
}

fn register(node: &Node) -> Result<(), Failure> {
    let refused =
        |error: lanc::RegisterError| Failure::before_call(ErrorCode::INTERNAL, error.to_string());
    node.register("add", |a: i64, b: i64| a.saturating_add(b)).map_err(refused)?;
    let divide = |a: i64, b: i64| a.checked_div(b).ok_or("division by zero");
    node.register("divide", divide).map_err(refused)?;
    let slow_square = async |n: i64| {
        tokio::time::sleep(SLOW).await;
        n.saturating_mul(n)
    };
    node.register("slow_square", slow_square).map_err(refused)
}

/// Waits until all functions of the other node are known.
async fn discover(node: &Node) -> Result<(), Failure> {
    let mut events = node.events();
    let known = async {
        while node.functions().len() < 3 {
            if events.next().await.is_none_or(|event| event == Event::Closed) {
                break;
            }
        }
    };
    let in_time = tokio::time::timeout(DISCOVERY, known).await.is_ok();
    expect(in_time, "the two nodes did not find each other over loopback")
}

/// A port that nobody uses, as the system chooses it.
fn free_port() -> Result<u16, Failure> {
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    port.map(|address| address.port()).map_err(|error| {
        let text = format!("cannot use the loopback interface: {error}");
        Failure::before_call(ErrorCode::NETWORK, text)
    })
}

fn expect(holds: bool, otherwise: &str) -> Result<(), Failure> {
    if holds {
        return Ok(());
    }
    Err(Failure::before_call(ErrorCode::INTERNAL, format!("the demo failed: {otherwise}")))
}

fn took(began: Instant) -> String {
    format!("after {}", duration::show(began.elapsed()))
}

fn say(line: &str) -> Result<(), Failure> {
    output::line(line)
}
