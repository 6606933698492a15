//! Who sends the frames: a stranger without a key, or a member who holds it and says hello first.

use std::sync::Arc;

use lanc::SessionId;
use lanc::ports::GroupKey;
use lanc_core::Token;
use lanc_core::envelope::{self, Head, Labels};
use lanc_core::framing::Header;
use lanc_testkit::keys::Keys;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::scene::{Ground, Lane, Scene, group, until};

pub(crate) struct Villain {
    wire: Wire,
    /// Its group; none speaks plain.
    key: Option<Arc<dyn GroupKey>>,
    session: SessionId,
    /// What the node has told it: for datagrams, or for this connection.
    token: Option<Token>,
    /// Frames that it has written on its connection.
    written: u64,
    counter: u64,
}

enum Wire {
    Datagrams(UdpSocket),
    Connection(TcpStream),
}

impl Villain {
    /// One that has said nothing.
    pub(crate) fn stranger(ground: &Ground, lane: Lane) -> Self {
        ground.run(Self::open(&ground.scene, lane, None))
    }

    /// One that has said nothing and holds the key of another group.
    pub(crate) fn foreigner(ground: &Ground, lane: Lane) -> Self {
        ground.run(Self::open(&ground.scene, lane, Some(group(9))))
    }

    /// One that the node believes, in keyed mode a holder of the key.
    pub(crate) fn member(ground: &Ground, lane: Lane) -> Self {
        let key = ground.is_keyed.then(|| group(1));
        ground.run(async {
            // Believed is who has proved its address, or its key, by datagrams.
            let mut known = Self::open(&ground.scene, Lane::Datagrams, key.clone()).await;
            known.introduce().await;
            until(|| ground.scene.believes(&known.session)).await;
            if lane == Lane::Datagrams {
                return known;
            }
            let mut villain = Self::open(&ground.scene, lane, key).await;
            villain.session = known.session;
            villain.counter = known.counter;
            villain.introduce().await;
            villain
        })
    }

    async fn open(scene: &Scene, lane: Lane, key: Option<Arc<dyn GroupKey>>) -> Self {
        let (wire, port) = match lane {
            Lane::Datagrams => {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                socket.connect(scene.address(lane)).await.unwrap();
                let port = socket.local_addr().unwrap().port();
                (Wire::Datagrams(socket), port)
            }
            Lane::Connection => {
                let stream = TcpStream::connect(scene.address(lane)).await.unwrap();
                let port = stream.local_addr().unwrap().port();
                (Wire::Connection(stream), port)
            }
        };
        let [high, low] = port.to_be_bytes();
        let mut session = [0xee; 16];
        session[..2].copy_from_slice(&[high, low]);
        Self { wire, key, session: SessionId(session), token: None, written: 0, counter: 0 }
    }

    /// Says hello, hears one, and answers it with what it has heard.
    async fn introduce(&mut self) {
        let hello = self.hello("");
        let frame = self.sealed(hello.as_bytes(), None, Labels::HELLO);
        self.written += 1;
        self.write(&self.framed(&frame)).await;
        let is_datagram = matches!(self.wire, Wire::Datagrams(_));
        // A connection in the open asks for nothing.
        let mut proof = None;
        while (is_datagram && proof.is_none()) || (self.key.is_some() && self.token.is_none()) {
            let heard = self.read().await;
            let heard = String::from_utf8_lossy(&heard);
            let told = |field: &str| heard.split(field).nth(1)?.get(..16).map(str::to_owned);
            proof = told("\"tok\":\"").or(proof);
            let token = told("\"rx\":\"").and_then(|hex| u64::from_str_radix(&hex, 16).ok());
            self.token = token.and_then(Token::from_bits).or(self.token);
        }
        if let Some(proof) = proof.filter(|_| is_datagram) {
            let frame = self.frame(self.hello(&format!(",\"echo\":\"{proof}\"")).as_bytes());
            self.write(&frame).await;
        }
    }

    fn hello(&self, more: &str) -> String {
        // Reads MessagePack and compressed frames.
        format!(
            "{{\"type\":\"LANC\",\"method\":\"hello\",\"version\":\"0.2\",\"data\":{{\
             \"node\":\"villain\",\"sid\":\"{}\",\"feat\":18,\"want\":true,\
             \"tok\":\"00000000000000aa\",\"rx\":\"00000000000000bb\"{more}}}}}",
            self.session
        )
    }

    /// What a member writes: a frame, in keyed mode sealed for the node.
    pub(crate) fn frame(&mut self, plain: &[u8]) -> Vec<u8> {
        let (to, labels) = match self.wire {
            Wire::Datagrams(_) => (self.token, Labels::BATCH),
            // Each names the token of the connection and its place there.
            Wire::Connection(_) => {
                let place = self.written;
                let bits = self.token.map(|token| token.bits().wrapping_add(place));
                self.written += 1;
                (bits.and_then(Token::from_bits), Labels::RECORD)
            }
        };
        let frame = self.sealed(plain, to, labels);
        self.framed(&frame)
    }

    /// The same, and what is sealed is changed afterwards.
    pub(crate) fn changed(&mut self, plain: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let skip = if matches!(self.wire, Wire::Connection(_)) { Header::SIZE } else { 0 };
        let mut frame = self.frame(plain).split_off(skip);
        change(&mut frame);
        self.framed(&frame)
    }

    /// As a connection carries it.
    pub(crate) fn framed(&self, frame: &[u8]) -> Vec<u8> {
        match self.wire {
            Wire::Datagrams(_) => frame.to_vec(),
            Wire::Connection(_) => {
                let (header, skip) = Header::of_frame(frame, frame.len()).unwrap();
                [&header.encode(), &frame[skip..]].concat()
            }
        }
    }

    fn sealed(&mut self, plain: &[u8], to: Option<Token>, labels: Labels<'_>) -> Vec<u8> {
        let Some(key) = &self.key else { return plain.to_vec() };
        self.counter += 1;
        let (session, counter) = (self.session, self.counter);
        let head = Head { key: key.id(), session, to, counter, salt: [7; 4], stream: 0 };
        let mut frame = plain.to_vec();
        let key = key.session(&session.0, head.epoch());
        assert!(envelope::seal(&head, labels, key.as_ref(), &mut frame));
        frame
    }

    /// Bytes on the wire.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        match &mut self.wire {
            Wire::Datagrams(socket) => {
                assert_eq!(socket.send(bytes).await.unwrap(), bytes.len());
            }
            Wire::Connection(stream) => stream.write_all(bytes).await.unwrap(),
        }
    }

    /// Writes nothing more.
    pub(crate) async fn end(&mut self) {
        if let Wire::Connection(stream) = &mut self.wire {
            stream.shutdown().await.unwrap();
        }
    }

    /// The next frame of the node, as it was before it was sealed.
    async fn read(&mut self) -> Vec<u8> {
        let frame = match &mut self.wire {
            Wire::Datagrams(socket) => {
                let mut room = vec![0; 65_536];
                let length = socket.recv(&mut room).await.unwrap();
                room.truncate(length);
                room
            }
            Wire::Connection(stream) => {
                let mut header = [0; Header::SIZE];
                stream.read_exact(&mut header).await.unwrap();
                let length = Header::decode(&header).unwrap().length();
                let mut body = vec![0; usize::try_from(length).unwrap() - Header::SIZE];
                stream.read_exact(&mut body).await.unwrap();
                body
            }
        };
        let mut keys = Keys::default();
        keys.add(self.key.as_slice());
        keys.plain(&frame).into_owned()
    }
}
