//! `lanc pair`: two machines share a key by a short code. `lanc::pair` is the exchange; here are
//! its sockets and its words.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use lanc::pair::{Given, Giver, MAX_DATAGRAM, PairCode, TakeError, Taker, Time};
use lanc::ports::TransportError;
use lanc::{ErrorCode, Executed, MasterKey, Reach, SystemEntropy, UdpConfig};
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use crate::args::PairArgs;
use crate::failure::Failure;
use crate::keys::Keys;
use crate::keys::ring::Ring;
use crate::settings::Settings;
use crate::signals::Interrupts;
use crate::{escape, exit, key, network, output};

/// How long the machine with the code is looked for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gives or takes a key; returns the exit code.
///
/// # Errors
/// No key changed hands, or it could not be stored.
pub(crate) async fn run(args: PairArgs, settings: &Settings, as_json: bool) -> Result<u8, Failure> {
    let mut interrupts = Interrupts::listen()?;
    let udp = network::udp(settings);
    let reach = Reach::of(&udp).map_err(network::refused)?;
    let port = settings.port.unwrap_or(UdpConfig::PORT);
    let port = port.checked_add(1).unwrap_or(port - 1);
    let pairing = async {
        match args.code {
            None => give(&reach, port, settings, as_json).await,
            Some(code) => {
                let wait = args.wait.unwrap_or(PATIENCE);
                take(&reach, port, &code, wait, as_json).await
            }
        }
    };
    tokio::select! {
        outcome = pairing => outcome.map(|()| exit::OK),
        () = interrupts.next() => {
            let failure = Failure::interrupted("the pairing was given up", Executed::No);
            Err(failure.next("the code is not good any more: run `lanc pair` again"))
        }
    }
}

/// Time as the exchange counts it.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.0.elapsed().as_nanos().try_into().unwrap_or(u64::MAX))
    }

    fn at(&self, time: Time) -> Instant {
        self.0 + Duration::from_nanos(time.as_nanos())
    }
}

async fn give(reach: &Reach, port: u16, settings: &Settings, as_json: bool) -> Result<(), Failure> {
    let keys = Keys::of(settings)?;
    let known = keys.all.into_iter().next();
    let is_new = known.is_none();
    let key = known.unwrap_or_else(|| MasterKey::generate(&mut SystemEntropy));
    let socket = bind(address(reach), port)?;
    let (code, clock) = (PairCode::generate(&mut SystemEntropy), Clock::start());
    let mut giver = Giver::new(&code, key.clone(), &mut SystemEntropy, clock.now());
    show(&code, &key, as_json)?;

    let mut buffer = [0; MAX_DATAGRAM + 1];
    let given = loop {
        if let Some(given) = giver.over(clock.now()) {
            break given;
        }
        tokio::select! {
            came = socket.recv_from(&mut buffer) => {
                // What one datagram of a stranger brings about is no reason to end.
                let Ok((length, from)) = came else { continue };
                let datagram = buffer.get(..length).filter(|_| reach.is_near(from.ip()));
                let answer = datagram.and_then(|datagram| giver.receive(clock.now(), datagram));
                if let Some(answer) = answer {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
            () = sleep_until(clock.at(giver.ends())) => {}
        }
    };
    if is_new && matches!(given, Given::Yes | Given::Unconfirmed) {
        Ring::read()?.add(&key)?;
    }
    outcome_of_giving(given, &key, is_new, as_json)
}

fn show(code: &PairCode, key: &MasterKey, as_json: bool) -> Result<(), Failure> {
    let (code, id) = (code.to_string(), key.key_id().to_string());
    if as_json {
        return output::line(&escape::json(&json!({ "code": code, "id": id })));
    }
    output::line(&format!("on the other machine run: lanc pair {code}"))?;
    output::note(&format!(
        "waiting to hand over key {id}; the code is good for one try and {} minutes\n",
        Giver::CODE_LIFE.as_secs() / 60
    ));
    Ok(())
}

fn outcome_of_giving(
    given: Given,
    key: &MasterKey,
    is_new: bool,
    as_json: bool,
) -> Result<(), Failure> {
    let again = "run `lanc pair` again on both machines, with the new code";
    let refused = |text: &str| Err(Failure::before_call(ErrorCode::UNAUTHORISED, text).next(again));
    match given {
        Given::Yes => paired(key, is_new, as_json),
        Given::Unconfirmed => {
            paired(key, is_new, as_json)?;
            output::note("the other machine did not say that the key arrived: look there\n");
            Ok(())
        }
        Given::WrongCode => refused("a wrong code was tried, and nothing was given"),
        Given::Silent => refused("the other machine fell silent, and nothing was given"),
        Given::Expired => {
            let text = "nobody tried the code in time";
            Err(Failure::before_call(ErrorCode::TIMEOUT, text).next(again))
        }
    }
}

fn paired(key: &MasterKey, is_stored: bool, as_json: bool) -> Result<(), Failure> {
    let id = key.key_id().to_string();
    if as_json {
        return output::line(&escape::json(&json!({ "paired": true, "id": id })));
    }
    let stored = if is_stored { ", which is stored here now" } else { "" };
    output::line(&format!("paired: both machines hold key {id}{stored}"))?;
    if is_stored {
        output::note("nodes that run go on as before: start them anew\n");
    }
    Ok(())
}

async fn take(
    reach: &Reach,
    port: u16,
    code: &str,
    wait: Duration,
    as_json: bool,
) -> Result<(), Failure> {
    let code: PairCode = code.parse().map_err(|error: lanc::pair::PairCodeError| {
        let next = "run `lanc pair CODE` again with the right one: no try was used up";
        Failure::usage(error.to_string(), next)
    })?;
    // Before the one try is used.
    key::refuse_second(&Ring::read()?)?;
    let socket = bind(address(reach), 0)?;
    socket.set_broadcast(true).map_err(|error| cannot("broadcast", &error))?;
    let everybody: Vec<_> = targets(reach).map(|ip| SocketAddr::from((ip, port))).collect();
    let clock = Clock::start();
    let mut taker = Taker::new(&code, wait, &mut SystemEntropy, clock.now());
    let (mut giver, mut buffer) = (None, [0; MAX_DATAGRAM + 1]);
    let took = loop {
        if let Some(took) = taker.over(clock.now()) {
            break took;
        }
        if let Some(datagram) = taker.poll_send(clock.now()) {
            for to in giver.as_ref().map_or(everybody.as_slice(), std::slice::from_ref) {
                // It is sent again in any case.
                let _ = socket.send_to(datagram, to).await;
            }
        }
        tokio::select! {
            came = socket.recv_from(&mut buffer) => {
                let Ok((length, from)) = came else { continue };
                let datagram = buffer.get(..length).filter(|_| reach.is_near(from.ip()));
                if datagram.is_some_and(|datagram| taker.receive(clock.now(), datagram)) {
                    giver = Some(from);
                }
            }
            () = sleep_until(clock.at(taker.next())) => {}
        }
    };
    let key = took.map_err(not_taken)?;
    Ring::read()?.add(&key)?;
    paired(&key, true, as_json)
}

fn not_taken(error: TakeError) -> Failure {
    let (code, next) = match error {
        TakeError::NotFound => (
            ErrorCode::NO_PROVIDER,
            "see that `lanc pair` still waits there, and check --iface and --port on both machines",
        ),
        _ => (
            ErrorCode::UNAUTHORISED,
            "run `lanc pair` anew on both machines: a code is good for one try",
        ),
    };
    Failure::before_call(code, error.to_string()).next(next)
}

/// Where questions to everybody go.
fn targets(reach: &Reach) -> impl Iterator<Item = Ipv4Addr> {
    // On this host one address is enough, and every system has it.
    let own = |ip: &Ipv4Addr| if ip.is_loopback() { Ipv4Addr::LOCALHOST } else { *ip };
    reach.targets().iter().map(own)
}

/// Nothing but this host can be reached from loopback's own address.
fn address(reach: &Reach) -> Ipv4Addr {
    if reach.is_loopback() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED }
}

fn bind(ip: Ipv4Addr, port: u16) -> Result<UdpSocket, Failure> {
    let bound = std::net::UdpSocket::bind((IpAddr::V4(ip), port));
    let socket = bound.map_err(|source| {
        let advice = match source.kind() {
            io::ErrorKind::AddrInUse => {
                "Another `lanc pair` runs here, or another program holds this UDP port: end it, or \
                 choose another --port on both machines"
            }
            _ => "Check --iface and --port",
        };
        let address = SocketAddr::from((ip, port)).to_string();
        network::refused(TransportError::Bind { address, source, advice: advice.to_owned() })
    })?;
    let registered = socket.set_nonblocking(true).and_then(|()| UdpSocket::from_std(socket));
    registered.map_err(|error| cannot("use a socket", &error))
}

fn cannot(what: &str, error: &io::Error) -> Failure {
    Failure::before_call(ErrorCode::NETWORK, format!("cannot {what}: {error}"))
}
