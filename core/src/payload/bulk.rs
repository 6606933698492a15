//! Large byte strings that are not copied when a value is encoded.
//!
//! A value reaches its codec through serde, which hands over byte strings as slices. So that a
//! large one need not be copied into the encoded value, its type offers the memory behind the slice
//! ([`offer`]), whoever encodes the value collects ([`collect`]), and a codec whose form for byte
//! strings is the bytes themselves asks for them ([`Collector`]). Whatever takes no part in it
//! copies as ever. The three meet in a place that belongs to the thread, as there is nothing in
//! serde that could carry them.

use std::cell::{Cell, RefCell};

use super::{Encoded, Shared};

/// Shorter ones are copied: that costs little beside a frame of their own.
pub const LEAST: usize = 48 << 10;

/// Where a thread is with it. Nearly all values go through without looking into the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Idle,
    /// Somebody collects, and the next codec may take.
    Wanted,
    /// Something was taken.
    Taken,
}

#[derive(Default)]
struct Table {
    offered: Option<Shared>,
    /// Where in the encoded value it stands, and what.
    taken: Option<(usize, Shared)>,
}

thread_local! {
    static STAGE: Cell<Stage> = const { Cell::new(Stage::Idle) };
    static TABLE: RefCell<Table> = const { RefCell::new(Table { offered: None, taken: None }) };
}

/// Encodes by `encode`, which is handed `room` to append to, and lets it leave out one byte string
/// that is offered on the way. `room` must be empty.
///
/// # Errors
/// What `encode` returns.
pub fn collect<E>(
    mut room: Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<Encoded, E> {
    /// Whatever comes of it, nobody collects afterwards.
    struct End;
    impl End {
        fn taken(&self) -> Option<(usize, Shared)> {
            let is_taken = STAGE.replace(Stage::Idle) == Stage::Taken;
            is_taken.then(|| TABLE.with_borrow_mut(|table| table.taken.take())).flatten()
        }
    }
    impl Drop for End {
        fn drop(&mut self) {
            self.taken();
        }
    }
    STAGE.set(Stage::Wanted);
    let end = End;
    encode(&mut room)?;
    Ok(match end.taken() {
        Some((at, bulk)) => Encoded::with_bulk(room, at, bulk),
        None => room.into(),
    })
}

/// Runs `write`, which hands over `bytes` as a slice, with the memory behind it on offer.
pub fn offer<R>(bytes: &Shared, write: impl FnOnce() -> R) -> R {
    if bytes.len() < LEAST {
        return write();
    }
    /// What a panic leaves on offer would be held for as long as the thread lives.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            TABLE.with_borrow_mut(|table| table.offered = None);
        }
    }
    TABLE.with_borrow_mut(|table| table.offered = Some(bytes.clone()));
    let _end = End;
    write()
}

/// A codec's right to leave bytes out of what it writes: that of the outermost codec alone, as
/// a value may encode others on the way, elsewhere.
#[derive(Debug)]
pub struct Collector {
    may_take: bool,
    taken: bool,
}

impl Collector {
    /// To be asked for at the beginning of a value that is written into an empty buffer.
    pub fn begin() -> Self {
        let may_take = STAGE.get() == Stage::Wanted;
        if may_take {
            STAGE.set(Stage::Idle);
        }
        Self { may_take, taken: false }
    }

    /// Whether the bytes are taken over, to stand at `at` of the value: then they must not be
    /// written.
    pub fn takes(&mut self, at: usize, bytes: &[u8]) -> bool {
        if !self.may_take || bytes.len() < LEAST {
            return false;
        }
        let is_taken = TABLE.with_borrow_mut(|table| {
            let part = table.offered.as_ref().and_then(|offered| offered.part(bytes));
            let is_taken = part.is_some();
            table.taken = part.map(|part| (at, part));
            is_taken
        });
        if is_taken {
            STAGE.set(Stage::Taken);
        }
        self.may_take = !is_taken;
        self.taken = is_taken;
        is_taken
    }

    /// The place in the value where bytes were left out, and how many.
    pub fn gap(&self) -> Option<(usize, usize)> {
        let of = |(at, part): &(usize, Shared)| (*at, part.len());
        let gap = || TABLE.with_borrow(|table| table.taken.as_ref().map(of));
        self.taken.then(gap).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Shared, least: bool) -> Result<Encoded, ()> {
        collect(Vec::new(), |out| {
            let mut collector = Collector::begin();
            // One that is begun inside must not take what belongs outside.
            assert!(least || !Collector::begin().takes(0, value));
            out.extend_from_slice(b"<");
            offer(value, || {
                if !collector.takes(out.len(), value) {
                    out.extend_from_slice(value);
                }
            });
            assert!(!collector.takes(out.len(), value), "only one is taken, and only on offer");
            out.extend_from_slice(b">");
            Ok(())
        })
    }

    #[test]
    fn a_large_byte_string_is_left_out_and_a_smaller_one_is_copied() {
        let value = Shared::new(vec![7; LEAST]);
        let encoded = written(&value, false).unwrap();
        let parts = encoded.spliced().unwrap();
        assert_eq!((parts.own, parts.at, parts.bulk.as_ptr()), (&b"<>"[..], 1, value.as_ptr()));
        let less = Shared::new(vec![7; LEAST - 1]);
        let encoded = written(&less, true).unwrap();
        assert!(encoded.spliced().is_none());
        assert_eq!(encoded.len(), LEAST + 1);
    }

    #[test]
    fn nobody_takes_while_nobody_collects_or_after_it_failed() {
        let value = Shared::new(vec![7; LEAST]);
        let fails = collect(Vec::new(), |_| Err("it fails"));
        assert_eq!(fails.err(), Some("it fails"));
        offer(&value, || assert!(!Collector::begin().takes(0, &value)));
        let panics =
            std::panic::catch_unwind(|| collect(Vec::new(), |_| -> Result<(), ()> { panic!() }));
        assert!(panics.is_err());
        offer(&value, || assert!(!Collector::begin().takes(0, &value)));
    }
}
