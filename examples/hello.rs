//! The first program: one node offers a function, another one calls it by name.
//!
//! Nobody is told an address. On a real network both lines with `open` are `lanc::open().await?`,
//! in two programs on two devices. Here both nodes live in one program and use loopback alone,
//! on a port that leaves the LANC nodes of your network out of it.

use std::error::Error;

use lanc::{Interfaces, Node, OpenError, UdpConfig, UdpTransport};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = open("server").await?;
    server.register("add", |a: i64, b: i64| a + b)?;

    let client = open("client").await?;
    let sum: i64 = client.call("add", (1, 2)).await?;
    println!("1 + 2 = {sum}, says one of {:?}", names(&client));
    assert_eq!(sum, 3);

    // A failure says what happened, whether the function ran, and what to do next.
    let Err(error) = client.call::<i64>("add", (1, "two")).await else { panic!("it was added") };
    println!("1 + \"two\": {error}");
    assert_eq!(error.code, lanc::ErrorCode::INVALID_ARGUMENTS);

    client.shutdown().await;
    server.shutdown().await;
    Ok(())
}

async fn open(name: &str) -> Result<Node, OpenError> {
    let udp = UdpConfig::default().with_interfaces(Interfaces::Loopback).with_port(51_271);
    lanc::builder().name(name).transport(UdpTransport::new(udp)).open().await
}

fn names(node: &Node) -> Vec<String> {
    node.peers().into_iter().map(|peer| peer.name).collect()
}
