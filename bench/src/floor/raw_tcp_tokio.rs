//! TCP on tokio: frames with their length in four bytes before them, one connection, a task that
//! writes whatever is ready in one write, one that hands out the answers.

use std::io::{Error, ErrorKind, Result as IoResult};
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::message::{self, HEAD_LEN};
use super::patience::Patience;
use crate::Fallible;
use crate::load::Load;
use crate::measure::{self, Caller, Report, is_stamped, stamp};

/// Bytes of a frame's length.
const LENGTH: usize = 4;
/// What is read at once unless a frame is longer.
const READ: usize = 64 * 1024;
/// No frame is longer.
const LONGEST: usize = 16 << 20;
/// Frames up to this length are copied together for one write.
const SMALL: usize = 4096;

/// Large frames that were sent and are filled again: memory fresh from the system costs more
/// than the copy.
const SPARES: usize = 16;

/// Serves on a task per connection.
pub(crate) async fn serve() -> Fallible<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_all(stream));
        }
    });
    Ok(address)
}

/// Answers are as long as their calls: they are made where the calls were read, and leave
/// together.
async fn answer_all(stream: TcpStream) -> IoResult<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.into_split();
    let mut incoming = Incoming::default();
    while incoming.read(&mut reader).await? {
        let whole = incoming.take(|frame| {
            let _ = message::answer(&mut frame[LENGTH..]);
        });
        writer.write_all(incoming.taken(whole)).await?;
        incoming.forget(whole);
    }
    Ok(())
}

/// Measures calls, as many in flight as the load says.
pub(crate) async fn measure(address: SocketAddr, load: Load) -> Fallible<Report> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let (queue, queued) = mpsc::channel(usize::try_from(load.in_flight)?);
    let (mut callers, mut places) = (Vec::new(), Vec::new());
    for caller in 0..load.in_flight {
        let (place, answers) = mpsc::channel(1);
        places.push(place);
        let (queue, patience) = (queue.clone(), Patience::new());
        let frame = first_frame(caller, usize::try_from(load.payload)?)?;
        callers.push(Calling { queue, answers, patience, caller, frame });
    }
    let (spare, spares) = mpsc::channel(SPARES);
    let tasks = [
        tokio::spawn(write(writer, queued, spare)),
        tokio::spawn(hand_out(reader, places, spares)),
    ];
    let report = match load.payload {
        0 => measure::measure(callers.into_iter().map(Adding).collect(), load).await,
        _ => measure::measure(callers.into_iter().map(Echoing).collect(), load).await,
    };
    for task in tasks {
        task.abort();
    }
    report
}

/// An echo of so many bytes, or an `add`.
fn first_frame(caller: u32, payload: usize) -> Fallible<Vec<u8>> {
    let mut body = Vec::with_capacity(HEAD_LEN + payload);
    if payload == 0 {
        body.extend(message::add(caller, 0));
    } else {
        body.extend(message::echo_head(caller));
        body.resize(HEAD_LEN + payload, 0x5a);
    }
    let mut frame = u32::try_from(body.len())?.to_be_bytes().to_vec();
    frame.extend(body);
    Ok(frame)
}

async fn write(
    mut writer: OwnedWriteHalf,
    mut queued: mpsc::Receiver<Vec<u8>>,
    spare: mpsc::Sender<Vec<u8>>,
) -> IoResult<()> {
    let (mut frames, mut together) = (Vec::new(), Vec::new());
    while queued.recv_many(&mut frames, 1024).await > 0 {
        for frame in frames.drain(..) {
            if frame.len() <= SMALL {
                together.extend(frame);
            } else {
                writer.write_all(&together).await?;
                together.clear();
                writer.write_all(&frame).await?;
                let _ = spare.try_send(frame);
            }
        }
        writer.write_all(&together).await?;
        together.clear();
    }
    Ok(())
}

async fn hand_out(
    mut reader: OwnedReadHalf,
    places: Vec<mpsc::Sender<Vec<u8>>>,
    mut spares: mpsc::Receiver<Vec<u8>>,
) -> IoResult<()> {
    let mut incoming = Incoming::default();
    while incoming.read(&mut reader).await? {
        let whole = incoming.take(|frame| {
            let caller = message::caller(&frame[LENGTH..]);
            if let Some(place) = caller.and_then(|caller| places.get(caller)) {
                let spare = if frame.len() > SMALL { spares.try_recv().ok() } else { None };
                let mut own = spare.unwrap_or_default();
                own.clear();
                own.extend_from_slice(frame);
                // Full: the answer to a call that was given up has not been looked at yet.
                let _ = place.try_send(own);
            }
        });
        incoming.forget(whole);
    }
    Ok(())
}

/// What was read and is not a whole frame yet.
#[derive(Default)]
struct Incoming {
    buffer: Vec<u8>,
    filled: usize,
}

impl Incoming {
    /// Reads once; `false` at the end.
    async fn read(&mut self, reader: &mut OwnedReadHalf) -> IoResult<bool> {
        let wanted = self.next_length().unwrap_or(0).max(READ);
        if wanted > LENGTH + LONGEST {
            return Err(Error::new(ErrorKind::InvalidData, "a frame is too long"));
        }
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let count = reader.read(&mut self.buffer[self.filled..]).await?;
        self.filled += count;
        Ok(count > 0)
    }

    /// Length of the frame at the front, with its head.
    fn next_length(&self) -> Option<usize> {
        length(self.buffer.get(..self.filled)?)
    }

    /// Hands over every whole frame, its length included, and says how many bytes they are.
    fn take(&mut self, mut each: impl FnMut(&mut [u8])) -> usize {
        let mut at = 0;
        while let Some(length) = length(&self.buffer[at..self.filled]) {
            let Some(frame) = self.buffer[..self.filled].get_mut(at..at + length) else { break };
            each(frame);
            at += length;
        }
        at
    }

    fn taken(&self, whole: usize) -> &[u8] {
        &self.buffer[..whole]
    }

    fn forget(&mut self, whole: usize) {
        self.buffer.copy_within(whole..self.filled, 0);
        self.filled -= whole;
    }
}

fn length(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?);
    Some(LENGTH + usize::try_from(length).ok()?)
}

/// A caller; the frame that comes back is the one it sends next.
struct Calling {
    queue: mpsc::Sender<Vec<u8>>,
    answers: mpsc::Receiver<Vec<u8>>,
    patience: Patience,
    caller: u32,
    frame: Vec<u8>,
}

impl Calling {
    async fn exchange(&mut self) -> Result<(), String> {
        let frame = std::mem::take(&mut self.frame);
        self.queue.send(frame).await.map_err(|_| "the connection is closed")?;
        match self.patience.wait(self.answers.recv()).await {
            Some(Some(frame)) => {
                self.frame = frame;
                Ok(())
            }
            Some(None) => Err("the connection is closed".to_owned()),
            None => Err("no answer in 5 s".to_owned()),
        }
    }
}

struct Adding(Calling);

impl Caller for Adding {
    async fn call(&mut self, number: i64) -> Result<(), String> {
        let calling = &mut self.0;
        calling.frame.truncate(LENGTH);
        calling.frame.extend(message::add(calling.caller, number));
        calling.exchange().await?;
        message::check_sum(&calling.frame[LENGTH..], number)
    }
}

struct Echoing(Calling);

impl Caller for Echoing {
    async fn call(&mut self, number: i64) -> Result<(), String> {
        let calling = &mut self.0;
        stamp(&mut calling.frame[LENGTH + HEAD_LEN..], number);
        let length = calling.frame.len();
        calling.exchange().await?;
        if calling.frame.len() == length && is_stamped(&calling.frame[LENGTH + HEAD_LEN..], number)
        {
            return Ok(());
        }
        Err(format!("{} other bytes came back", calling.frame.len()))
    }
}
