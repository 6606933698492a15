//! The receiving half.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lanc_core::ports::{Cast, Initiator, Inlet, Origin, RecvBatch, TransportError};
use socket2::SockRef;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::destination::poll_shared;
use crate::refusal::is_noise;
use crate::stats::Count;
use crate::transport::{Blocked, Shared};

/// Room to read into: more than any UDP datagram, so that none is cut.
const ROOM: usize = 65_535;
/// Datagrams looked at in one poll, dropped ones among them.
const ATTEMPTS: usize = 2 * RecvBatch::MAX_FRAMES;
/// How often the system is asked for datagrams that it dropped, after some came in.
const LOOK: Duration = Duration::from_secs(5);
/// How long a full interface queue is left alone.
const BACK_OFF: Duration = Duration::from_millis(2);

pub(crate) struct UdpInlet {
    /// The private socket first, then the shared one.
    sockets: [Option<Source>; 2],
    private: Arc<UdpSocket>,
    /// The private socket past the runtime. `None`: the system gives no second handle of it.
    direct: Option<std::net::UdpSocket>,
    /// Which socket is read next: both get their turn, poll after poll.
    turn: usize,
    shared: Arc<Shared>,
    pause: Option<Pin<Box<Sleep>>>,
    /// When the system was asked for drops last, and how many there were.
    looked: Instant,
    drops: u64,
    /// When to ask again, if something came in since.
    look: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone)]
struct Source {
    socket: Arc<UdpSocket>,
    cast: Cast,
}

impl Source {
    /// Receives a datagram: its length, who sent it, and how it was addressed.
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr, Cast)>> {
        if self.cast == Cast::Broadcast {
            return poll_shared(&self.socket, cx, into);
        }
        let mut room = ReadBuf::new(into);
        let from = ready!(self.socket.poll_recv_from(cx, &mut room))?;
        Poll::Ready(Ok((room.filled().len(), from, self.cast)))
    }

    /// The same past the runtime, which may not have heard yet of what has come.
    fn look(
        &self,
        direct: Option<&std::net::UdpSocket>,
        into: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr, Cast)>> {
        let Some(direct) = direct.filter(|_| self.cast == Cast::Unicast) else {
            return Poll::Pending;
        };
        match direct.recv_from(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            received => Poll::Ready(received.map(|(length, from)| (length, from, self.cast))),
        }
    }
}

impl UdpInlet {
    pub(crate) fn new(
        private: Arc<UdpSocket>,
        broadcasts: Option<UdpSocket>,
        shared: Arc<Shared>,
    ) -> Self {
        let unicast = Source { socket: Arc::clone(&private), cast: Cast::Unicast };
        let broadcast =
            broadcasts.map(|socket| Source { socket: Arc::new(socket), cast: Cast::Broadcast });
        let direct = SockRef::from(&*private).try_clone().map(Into::into).ok();
        Self {
            sockets: [Some(unicast), broadcast],
            private,
            direct,
            turn: 0,
            shared,
            pause: None,
            looked: Instant::now(),
            drops: 0,
            look: None,
        }
    }

    /// Both polls of the port.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
        looks: bool,
    ) -> Poll<Result<(), TransportError>> {
        loop {
            self.begin_round(cx);
            if let Some(polled) = self.poll_round(cx, into, looks) {
                return polled;
            }
        }
    }

    /// Sees to what the outlet has left so far. What it leaves from here on makes for another
    /// round: it may be on another thread.
    fn begin_round(&mut self, cx: &mut Context<'_>) {
        self.shared.with(|state| state.attention = false);
        let _ = self.poll_blocked(cx);
    }

    /// The rest of a round. `None`: there is to be another.
    fn poll_round(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
        looks: bool,
    ) -> Option<Poll<Result<(), TransportError>>> {
        let mut added = self.shared.with(|state| state.links.tell(into));
        let waiting = match self.read(cx, into, &mut added, looks) {
            Ok(waiting) => waiting,
            Err(error) => return Some(Poll::Ready(Err(error))),
        };
        if added {
            self.look_for_drops();
            return Some(Poll::Ready(Ok(())));
        }
        if self.poll_drops(cx).is_ready() {
            return None;
        }
        // The outlet may have left something since; then there is no waker it could wake.
        let again = self.shared.with(|state| {
            if !state.attention {
                state.waker = Some(cx.waker().clone());
            }
            state.attention
        });
        if again {
            return None;
        }
        if !waiting {
            cx.waker().wake_by_ref();
        }
        Some(Poll::Pending)
    }

    /// Turns "the socket takes datagrams again" into Writable for the links that wait.
    fn poll_blocked(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.shared.with(|state| state.blocked) {
            Blocked::No => return Poll::Ready(()),
            Blocked::UntilWritable => {
                // A failed socket is writable too: the next send says what is wrong with it.
                let _ = ready!(self.private.poll_send_ready(cx));
            }
            Blocked::ForAWhile => {
                let sleep = || Box::pin(tokio::time::sleep(BACK_OFF));
                ready!(self.pause.get_or_insert_with(sleep).as_mut().poll(cx));
                self.pause = None;
            }
        }
        self.shared.with(|state| {
            state.blocked = Blocked::No;
            state.links.unblock();
        });
        Poll::Ready(())
    }

    /// Reads from both sockets in turn. Returns whether both are empty and will wake us. `looks`:
    /// the system is asked itself.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
        added: &mut bool,
        looks: bool,
    ) -> Result<bool, TransportError> {
        let mut dry = self.sockets.each_ref().map(Option::is_none);
        for _ in 0..ATTEMPTS {
            if dry == [true; 2] || !into.has_room() {
                break;
            }
            self.turn ^= 1;
            let (Some(Some(source)), Some(dry)) =
                (self.sockets.get(self.turn), dry.get_mut(self.turn))
            else {
                continue;
            };
            if *dry {
                continue;
            }
            let direct = self.direct.as_ref().filter(|_| looks);
            let polled = match source.poll_recv(cx, into.spare(ROOM)) {
                Poll::Pending => source.look(direct, into.spare(ROOM)),
                polled => polled,
            };
            match polled {
                Poll::Pending => *dry = true,
                Poll::Ready(Ok((length, from, cast))) => {
                    *added |= self.accept(from, cast, length, into);
                }
                Poll::Ready(Err(error)) if is_noise(&error) => {
                    self.shared.stats.count(Count::ReceiveError);
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
            }
        }
        Ok(dry == [true; 2])
    }

    /// Asks the system now and then whether it dropped datagrams. Told with the next batch.
    fn look_for_drops(&mut self) {
        if self.looked.elapsed() < LOOK {
            let due = self.looked + LOOK;
            self.look.get_or_insert_with(|| Box::pin(sleep_until(due)));
            return;
        }
        self.look = None;
        self.looked = Instant::now();
        let drops = self.shared.stats.kernel_drops().unwrap_or(0);
        let count = drops.saturating_sub(std::mem::replace(&mut self.drops, drops));
        if count > 0 {
            self.shared.with(|state| state.links.dropped(count));
        }
    }

    /// After the last datagram of a burst none comes that would ask for those that were lost.
    fn poll_drops(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(look) = &mut self.look else { return Poll::Pending };
        ready!(look.as_mut().poll(cx));
        self.look = None;
        self.look_for_drops();
        Poll::Ready(())
    }

    /// Finds the link of a datagram that lies in `into`, or drops it. Returns whether anything
    /// was added.
    fn accept(&self, from: SocketAddr, cast: Cast, length: usize, into: &mut RecvBatch) -> bool {
        let judged = self.judge(from, cast, length, into, true).or_else(|| {
            // Who is on no network that is known may be on one that has just come up.
            self.shared.reread();
            self.judge(from, cast, length, into, false)
        });
        let Some(count) = judged else { return false };
        let added = matches!(count, Count::FrameIn);
        self.shared.stats.count(count);
        added
    }

    /// What becomes of a datagram. `None`: that depends on interfaces, which are to be looked at
    /// again first if `rereads` allows it.
    fn judge(
        &self,
        from: SocketAddr,
        cast: Cast,
        length: usize,
        into: &mut RecvBatch,
        rereads: bool,
    ) -> Option<Count> {
        self.shared.with(|state| {
            let view = &state.view;
            let is_shared = cast != Cast::Unicast;
            if is_shared && from.port() == self.shared.own.port() && {
                let own = self.shared.own.ip();
                from.ip() == own || own.is_unspecified() && view.is_own(from.ip())
            } {
                return Some(Count::DroppedOwn);
            }
            if from.port() == 0 {
                return Some(Count::DroppedForeign);
            }
            if is_shared && !view.hears(from.ip()) {
                let may_change = rereads && state.may_reread(&self.shared.scope);
                return (!may_change).then_some(Count::DroppedForeign);
            }
            let origin = |address: SocketAddr| view.origin(address.ip());
            let Some((link, origin)) = state.links.link(from, Initiator::Them, origin) else {
                state.links.limited("max_links");
                state.attention = true;
                return Some(Count::DroppedTableFull);
            };
            if origin == Origin::Beyond && rereads && state.may_reread(&self.shared.scope) {
                return None;
            }
            // The Up of a new link is among the events, and goes before its frame.
            state.links.tell(into);
            into.commit(length, link, cast, origin);
            Some(Count::FrameIn)
        })
    }
}

impl Inlet for UdpInlet {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>> {
        self.poll(cx, into, false)
    }

    fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut RecvBatch,
    ) -> Poll<Result<(), TransportError>> {
        self.poll(cx, into, true)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use lanc_core::endpoint::Lane;
    use lanc_core::endpoint::LinkId;
    use lanc_core::ports::{Arrived, LinkEvent, Origin};

    use super::*;

    async fn inlet() -> (UdpInlet, Arc<Shared>, LinkId) {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        let shared = Arc::new(Shared::for_test(socket.local_addr().unwrap(), Lane(0)));
        let mut inlet = UdpInlet::new(socket, None, Arc::clone(&shared));
        let far = SocketAddr::from(([127, 0, 0, 1], 9));
        let (link, _) =
            shared.with(|state| state.links.link(far, Initiator::Us, |_| Origin::Network)).unwrap();
        assert!(matches!(next(&mut inlet).await, LinkEvent::Up { .. }));
        (inlet, shared, link)
    }

    async fn next(inlet: &mut UdpInlet) -> LinkEvent {
        let mut batch = RecvBatch::default();
        std::future::poll_fn(|cx| inlet.poll_recv(cx, &mut batch)).await.unwrap();
        let mut found = None;
        batch.drain(|arrived| {
            if let Arrived::Event(event) = arrived {
                assert_eq!(found.replace(event), None);
            }
        });
        found.unwrap()
    }

    /// What the outlet does after a refusal for want of room.
    fn refuse(shared: &Shared, link: LinkId, until: Blocked) {
        shared.leave(|state| {
            state.blocked = state.blocked.max(until);
            state.links.block(link);
        });
    }

    #[tokio::test]
    async fn a_link_without_room_becomes_writable_by_readiness_or_after_a_while() {
        let (mut inlet, shared, link) = inlet().await;
        for until in [Blocked::UntilWritable, Blocked::ForAWhile, Blocked::UntilWritable] {
            refuse(&shared, link, until);
            assert_eq!(next(&mut inlet).await, LinkEvent::Writable(link));
            assert_eq!(shared.with(|state| state.blocked), Blocked::No);
        }
    }

    #[tokio::test]
    async fn a_refusal_wakes_a_reader_that_waits_already() {
        let (mut inlet, shared, link) = inlet().await;
        let reader = tokio::spawn(async move { next(&mut inlet).await });
        while shared.with(|state| state.waker.is_none()) {
            tokio::task::yield_now().await;
        }
        refuse(&shared, link, Blocked::ForAWhile);
        assert_eq!(reader.await.unwrap(), LinkEvent::Writable(link));
    }

    /// The halves may be on two threads: the outlet may be refused at any point of a poll.
    #[tokio::test]
    async fn a_refusal_in_the_middle_of_a_poll_is_seen_to_before_it_ends() {
        for until in [Blocked::UntilWritable, Blocked::ForAWhile] {
            let (mut inlet, shared, link) = inlet().await;
            let mut batch = RecvBatch::default();
            std::future::poll_fn(|cx| {
                inlet.begin_round(cx);
                refuse(&shared, link, until);
                assert!(inlet.poll_round(cx, &mut batch, false).is_none(), "nobody looks again");
                Poll::Ready(())
            })
            .await;
            assert_eq!(next(&mut inlet).await, LinkEvent::Writable(link));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_interface_queue_is_left_alone_for_the_whole_back_off() {
        let (mut inlet, shared, link) = inlet().await;
        let begin = Instant::now();
        refuse(&shared, link, Blocked::ForAWhile);
        assert_eq!(next(&mut inlet).await, LinkEvent::Writable(link));
        assert!(begin.elapsed() >= BACK_OFF);
    }
}
