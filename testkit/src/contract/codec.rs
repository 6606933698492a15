//! What every [`Codec`] promises. A new format runs all of it with one line:
//!
//! ```
//! mod json {
//!     lanc_testkit::codec_contract!(lanc_codec::JsonCodec);
//! }
//! ```

mod draw;
mod hostile;
mod messages;
mod short;
mod typed;

use std::fmt::Display;

use lanc_core::dialect::native;
use lanc_core::fields::Fields;
use lanc_core::message::Method;
use lanc_core::ports::{Budget, Codec, DecodeError, Item};

use draw::{AMPLE, Draw, Tree};
pub use hostile::{any_bytes_are_survived, cut_input_is_refused, stack_use_is_constant};
pub use short::{
    letters_are_read_as_any_map, letters_are_written_as_any_map, short_values_are_what_stands_there,
};
pub use typed::{
    a_failed_write_leaves_no_trace, deserialize_is_bounded, serialize_is_bounded,
    typed_values_round_trip,
};

/// One `#[test]` for each rule that a [`Codec`] keeps.
#[macro_export]
macro_rules! codec_contract {
    (@rules $how:ident $codec:expr) => {
        $crate::codec_contract!(@$how $codec;
            what_is_written_is_claimed
            items_round_trip
            containers_round_trip
            spans_stand_for_their_values
            typed_values_round_trip
            depth_is_exact
            nodes_are_exact
            cut_input_is_refused
            any_bytes_are_survived
            stack_use_is_constant
            errors_of_each_are_passed_on
            a_failed_write_leaves_no_trace
            messages_follow_each_other
            lanc_messages_round_trip
            deserialize_is_bounded
            serialize_is_bounded
            letters_are_read_as_any_map
            letters_are_written_as_any_map
            short_values_are_what_stands_there
        );
    };
    (@tests $codec:expr; $($rule:ident)*) => {
        $(#[test]
        fn $rule() {
            $crate::contract::codec::$rule(&$codec);
        })*
    };
    (@calls $codec:expr; $($rule:ident)*) => {
        $($crate::contract::codec::$rule($codec);)*
    };
    ($codec:expr) => { $crate::codec_contract!(@rules tests $codec); };
}

/// Checks every rule.
///
/// # Panics
/// With the name of the rule that is broken.
pub fn all(codec: &dyn Codec) {
    codec_contract!(@rules calls codec);
}

/// C1: the codec claims the first byte of each map it writes, and only ever appends.
pub fn what_is_written_is_claimed(codec: &dyn Codec) {
    const RULE: &str = "rule C1: a codec claims what it writes, and appends";
    let name = codec.format().name();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    holds(RULE, !name.is_empty() && name.bytes().all(plain), format_args!("its name is {name:?}"));
    for entries in [&[][..], &[("type", Item::Null)][..]] {
        let mut out = b"kept".to_vec();
        codec.write_map(entries, &mut out);
        let map = out.strip_prefix(b"kept");
        let first = map.and_then(<[u8]>::first);
        let claimed = first.is_some_and(|first| codec.claims(*first));
        holds(RULE, claimed, format_args!("a map begins with {first:?}"));
    }
    let mut out = b"kept".to_vec();
    codec.write_list(&[Item::Null], &mut out);
    codec.write_item(&Item::Int(1), &mut out);
    codec.write_separator(&mut out);
    holds(RULE, out.starts_with(b"kept"), "what stood before has changed");
}

/// C2: every item reads back equal, in lists and under any key. Binary data may come back as
/// text from a format that has none.
pub fn items_round_trip(codec: &dyn Codec) {
    const RULE: &str = "rule C2: what `write_item` wrote reads back equal";
    let mut draw = Draw(2);
    let mut items = vec![Tree::Null, Tree::Bool(true), Tree::Bool(false)];
    items.extend([i64::MIN, -129, -1, 0, 1, 127, 128, 65_536, i64::MAX].map(Tree::Int));
    items.extend([1 << 63, u64::MAX].map(Tree::Uint));
    let floats = [0.0, -0.0, 1.0, 0.1, 1e16, 1e300, -1e-300, 5e-324, f64::MIN_POSITIVE, f64::MAX];
    items.extend(floats.map(|float: f64| Tree::Float(float.to_bits())));
    items.extend(["", "it's", "a\"b\\c/d", "line\nfeed", "\0\u{7f}", "€😀\u{2028}"].map(text));
    items.extend([31, 32, 255, 256, 65_535, 65_536].map(|length| text(&"x".repeat(length))));
    items.extend((0..500).map(|_| draw.tree(0)));
    for item in items {
        let key = draw.text(20);
        for tree in [Tree::List(vec![item.clone()]), Tree::Map(vec![(key, item)])] {
            reads_back(RULE, codec, &tree);
        }
    }
    for length in [0, 1, 2, 3, 255, 256, 65_536] {
        let bytes: Vec<u8> = (0..length).map(|_| draw.u64().to_le_bytes()[0]).collect();
        let mut out = Vec::new();
        codec.write_list(&[Item::Bytes(&bytes)], &mut out);
        let read = codec.read_list(&out, &mut AMPLE.clone(), &mut |value| {
            let same = match &value.item {
                Item::Bytes(back) => *back == bytes,
                Item::Text(text) => bytes.is_empty() || !text.is_empty(),
                _ => false,
            };
            holds(RULE, same, format_args!("{length} bytes of binary data came back otherwise"));
            Ok(())
        });
        holds(RULE, read == Ok(out.len()), format_args!("binary data: {read:?}"));
    }
}

/// C3: maps and lists read back equal: order, keys that occur twice, empty ones.
pub fn containers_round_trip(codec: &dyn Codec) {
    const RULE: &str = "rule C3: what `write_map` and `write_list` wrote reads back equal";
    let twice = vec![("a".to_owned(), Tree::Int(1)), ("a".to_owned(), Tree::Int(2))];
    let long = (0..70_000).map(|_| Tree::Null).collect();
    for tree in [Tree::List(vec![]), Tree::Map(vec![]), Tree::Map(twice)] {
        reads_back(RULE, codec, &tree);
    }
    let long = Tree::List(long);
    let mut ample = Budget { depth: 1, nodes: 70_001 };
    let read = long.read_like(codec, &long.encode(codec), &mut ample).map(|(tree, _)| tree);
    holds(RULE, read == Ok(long), "a list of 70 000 came back otherwise");
    let inner = [("b", Item::Int(1)), ("b", Item::Entries(&[]))];
    let mut out = Vec::new();
    codec.write_list(&[Item::Entries(&inner), Item::Null], &mut out);
    let mut expected = Vec::new();
    codec.write_map(&[("b", Item::Int(1)), ("b", Item::Map(&[]))], &mut expected);
    let map = std::mem::take(&mut expected);
    codec.write_list(&[Item::Map(&map), Item::Null], &mut expected);
    holds(RULE, out == expected, "a map inside another value is not written as a map");
    let mut draw = Draw(3);
    for _ in 0..500 {
        reads_back(RULE, codec, &draw.map(4));
        reads_back(RULE, codec, &draw.list(4));
    }
}

/// C4: the raw bytes of a value are the value: written as [`Item::Encoded`], or as the
/// container they are, they read back equal.
pub fn spans_stand_for_their_values(codec: &dyn Codec) {
    const RULE: &str = "rule C4: raw spans can be written again and read again";
    let mut draw = Draw(4);
    for _ in 0..500 {
        let tree = Tree::List((0..4).map(|_| draw.tree(3)).collect());
        let encoded = tree.encode(codec);
        let mut values = Vec::new();
        let read = codec.read_list(&encoded, &mut AMPLE.clone(), &mut |value| {
            values.push(value);
            Ok(())
        });
        holds(RULE, read.is_ok(), format_args!("{tree:?}: {read:?}"));
        let raw: Vec<_> = values.iter().map(|value| Item::Encoded(value.raw)).collect();
        let items: Vec<_> = values.iter().map(|value| value.item.clone()).collect();
        for again in [raw, items] {
            let mut out = Vec::new();
            codec.write_list(&again, &mut out);
            let back = Tree::read_list(codec, &out, &mut AMPLE.clone()).map(|(tree, _)| tree);
            holds(RULE, back.as_ref() == Ok(&tree), format_args!("{tree:?} became {back:?}"));
        }
    }
}

/// C6: a budget as deep as the value is enough, one less is [`DecodeError::TooDeep`].
pub fn depth_is_exact(codec: &dyn Codec) {
    const RULE: &str = "rule C6: entering a container costs one depth";
    let mut draw = Draw(7);
    let nested = |depth: u32| {
        (1..depth).fold(Tree::List(vec![]), |tree, level| match level % 2 {
            0 => Tree::List(vec![Tree::Int(1), tree, Tree::Null]),
            _ => Tree::Map(vec![("a".to_owned(), Tree::List(vec![])), ("b".to_owned(), tree)]),
        })
    };
    let drawn = (0..200).map(|_| draw.map(5));
    for tree in (1..=100).map(nested).chain(drawn) {
        let encoded = tree.encode(codec);
        let depth = tree.depth();
        let scan = |depth| scan(codec, &tree, &encoded, Budget { depth, ..AMPLE });
        holds(RULE, scan(depth).is_ok(), format_args!("depth {depth} does not do for {depth}"));
        let less = scan(depth - 1);
        holds(
            RULE,
            less == Err(DecodeError::TooDeep),
            format_args!("{depth} levels in a budget of one less: {less:?}"),
        );
    }
}

/// C7: every value and every key costs one node, the outermost container too; one node less is
/// [`DecodeError::TooManyValues`].
pub fn nodes_are_exact(codec: &dyn Codec) {
    const RULE: &str = "rule C7: every value and every key costs one node";
    let mut draw = Draw(8);
    for _ in 0..500 {
        for tree in [draw.map(4), draw.list(4)] {
            let encoded = tree.encode(codec);
            let nodes = tree.nodes();
            let scan = |nodes| scan(codec, &tree, &encoded, Budget { nodes, ..AMPLE });
            let left = scan(nodes + 3).map(|budget| budget.nodes);
            holds(RULE, left == Ok(3), format_args!("of {nodes} + 3 there are left: {left:?}"));
            holds(RULE, scan(nodes).is_ok(), format_args!("{nodes} do not do for {tree:?}"));
            let less = scan(nodes - 1);
            holds(
                RULE,
                less == Err(DecodeError::TooManyValues),
                format_args!("{nodes} values in a budget of one less: {less:?}"),
            );
        }
    }
}

/// C11: an error of `each` ends the reading and is what the reader returns.
pub fn errors_of_each_are_passed_on(codec: &dyn Codec) {
    const RULE: &str = "rule C11: an error of `each` is passed on at once";
    type Each<'e> = dyn FnMut() -> Result<(), DecodeError> + 'e;
    let map = Tree::Map((0..5).map(|n| (format!("k{n}"), Tree::Int(n))).collect()).encode(codec);
    let list = Tree::List((0..5).map(Tree::Int).collect()).encode(codec);
    for error in [DecodeError::WrongType, DecodeError::Shape] {
        for fatal in 1..=5 {
            let stops = |read: &dyn Fn(&mut Each<'_>) -> Result<usize, DecodeError>| {
                let mut calls = 0;
                let read = read(&mut || {
                    calls += 1;
                    if calls == fatal { Err(error) } else { Ok(()) }
                });
                holds(RULE, read == Err(error), format_args!("{error:?} became {read:?}"));
                holds(RULE, calls == fatal, format_args!("{calls} calls, not {fatal}"));
            };
            stops(&|each| codec.read_map(&map, &mut AMPLE.clone(), &mut |_, _| each()));
            stops(&|each| codec.read_list(&list, &mut AMPLE.clone(), &mut |_| each()));
        }
    }
}

/// C13: messages that stand behind each other in a frame, with the separator between them or
/// behind each, are read one after the other, and the last one ends where the frame does.
pub fn messages_follow_each_other(codec: &dyn Codec) {
    const RULE: &str = "rule C13: messages of one frame are read one after the other";
    let mut draw = Draw(15);
    for round in 0..100 {
        let messages: Vec<_> = (0..10).map(|_| draw.map(2)).collect();
        let mut frame = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            frame.extend_from_slice(&message.encode(codec));
            if index + 1 < messages.len() || round % 2 == 0 {
                codec.write_separator(&mut frame);
            }
        }
        let mut at = 0;
        for message in &messages {
            let rest = frame.get(at..).unwrap_or_default();
            let claimed = rest.first().is_some_and(|first| codec.claims(*first));
            holds(RULE, claimed, format_args!("no message begins at byte {at}"));
            match Tree::read_map(codec, rest, &mut AMPLE.clone()) {
                Ok((tree, used)) => {
                    holds(RULE, tree == *message, format_args!("{message:?} became {tree:?}"));
                    at += used;
                }
                Err(error) => panic!("{RULE}: at byte {at}: {error}"),
            }
        }
        holds(RULE, at == frame.len(), format_args!("{at} of {} bytes used", frame.len()));
    }
}

/// C14: every message of LANC is read as it was written.
pub fn lanc_messages_round_trip(codec: &dyn Codec) {
    const RULE: &str = "rule C14: every message of LANC is read as it was written";
    let mut draw = Draw(16);
    for method in Method::ALL {
        for _ in 0..200 {
            let parts = [draw.list(3), draw.map(3), draw.tree(3)].map(|tree| tree.encode(codec));
            let [list, map, value] = &parts;
            let message = messages::message(method, &mut draw, [list, map, value]);
            let mut frame = Vec::new();
            native::write(&message, codec, &mut frame);
            let budget = &mut AMPLE.clone();
            let fields = Fields::read(codec, &frame, budget);
            let (fields, used) = fields.unwrap_or_else(|e| panic!("{RULE}: {message:?}: {e}"));
            holds(RULE, used == frame.len(), format_args!("{message:?}: {used} bytes used"));
            let back = native::read(&fields, codec, budget);
            holds(RULE, back.as_ref() == Ok(&message), format_args!("{message:?}: {back:?}"));
        }
    }
}

/// Panics with the name of a broken rule.
fn holds(rule: &str, holds: bool, otherwise: impl Display) {
    assert!(holds, "{rule}: {otherwise}");
}

/// Runs `check` in a thread with a stack of `bytes`. An overflow ends the program, and the
/// thread's name, the rule, is what it says last.
fn on_a_stack_of(bytes: usize, rule: &str, check: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(rule.to_owned()).stack_size(bytes);
        let thread = thread.spawn_scoped(scope, check);
        let ended = thread.map(std::thread::ScopedJoinHandle::join);
        holds(rule, matches!(ended, Ok(Ok(()))), "see the message above");
    });
}

fn text(text: &str) -> Tree {
    Tree::Text(text.to_owned())
}

fn reads_back(rule: &str, codec: &dyn Codec, tree: &Tree) {
    let encoded = tree.encode(codec);
    let read = tree.read_like(codec, &encoded, &mut AMPLE.clone());
    let expected = (tree.clone(), encoded.len());
    holds(rule, read.as_ref() == Ok(&expected), format_args!("{tree:?} came back as {read:?}"));
}

/// Passes over a container as the message layer does and returns what is left of the budget.
fn scan(
    codec: &dyn Codec,
    tree: &Tree,
    input: &[u8],
    mut budget: Budget,
) -> Result<Budget, DecodeError> {
    match tree {
        Tree::Map(_) => codec.read_map(input, &mut budget, &mut |_, _| Ok(())),
        _ => codec.read_list(input, &mut budget, &mut |_| Ok(())),
    }?;
    Ok(budget)
}
