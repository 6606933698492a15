mod differential;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use lanc_core::ports::{Budget, Codec, DecodeError, EncodeError, Format, Item};
use serde_json::value::RawValue;

use super::JsonCodec;

const AMPLE: Budget = Budget { depth: 64, nodes: 10_000 };

/// Valid values, each with what the outermost one is.
fn accepted() -> Vec<(&'static str, Item<'static>)> {
    let text = |text| Item::Text(Cow::Borrowed(text));
    vec![
        ("null", Item::Null),
        ("true", Item::Bool(true)),
        ("false", Item::Bool(false)),
        ("0", Item::Int(0)),
        ("-1", Item::Int(-1)),
        ("999999999999999999", Item::Int(999_999_999_999_999_999)),
        ("1000000000000000000", Item::Int(1_000_000_000_000_000_000)),
        ("9223372036854775807", Item::Int(i64::MAX)),
        ("-9223372036854775808", Item::Int(i64::MIN)),
        ("9223372036854775808", Item::Uint(1 << 63)),
        ("18446744073709551615", Item::Uint(u64::MAX)),
        ("18446744073709551616", Item::Float(18_446_744_073_709_551_616.0)),
        ("-9223372036854775809", Item::Float(-9_223_372_036_854_775_809.0)),
        ("-0", Item::Float(-0.0)),
        ("1.0", Item::Float(1.0)),
        ("1e2", Item::Float(100.0)),
        ("1E+2", Item::Float(100.0)),
        ("-1.5e-3", Item::Float(-0.0015)),
        ("0e0", Item::Float(0.0)),
        ("1e-999", Item::Float(0.0)),
        ("\"\"", text("")),
        ("\"plain, it's\"", text("plain, it's")),
        (r#""\"\\\/\b\f\n\r\t""#, text("\"\\/\u{8}\u{c}\n\r\t")),
        (r#""\u0000\u00e4\u20AC\ud83d\ude00""#, text("\0ä€😀")),
        (r#""\uFFFF""#, text("\u{ffff}")),
        (r#""x\u0027y""#, text("x'y")),
        ("\"\u{7f}\u{2028}\u{feff}ä€😀\"", text("\u{7f}\u{2028}\u{feff}ä€😀")),
        ("[]", Item::List(b"[]")),
        ("{}", Item::Map(b"{}")),
        ("[ 1 , [ ] ]", Item::List(b"[ 1 , [ ] ]")),
        ("{\"\":{\"\":0},\"\":[]}", Item::Map(b"{\"\":{\"\":0},\"\":[]}")),
        ("[true,false,null,-0.5e+1,\"\\u0041\"]", {
            Item::List(b"[true,false,null,-0.5e+1,\"\\u0041\"]")
        }),
    ]
}

/// Broken values, two spaces between them.
const BROKEN: &str = r##"
    nul  nulll  True  NULL  NaN  nan  Infinity  -Infinity  inf  undefined  'a'  01  -01  00  -  +1
    .5  -.5  1.  1.e1  1e  1e+  1E-  0x10  1_000  1 2  --1  1e1.5  1.2.3  1a  e1  "  "a  "\"  "\x"
    "\'"  "\0"  "\u"  "\u12"  "\u123g"  "\U0041"  "\u+041"  "\ud800"  "\udc00"  "\ud800\u0041"
    "\ud800\ud800"  "\ud800x"  "\udc00\ud800"  "\ud83d\n"  [  ]  [1  [1,  [1,]  [,1]  [,]  [1 2]
    [1,,2]  [1}  [}  {  }  {]  {"a"  {"a":  {"a":1  {"a":1,  {"a":1,}  {,}  {a:1}  {1:1}  {null:1}
    {'a':1}  {"a" 1}  {"a":}  {"a",1}  {"a"::1}  {"a":1 "b":2}  {"a":1]  {"a":[1}]  [{"a":1]}
    [1]]  {}}  [/**/1]  [1e400]  1e400  -1e400  [#]  *  ["a""b"]  [[[1]]  {"a":{"b":{}}  [1:2]
"##;

/// Broken values that cannot stand in a table of text.
const BROKEN_BYTES: &[&[u8]] = &[
    b"",
    b"\"\x80\"",
    b"\"\xc3\"",
    b"\"\xed\xa0\x80\"",
    b"\"\xf4\x90\x80\x80\"",
    b"\"\xc0\xaf\"",
    b"\"\xff\"",
    b"\xef\xbb\xbf1",
    b"\"a\0b\"",
    b"\"\n\"",
    b"\"\t\"",
    b"\"\x1f\"",
    b"\x00",
    b"\xc2\xa01",
    b"\xe2\x80\x831",
    b"\x0c1",
    b"\x0b1",
    b"[//\n1]",
];

fn in_list(value: &[u8]) -> Vec<u8> {
    [b"[", value, b"]"].concat()
}

fn in_map(value: &[u8]) -> Vec<u8> {
    [b" {\"k\" : ", value, b" }\r\n"].concat()
}

/// Whether the whole of `input` is a list.
fn reads_list(input: &[u8]) -> Result<(), DecodeError> {
    let used = JsonCodec.read_list(input, &mut AMPLE.clone(), &mut |_| Ok(()))?;
    if used == input.len() { Ok(()) } else { Err(DecodeError::Malformed(used)) }
}

/// Whether the whole of `input` is a map.
fn reads_map(input: &[u8]) -> Result<(), DecodeError> {
    let used = JsonCodec.read_map(input, &mut AMPLE.clone(), &mut |_, _| Ok(()))?;
    if used == input.len() { Ok(()) } else { Err(DecodeError::Malformed(used)) }
}

fn written(item: Item<'_>) -> String {
    let mut out = Vec::new();
    JsonCodec.write_item(&item, &mut out);
    String::from_utf8(out).unwrap()
}

fn serialized<T: serde::Serialize>(value: T) -> String {
    let mut out = Vec::new();
    JsonCodec.serialize(&value, u32::MAX, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn valid_values_are_read_as_what_they_are() {
    for (source, expected) in accepted() {
        let mut seen = Vec::new();
        let map = in_map(source.as_bytes());
        let used = JsonCodec.read_map(&map, &mut AMPLE.clone(), &mut |key, value| {
            assert_eq!(key, "k");
            seen.push(value);
            Ok(())
        });
        assert_eq!(used, Ok(map.len()), "{source}");
        let list = in_list(source.as_bytes());
        JsonCodec
            .read_list(&list, &mut AMPLE.clone(), &mut |value| {
                seen.push(value);
                Ok(())
            })
            .unwrap();
        assert_eq!(seen.len(), 2, "{source}");
        for value in seen {
            // `Debug`, because a negative zero equals zero.
            assert_eq!(format!("{:?}", value.item), format!("{expected:?}"), "{source}");
            assert_eq!(value.raw, source.as_bytes());
        }
        // And where it is only passed over.
        assert_eq!(reads_list(&in_list(&list)), Ok(()), "{source}");
    }
}

#[test]
fn broken_values_are_refused() {
    let broken: Vec<_> = BROKEN
        .split("  ")
        .map(|case| case.trim().as_bytes())
        .filter(|case| !case.is_empty())
        .collect();
    assert_eq!(broken.len(), 93);
    for source in broken.iter().chain(BROKEN_BYTES) {
        let shown = String::from_utf8_lossy(source);
        // An empty list is one; nothing in a map is not.
        if !source.is_empty() {
            assert!(reads_list(&in_list(source)).is_err(), "{shown}");
            assert!(reads_list(&in_list(&in_list(source))).is_err(), "{shown}");
        }
        assert!(reads_map(&in_map(source)).is_err(), "{shown}");
        assert!(reads_map(&in_map(&in_map(source))).is_err(), "{shown}");
    }
    for (source, error) in [
        (&b"{\"a\":1e400}"[..], DecodeError::Number),
        (b"{\"a\":[1e400]}", DecodeError::Number),
        (b"{\"a\":\"\xff\"}", DecodeError::Text),
        (b"{\"a\":[\"\xff\"]}", DecodeError::Text),
        (b"{\"\xff\":1}", DecodeError::Text),
        (b"{\"a\":x}", DecodeError::Malformed(5)),
        (b"{\"a\":\"\\q\"}", DecodeError::Malformed(7)),
        (b"[]", DecodeError::Malformed(0)),
        (b" ", DecodeError::Truncated),
    ] {
        assert_eq!(reads_map(source), Err(error), "{}", String::from_utf8_lossy(source));
    }
    let digits = "1".repeat(400);
    assert_eq!(reads_list(&in_list(digits.as_bytes())), Err(DecodeError::Number));
    assert_eq!(reads_list(&in_list(&in_list(digits.as_bytes()))), Err(DecodeError::Number));
}

#[test]
fn text_is_borrowed_unless_it_holds_escapes() {
    let mut borrowed = Vec::new();
    JsonCodec
        .read_list(br#"["plain it's","\u0027"]"#, &mut AMPLE.clone(), &mut |value| {
            borrowed.push(matches!(value.item, Item::Text(Cow::Borrowed(_))));
            Ok(())
        })
        .unwrap();
    assert_eq!(borrowed, [true, false]);
}

#[test]
fn depth_and_nodes_are_bounded_exactly() {
    let nested = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
    let read = |input: &[u8], depth, nodes| {
        JsonCodec.read_list(input, &mut Budget { depth, nodes }, &mut |_| Ok(()))
    };
    for depth in [1, 2, 64, 127] {
        let levels = usize::try_from(depth).unwrap();
        assert_eq!(read(&nested(levels), depth, 127), Ok(2 * levels));
        assert_eq!(read(&nested(levels + 1), depth, 1000), Err(DecodeError::TooDeep));
    }
    assert_eq!(read(b"[]", 0, 10), Err(DecodeError::TooDeep));
    assert_eq!(read(&nested(128), u32::MAX, 1000), Err(DecodeError::TooDeep));
    let source = br#"[1,{"a":[true],"b":null}]"#;
    assert_eq!(read(source, 3, 8), Ok(source.len()));
    assert_eq!(read(source, 3, 7), Err(DecodeError::TooManyValues));
    assert_eq!(read(source, 2, 8), Err(DecodeError::TooDeep));
    // A key is paid for before it is looked at.
    assert_eq!(read(b"[{\"\xff", 3, 2), Err(DecodeError::TooManyValues));
}

#[test]
fn every_prefix_is_cut_short_or_malformed() {
    let message = concat!(
        r#" {"type":"LANC","method":"call","version":"0.2","data":"f\u00e4\ud83d\ude00","#,
        r#""exe_id":-12.5e+3,"args":[1,{"a":[true,false,null]}," "],"kwargs":{},"x":"ä"}"#,
    );
    assert_eq!(reads_map(message.as_bytes()), Ok(()));
    for cut in 0..message.len() {
        let error = reads_map(&message.as_bytes()[..cut]).unwrap_err();
        assert_eq!(error, DecodeError::Truncated, "cut at {cut}");
    }
}

/// Each layer is a document in a text of the one around it, as deep as a document may be.
#[test]
fn documents_within_documents_are_refused() {
    let (open, close) = ("[".repeat(60), "]".repeat(60));
    let mut document = "1".to_owned();
    for _ in 0..10 {
        let inner = serde_json::to_string(&document).unwrap();
        document = format!("{open}{{\"$serde_json::private::RawValue\":{inner}}}{close}");
        assert!(matches!(reads_list(document.as_bytes()), Err(DecodeError::Malformed(61))));
    }
    for key in ["$serde_json::private::Number", "\\u0024serde_json::private::RawValue"] {
        let map = format!("{{\"{key}\":\"1\"}}");
        assert_eq!(reads_map(map.as_bytes()), Err(DecodeError::Malformed(1)));
        assert_eq!(reads_list(&in_list(map.as_bytes())), Err(DecodeError::Malformed(2)));
    }
    assert_eq!(reads_map(br#"{"$serde_json":{"x$serde_json::private::":1}}"#), Ok(()));
}

#[test]
fn a_megabyte_of_brackets_costs_nothing() {
    let brackets = vec![b'['; 1 << 20];
    let everything = Budget { depth: u32::MAX, nodes: u32::MAX };
    #[allow(clippy::disallowed_methods, reason = "what is tested is the time it takes")]
    let begin = Instant::now();
    let read = JsonCodec.read_list(&brackets, &mut everything.clone(), &mut |_| Ok(()));
    assert_eq!(read, Err(DecodeError::TooDeep));
    let typed = JsonCodec.deserialize(&brackets, &mut |deserializer| {
        erased_serde::deserialize::<serde_json::Value>(deserializer).map(drop)
    });
    assert!(typed.unwrap_err().contains("recursion limit"));
    assert!(begin.elapsed() < Duration::from_millis(50), "{:?}", begin.elapsed());
}

/// Also behind other text, with which it is checked, and where that ends.
#[test]
fn text_is_checked_at_every_place() {
    for length in (0..40).chain(240..270) {
        for place in 0..=length {
            let (before, behind) = ("x".repeat(place), "y".repeat(length - place));
            for (within, meant) in [
                (&b""[..], Some("")),
                (b"\xc3\xa4", Some("ä")),
                (b"\xf0\x9f\x98\x80", Some("😀")),
                (b"'\x7f", Some("'\u{7f}")),
                (b"\\n\\u0041", Some("\nA")),
                (b"\x1f", None),
                (b"\n", None),
                (b"\xff", None),
                (b"\xc3", None),
                (b"\\x", None),
            ] {
                let text = [before.as_bytes(), within, behind.as_bytes()].concat();
                let document = [b"[\"k\",\"", &text[..], b"\"]"].concat();
                let mut seen = Vec::new();
                let read = JsonCodec.read_list(&document, &mut AMPLE.clone(), &mut |value| {
                    seen.extend(value.item.into_text());
                    Ok(())
                });
                let expected = meant.map(|meant| format!("{before}{meant}{behind}"));
                assert_eq!(read.is_ok(), meant.is_some(), "{document:?}");
                assert_eq!(reads_list(&in_list(&document)).is_ok(), meant.is_some());
                assert_eq!(seen.get(1).map(|text| &**text), expected.as_deref());
            }
        }
    }
}

#[test]
fn text_is_written_on_one_line_without_apostrophes() {
    let hard = "it's \"\\/\n\r\t\0\u{1f}\u{7f}ä😀";
    let expected = r#""it\u0027s \"\\/\n\r\t\u0000\u001f\u007fä😀""#;
    assert_eq!(written(Item::Text(Cow::Borrowed(hard))), expected);
    assert_eq!(serialized(hard), expected);
    assert_eq!(serialized('\''), r#""\u0027""#);
    assert_eq!(
        serialized([(hard, 1)].into_iter().collect::<std::collections::BTreeMap<_, _>>()),
        { format!("{{{expected}:1}}") }
    );
    assert_eq!(serialized(format_args!("{hard}")), expected);
    let mut map = Vec::new();
    JsonCodec.write_map(&[(hard, Item::Null)], &mut map);
    assert_eq!(String::from_utf8(map).unwrap(), format!("{{{expected}:null}}"));

    // What is JSON already, and came from somebody who writes it otherwise.
    let foreign = "[\"it's\u{7f}\",\r\n\t1]";
    let expected = r#"["it\u0027s\u007f",   1]"#;
    assert_eq!(written(Item::Encoded(foreign.as_bytes())), expected);
    assert_eq!(written(Item::List(foreign.as_bytes())), expected);
    let raw: Box<RawValue> = serde_json::from_str(foreign).unwrap();
    assert_eq!(serialized(raw), expected);

    let long = format!("{}'{}", "x".repeat(200), "y".repeat(63));
    assert_eq!(
        written(Item::Text(Cow::Borrowed(&long))),
        format!("\"{}\"", long.replace('\'', "\\u0027"))
    );
}

#[test]
fn what_is_special_is_found_at_every_place_of_short_and_long_text() {
    for length in 0..80 {
        let plain = "x".repeat(length);
        assert_eq!(written(Item::Text(Cow::Borrowed(&plain))), format!("\"{plain}\""));
        for place in 0..length {
            let specials = [("\"", "\\\""), ("\\", "\\\\"), ("'", "\\u0027"), ("\0", "\\u0000")];
            for (special, expected) in specials.into_iter().chain([("\u{7f}", "\\u007f")]) {
                let (before, behind) = (&plain[..place], &plain[place + 1..]);
                let text = format!("{before}{special}{behind}");
                let expected = format!("\"{before}{expected}{behind}\"");
                assert_eq!(written(Item::Text(Cow::Borrowed(&text))), expected);
            }
            // What is JSON already keeps its own escapes.
            for (special, expected) in [("'", "\\u0027"), ("\n", " "), ("\"", "\"")] {
                let raw = format!("{}{special}{}", &plain[..place], &plain[place + 1..]);
                let expected = format!("{}{expected}{}", &plain[..place], &plain[place + 1..]);
                assert_eq!(written(Item::Encoded(raw.as_bytes())), expected);
            }
        }
    }
}

#[test]
fn what_is_json_already_nests_as_deep_as_it_does() {
    let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    for (json, levels) in [
        ("1", 0),
        ("[]", 1),
        (r#"[{"a": [1]}, []]"#, 3),
        (r#"{"[[[\"[{": "]]\\", "b": "{"}"#, 1),
        (r#"["\\", [[]], "\""]"#, 3),
    ] {
        assert_eq!(JsonCodec::levels(json.as_bytes()), levels, "{json}");
        let written = |depth| JsonCodec.serialize(&[raw(json), raw("2")], depth, &mut Vec::new());
        assert_eq!(written(levels + 1), Ok(()), "{json}");
        assert_eq!(written(levels), Err(EncodeError::TooDeep), "{json}");
    }
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert_eq!(JsonCodec::levels(deep.as_bytes()), 100_000);
}

#[test]
fn what_has_no_form_is_written_as_documented() {
    assert_eq!(JsonCodec.format(), Format::JSON);
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(written(Item::Float(float)), "null");
        let mut out = b"before".to_vec();
        let nested = vec![Some((1, float))];
        let error = JsonCodec.serialize(&nested, u32::MAX, &mut out).unwrap_err();
        let told = error.to_string();
        assert!(told.starts_with("cannot be expressed as json: "), "{told}");
        assert!(told.contains("no number of this format"), "{told}");
        assert_eq!(out, b"before");
        assert!(JsonCodec.serialize(&[(float.to_string(), f32::NAN)], u32::MAX, &mut out).is_err());
    }
    let base64 = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
    for (length, expected) in base64.into_iter().enumerate() {
        assert_eq!(written(Item::Bytes(&b"foobar"[..length])), format!("\"{expected}\""));
    }
    assert_eq!(written(Item::Bytes(&[0xff, 0xef, 0xfe])), "\"/+/+\"");
    let empty = [Item::List(&[]), Item::Map(&[]), Item::Encoded(&[])].map(written);
    assert_eq!(empty, ["[]", "{}", "null"]);
}
