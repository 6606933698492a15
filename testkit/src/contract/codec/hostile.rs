//! Rules about input that was made to hurt.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lanc_core::ports::{Budget, Codec, DecodeError, Item};
use serde::de::IgnoredAny;

use super::draw::{AMPLE, Draw, Tree};
use super::typed::read;
use super::{holds, on_a_stack_of, scan, text};

/// C8: a value that is cut short anywhere is an error: a claimed length is checked against the
/// bytes that are there.
pub fn cut_input_is_refused(codec: &dyn Codec) {
    const RULE: &str = "rule C8: a value cut short is refused, wherever it is cut";
    let mut draw = Draw(9);
    let long = Tree::List(vec![text(&"long ".repeat(100)), Tree::Map(vec![])]);
    let drawn = (0..200).map(|_| draw.map(4));
    for tree in [long].into_iter().chain(drawn) {
        let encoded = tree.encode(codec);
        for cut in 0..encoded.len() {
            let input = encoded.get(..cut).unwrap_or_default();
            let read = unpanicked(RULE, || scan(codec, &tree, input, AMPLE));
            holds(
                RULE,
                read.is_err(),
                format_args!("{cut} of {} bytes were read as a whole", encoded.len()),
            );
        }
    }
}

/// C9: any bytes give a value or an error, and what is handed out lies within the input.
pub fn any_bytes_are_survived(codec: &dyn Codec) {
    const RULE: &str = "rule C9: any bytes give a value or an error";
    let mut draw = Draw(10);
    let survive = |input: &[u8]| {
        unpanicked(RULE, || {
            let inside = |part: &[u8]| {
                let (whole, part) = (input.as_ptr_range(), part.as_ptr_range());
                holds(
                    RULE,
                    whole.start <= part.start && part.end <= whole.end,
                    "a value lies outside the input",
                );
            };
            let map = codec.read_map(input, &mut AMPLE.clone(), &mut |_, value| {
                inside(value.raw);
                Ok(())
            });
            let list = codec.read_list(input, &mut AMPLE.clone(), &mut |value| {
                inside(value.raw);
                Ok(())
            });
            for used in [map, list].into_iter().flatten() {
                holds(RULE, used <= input.len(), "more bytes were used than there are");
            }
            // Only that it returns matters here.
            let _ = read::<IgnoredAny>(codec, input);
            let _ = read::<serde_json::Value>(codec, input);
        });
    };
    for _ in 0..2_000 {
        let length = draw.below(64);
        let input: Vec<u8> = (0..length).map(|_| draw.u64().to_le_bytes()[0]).collect();
        survive(&input);
    }
    for _ in 0..60 {
        let valid = draw.map(3).encode(codec);
        for at in 0..valid.len() {
            let mut input = valid.clone();
            for byte in [0, 0x20, 0x7f, 0x80, 0xff, draw.u64().to_le_bytes()[0], *draw.pick(&valid)]
            {
                input[at] = byte;
                survive(&input);
            }
        }
    }
}

/// C10: stack use does not depend on the input: 200 000 levels are read or refused on a stack
/// of 64 KiB, whatever the budget allows.
pub fn stack_use_is_constant(codec: &dyn Codec) {
    const RULE: &str = "rule C10: reading needs no more stack for deeper input";
    let lists = deep_list(codec, 200_000);
    let mixed = deep(codec, 200_000);
    let everything = Budget { depth: u32::MAX, nodes: u32::MAX };
    on_a_stack_of(64 << 10, RULE, || {
        for budget in [everything, AMPLE] {
            let lists = codec.read_list(&lists, &mut budget.clone(), &mut |_| Ok(()));
            let mixed = codec.read_map(&mixed, &mut budget.clone(), &mut |_, _| Ok(()));
            if budget == AMPLE {
                let refused = Err(DecodeError::TooDeep);
                holds(RULE, lists == refused && mixed == refused, "200 000 levels are too deep");
            }
        }
    });
}

/// Runs `check`; a panic in it breaks the rule.
fn unpanicked<T>(rule: &str, check: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|_| panic!("{rule}: it panicked"))
}

/// A list in a list, and so on: `levels` of them. Needs a format whose lists say how long they
/// are in items, or not at all.
pub(super) fn deep_list(codec: &dyn Codec, levels: usize) -> Vec<u8> {
    let (open, close) = around_null(codec, |inner, out| codec.write_list(&[inner], out));
    [open.repeat(levels), null(codec), close.repeat(levels)].concat()
}

/// A map in a list in a map, and so on: `levels` of them, the outermost a map.
pub(super) fn deep(codec: &dyn Codec, levels: usize) -> Vec<u8> {
    let (open, close) = around_null(codec, |inner, out| {
        let mut list = Vec::new();
        codec.write_list(&[inner], &mut list);
        codec.write_map(&[("k", Item::Encoded(&list))], out);
    });
    [open.repeat(levels / 2), null(codec), close.repeat(levels / 2)].concat()
}

fn null(codec: &dyn Codec) -> Vec<u8> {
    let mut out = Vec::new();
    codec.write_item(&Item::Null, &mut out);
    out
}

/// What a container of one item writes before and behind it.
fn around_null(codec: &dyn Codec, write: impl Fn(Item<'_>, &mut Vec<u8>)) -> (Vec<u8>, Vec<u8>) {
    let null = null(codec);
    let mut out = Vec::new();
    write(Item::Null, &mut out);
    let at = out.windows(null.len()).rposition(|window| window == null).unwrap_or(0);
    let close = out.split_off(at);
    (out, close.get(null.len()..).unwrap_or_default().to_vec())
}
