//! tarpc: its own framing over TCP, with serde in one of two formats.

use std::net::Ipv4Addr;
use std::time::Instant;

use ::tarpc::server::{BaseChannel, Channel as _};
use ::tarpc::tokio_serde::formats::{Bincode, Json};
use ::tarpc::tokio_util::codec::{Framed, LengthDelimitedCodec};
use ::tarpc::{client, context, serde_transport};
use futures::StreamExt as _;
use serde_bytes::ByteBuf;
use tokio::net::{TcpListener, TcpStream};

use super::{Client, run};
use crate::Fallible;
use crate::attend::{Stats, attend};
use crate::load::Load;
use crate::measure::{PATIENCE, Report};

#[derive(Clone, Copy)]
pub(super) enum Format {
    Bincode,
    Json,
}

#[::tarpc::service]
trait Peer {
    async fn add(a: i64, b: i64) -> i64;
    async fn echo(bytes: ByteBuf) -> ByteBuf;
}

#[derive(Clone)]
struct Functions;

impl Peer for Functions {
    async fn add(self, _: context::Context, a: i64, b: i64) -> i64 {
        a + b
    }

    async fn echo(self, _: context::Context, bytes: ByteBuf) -> ByteBuf {
        bytes
    }
}

/// Frames as large as they come: bytes are four times as many as text.
fn framed(stream: TcpStream) -> Fallible<Framed<TcpStream, LengthDelimitedCodec>> {
    stream.set_nodelay(true)?;
    Ok(LengthDelimitedCodec::builder().max_frame_length(1 << 30).new_framed(stream))
}

pub(super) async fn serve(format: Format) -> Fallible<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(framed) = framed(stream) else { continue };
            match format {
                Format::Bincode => {
                    let transport = serde_transport::new(framed, Bincode::default());
                    let channel = BaseChannel::with_defaults(transport);
                    tokio::spawn(channel.execute(Functions.serve()).for_each(spawn));
                }
                Format::Json => {
                    let transport = serde_transport::new(framed, Json::default());
                    let channel = BaseChannel::with_defaults(transport);
                    tokio::spawn(channel.execute(Functions.serve()).for_each(spawn));
                }
            }
        }
    });
    attend(address, Stats::of_process).await
}

async fn spawn(call: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(call);
}

pub(super) async fn measure(format: Format, address: &str, load: Load) -> Fallible<Report> {
    let framed = framed(TcpStream::connect(address).await?)?;
    let config = client::Config::default();
    let client = match format {
        Format::Bincode => {
            let transport = serde_transport::new(framed, Bincode::default());
            PeerClient::new(config, transport).spawn()
        }
        Format::Json => {
            PeerClient::new(config, serde_transport::new(framed, Json::default())).spawn()
        }
    };
    run(client, load).await
}

fn patience() -> context::Context {
    let mut context = context::current();
    context.deadline = Instant::now() + PATIENCE;
    context
}

impl Client for PeerClient {
    async fn add(&mut self, a: i64, b: i64) -> Fallible<i64> {
        Ok(Self::add(self, patience(), a, b).await?)
    }

    async fn echo(
        &mut self,
        bytes: &[u8],
        check: impl Fn(&[u8]) -> bool + Send + Sync,
    ) -> Fallible<bool> {
        let back = Self::echo(self, patience(), ByteBuf::from(bytes)).await?;
        Ok(check(&back))
    }
}
