//! Many values from one call, and bytes between caller and function.
//!
//! A function that returns an iterator, or an async stream, sends its values as they come; the
//! caller takes them one by one, and stops the function by taking no more. Below that a call may
//! have a stream of bytes, both ways. Here both nodes live in one program and use memory alone.

use std::error::Error;

use lanc::{Context, JsonCodec, NodeBuilder};
use lanc_transport_memory::MemoryNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Streams travel by connections; between the devices of a network that is TCP.
    let network = MemoryNetwork::new().connected();
    let builder = NodeBuilder::new().name("server").codec(JsonCodec);
    let server = builder.transport(network.transport()).open().await?;
    server.register_stream("squares", |from: u64| (from..).map(|n| n * n))?;
    server.register("shout", shout)?;

    let builder = NodeBuilder::new().name("client").codec(JsonCodec);
    let builder = builder.peer(server.endpoints()[0].clone());
    let client = builder.transport(network.transport()).open().await?;

    // There is no last square: the function stops when nobody takes the next.
    let mut squares = client.call::<u64>("squares", (7,)).values().await?;
    let mut taken = Vec::new();
    while let Some(square) = squares.next().await {
        taken.push(square?);
        if taken.len() == 3 {
            break;
        }
    }
    drop(squares);
    println!("squares: {taken:?}");
    assert_eq!(taken, [49, 64, 81]);

    let (mut stream, length) = client.call::<usize>("shout", ()).with_stream()?;
    stream.write_all(b"is anybody there?").await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    println!("shout: {answer} ({} bytes)", length.await?);
    assert_eq!(answer, "IS ANYBODY THERE?");

    client.shutdown().await;
    server.shutdown().await;
    Ok(())
}

async fn shout(ctx: Context) -> Result<usize, std::io::Error> {
    let Some(mut stream) = ctx.stream() else { return Err(std::io::Error::other("no stream")) };
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    stream.write_all(text.to_uppercase().as_bytes()).await?;
    Ok(text.len())
}
