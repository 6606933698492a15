//! Who else makes the calls.

mod nats;
mod tarpc;
mod tonic;
mod zenoh;

use clap::ValueEnum;

use crate::Fallible;
use crate::load::Load;
use crate::measure::{Caller, Report, is_stamped, measure, stamp};
use tarpc::Format;
use zenoh::Transport;

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// tarpc over TCP, bincode.
    TarpcBincode,
    /// tarpc over TCP, JSON; bytes are a list of numbers there.
    TarpcJson,
    /// gRPC: tonic and prost.
    Tonic,
    /// Queries of zenoh over TCP, from peer to peer.
    ZenohTcp,
    /// The same over UDP.
    ZenohUdp,
    /// Requests of NATS, by a nats-server between the two.
    Nats,
}

impl Kind {
    pub(crate) async fn serve(self) -> Fallible<()> {
        match self {
            Self::TarpcBincode => tarpc::serve(Format::Bincode).await,
            Self::TarpcJson => tarpc::serve(Format::Json).await,
            Self::Tonic => tonic::serve().await,
            Self::ZenohTcp => zenoh::serve(Transport::Tcp).await,
            Self::ZenohUdp => zenoh::serve(Transport::Udp).await,
            Self::Nats => nats::serve().await,
        }
    }

    pub(crate) async fn measure(self, address: &str, load: Load) -> Fallible<Report> {
        match self {
            Self::TarpcBincode => tarpc::measure(Format::Bincode, address, load).await,
            Self::TarpcJson => tarpc::measure(Format::Json, address, load).await,
            Self::Tonic => tonic::measure(address, load).await,
            Self::ZenohTcp | Self::ZenohUdp => zenoh::measure(address, load).await,
            Self::Nats => nats::measure(address, load).await,
        }
    }
}

/// The two functions, as a caller has them. Each call has [`PATIENCE`](crate::measure::PATIENCE).
trait Client: Clone + Send + 'static {
    fn add(&mut self, a: i64, b: i64) -> impl Future<Output = Fallible<i64>> + Send;

    /// Calls `echo`; what comes back is handed to `check`.
    fn echo(
        &mut self,
        bytes: &[u8],
        check: impl Fn(&[u8]) -> bool + Send + Sync,
    ) -> impl Future<Output = Fallible<bool>> + Send;
}

/// Makes the first call, so that everybody is there, then measures.
async fn run<C: Client>(mut client: C, load: Load) -> Fallible<Report> {
    let sum = client.add(1, 7).await?;
    if sum != 8 {
        return Err(format!("1 + 7 came back as {sum}").into());
    }
    let callers = (0..load.in_flight).map(|_| client.clone());
    match load.payload {
        0 => measure(callers.map(Adding).collect(), load).await,
        bytes => {
            let bytes = usize::try_from(bytes)?;
            let callers = callers.map(|client| Echoing { client, bytes: vec![0x5a; bytes] });
            measure(callers.collect(), load).await
        }
    }
}

struct Adding<C>(C);

impl<C: Client> Caller for Adding<C> {
    async fn call(&mut self, number: i64) -> Result<(), String> {
        match self.0.add(number, 7).await {
            Ok(sum) if sum == number + 7 => Ok(()),
            Ok(sum) => Err(format!("{number} + 7 came back as {sum}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

struct Echoing<C> {
    client: C,
    bytes: Vec<u8>,
}

impl<C: Client> Caller for Echoing<C> {
    async fn call(&mut self, number: i64) -> Result<(), String> {
        stamp(&mut self.bytes, number);
        let length = self.bytes.len();
        let check = move |back: &[u8]| back.len() == length && is_stamped(back, number);
        match self.client.echo(&self.bytes, check).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("other bytes came back".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Two integers as bytes, for those who carry nothing else.
fn pair(a: i64, b: i64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&a.to_be_bytes());
    bytes[8..].copy_from_slice(&b.to_be_bytes());
    bytes
}

/// The integer that stands there.
fn integer(bytes: &[u8], at: usize) -> Option<i64> {
    bytes.get(at..)?.first_chunk().map(|bytes| i64::from_be_bytes(*bytes))
}

/// The sum of a [`pair`].
fn sum(pair: &[u8]) -> Option<[u8; 8]> {
    Some(integer(pair, 0)?.wrapping_add(integer(pair, 8)?).to_be_bytes())
}

/// A port of 127.0.0.1 that nobody has, for those who cannot say which one they were given.
fn free_port() -> std::io::Result<u16> {
    let socket = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    Ok(socket.local_addr()?.port())
}
