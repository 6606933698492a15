//! Two providers of the same functions, and one of them goes away in the middle of a call.
//!
//! A call that may have run is never repeated behind your back: it ends as `lost`, and says that
//! nobody knows whether it ran. A function that may run more than once for one call says so, and
//! its calls go on to another provider.

use std::error::Error;
use std::time::Duration;

use lanc::{Config, ErrorCode, Executed, Node};
use lanc_transport_memory::MemoryNetwork;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = MemoryNetwork::new();
    let mut providers = vec![provider(&network, "one").await?, provider(&network, "two").await?];
    let client = lanc::builder().name("client").transport(network.transport()).open().await?;
    client.settled().await;

    let order = tokio::spawn(client.call::<String>("order", ("paper",)).into_future());
    let lookup = tokio::spawn(client.call::<String>("lookup", ("paper",)).into_future());
    // Both go to the provider that was heard of last. It goes down without letting them finish.
    let working = loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if let Some(place) = providers.iter().position(|node| node.tables().running == 2) {
            break place;
        }
    };
    providers.remove(working).shutdown().await;

    let Err(error) = order.await? else { panic!("nobody was there to take the order") };
    println!("order: {error}");
    assert_eq!((error.code, error.executed), (ErrorCode::LOST, Executed::Maybe));
    let found = lookup.await??;
    println!("lookup: {found}");
    assert_eq!(found, format!("paper, says {}", providers[0].name()));
    Ok(())
}

async fn provider(network: &MemoryNetwork, name: &'static str) -> Result<Node, Box<dyn Error>> {
    let config = Config::default().with_drain(Duration::ZERO);
    let builder = lanc::builder().config(config).name(name);
    let node = builder.transport(network.transport()).open().await?;
    let answer = move |what: String| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        format!("{what}, says {name}")
    };
    node.register("order", answer)?;
    node.function("lookup", answer).idempotent().register()?;
    Ok(node)
}
