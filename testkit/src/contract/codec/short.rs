//! The short ways of a codec: what they say is what the long ones say.

use lanc_core::ports::{Budget, Codec, DecodeError, Letters, Short, Shorts};

use super::draw::{AMPLE, Draw, Tree};
use super::holds;

/// A whole reading: how it ended, what is left of the budget, and the values.
type Reading<'a> = (Result<usize, DecodeError>, Budget, Letters<'a>);

fn long<'a>(codec: &dyn Codec, input: &'a [u8], mut budget: Budget) -> Reading<'a> {
    let mut letters = Letters::default();
    let end = codec.read_map(input, &mut budget, &mut |key, value| {
        if let [key] = key.as_bytes() {
            letters.put(*key, Short::of(&value), value.raw);
        }
        Ok(())
    });
    (end, budget, letters)
}

fn short<'a>(codec: &dyn Codec, input: &'a [u8], mut budget: Budget) -> Reading<'a> {
    let mut letters = Letters::default();
    let end = codec.read_letters(input, &mut budget, &mut letters);
    (end, budget, letters)
}

/// A map whose keys are letters, mostly.
fn letters(draw: &mut Draw) -> Tree {
    let length = draw.below(12);
    let entry = |draw: &mut Draw| {
        let key = char::from(b'a' + u8::try_from(draw.below(26)).unwrap_or(0)).to_string();
        let key = if draw.below(8) == 0 { draw.text(3) } else { key };
        (key, draw.tree(2))
    };
    Tree::Map((0..length).map(|_| entry(draw)).collect())
}

/// C16: a map of letters is read as any map is, whatever its bytes are and whatever the budget. Of
/// one beyond the budget it may say too under which letter, which a reader of any map is not told.
pub fn letters_are_read_as_any_map(codec: &dyn Codec) {
    const RULE: &str = "rule C16: letters are read as any map is";
    let mut draw = Draw(17);
    let same = |input: &[u8], budget: Budget| {
        let (mut long, short) = (long(codec, input, budget), short(codec, input, budget));
        if matches!(short.0, Err(DecodeError::TooDeep | DecodeError::TooManyValues)) {
            let is_told = |letter: &u8| short.2.get(*letter) == Some(Short::Null);
            for letter in (b'a'..=b'z').filter(is_told) {
                long.2.put(letter, Short::Null, short.2.raw(letter).unwrap_or_default());
            }
        }
        holds(RULE, long == short, format_args!("{input:?}: {long:?} became {short:?}"));
    };
    for _ in 0..2_000 {
        let mut input = letters(&mut draw).encode(codec);
        same(&input, AMPLE);
        for nodes in 0..12 {
            let nodes = u32::try_from(nodes + draw.below(20)).unwrap_or(0);
            same(&input, Budget { depth: u32::try_from(draw.below(4)).unwrap_or(0), nodes });
        }
        let length = input.len();
        same(&input[..draw.below(length + 1)], AMPLE);
        for _ in 0..4 {
            let at = draw.below(length);
            input[at] = draw.u64().to_le_bytes()[0];
            same(&input, AMPLE);
        }
    }
}

fn value<'t>(draw: &mut Draw, tree: &'t [u8], text: &'t str) -> Short<'t> {
    match draw.below(6) {
        0 => Short::Null,
        1 => Short::Bool(draw.flip()),
        2 => Short::Uint(draw.number()),
        3 => Short::Int(-1 - i64::try_from(draw.number() >> 1).unwrap_or(0)),
        4 => Short::Text(text),
        _ => Short::Encoded(tree),
    }
}

/// C17: letters are written as any map is.
pub fn letters_are_written_as_any_map(codec: &dyn Codec) {
    const RULE: &str = "rule C17: letters are written as any map is";
    let mut draw = Draw(18);
    for _ in 0..2_000 {
        let trees: Vec<_> = (0..draw.below(20)).map(|_| draw.tree(2).encode(codec)).collect();
        let texts: Vec<_> = trees.iter().map(|_| draw.text(40)).collect();
        let entries: Vec<_> = trees
            .iter()
            .zip(&texts)
            .map(|(tree, text)| {
                let key = b'a' + u8::try_from(draw.below(26)).unwrap_or(0);
                (key, value(&mut draw, tree, text))
            })
            .collect();
        let keys: Vec<_> = entries.iter().map(|(key, _)| char::from(*key).to_string()).collect();
        let items = entries.iter().zip(&keys).map(|((_, value), key)| (&**key, value.item()));
        let (mut long, mut short) = (Vec::new(), Vec::new());
        codec.write_map(&items.collect::<Vec<_>>(), &mut long);
        codec.write_letters(&entries, &mut short);
        holds(RULE, long == short, format_args!("{entries:?}: {long:?} became {short:?}"));
    }
}

/// C18: what is read as short values is what stands there, and no more values than there is room
/// for are read.
pub fn short_values_are_what_stands_there(codec: &dyn Codec) {
    const RULE: &str = "rule C18: short values are what stands there";
    let mut draw = Draw(19);
    for _ in 0..4_000 {
        let count = draw.below(6);
        let trees: Vec<_> = (0..count).map(|_| draw.tree(1)).collect();
        let is_list = draw.flip();
        let input = match (is_list, trees.first()) {
            (false, Some(one)) => one.encode(codec),
            _ => Tree::List(trees.clone()).encode(codec),
        };
        let mut room = [Short::Null; 4];
        let Some(shape) = codec.read_shorts(&input, &mut room) else { continue };
        // Read as the only entry of a list.
        let list = match shape {
            Shorts::List(_) => input.clone(),
            Shorts::One => {
                let mut list = Vec::new();
                codec.write_list(&[lanc_core::ports::Item::Encoded(&input)], &mut list);
                list
            }
        };
        let mut expected = Vec::new();
        let end = codec.read_list(&list, &mut AMPLE.clone(), &mut |value| {
            expected.push(format!("{:?}", Short::of(&value)));
            Ok(())
        });
        let read = room.iter().take(shape.len());
        let values: Vec<_> = read.map(|value| format!("{value:?}")).collect();
        holds(RULE, end.is_ok() && values == expected, format_args!("{trees:?} became {values:?}"));
    }
}
