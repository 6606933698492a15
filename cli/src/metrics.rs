//! `lanc serve --metrics`: the node's statistics for Prometheus, over HTTP.
//!
//! It only tells: nothing can be changed through it. It is on loopback unless the operator names
//! another address, and it answers only requests that name it by address, so that a page in a
//! browser cannot read it through a name of its own (DNS rebinding).

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanc::{ErrorCode, Stats};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::failure::Failure;

/// Where `--metrics` serves unless it is told an address.
pub(crate) const DEFAULT: &str = "127.0.0.1:9127";

/// Connections at once; further ones are closed at once.
const CONNECTIONS: usize = 8;
/// How long a request may take to arrive, and its answer to leave.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a request, and its headers.
const MAX_HEAD: usize = 8 << 10;
const MAX_HEADERS: usize = 64;
/// Time without new connections after the system could not accept one.
const PAUSE: Duration = Duration::from_millis(100);

/// Reads `ADDR:PORT`, or a port alone, which is then on loopback.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| format!("write ADDR:PORT, as in {DEFAULT}, or a port alone"))
}

/// A listening socket, not serving yet.
pub(crate) struct Metrics {
    listener: TcpListener,
    address: SocketAddr,
}

impl Metrics {
    /// Takes the port.
    ///
    /// # Errors
    /// `network` when somebody else has it.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, Failure> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok::<_, std::io::Error>(Self { listener, address })
        };
        bound.await.map_err(|error| {
            let text = format!("--metrics cannot use {address}: {error}");
            Failure::before_call(ErrorCode::NETWORK, text)
                .hint("name another address with --metrics ADDR:PORT; port 0 takes any free one")
        })
    }

    /// Where it is, as a browser is told.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }

    /// Whether other machines may reach it.
    pub(crate) fn is_exposed(&self) -> bool {
        !self.address.ip().is_loopback()
    }

    /// Serves until it is dropped; `page` makes what is served.
    pub(crate) async fn serve(
        self,
        page: impl Fn() -> String + Send + Sync + 'static,
    ) -> Infallible {
        let (page, places) = (Arc::new(page), Arc::new(Semaphore::new(CONNECTIONS)));
        let is_exposed = self.is_exposed();
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!(%error, "the metrics' port accepts nothing now");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let page = Arc::clone(&page);
            tokio::spawn(async move {
                exchange(stream, is_exposed, page.as_ref(), place).await;
            });
        }
    }
}

/// One request and its answer. Whoever is too slow or speaks no HTTP is left.
///
/// Its place is free before the far end can know that the connection is closed.
async fn exchange(
    mut stream: TcpStream,
    is_exposed: bool,
    page: &(impl Fn() -> String + Sync),
    place: OwnedSemaphorePermit,
) {
    let Ok(Some(answer)) = timeout(PATIENCE, read(&mut stream, is_exposed)).await else { return };
    let bytes = answer.bytes(page);
    let written = async {
        stream.write_all(&bytes).await?;
        drop(place);
        stream.shutdown().await
    };
    // It may have gone away; nothing is owed to it.
    let _ = timeout(PATIENCE, written).await;
}

/// Reads a request as far as its answer needs. `None`: there will be none.
async fn read(stream: &mut TcpStream, is_exposed: bool) -> Option<Answer> {
    let mut head = Vec::with_capacity(1024);
    loop {
        if let Some(answer) = answer(&head, is_exposed) {
            return Some(answer);
        }
        let room = u64::try_from(MAX_HEAD - head.len()).ok()?;
        if stream.take(room).read_buf(&mut head).await.ok()? == 0 {
            return (head.len() == MAX_HEAD).then_some(Answer::HEAD_TOO_LARGE);
        }
    }
}

/// What a request is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Answer {
    status: &'static str,
    /// For people, where it is no page.
    text: &'static str,
    with_body: bool,
}

impl Answer {
    const PAGE: Self = Self::new("200 OK", "");
    const NOT_HTTP: Self = Self::new("400 Bad Request", "this is no request of HTTP/1.1");
    const FOREIGN: Self =
        Self::new("403 Forbidden", "ask by address, as in http://127.0.0.1:9127/metrics");
    const NOT_FOUND: Self = Self::new("404 Not Found", "there is /metrics and nothing else");
    const READ_ONLY: Self = Self::new("405 Method Not Allowed", "this can be read, not changed");
    const HEAD_TOO_LARGE: Self =
        Self::new("431 Request Header Fields Too Large", "a request may take 8 KiB");

    const fn new(status: &'static str, text: &'static str) -> Self {
        Self { status, text, with_body: true }
    }

    fn bytes(self, page: &impl Fn() -> String) -> Vec<u8> {
        let (media, body) = match self.text {
            "" => (Stats::PROMETHEUS_TYPE, page()),
            text => ("text/plain; charset=utf-8", format!("{text}\n")),
        };
        let mut answer = format!(
            "HTTP/1.1 {}\r\nContent-Type: {media}\r\nContent-Length: {}\r\nAllow: GET, HEAD\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
            self.status,
            body.len()
        );
        if self.with_body {
            answer.push_str(&body);
        }
        answer.into_bytes()
    }
}

/// The answer to a request; `None` while more of it must come.
fn answer(head: &[u8], is_exposed: bool) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return None,
        Err(httparse::Error::TooManyHeaders) => return Some(Answer::HEAD_TOO_LARGE),
        Err(_) => return Some(Answer::NOT_HTTP),
    }
    let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
    let all = |name: &'static str| {
        request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name))
    };
    let mut hosts = all("host");
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Some(Answer::NOT_HTTP) };
    let answer = if !is_ours(host.value, is_exposed) {
        Answer::FOREIGN
    } else if !matches!(method, "GET" | "HEAD") {
        Answer::READ_ONLY
    } else if target.split('?').next() != Some("/metrics") {
        Answer::NOT_FOUND
    } else {
        Answer::PAGE
    };
    Some(Answer { with_body: method != "HEAD", ..answer })
}

/// Whether a `Host` is this port as its address names it: a name may belong to anybody.
fn is_ours(host: &[u8], is_exposed: bool) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    match name.parse::<IpAddr>() {
        Ok(address) => is_exposed || address.is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_a_port_alone_is_on_loopback() {
        assert_eq!(address(DEFAULT).map(|address| address.ip().is_loopback()), Ok(true));
        assert_eq!(address("9200"), Ok(([127, 0, 0, 1], 9200).into()));
        assert_eq!(address("[::1]:0").map(|address| address.is_ipv6()), Ok(true));
        for bad in ["", "here", "127.0.0.1", "99999", ":9127"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn requests_are_answered_by_their_merits() {
        let get = |host: &str| format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let body = |method: &str, path: &str| {
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        };
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
        for (request, expected) in [
            (get("127.0.0.1:9127"), Answer::PAGE),
            (get("[::1]:9127"), Answer::PAGE),
            (get("LocalHost"), Answer::PAGE),
            (body("GET", "/metrics?name=add"), Answer::PAGE),
            (body("HEAD", "/metrics"), Answer { with_body: false, ..Answer::PAGE }),
            (get("evil.example"), Answer::FOREIGN),
            (get("localhost.evil.example:9127"), Answer::FOREIGN),
            (get("127.0.0.1.evil.example"), Answer::FOREIGN),
            (get("10.0.0.1"), Answer::FOREIGN),
            (get(""), Answer::FOREIGN),
            (body("POST", "/metrics"), Answer::READ_ONLY),
            (body("DELETE", "/"), Answer::READ_ONLY),
            (body("GET", "/"), Answer::NOT_FOUND),
            (body("GET", "/metrics/../x"), Answer::NOT_FOUND),
            ("GET /metrics HTTP/1.1\r\n\r\n".to_owned(), Answer::NOT_HTTP),
            ("GET /metrics HTTP/1.1\r\nHost: ::1\r\nHost: a\r\n\r\n".to_owned(), Answer::NOT_HTTP),
            ("GET /metrics HTTP/9\r\n\r\n".to_owned(), Answer::NOT_HTTP),
            ("\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), Answer::NOT_HTTP),
            (many, Answer::HEAD_TOO_LARGE),
        ] {
            assert_eq!(answer(request.as_bytes(), false), Some(expected), "{request:?}");
        }
        assert_eq!(answer(get("10.0.0.1").as_bytes(), true), Some(Answer::PAGE));
        assert_eq!(answer(get("evil.example").as_bytes(), true), Some(Answer::FOREIGN));
        let whole = get("localhost");
        for end in 0..whole.len() {
            assert_eq!(answer(&whole.as_bytes()[..end], false), None, "{end}");
        }
    }

    async fn serving() -> (SocketAddr, tokio::task::JoinHandle<Infallible>) {
        let metrics = Metrics::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        assert!(!metrics.is_exposed());
        let address = metrics.address;
        (address, tokio::spawn(metrics.serve(|| "lanc_up 1\n".to_owned())))
    }

    async fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = String::new();
        // A server that refuses may close before all was written.
        let _ = stream.write_all(request).await;
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

    #[tokio::test]
    async fn a_page_comes_whole_and_the_connection_is_closed() {
        let (address, server) = serving().await;
        let answer = ask(address, GET).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("Content-Length: 10\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nlanc_up 1\n"), "{answer}");
        let answer = ask(address, &[b'x'; MAX_HEAD]).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        server.abort();
    }

    /// Whoever sends a byte now and then holds a place for five seconds and no longer; the
    /// others are served meanwhile while there are places.
    #[tokio::test]
    async fn slow_ones_hold_few_places_and_not_for_long() {
        let (address, server) = serving().await;
        let mut slow = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /metr").await.unwrap();
            slow.push(stream);
        }
        let began = tokio::time::Instant::now();
        // No place is left. It is closed at once, before or after its request has arrived.
        assert_eq!(ask(address, GET).await, "");
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
        for stream in &mut slow {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            assert_eq!(rest, b"");
        }
        assert!(ask(address, GET).await.ends_with("lanc_up 1\n"));
        server.abort();
    }
}
