//! Blocking UDP: one thread at each end, one datagram for each call and each answer. The client
//! sends the next call of a caller when the answer to its last one is there. A caller whose call
//! was lost is out for the rest of the window.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::message::{self, ADD_LEN};
use crate::Fallible;
use crate::load::Load;
use crate::measure::{Meter, PATIENCE, Report, Tally, WARM_UP, now};

/// Serves on a thread of its own.
pub(crate) fn serve() -> Fallible<SocketAddr> {
    let socket = super::udp_socket()?;
    let address = socket.local_addr()?;
    std::thread::spawn(move || {
        let mut buffer = [0; ADD_LEN];
        loop {
            // An error is the echo of an answer to a client that has gone.
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
            if message::answer(&mut buffer[..length]).is_some() {
                let _ = socket.send_to(&buffer[..length], from);
            }
        }
    });
    Ok(address)
}

/// Measures calls, as many in flight as the load says.
pub(crate) fn measure(address: SocketAddr, load: Load) -> Fallible<Report> {
    let socket = super::udp_socket()?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let warm = window(&socket, load.in_flight, WARM_UP)?;
    let meter = Meter::start()?;
    if warm.is_hopeless() {
        return Ok(meter.finish(&warm, WARM_UP));
    }
    let mut tally = window(&socket, load.in_flight, load.secs)?;
    tally.add_errors(warm);
    Ok(meter.finish(&tally, load.secs))
}

/// The call a caller has in flight.
struct Open {
    number: i64,
    began: Instant,
}

fn window(socket: &UdpSocket, in_flight: u32, length: Duration) -> Fallible<Tally> {
    let mut tally = Tally::new()?;
    let until = now() + length;
    let mut open = Vec::new();
    for caller in 0..in_flight {
        socket.send(&message::add(caller, 0))?;
        open.push(Some(Open { number: 0, began: now() }));
    }
    let mut waiting = open.len();
    let mut buffer = [0; ADD_LEN];
    while waiting > 0 {
        match socket.recv(&mut buffer) {
            Ok(_) => {}
            // Nothing for 5 s: all that are open are lost.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                for _ in 0..waiting {
                    tally.failed("no answer in 5 s".to_owned());
                }
                break;
            }
            Err(error) => return Err(error.into()),
        }
        let caller = message::caller(&buffer).unwrap_or(usize::MAX);
        let Some(place) = open.get_mut(caller) else { continue };
        let Some(Open { number, began }) = place.take() else { continue };
        let ended = now();
        match message::check_sum(&buffer, number) {
            Ok(()) if ended <= until => tally.answered(ended - began),
            Ok(()) => {}
            Err(error) => tally.failed(error),
        }
        if ended < until {
            socket.send(&message::add(u32::try_from(caller)?, number + 1))?;
            *place = Some(Open { number: number + 1, began: ended });
        } else {
            waiting -= 1;
        }
    }
    Ok(tally)
}
