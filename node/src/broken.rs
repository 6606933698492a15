//! What is done where the driver has panicked: nobody waits for a node that does nothing any more.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::hub::{Effects, Hub};

/// Waits for the driver's end. After a panic the calls of this node fail as `closed`, its peers
/// hear its farewell if that can still be said, and the node is closed.
pub(crate) async fn watch(driver: JoinHandle<()>, hub: Arc<Hub>) {
    let panicked = driver.await.is_err_and(|error| error.is_panic());
    if !panicked {
        return;
    }
    tracing::error!("the node is closed: its driver panicked, which is a bug of LANC");
    // What the driver has left may be in any state.
    for step in [fail_calls, say_farewell] {
        if std::panic::catch_unwind(AssertUnwindSafe(|| step(&hub))).is_err() {
            tracing::error!("the node could not be closed in order");
        }
    }
    hub.closed.send_replace(true);
}

fn fail_calls(hub: &Hub) {
    let (now, mut effects) = (hub.clock.now(), Effects::default());
    let mut state = hub.state();
    state.core.close_now(now);
    state.collect(now, &mut effects);
    drop(state);
    for (on_done, outcome) in effects.callbacks {
        hub.runtime.spawn_blocking(move || on_done(outcome));
    }
    for event in effects.events {
        // Nobody may be listening.
        let _ = hub.events.send(event);
    }
    effects.wakers.into_iter().for_each(std::task::Waker::wake);
}

fn say_farewell(hub: &Hub) {
    let mut outlets = hub.outlets();
    outlets.flush(hub);
    outlets.close_all();
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::io::IoSlice;
    use std::pin::Pin;
    use std::sync::Mutex;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use lanc_codec::JsonCodec;
    use lanc_core::endpoint::{Endpoint, Lane, LinkId};
    use lanc_core::error::{CallError, ErrorCode};
    use lanc_core::event::Event;
    use lanc_core::ports::{
        Capabilities, Close, Dest, Inlet, Opened, Outlet, RecvBatch, SendRefused, Sent, Transport,
        TransportError,
    };
    use tokio::sync::oneshot::{Receiver, channel};

    use crate::builder::NodeBuilder;

    /// No test waits so long unless it hangs.
    const HANGS: Duration = Duration::from_secs(30);

    /// Counts what is sent, and panics when it is told to.
    struct Bomb {
        fuse: Mutex<Option<Receiver<()>>>,
        frames: tokio::sync::watch::Sender<Vec<String>>,
    }

    struct Fuse(Receiver<()>);

    impl Inlet for Fuse {
        fn poll_recv(
            &mut self,
            cx: &mut Context<'_>,
            _: &mut RecvBatch,
        ) -> Poll<Result<(), TransportError>> {
            match Pin::new(&mut self.0).poll(cx) {
                Poll::Ready(_) => panic!("the driver is to panic"),
                Poll::Pending => Poll::Pending,
            }
        }
    }

    struct Frames(tokio::sync::watch::Sender<Vec<String>>);

    impl Outlet for Frames {
        fn try_send(&mut self, _: Dest, frame: &[IoSlice<'_>]) -> Result<Sent, SendRefused> {
            let frame: Vec<u8> = frame.iter().flat_map(|piece| piece.iter().copied()).collect();
            let frame = String::from_utf8_lossy(&frame).into_owned();
            self.0.send_modify(|frames| frames.push(frame));
            Ok(Sent::Whole)
        }

        fn connect(&mut self, _: &Endpoint) {}

        fn close(&mut self, _: LinkId, _: Close) {}
    }

    #[async_trait::async_trait]
    impl Transport for Bomb {
        fn capabilities(&self) -> Capabilities {
            Capabilities {
                max_frame: 1200,
                max_broadcast: 1024,
                reliable: false,
                ordered: false,
                broadcast: true,
                connected: false,
            }
        }

        fn scheme(&self) -> &str {
            "bomb"
        }

        async fn open(&self, _: Lane) -> Result<Opened, TransportError> {
            let fuse = self.fuse.lock().unwrap().take().unwrap();
            Ok(Opened {
                outlet: Box::new(Frames(self.frames.clone())),
                inlet: Box::new(Fuse(fuse)),
                local: Endpoint::text("bomb", "1"),
            })
        }
    }

    #[tokio::test]
    async fn a_panic_of_the_driver_ends_calls_and_closes_the_node() {
        let (light, fuse) = channel();
        let (frames, mut sent) = tokio::sync::watch::channel(Vec::new());
        let bomb = Bomb { fuse: Mutex::new(Some(fuse)), frames };
        let node = NodeBuilder::new().codec(JsonCodec).transport(bomb).open().await.unwrap();
        let mut events = node.events();
        let call = node.call::<()>("nobody", ()).wait(HANGS).deadline(HANGS).start().unwrap();
        sent.wait_for(|frames| !frames.is_empty()).await.unwrap();
        light.send(()).unwrap();
        let ended = async {
            let failed: Result<(), CallError> = node.join(call, HANGS).await;
            assert_eq!(failed.unwrap_err().code, ErrorCode::CLOSED);
            node.run_forever().await;
            let failed: Result<(), CallError> = node.call("nobody", ()).await;
            assert_eq!(failed.unwrap_err().code, ErrorCode::CLOSED);
            node.shutdown().await;
            while events.next().await != Some(Event::Closed) {}
        };
        tokio::time::timeout(HANGS, ended).await.unwrap();
        assert!(sent.borrow().iter().any(|frame| frame.contains("bye")), "{:?}", sent.borrow());
    }
}
