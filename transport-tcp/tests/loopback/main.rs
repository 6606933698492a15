//! What the contract does not ask for: hostile streams, limits, stalls and restarts. Sockets on
//! 127.0.0.1 only.

mod batches;
mod crowd;
mod hostile;
mod life;
mod limits;
mod side;

use lanc_core::framing::Header;
use side::{Side, within};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// A frame as it is in a stream.
fn frame(bytes: &[u8]) -> Vec<u8> {
    let (header, skip) = Header::of_frame(bytes, bytes.len()).unwrap();
    [&header.encode(), &bytes[skip..]].concat()
}

async fn raw(to: &Side) -> TcpStream {
    TcpStream::connect(to.address()).await.unwrap()
}

/// Waits until the far end has closed.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = within(stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "nothing was sent before the end");
}
