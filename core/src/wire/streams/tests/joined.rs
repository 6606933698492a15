//! Two ends under random use: what is written is read, in order, exactly once.

use std::collections::{BTreeMap, VecDeque};

use super::*;

/// One direction of an application stream, as the applications see it.
#[derive(Default)]
struct Flow {
    /// Bytes to write in all, and written so far.
    size: usize,
    written: usize,
    read: usize,
    finished: bool,
    ended: bool,
    /// The reader never reads.
    stalled: bool,
}

/// One application stream: the flow from the end that writes it.
struct Pair {
    flows: [Flow; 2],
    is_reset: bool,
}

/// What byte `at` of a direction is.
fn byte(number: u32, from: usize, at: usize) -> u8 {
    let mixed = (u64::from(number) << 33 | u64::try_from(2 * at + from).unwrap())
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed.to_be_bytes()[0]
}

struct World {
    dice: Dice,
    ends: [Streams<usize>; 2],
    /// Records on their way from each end.
    wires: [VecDeque<Vec<u8>>; 2],
    pairs: BTreeMap<u32, Pair>,
    /// Messages each end has sent: their sizes; which have left, which arrived.
    messages: [Vec<usize>; 2],
    left: [Vec<usize>; 2],
    arrived: [Vec<Vec<u8>>; 2],
    cancelled: usize,
    /// Streams that may still be opened, messages that may still be sent.
    to_open: usize,
    to_send: usize,
}

fn message(from: usize, index: usize, size: usize) -> Vec<u8> {
    let number = u32::try_from(index).unwrap() + 1_000_000;
    (0..size).map(|at| byte(number, from, at)).collect()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut limits = || StreamLimits {
            streams: 6,
            initial: 50,
            window: u32::try_from(1 + dice.roll(120)).unwrap(),
            message_window: 90,
            record: 1 + dice.roll(30),
            turn: 1 + dice.roll(60),
            message: 600,
            assembly: 1000,
            queue: 2000,
        };
        let ends = [end(true, limits()), end(false, limits())];
        Self {
            dice,
            ends,
            wires: Default::default(),
            pairs: BTreeMap::new(),
            messages: Default::default(),
            left: Default::default(),
            arrived: Default::default(),
            cancelled: 0,
            to_open: 12,
            to_send: 15,
        }
    }

    fn open(&mut self) {
        let by = self.dice.roll(2);
        let Ok(number) = self.ends[by].open() else { return };
        if self.dice.roll(10) == 0 {
            self.ends[by].withdraw(number);
            return;
        }
        self.to_open -= 1;
        // The announcement overtakes what has not been written to the wire, like a small call.
        self.ends[by].announced(number);
        self.wires[by].push_back(number.to_be_bytes().to_vec());
        let mut flow = || Flow { size: self.dice.roll(2000), ..Flow::default() };
        let mut flows = [flow(), flow()];
        flows[self.dice.roll(2)].stalled = self.dice.roll(6) == 0;
        self.pairs.insert(number, Pair { flows, is_reset: false });
    }

    fn send_message(&mut self) {
        let from = self.dice.roll(2);
        let (index, size) = (self.messages[from].len(), self.dice.roll(601));
        if self.ends[from].push_message(index, message(from, index, size)).is_ok() {
            self.messages[from].push(size);
            self.to_send -= 1;
        }
    }

    /// One end does something on one of the streams.
    fn use_stream(&mut self) {
        let Some(pick) = (!self.pairs.is_empty()).then(|| self.dice.roll(self.pairs.len())) else {
            return;
        };
        let number = *self.pairs.keys().nth(pick).unwrap();
        let (end, amount) = (self.dice.roll(2), self.dice.roll(200));
        let pair = self.pairs.get_mut(&number).unwrap();
        let streams = &mut self.ends[end];
        if self.dice.roll(400) == 0 && streams.reset(number, ErrorCode::CANCELLED).is_ok() {
            pair.is_reset = true;
        }
        if self.dice.roll(2) == 0 {
            let flow = &mut pair.flows[end];
            let till = flow.size.min(flow.written + amount);
            let bytes: Vec<u8> = (flow.written..till).map(|at| byte(number, end, at)).collect();
            if !flow.finished
                && let Ok(count) = streams.write(number, &bytes)
            {
                flow.written += count;
                if flow.written == flow.size {
                    flow.finished = streams.finish(number).is_ok();
                }
            }
        } else {
            let flow = &mut pair.flows[1 - end];
            let mut out = Vec::new();
            if !flow.stalled
                && let Ok(taken) = streams.read(number, amount, &mut out)
            {
                for (at, got) in (flow.read..).zip(&out) {
                    assert_eq!(*got, byte(number, 1 - end, at));
                }
                flow.read += taken.bytes;
                assert!(flow.read <= flow.written);
                flow.ended |= taken.end;
                assert!(!taken.end || (flow.finished && flow.read == flow.size));
            }
        }
    }

    /// One end writes a record to the wire.
    fn send(&mut self, from: usize) -> bool {
        let most = 11 + self.dice.roll(60);
        let mut frame = Vec::new();
        match self.ends[from].next_record(most, &mut frame) {
            Some(Left::Message(index, bytes)) => {
                assert_eq!(bytes.len(), self.messages[from][index]);
                self.left[from].push(index);
            }
            Some(_) => {}
            None => return false,
        }
        assert!((HEAD..=most).contains(&frame.len()));
        self.wires[from].push_back(frame);
        true
    }

    /// One end takes a record from the wire.
    fn receive(&mut self, from: usize) -> bool {
        let Some(frame) = self.wires[from].pop_front() else { return false };
        let to = &mut self.ends[1 - from];
        if let [n0, n1, n2, n3] = frame[..] {
            let number = u32::from_be_bytes([n0, n1, n2, n3]);
            if !to.expect(number).unwrap() {
                self.pairs.get_mut(&number).unwrap().is_reset = true;
            }
            return true;
        }
        match to.on_record(&frame).unwrap() {
            Arrived::Message(bytes) => {
                self.arrived[from].push(bytes.clone());
                to.recycle(bytes);
            }
            Arrived::Reset(number, _) => assert!(self.pairs[&number].is_reset),
            other @ (Arrived::Refused(..) | Arrived::TurnedAway(_) | Arrived::Crowded(_)) => {
                panic!("{other:?}")
            }
            Arrived::Nothing | Arrived::Readable(_) | Arrived::Finished(_) => {}
        }
        true
    }

    fn step(&mut self) {
        match self.dice.roll(12) {
            0 if self.to_open > 0 => self.open(),
            1 if self.to_send > 0 => self.send_message(),
            2 if self.dice.roll(60) == 0 => {
                let from = self.dice.roll(2);
                let index = self.messages[from].len().saturating_sub(1 + self.dice.roll(3));
                self.cancelled += usize::from(self.ends[from].cancel_message(&index));
            }
            3..=5 => self.use_stream(),
            6..=8 => {
                let from = self.dice.roll(2);
                self.send(from);
            }
            _ => {
                let from = self.dice.roll(2);
                self.receive(from);
            }
        }
    }

    /// Ends the streams whose reader stalls, once all the others are through.
    fn finish(&mut self) {
        let goes_on = |pair: &Pair| {
            !pair.is_reset && pair.flows.iter().any(|flow| !flow.ended && !flow.stalled)
        };
        for _ in 0..300_000 {
            self.step();
            if self.to_open + self.to_send == 0 && !self.pairs.values().any(goes_on) {
                break;
            }
        }
        for (number, pair) in &self.pairs {
            assert!(!goes_on(pair), "stream {number} is stuck");
            for flow in &pair.flows {
                assert!(pair.is_reset || flow.stalled || flow.read == flow.size);
            }
            if !pair.is_reset {
                for end in &mut self.ends {
                    let _over = end.reset(*number, ErrorCode::CANCELLED);
                }
            }
        }
        for pair in self.pairs.values_mut() {
            pair.is_reset = true;
        }
        while self.send(0) || self.send(1) || self.receive(0) || self.receive(1) {}
    }
}

#[test]
fn what_is_written_is_read_in_order_exactly_once() {
    let (mut resets, mut stalls, mut cancelled, mut whole) = (0, 0, 0, 0);
    for seed in 0..300 {
        let mut world = World::new(seed);
        world.finish();
        for (from, end) in world.ends.iter().enumerate() {
            assert!(end.is_idle(), "seed {seed}");
            assert_eq!(end.held(), Held::default());
            let mut left = world.left[from].clone();
            // Those that begin later but are smaller may leave earlier.
            left.sort_unstable();
            let mut wanted: Vec<_> = left
                .iter()
                .map(|index| message(from, *index, world.messages[from][*index]))
                .collect();
            wanted.sort_unstable();
            let mut arrived = world.arrived[from].clone();
            arrived.sort_unstable();
            assert!(arrived == wanted, "seed {seed}");
            whole += wanted.len();
        }
        assert_eq!(world.left.iter().map(Vec::len).sum::<usize>() + world.cancelled, 15);
        cancelled += world.cancelled;
        let flows = || world.pairs.values().flat_map(|pair| &pair.flows);
        resets += flows().filter(|flow| !flow.ended && !flow.stalled).count();
        stalls += flows().filter(|flow| flow.stalled).count();
    }
    // The test has seen what it is for.
    assert!(resets > 100 && stalls > 100 && cancelled > 10 && whole > 3000);
}
