use super::*;
use crate::endpoint::Lane as LinkLane;
use crate::id::tag;
use crate::slots::Slots;

/// A queue and the tasks in it, which are named by numbers.
struct Room {
    queue: FairQueue,
    tasks: Slots<u32, tag::Task>,
}

impl Room {
    fn new(count: usize, bytes: usize) -> Self {
        let queue = FairQueue::new(Bounds { count, bytes }, HashKey::new([7; 16]));
        Self { queue, tasks: Slots::new(1 << 20) }
    }

    fn push(&mut self, owner: Owner, name: u32, bytes: usize) -> Result<TaskKey, Full> {
        self.queue.check(owner, bytes)?;
        let key = self.tasks.insert(name).unwrap();
        self.queue.push(owner, Kind::Blocking, key, bytes);
        Ok(key)
    }

    fn pop(&mut self) -> Option<u32> {
        let key = self.queue.pop(Kind::Blocking)?;
        self.tasks.remove(key)
    }

    fn all(&mut self) -> Vec<u32> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}

fn caller(slot: u32) -> Owner {
    Owner::Link(LinkId { lane: LinkLane(0), slot, generation: 0 })
}

#[test]
fn callers_take_turns_however_many_calls_each_has() {
    let mut room = Room::new(100, 100);
    for name in 10..16 {
        room.push(caller(1), name, 0).unwrap();
    }
    room.push(caller(2), 20, 0).unwrap();
    room.push(caller(2), 21, 0).unwrap();
    room.push(caller(3), 30, 0).unwrap();
    assert_eq!(room.all(), [10, 20, 30, 11, 21, 12, 13, 14, 15]);
    assert_eq!((room.queue.len(), room.queue.busy), (0, 0));
}

#[test]
fn what_is_taken_out_leaves_no_gap_and_no_turn() {
    let mut room = Room::new(100, 100);
    let keys: Vec<_> = (0..5).map(|name| room.push(caller(1), name, 2).unwrap()).collect();
    let other = room.push(caller(2), 9, 3).unwrap();
    for key in [keys[0], keys[2], keys[4], other, other] {
        room.queue.remove(key);
    }
    assert_eq!((room.queue.len(), room.queue.bytes), (2, 4));
    room.push(caller(1), 7, 0).unwrap();
    assert_eq!(room.all(), [1, 3, 7]);
    // The key of a task that is gone finds nothing, though its slot is used again.
    let old = room.push(caller(1), 1, 0).unwrap();
    room.pop();
    room.push(caller(1), 2, 0).unwrap();
    room.queue.remove(old);
    assert_eq!(room.all(), [2]);
}

#[test]
fn alone_a_caller_may_fill_it_and_beside_others_a_quarter() {
    let mut room = Room::new(16, 1000);
    for name in 0..16 {
        room.push(caller(1), name, 1).unwrap();
    }
    assert_eq!(room.push(caller(1), 16, 1), Err(Full::Count));
    // Who has nothing in it finds room: the newest of the one that has too much goes.
    for name in 20..24 {
        assert_eq!(room.push(caller(2), name, 1), Err(Full::Count));
        let gone = room.queue.displace(caller(2)).unwrap();
        assert_eq!(room.tasks.remove(gone), Some(35 - name));
        room.push(caller(2), name, 1).unwrap();
    }
    assert_eq!(room.push(caller(2), 24, 1), Err(Full::Share));
    assert_eq!(room.push(caller(1), 24, 1), Err(Full::Share));
    // Four callers with their quarter each: nobody has too much.
    for caller in [caller(3), Owner::Unproved] {
        for _ in 0..4 {
            let gone = room.queue.displace(caller).unwrap();
            room.tasks.remove(gone);
            room.push(caller, 50, 1).unwrap();
        }
    }
    assert_eq!(room.push(Owner::Here, 60, 1), Err(Full::Count));
    assert_eq!(room.queue.displace(Owner::Here), None);
    assert!(room.queue.over.is_empty());
    assert_eq!(room.all().len(), 16);
}

#[test]
fn bytes_are_bounded_as_calls_are() {
    let mut room = Room::new(16, 1000);
    room.push(caller(1), 1, 600).unwrap();
    room.push(caller(1), 2, 400).unwrap();
    assert_eq!(room.push(caller(1), 3, 1), Err(Full::Bytes));
    assert_eq!(room.push(caller(2), 4, 250), Err(Full::Bytes));
    assert_eq!(room.queue.displace(caller(1)), None, "its own are not given up for it");
    assert!(room.queue.displace(caller(2)).is_some());
    room.push(caller(2), 4, 250).unwrap();
    assert_eq!(room.push(caller(2), 5, 1), Err(Full::Share));
    // One call alone may be larger than the share, and stays.
    assert_eq!(room.queue.displace(caller(2)), None);
    room.push(caller(3), 6, 150).unwrap();
    assert_eq!(room.push(caller(4), 7, 1), Err(Full::Bytes));
}

#[test]
fn who_has_little_in_it_waits_for_little() {
    let mut room = Room::new(100, 100);
    assert_eq!(room.queue.before(caller(1)), 0);
    for name in 0..10 {
        room.push(caller(1), name, 0).unwrap();
    }
    assert_eq!(room.queue.before(caller(1)), 10);
    assert_eq!(room.queue.before(caller(2)), 1);
    room.push(caller(2), 20, 0).unwrap();
    assert_eq!(room.queue.before(caller(2)), 3);
    assert_eq!(room.queue.before(caller(3)), 2);
}

#[test]
fn both_kinds_of_places_have_lines_of_their_own() {
    let mut room = Room::new(16, 1000);
    room.push(caller(1), 1, 0).unwrap();
    let prompt = room.tasks.insert(2).unwrap();
    room.queue.push(caller(1), Kind::Prompt, prompt, 0);
    assert_eq!(room.queue.pop(Kind::Prompt), Some(prompt));
    assert_eq!(room.queue.pop(Kind::Prompt), None);
    assert_eq!(room.all(), [1]);
}

#[test]
fn callers_without_calls_are_forgotten_and_a_crowd_leaves_nothing() {
    let mut room = Room::new(1 << 20, 0);
    for round in 0..1000 {
        room.push(caller(round), round, 0).unwrap();
        assert_eq!(room.pop(), Some(round));
    }
    assert!(room.queue.lanes.len() <= KEPT && room.queue.by_owner.len() <= KEPT);
    for slot in 0..1000 {
        room.push(caller(slot), slot, 0).unwrap();
    }
    assert_eq!(room.queue.lanes.len(), 1000);
    assert_eq!(room.all(), (0..1000).collect::<Vec<_>>());
    assert!(room.queue.lanes.is_empty() && room.queue.by_owner.is_empty());
}

#[test]
fn a_quarter_of_the_smallest_queue_is_one_call() {
    let mut room = Room::new(1, 10);
    room.push(caller(1), 1, 10).unwrap();
    assert_eq!(room.push(caller(2), 2, 0), Err(Full::Count));
    assert_eq!(room.queue.displace(caller(2)), None);
    assert_eq!(room.all(), [1]);
}
