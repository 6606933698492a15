//! zenoh: queries to a queryable, from peer to peer without a router. Nobody is looked for and
//! nothing but 127.0.0.1 is listened at. It brings its own runtime with several threads.

use ::zenoh::query::{ConsolidationMode, Querier};
use ::zenoh::{Config, Session, Wait as _};

use super::{Client, free_port, integer, pair, run, sum};
use crate::Fallible;
use crate::attend::{Stats, attend};
use crate::load::Load;
use crate::measure::{PATIENCE, Report};

const ADD: &str = "bench/add";
const ECHO: &str = "bench/echo";

#[derive(Clone, Copy)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

async fn open(listen: &[String], connect: &[String]) -> Fallible<Session> {
    let mut config = Config::default();
    for (key, value) in [
        ("mode", "\"peer\"".to_owned()),
        ("scouting/multicast/enabled", "false".to_owned()),
        ("scouting/gossip/enabled", "false".to_owned()),
        ("listen/endpoints", serde_json::to_string(listen)?),
        ("connect/endpoints", serde_json::to_string(connect)?),
    ] {
        config.insert_json5(key, &value)?;
    }
    ::zenoh::open(config).await
}

pub(super) async fn serve(transport: Transport) -> Fallible<()> {
    let scheme = match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    let address = format!("{scheme}/127.0.0.1:{}", free_port()?);
    let session = open(std::slice::from_ref(&address), &[]).await?;
    // Answered where they are read, as an inline function of LANC is.
    let add = session.declare_queryable(ADD).complete(true).callback(|query| {
        let payload = query.payload().map(|bytes| bytes.to_bytes());
        if let Some(sum) = payload.as_deref().and_then(sum) {
            let _ = query.reply(ADD, sum.as_slice()).wait();
        }
    });
    let _add = add.await?;
    let echo = session.declare_queryable(ECHO).complete(true).callback(|query| {
        if let Some(bytes) = query.payload() {
            let _ = query.reply(ECHO, bytes.clone()).wait();
        }
    });
    let _echo = echo.await?;
    attend(address, Stats::of_process).await
}

pub(super) async fn measure(address: &str, load: Load) -> Fallible<Report> {
    let session = open(&[], &[address.to_owned()]).await?;
    let add = querier(&session, ADD).await?;
    let echo = querier(&session, ECHO).await?;
    for querier in [add, echo] {
        let matched = querier.matching_listener().await?;
        while !querier.matching_status().await?.matching() {
            matched.recv_async().await?;
        }
    }
    run(Queries { add, echo }, load).await
}

/// Lives as long as the process: callers on tasks share it.
async fn querier(session: &Session, key: &'static str) -> Fallible<&'static Querier<'static>> {
    let querier = session.declare_querier(key).timeout(PATIENCE);
    let querier = querier.consolidation(ConsolidationMode::None).await?;
    Ok(Box::leak(Box::new(querier)))
}

#[derive(Clone, Copy)]
struct Queries {
    add: &'static Querier<'static>,
    echo: &'static Querier<'static>,
}

async fn ask(
    querier: &Querier<'static>,
    payload: &[u8],
    check: impl Fn(&[u8]) -> Option<i64> + Send,
) -> Fallible<Option<i64>> {
    let replies = querier.get().payload(payload).await?;
    let reply = replies.recv_async().await.map_err(|_| "no answer in 5 s")?;
    match reply.result() {
        Ok(sample) => Ok(check(&sample.payload().to_bytes())),
        Err(error) => {
            let said = error.payload().to_bytes();
            Err(format!("an error came back: {}", String::from_utf8_lossy(&said)).into())
        }
    }
}

impl Client for Queries {
    async fn add(&mut self, a: i64, b: i64) -> Fallible<i64> {
        let sum = ask(self.add, &pair(a, b), |bytes| integer(bytes, 0)).await?;
        sum.ok_or_else(|| "an answer without a number".into())
    }

    async fn echo(
        &mut self,
        bytes: &[u8],
        check: impl Fn(&[u8]) -> bool + Send + Sync,
    ) -> Fallible<bool> {
        Ok(ask(self.echo, bytes, |back| check(back).then_some(0)).await?.is_some())
    }
}
