//! Many connections, of which one takes nothing.

use std::time::Duration;

use lanc_core::endpoint::LinkId;
use lanc_core::ports::{DownReason, LinkEvent, SendRefused};
use tokio::io::AsyncWriteExt;

use crate::side::{Item, Side, config};
use crate::{frame, raw};

/// The server and all that read what they are sent.
struct Crowd {
    server: Side,
    clients: Vec<(Side, LinkId)>,
    down: Vec<(LinkId, DownReason)>,
}

impl Crowd {
    /// Every client sends a frame and gets it back.
    async fn exchange(&mut self, round: u32) {
        let frame = [b"{".as_slice(), &round.to_be_bytes()].concat();
        for (client, link) in &mut self.clients {
            client.send(*link, &frame).expect("a frame on a link that is read");
        }
        let mut echoed = 0;
        while echoed < self.clients.len() {
            match self.server.next().await {
                Item::Frame(back, bytes) => {
                    self.server.send(back, &bytes).expect("an echo to one that reads");
                    echoed += 1;
                }
                Item::Event(LinkEvent::Down { link, reason }) => self.down.push((link, reason)),
                Item::Event(event) => panic!("{event:?}"),
            }
        }
        for (client, link) in &mut self.clients {
            assert_eq!(client.frame().await, (*link, frame.clone()), "in order, none late");
        }
    }
}

#[tokio::test]
async fn one_of_fifty_that_takes_nothing_is_cut_off_and_delays_nobody() {
    let stall = Duration::from_millis(600);
    let server = Side::open(config().with_write_stall(stall).with_max_silent(64)).await;
    let mut crowd = Crowd { server, clients: Vec::new(), down: Vec::new() };
    for _ in 0..49 {
        let mut client = Side::open(config()).await;
        let link = client.connect(&crowd.server).await;
        crowd.server.up().await;
        crowd.clients.push((client, link));
    }
    let mut stuck = raw(&crowd.server).await;
    stuck.write_all(&frame(b"{stuck}")).await.unwrap();
    let (to_stuck, _) = crowd.server.frame().await;
    while crowd.server.send(to_stuck, &[b'{'; 60_000]).is_ok() {}
    let (mut rounds, mut refused) = (0, 1);
    while crowd.down.is_empty() {
        match crowd.server.send(to_stuck, &[b'{'; 60_000]) {
            Err(SendRefused::Full) => refused += 1,
            // It has been cut off, and Down is on its way.
            sent => assert_eq!(sent, Err(SendRefused::Gone)),
        }
        rounds += 1;
        crowd.exchange(rounds).await;
    }
    crowd.exchange(rounds + 1).await;
    assert_eq!(crowd.down, [(to_stuck, DownReason::Stalled)]);
    assert_eq!(crowd.server.send(to_stuck, b"{}"), Err(SendRefused::Gone));
    let counts = crowd.server.stats.counts();
    assert_eq!((counts.accepted, counts.closed_stalled), (50, 1));
    assert_eq!(counts.sends_full, refused, "only the one that takes nothing was ever full");
    assert_eq!(counts.frames_in, u64::from(rounds + 1) * 49 + 1);
}
