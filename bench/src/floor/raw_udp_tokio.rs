//! UDP on tokio: callers send their datagrams themselves, one task hands out the answers.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::message::{self, ADD_LEN, Add};
use super::patience::Patience;
use crate::Fallible;
use crate::load::Load;
use crate::measure::{self, Caller, Report};

/// Serves on a task of its own.
pub(crate) async fn serve() -> Fallible<SocketAddr> {
    let socket = socket()?;
    let address = socket.local_addr()?;
    tokio::spawn(async move {
        let mut buffer = [0; ADD_LEN];
        loop {
            // An error is the echo of an answer to a client that has gone.
            let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
            if message::answer(&mut buffer[..length]).is_some() {
                let _ = socket.send_to(&buffer[..length], from).await;
            }
        }
    });
    Ok(address)
}

/// Measures calls, as many in flight as the load says.
pub(crate) async fn measure(address: SocketAddr, load: Load) -> Fallible<Report> {
    let socket = Arc::new(socket()?);
    socket.connect(address).await?;
    let (mut callers, mut places) = (Vec::new(), Vec::new());
    for caller in 0..load.in_flight {
        let (place, answers) = mpsc::channel(1);
        places.push(place);
        let socket = Arc::clone(&socket);
        callers.push(Adding { socket, caller, answers, patience: Patience::new() });
    }
    let hand_out = tokio::spawn(hand_out(socket, places));
    let report = measure::measure(callers, load).await;
    hand_out.abort();
    report
}

fn socket() -> Fallible<UdpSocket> {
    let socket = super::udp_socket()?;
    socket.set_nonblocking(true)?;
    Ok(UdpSocket::from_std(socket)?)
}

async fn hand_out(socket: Arc<UdpSocket>, places: Vec<mpsc::Sender<Add>>) {
    let mut buffer = [0; ADD_LEN];
    while socket.recv(&mut buffer).await.is_ok() {
        if let Some(place) = message::caller(&buffer).and_then(|caller| places.get(caller)) {
            // Full: the answer to a call that was given up has not been looked at yet.
            let _ = place.try_send(buffer);
        }
    }
}

struct Adding {
    socket: Arc<UdpSocket>,
    caller: u32,
    answers: mpsc::Receiver<Add>,
    patience: Patience,
}

impl Caller for Adding {
    async fn call(&mut self, number: i64) -> Result<(), String> {
        let sent = self.socket.send(&message::add(self.caller, number)).await;
        sent.map_err(|error| error.to_string())?;
        match self.patience.wait(self.answers.recv()).await {
            Some(Some(answer)) => message::check_sum(&answer, number),
            Some(None) => Err("the socket is closed".to_owned()),
            None => Err("no answer in 5 s".to_owned()),
        }
    }
}
