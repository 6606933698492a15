mod differential;
mod letters;
mod words;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use lanc_core::payload::{Shared, bulk};
use lanc_core::ports::{Budget, Codec, DecodeError, EncodeError, Format, Item};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::MsgpackCodec;

const AMPLE: Budget = Budget { depth: 64, nodes: 200_000 };

/// The only item of a list of one, and the bytes it stood in.
fn read_one(value: &[u8]) -> Result<(Item<'static>, Vec<u8>), DecodeError> {
    let list = [&[0x91], value].concat();
    let mut seen = Vec::new();
    let used = MsgpackCodec.read_list(&list, &mut AMPLE.clone(), &mut |value| {
        seen.push((owned(&value.item), value.raw.to_vec()));
        Ok(())
    })?;
    // And where it is only passed over.
    let nested = [&[0x91], &list[..]].concat();
    assert_eq!(MsgpackCodec.read_list(&nested, &mut AMPLE.clone(), &mut |_| Ok(())), Ok(used + 1));
    let [one] = <[_; 1]>::try_from(seen).unwrap();
    Ok(one)
}

/// The same item with a life of its own.
fn owned(item: &Item<'_>) -> Item<'static> {
    match item {
        Item::Null => Item::Null,
        Item::Bool(is) => Item::Bool(*is),
        Item::Int(number) => Item::Int(*number),
        Item::Uint(number) => Item::Uint(*number),
        Item::Float(number) => Item::Float(*number),
        Item::Text(Cow::Borrowed(text)) => Item::Text((*text).to_owned().into()),
        Item::Text(Cow::Owned(text)) => panic!("{text} was copied"),
        Item::Bytes(bytes) => Item::Bytes(bytes.to_vec().leak()),
        Item::List(raw) => Item::List(raw.to_vec().leak()),
        Item::Map(raw) => Item::Map(raw.to_vec().leak()),
        Item::Encoded(_) | Item::Entries(_) => panic!("only written, never read"),
    }
}

fn written(item: &Item<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    MsgpackCodec.write_item(item, &mut out);
    out
}

fn typed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut value = None;
    MsgpackCodec.deserialize(bytes, &mut |deserializer| {
        value = Some(T::deserialize(deserializer)?);
        Ok(())
    })?;
    Ok(value.unwrap())
}

fn text(length: usize) -> Item<'static> {
    Item::Text("x".repeat(length).into())
}

/// Marker and big-endian number in front of `tail`.
fn form(marker: u8, number: &[u8], tail: &[u8]) -> Vec<u8> {
    [&[marker], number, tail].concat()
}

#[test]
fn every_form_of_a_scalar_is_read() {
    let x = |length: usize| "x".repeat(length).into_bytes();
    let bytes = |length: usize| Item::Bytes(x(length).leak());
    let cases = [
        (vec![0xc0], Item::Null),
        (vec![0xc2], Item::Bool(false)),
        (vec![0xc3], Item::Bool(true)),
        (vec![0x00], Item::Int(0)),
        (vec![0x7f], Item::Int(127)),
        (vec![0xe0], Item::Int(-32)),
        (vec![0xff], Item::Int(-1)),
        (form(0xcc, &[0xff], &[]), Item::Int(255)),
        (form(0xcd, &[0; 2], &[]), Item::Int(0)),
        (form(0xcd, &[0xff; 2], &[]), Item::Int(65_535)),
        (form(0xce, &[0xff; 4], &[]), Item::Int(4_294_967_295)),
        (form(0xcf, &i64::MAX.to_be_bytes(), &[]), Item::Int(i64::MAX)),
        (form(0xcf, &(1_u64 << 63).to_be_bytes(), &[]), Item::Uint(1 << 63)),
        (form(0xcf, &[0xff; 8], &[]), Item::Uint(u64::MAX)),
        (form(0xd0, &[0x80], &[]), Item::Int(-128)),
        (form(0xd1, &[0x80, 0], &[]), Item::Int(-32_768)),
        (form(0xd2, &[0xff; 4], &[]), Item::Int(-1)),
        (form(0xd3, &i64::MIN.to_be_bytes(), &[]), Item::Int(i64::MIN)),
        (form(0xca, &1.5_f32.to_be_bytes(), &[]), Item::Float(1.5)),
        (form(0xcb, &(-0.0_f64).to_be_bytes(), &[]), Item::Float(-0.0)),
        (form(0xcb, &f64::INFINITY.to_be_bytes(), &[]), Item::Float(f64::INFINITY)),
        (form(0xca, &f32::NAN.to_be_bytes(), &[]), Item::Float(f64::NAN)),
        (form(0xa0, &[], &[]), text(0)),
        (form(0xbf, &[], &x(31)), text(31)),
        (form(0xd9, &[0], &[]), text(0)),
        (form(0xd9, &[0xff], &x(255)), text(255)),
        (form(0xda, &[0xff; 2], &x(65_535)), text(65_535)),
        (form(0xdb, &[0, 1, 0, 0], &x(65_536)), text(65_536)),
        (form(0xc4, &[0xff], &x(255)), bytes(255)),
        (form(0xc5, &[0xff; 2], &x(65_535)), bytes(65_535)),
        (form(0xc6, &[0, 1, 0, 0], &x(65_536)), bytes(65_536)),
        (form(0xd4, &[5], &x(1)), bytes(1)),
        (form(0xd5, &[5], &x(2)), bytes(2)),
        (form(0xd6, &[0xff], &x(4)), bytes(4)),
        (form(0xd7, &[0xff], &x(8)), bytes(8)),
        (form(0xd8, &[5], &x(16)), bytes(16)),
        (form(0xc7, &[0, 5], &[]), bytes(0)),
        (form(0xc7, &[0xff, 5], &x(255)), bytes(255)),
        (form(0xc8, &[0xff, 0xff, 5], &x(65_535)), bytes(65_535)),
        (form(0xc9, &[0, 1, 0, 0, 5], &x(65_536)), bytes(65_536)),
    ];
    for (source, expected) in cases {
        let (item, raw) = read_one(&source).unwrap();
        // `Debug`, because a NaN does not equal itself and a negative zero equals zero.
        assert_eq!(format!("{item:?}"), format!("{expected:?}"));
        assert_eq!(raw, source);
        let cuts = [0, 1, 2, 3, 4, 5, 8, source.len() - 1];
        for cut in cuts.into_iter().filter(|cut| *cut < source.len()) {
            assert_eq!(read_one(&source[..cut]), Err(DecodeError::Truncated), "{expected:?}");
        }
    }
}

#[test]
fn every_form_of_a_container_is_read() {
    let nils = |count: usize| vec![0xc0; count];
    let cases = [
        (form(0x90, &[], &[]), false),
        (form(0x9f, &[], &nils(15)), false),
        (form(0xdc, &[0; 2], &[]), false),
        (form(0xdc, &[0xff; 2], &nils(65_535)), false),
        (form(0xdd, &[0, 1, 0, 0], &nils(65_536)), false),
        (form(0x80, &[], &[]), true),
        (form(0x8f, &[], &nils(30)), true),
        (form(0xde, &[0, 1], &nils(2)), true),
        (form(0xde, &[0xff; 2], &nils(131_070)), true),
        (form(0xdf, &[0, 1, 0, 0], &nils(131_072)), true),
    ];
    for (source, map) in cases {
        let (item, raw) = read_one(&source).unwrap();
        let expected = if map { Item::Map(&source) } else { Item::List(&source) };
        assert!(item == expected && raw == source, "{:02x?}", &source[..1]);
        if source.len() > 3 {
            assert_eq!(read_one(&source[..source.len() - 1]), Err(DecodeError::Truncated));
        }
    }
}

#[test]
fn whole_numbers_and_lengths_are_written_in_their_smallest_form() {
    let cases: [(i64, &[u8]); 16] = [
        (0, &[0]),
        (127, &[0x7f]),
        (128, &[0xcc, 0x80]),
        (255, &[0xcc, 0xff]),
        (256, &[0xcd, 1, 0]),
        (65_535, &[0xcd, 0xff, 0xff]),
        (65_536, &[0xce, 0, 1, 0, 0]),
        (4_294_967_295, &[0xce, 0xff, 0xff, 0xff, 0xff]),
        (4_294_967_296, &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0]),
        (-1, &[0xff]),
        (-32, &[0xe0]),
        (-33, &[0xd0, 0xdf]),
        (-128, &[0xd0, 0x80]),
        (-129, &[0xd1, 0xff, 0x7f]),
        (-32_769, &[0xd2, 0xff, 0xff, 0x7f, 0xff]),
        (-2_147_483_649, &[0xd3, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]),
    ];
    for (number, expected) in cases {
        assert_eq!(written(&Item::Int(number)), expected, "{number}");
        if let Ok(number) = u64::try_from(number) {
            assert_eq!(written(&Item::Uint(number)), expected, "{number}");
        }
        let mut typed = Vec::new();
        MsgpackCodec.serialize(&number, u32::MAX, &mut typed).unwrap();
        assert_eq!(typed, expected, "{number}");
    }
    let headers: [(usize, &[u8], &[u8]); 6] = [
        (0, &[0xa0], &[0xc4, 0]),
        (31, &[0xbf], &[0xc4, 31]),
        (32, &[0xd9, 32], &[0xc4, 32]),
        (256, &[0xda, 1, 0], &[0xc5, 1, 0]),
        (65_535, &[0xda, 0xff, 0xff], &[0xc5, 0xff, 0xff]),
        (65_536, &[0xdb, 0, 1, 0, 0], &[0xc6, 0, 1, 0, 0]),
    ];
    for (length, as_text, as_bytes) in headers {
        let content = vec![b'x'; length];
        assert_eq!(written(&text(length)), [as_text, &content].concat());
        assert_eq!(written(&Item::Bytes(&content)), [as_bytes, &content].concat());
    }
    let counts: [(usize, &[u8], &[u8]); 5] = [
        (0, &[0x90], &[0x80]),
        (15, &[0x9f], &[0x8f]),
        (16, &[0xdc, 0, 16], &[0xde, 0, 16]),
        (65_535, &[0xdc, 0xff, 0xff], &[0xde, 0xff, 0xff]),
        (65_536, &[0xdd, 0, 1, 0, 0], &[0xdf, 0, 1, 0, 0]),
    ];
    for (count, as_list, as_map) in counts {
        let (mut list, mut map) = (Vec::new(), Vec::new());
        MsgpackCodec.write_list(&vec![Item::Null; count], &mut list);
        MsgpackCodec.write_map(&vec![("", Item::Null); count], &mut map);
        assert_eq!(list, [as_list, &[0xc0].repeat(count)].concat());
        assert_eq!(map, [as_map, &[0xa0, 0xc0].repeat(count)].concat());
    }
    let empty = [Item::List(&[]), Item::Map(&[]), Item::Encoded(&[])];
    assert_eq!(empty.map(|item| written(&item)), [[0x90], [0x80], [0xc0]]);
    assert_eq!(MsgpackCodec.format(), Format::MSGPACK);
}

#[test]
fn maps_and_short_lists_are_claimed() {
    let claimed: Vec<_> = (0..=u8::MAX).filter(|first| MsgpackCodec.claims(*first)).collect();
    assert_eq!(claimed, [(0x80..=0x9f).collect(), vec![0xde, 0xdf]].concat());
}

#[test]
fn what_is_broken_is_told_apart() {
    let map = |input: &[u8]| MsgpackCodec.read_map(input, &mut AMPLE.clone(), &mut |_, _| Ok(()));
    let cases: [(&[u8], DecodeError); 10] = [
        (b"", DecodeError::Truncated),
        (b"\x90", DecodeError::Malformed(0)),
        (b"\xc1", DecodeError::Malformed(0)),
        (b"\x81\xa1k\xc1", DecodeError::Malformed(3)),
        (b"\x81\xa1k\x91\xc1", DecodeError::Malformed(4)),
        (b"\x81\x01\x01", DecodeError::WrongType),
        (b"\x81\xc4\x01a\x01", DecodeError::WrongType),
        (b"\x81\xa1\xff\x01", DecodeError::Text),
        (b"\x81\xa1k\xa2\xed\xa0", DecodeError::Text),
        (b"\x81\xa1k\x91\xa1\x80", DecodeError::Text),
    ];
    for (input, error) in cases {
        assert_eq!(map(input), Err(error), "{input:02x?}");
    }
    // A map of the user's may have numbers for keys.
    assert_eq!(map(b"\x81\xa1k\x81\x01\x91\xc0"), Ok(7));
}

/// A call with all nine keys.
fn message() -> Vec<u8> {
    let mut out = Vec::new();
    let text = |text| Item::Text(Cow::Borrowed(text));
    let entries = [
        ("type", text("LANC")),
        ("method", text("call")),
        ("version", text("0.2")),
        ("data", text("add")),
        ("encrypted", text("no")),
        ("compress", text("no")),
        ("exe_id", text("2021222324252627.1.9f2c4e1a")),
        ("args", Item::List(&[0x92, 1, 2])),
        ("kwargs", Item::Map(b"\x83\xa1a\xcd\x01\x00\xa1b\xcb\x3f\xf0\0\0\0\0\0\0\xa1c\xc4\x01x")),
    ];
    MsgpackCodec.write_map(&entries, &mut out);
    out
}

#[test]
fn every_prefix_of_a_message_is_cut_short() {
    let message = message();
    let map = |input: &[u8]| MsgpackCodec.read_map(input, &mut AMPLE.clone(), &mut |_, _| Ok(()));
    assert_eq!(map(&message), Ok(message.len()));
    for cut in 0..message.len() {
        assert_eq!(map(&message[..cut]), Err(DecodeError::Truncated), "cut to {cut}");
        assert!(typed::<IgnoredAny>(&message[..cut]).is_err(), "cut to {cut}");
    }
}

#[test]
fn claimed_lengths_cost_nothing() {
    for marker in [0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf] {
        for length in [[0xff; 4], [0x7f, 0xff, 0xff, 0xff]] {
            let bomb = form(marker, &length, &[0xc0; 8]);
            let mut budget = Budget { depth: 4, nodes: 9 };
            let nested = [&[0x91, 0x91], &bomb[..]].concat();
            let read = MsgpackCodec.read_list(&nested, &mut budget, &mut |_| Ok(()));
            assert_eq!((read, budget.nodes), (Err(DecodeError::Truncated), 6), "{marker:02x}");
            assert!(typed::<serde_json::Value>(&bomb).is_err());
            assert!(typed::<Vec<u8>>(&bomb).is_err());
            assert!(typed::<String>(&bomb).is_err());
        }
    }
    // The count is refused before the first child is read: `0xc1` is never seen.
    let mut budget = Budget { depth: 4, nodes: 3 };
    let read = MsgpackCodec.read_list(b"\x93\xc1\xc0\xc0", &mut budget, &mut |_| Ok(()));
    assert_eq!((read, budget.nodes), (Err(DecodeError::TooManyValues), 2));
}

#[test]
fn depth_is_bounded_at_the_ceiling_and_cheap_beyond() {
    let most = usize::try_from(MsgpackCodec::MAX_DEPTH).unwrap();
    let everything = Budget { depth: u32::MAX, nodes: u32::MAX };
    let read = |input: &[u8]| {
        MsgpackCodec.read_list(input, &mut everything.clone(), &mut |_| Ok(())).map(drop)
    };
    let deep = |levels: usize| [vec![0x91; levels - 1], vec![0x90]].concat();
    assert_eq!(read(&deep(most)), Ok(()));
    assert!(typed::<serde_json::Value>(&deep(most)).is_ok());
    assert_eq!(read(&deep(most + 1)), Err(DecodeError::TooDeep));
    assert!(typed::<serde_json::Value>(&deep(most + 1)).is_err());

    let bomb = vec![0x91; 1 << 20];
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 10);
        let run = || {
            #[allow(clippy::disallowed_methods, reason = "what is tested is the time it takes")]
            let begin = Instant::now();
            assert_eq!(read(&bomb), Err(DecodeError::TooDeep));
            assert!(typed::<IgnoredAny>(&bomb).is_err());
            begin.elapsed()
        };
        let took = thread.spawn_scoped(scope, run).unwrap().join().unwrap();
        assert!(took < Duration::from_millis(50), "{took:?}");
    });
}

#[test]
fn floats_that_are_no_numbers_round_trip() {
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let (item, _) = read_one(&written(&Item::Float(float))).unwrap();
        let Item::Float(back) = item else { panic!("{item:?}") };
        assert_eq!(back.to_bits(), float.to_bits());
        let mut out = Vec::new();
        MsgpackCodec.serialize(&float, u32::MAX, &mut out).unwrap();
        assert_eq!(typed::<f64>(&out).unwrap().to_bits(), float.to_bits());
    }
}

#[test]
fn typed_values_have_the_shape_they_have_in_json() {
    #[derive(serde::Serialize, Deserialize, PartialEq, Debug)]
    struct Place {
        name: String,
        address: std::net::Ipv4Addr,
        kind: Option<Kind>,
    }
    #[derive(serde::Serialize, Deserialize, PartialEq, Debug)]
    enum Kind {
        Plain,
        Wide { by: u8 },
    }
    for kind in [None, Some(Kind::Plain), Some(Kind::Wide { by: 3 })] {
        let place = Place { name: "a".to_owned(), address: [127, 0, 0, 1].into(), kind };
        let mut out = Vec::new();
        MsgpackCodec.serialize(&place, u32::MAX, &mut out).unwrap();
        assert_eq!(typed::<serde_json::Value>(&out), Ok(serde_json::to_value(&place).unwrap()));
        assert_eq!(typed::<Place>(&out).as_ref(), Ok(&place));
        out.push(0xc0);
        assert!(typed::<Place>(&out).is_err(), "a second value was not refused");
    }
}

#[test]
fn values_that_would_spoil_their_neighbours_are_refused() {
    struct Miscounted(usize);
    impl serde::Serialize for Miscounted {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut list = serializer.serialize_seq(Some(self.0))?;
            serde::ser::SerializeSeq::serialize_element(&mut list, &7)?;
            serde::ser::SerializeSeq::end(list)
        }
    }
    for said in [0, 2] {
        let mut out = b"kept".to_vec();
        let error = MsgpackCodec.serialize(&Miscounted(said), u32::MAX, &mut out).unwrap_err();
        assert_eq!(out, b"kept");
        let told = error.to_string();
        assert!(told.starts_with("cannot be expressed as msgpack: it holds another number of"));
    }
    let mut deep = serde_json::Value::Null;
    for _ in 0..=MsgpackCodec::MAX_DEPTH {
        deep = serde_json::Value::Array(vec![deep]);
    }
    let mut out = b"kept".to_vec();
    let written = MsgpackCodec.serialize(&deep, u32::MAX, &mut out);
    assert_eq!(written, Err(EncodeError::TooDeep), "deeper than can be read");
    assert_eq!(out, b"kept");
}

#[test]
fn a_large_byte_string_on_offer_is_left_out_and_what_stands_around_it_is_still_checked() {
    struct Offered<'b>(&'b Shared, usize);
    impl serde::Serialize for Offered<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            struct Raw<'b>(&'b [u8]);
            impl serde::Serialize for Raw<'_> {
                fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    to.serialize_bytes(self.0)
                }
            }
            let mut list = serializer.serialize_seq(Some(self.1))?;
            serde::ser::SerializeSeq::serialize_element(&mut list, "key")?;
            bulk::offer(self.0, || {
                serde::ser::SerializeSeq::serialize_element(&mut list, &Raw(self.0))
            })?;
            serde::ser::SerializeSeq::serialize_element(&mut list, &7)?;
            serde::ser::SerializeSeq::end(list)
        }
    }
    for (length, head) in [
        (bulk::LEAST, &b"\xc5\xc0\x00"[..]),
        (0xffff, b"\xc5\xff\xff"),
        (0x1_0000, b"\xc6\x00\x01\x00\x00"),
    ] {
        let bytes = Shared::new(vec![5; length]);
        let collect = |said| {
            let value = Offered(&bytes, said);
            bulk::collect(Vec::new(), |out| MsgpackCodec.serialize(&value, u32::MAX, out))
        };
        let mut copied = Vec::new();
        MsgpackCodec.serialize(&Offered(&bytes, 3), u32::MAX, &mut copied).unwrap();
        let encoded = collect(3).unwrap();
        assert_eq!(encoded.clone().into_vec(), copied);
        assert_eq!(encoded.into_buffer(), [b"\x93\xa3key", head, b"\x07"].concat());
        for said in [0, 2, 4] {
            let reason = collect(said).unwrap_err().to_string();
            assert!(reason.contains("number of entries"), "{reason}");
        }
    }
}
