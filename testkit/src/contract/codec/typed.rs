//! Rules about typed values.

use std::collections::BTreeMap;
use std::fmt::Debug;

use lanc_core::ports::{Codec, EncodeError, Item};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::ser::{Error, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};

use super::draw::{AMPLE, Draw};
use super::hostile::{deep, deep_list};
use super::{holds, on_a_stack_of};

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Sample {
    text: String,
    small: i8,
    whole: u64,
    float: f64,
    single: f32,
    letter: char,
    nothing: Option<String>,
    something: Option<u16>,
    unit: (),
    pair: (i64, String),
    list: Vec<Shape>,
    by_text: BTreeMap<String, Vec<bool>>,
    by_number: BTreeMap<u32, i32>,
    inner: Option<Box<Self>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Rectangle(u32, u32),
    Named { name: String },
}

/// C5: what `serialize` wrote, `deserialize` reads back equal, and the message layer can read
/// around it.
pub fn typed_values_round_trip(codec: &dyn Codec) {
    let mut draw = Draw(6);
    same(codec, &());
    same(codec, &true);
    same(codec, &(1_i64, -2_i8, "it's".to_owned()));
    same(codec, &None::<u8>);
    for number in [i64::MIN, -1, 0, 1, i64::MAX] {
        same(codec, &number);
    }
    same(codec, &u64::MAX);
    for _ in 0..500 {
        let float = f64::from_bits(draw.u64());
        if float.is_finite() {
            same(codec, &float);
        }
        same(codec, &draw.text(40));
    }
    for _ in 0..100 {
        let inner = sample(&mut draw, None);
        same(codec, &sample(&mut draw, Some(Box::new(inner))));
    }
}

/// C12: a value that cannot be written is an error, and `out` is then as it was.
pub fn a_failed_write_leaves_no_trace(codec: &dyn Codec) {
    const RULE: &str = "rule C12: a failed `serialize` leaves `out` as it was";
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut list = serializer.serialize_seq(Some(2))?;
            list.serialize_element("some text that is written first")?;
            Err(S::Error::custom("no more"))
        }
    }
    let mut out = b"before".to_vec();
    let result = codec.serialize(&Broken, u32::MAX, &mut out);
    holds(RULE, result.is_err(), "the error of a value was swallowed");
    holds(RULE, out == b"before", format_args!("it holds {} bytes more", out.len() - 6));
}

/// C15: `deserialize` takes one value and nothing behind it, refuses what is cut short, and
/// bounds its recursion: 100 levels are read, 100 000 are survived.
pub fn deserialize_is_bounded(codec: &dyn Codec) {
    const RULE: &str = "rule C15: `deserialize` takes one whole value and bounds its recursion";
    let mut draw = Draw(17);
    let mut bytes = Vec::new();
    let value = (7_u32, "seven".to_owned(), sample(&mut draw, None));
    let written = codec.serialize(&value, u32::MAX, &mut bytes);
    holds(RULE, written.is_ok(), "a sample was refused");
    let whole = bytes.len();
    for cut in 0..whole {
        let read = read::<(u32, String, Sample)>(codec, bytes.get(..cut).unwrap_or_default());
        holds(RULE, read.is_err(), format_args!("cut to {cut} of {whole} bytes it was read"));
    }
    bytes.extend_from_within(..);
    let twice = read::<(u32, String, Sample)>(codec, &bytes);
    holds(RULE, twice.is_err(), "a second value behind the first was not refused");

    let hundred = deep_list(codec, 100);
    let far_too_deep = [deep_list(codec, 100_000), deep(codec, 100_000)];
    on_a_stack_of(2 << 20, RULE, || {
        let read_hundred = read::<serde_json::Value>(codec, &hundred);
        holds(RULE, read_hundred.is_ok(), "100 levels were refused");
        for bytes in &far_too_deep {
            holds(RULE, read::<serde_json::Value>(codec, bytes).is_err(), "100 000 were read");
            // Either answer will do for a reader that keeps nothing.
            let _ = read::<IgnoredAny>(codec, bytes);
        }
    });
}

/// C19: `serialize` writes as many levels as it is allowed, and none more, and nothing that is
/// deeper than it reads.
pub fn serialize_is_bounded(codec: &dyn Codec) {
    const RULE: &str = "rule C19: `serialize` bounds how deep a value nests";
    let nested = |levels: u32| {
        (0..levels).fold(serde_json::Value::from(7), |inner, level| match level % 2 {
            0 => serde_json::json!([[], inner, 1]),
            _ => serde_json::json!({ "a": {}, "b": inner }),
        })
    };
    for levels in 1..100 {
        let value = nested(levels);
        // Beside the innermost value stands an empty list.
        let depth = levels + 1;
        let mut out = b"kept".to_vec();
        let written = codec.serialize(&value, depth - 1, &mut out);
        let refused = Err(EncodeError::TooDeep);
        holds(RULE, written == refused, format_args!("{depth} levels of one less: {written:?}"));
        holds(RULE, out == b"kept", "what is too deep leaves a trace");
        let written = codec.serialize(&value, depth, &mut out);
        holds(RULE, written.is_ok(), format_args!("{depth} levels: {written:?}"));
        let back = read::<serde_json::Value>(codec, out.strip_prefix(b"kept").unwrap_or_default());
        holds(RULE, back == Ok(value), format_args!("{depth} levels do not come back"));
    }
    let mut out = Vec::new();
    let written = codec.serialize(&nested(1000), u32::MAX, &mut out);
    holds(
        RULE,
        written == Err(EncodeError::TooDeep),
        "1000 levels, which nobody reads, were written",
    );
}

/// Reads one typed value.
pub(super) fn read<T: DeserializeOwned>(codec: &dyn Codec, bytes: &[u8]) -> Result<T, String> {
    let mut slot = None;
    codec.deserialize(bytes, &mut |deserializer| {
        slot = Some(erased_serde::deserialize::<T>(deserializer)?);
        Ok(())
    })?;
    slot.ok_or_else(|| "`deserialize` succeeded without calling its closure".to_owned())
}

fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(codec: &dyn Codec, value: &T) {
    const RULE: &str = "rule C5: what `serialize` wrote, `deserialize` reads back equal";
    let mut bytes = b"kept".to_vec();
    let written = codec.serialize(value, u32::MAX, &mut bytes);
    holds(RULE, written.is_ok(), format_args!("{value:?} was refused: {written:?}"));
    let encoded = bytes.strip_prefix(b"kept").unwrap_or_else(|| panic!("{RULE}: it must append"));
    let back = read::<T>(codec, encoded);
    holds(RULE, back.as_ref() == Ok(value), format_args!("{value:?} came back as {back:?}"));

    let mut list = Vec::new();
    codec.write_list(&[Item::Encoded(encoded), Item::Null], &mut list);
    let mut raws = Vec::new();
    let used = codec.read_list(&list, &mut AMPLE.clone(), &mut |value| {
        raws.push(value.raw);
        Ok(())
    });
    holds(RULE, used == Ok(list.len()), format_args!("{value:?} spoils a list: {used:?}"));
    let first = raws.first().map(|raw| read::<T>(codec, raw));
    holds(
        RULE,
        first.as_ref() == Some(&back),
        format_args!("{value:?} came back as {first:?} from a list"),
    );
}

fn sample(draw: &mut Draw, inner: Option<Box<Sample>>) -> Sample {
    Sample {
        text: draw.text(30),
        small: -5,
        whole: draw.number(),
        float: 0.1 + f64::from(u32::try_from(draw.below(1 << 32)).unwrap_or(0)),
        single: 1.1,
        letter: *draw.pick(&['\'', '"', 'x', '😀', '\n']),
        nothing: None,
        something: Some(9),
        unit: (),
        pair: (-1, draw.text(3)),
        list: vec![
            Shape::Point,
            Shape::Circle(-0.5),
            Shape::Rectangle(1, 2),
            Shape::Named { name: draw.text(8) },
        ],
        by_text: [(draw.text(6), vec![true, false]), (String::new(), vec![])].into(),
        by_number: [(0, -1), (u32::MAX, 1)].into(),
        inner,
    }
}
