//! gRPC: tonic with prost's messages, HTTP/2 without encryption. What `protoc` and `tonic-build`
//! would generate is written by hand, so that neither is needed.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::tonic::body::Body;
use ::tonic::client::Grpc;
use ::tonic::server::{Grpc as ServerGrpc, NamedService, UnaryService};
use ::tonic::transport::server::TcpIncoming;
use ::tonic::transport::{Channel, Endpoint, Server};
use ::tonic::{Request, Response, Status};
use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tonic_prost::ProstCodec;
use tower_service::Service;

use super::{Client, run};
use crate::Fallible;
use crate::attend::{Stats, attend};
use crate::load::Load;
use crate::measure::{PATIENCE, Report};

const ADD: &str = "/bench.Peer/Add";
const ECHO: &str = "/bench.Peer/Echo";

#[derive(Clone, PartialEq, prost::Message)]
struct Pair {
    #[prost(int64, tag = "1")]
    a: i64,
    #[prost(int64, tag = "2")]
    b: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sum {
    #[prost(int64, tag = "1")]
    sum: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Blob {
    #[prost(bytes = "bytes", tag = "1")]
    bytes: Bytes,
}

#[derive(Clone)]
struct Functions;

impl NamedService for Functions {
    const NAME: &'static str = "bench.Peer";
}

struct Add;

impl UnaryService<Pair> for Add {
    type Response = Sum;
    type Future = Ready<Result<Response<Sum>, Status>>;

    fn call(&mut self, request: Request<Pair>) -> Self::Future {
        let Pair { a, b } = request.into_inner();
        ready(Ok(Response::new(Sum { sum: a + b })))
    }
}

struct Echo;

impl UnaryService<Blob> for Echo {
    type Response = Blob;
    type Future = Ready<Result<Response<Blob>, Status>>;

    fn call(&mut self, request: Request<Blob>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner())))
    }
}

type Answer = Result<http::Response<Body>, Infallible>;

impl Service<http::Request<Body>> for Functions {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            Ok(match request.uri().path() {
                ADD => ServerGrpc::new(ProstCodec::default()).unary(Add, request).await,
                ECHO => ServerGrpc::new(ProstCodec::default()).unary(Echo, request).await,
                _ => Status::unimplemented("no such function").into_http(),
            })
        })
    }
}

pub(super) async fn serve() -> Fallible<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(Server::builder().serve_with_incoming(Functions, incoming));
    attend(address, Stats::of_process).await
}

pub(super) async fn measure(address: &str, load: Load) -> Fallible<Report> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    run(Stub(Grpc::new(channel)), load).await
}

#[derive(Clone)]
struct Stub(Grpc<Channel>);

impl Stub {
    async fn call<Q, A>(&mut self, path: &'static str, message: Q) -> Fallible<A>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        self.0.ready().await?;
        let mut request = Request::new(message);
        request.set_timeout(PATIENCE);
        let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::default());
        Ok(self.0.unary(request, path, codec).await?.into_inner())
    }
}

impl Client for Stub {
    async fn add(&mut self, a: i64, b: i64) -> Fallible<i64> {
        let answer: Sum = self.call(ADD, Pair { a, b }).await?;
        Ok(answer.sum)
    }

    async fn echo(
        &mut self,
        bytes: &[u8],
        check: impl Fn(&[u8]) -> bool + Send + Sync,
    ) -> Fallible<bool> {
        let blob = Blob { bytes: Bytes::copy_from_slice(bytes) };
        let answer: Blob = self.call(ECHO, blob).await?;
        Ok(check(&answer.bytes))
    }
}
