use std::io::Write;
use std::process::{Command, Stdio};

use lanc_core::ports::{Budget, Codec, DecodeError, Normalizer};
use serde_json::{Value, json};

use super::PythonText;
use crate::JsonCodec;

fn json(text: &str) -> Result<Value, DecodeError> {
    let mut out = Vec::new();
    PythonText.normalize(text.as_bytes(), 1 << 20, &mut out)?;
    serde_json::from_slice(&out).map_err(|_| DecodeError::Malformed(0))
}

#[test]
fn what_the_package_was_seen_to_send_is_read() {
    let call = "{'type': 'LANC', 'method': 3, 'version': 0.01, 'data': 'add', 'encrypted': 0, \
                'compress': 0, 'exe_id': 1, 'args': {'p0': 10, 'p1': 20}}";
    assert!(PythonText.claims(call.as_bytes()));
    let wanted = json!({"type": "LANC", "method": 3, "version": 0.01, "data": "add",
        "encrypted": 0, "compress": 0, "exe_id": 1, "args": {"p0": 10, "p1": 20}});
    assert_eq!(json(call), Ok(wanted));
    let mut out = Vec::new();
    PythonText.normalize(call.as_bytes(), 1024, &mut out).unwrap();
    let mut budget = Budget { depth: 8, nodes: 64 };
    assert!(JsonCodec.read_map(&out, &mut budget, &mut |_, _| Ok(())).is_ok());
}

#[test]
fn only_a_dictionary_with_an_apostrophe_first_is_claimed() {
    for claimed in ["{'a': 1}", "{ \n'a': 1}"] {
        assert!(PythonText.claims(claimed.as_bytes()), "{claimed}");
    }
    for other in ["", "{", "{}", "{\"a\": '", "['a']", " {'a': 1}", "'"] {
        assert!(!PythonText.claims(other.as_bytes()), "{other}");
    }
}

#[test]
fn literals_become_their_nearest_json() {
    let cases = [
        ("[None, True, False]", json!([null, true, false])),
        ("(1,)", json!([1])),
        ("((), (1, (2.5,)), [3])", json!([[], [1, [2.5]], [3]])),
        ("[inf, -inf, nan, 1e+16, -0.5]", json!([null, null, null, 1e16, -0.5])),
        (r#"["it's", 'say "hi"', 'a\'b"c']"#, json!(["it's", "say \"hi\"", "a'b\"c"])),
        (r"'\x00\x7f\xe9\u20ac\U0001f600\n\t\\'", json!("\0\u{7f}é€😀\n\t\\")),
        (r"'\ud83d'", json!("\u{fffd}")),
        (r"b'a\x00\''", json!([97, 0, 39])),
        ("b''", json!([])),
        ("{1: 2, True: 3, None: (4,), 'k': {}}", json!({"1": 2, "true": 3, "null": [4], "k": {}})),
    ];
    for (python, wanted) in cases {
        assert_eq!(json(python), Ok(wanted), "{python}");
    }
}

#[test]
fn what_is_no_literal_is_refused() {
    for bad in [
        "{'a': <object at 0x7f>}",
        "{'a': 1",
        "{'a': 'b",
        "{'a': '\\",
        "{'a': '\\x4'}",
        "{'a': '\\q'}",
        "{'a': set()}",
        "{(1, 2): 3}",
        "{b'a': 3}",
        "{'a': (1]}",
        "]",
        "{'a': b'\\u0041'}",
        "{'a': 1,",
        "{'a': b'é'}",
        "{'a': datetime.date(1, 2, 3)}",
    ] {
        assert!(json(bad).is_err(), "{bad}");
    }
    assert_eq!(
        PythonText.normalize(&[b'{', b'\'', 0xff], 99, &mut Vec::new()),
        Err(DecodeError::Text)
    );
}

#[test]
fn depth_and_output_are_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let mut out = Vec::new();
    assert_eq!(PythonText.normalize(nested(100).as_bytes(), 1000, &mut out), Ok(()));
    assert_eq!(
        PythonText.normalize(nested(101).as_bytes(), 1000, &mut out),
        Err(DecodeError::TooDeep)
    );
    for limit in 0..200 {
        let mut out = Vec::new();
        let done = PythonText.normalize(br"{'k': b'\x00\xff', 'l': '\x00'}", limit, &mut out);
        assert!(out.len() <= limit);
        assert_eq!(done.is_ok(), limit >= 29, "{limit}: {}", String::from_utf8_lossy(&out));
    }
}

#[test]
fn random_text_neither_panics_nor_passes_the_limit() {
    let pieces = [
        "'", "\"", "\\", "x", "4", "{", "}", "[", "]", "(", ")", ",", ":", " ", "None", "b'", "é",
        "\\u", "-", "1.5", "\u{1}", "nan",
    ];
    let mut state = 7_u64;
    for _ in 0..50_000 {
        let mut text = String::from("{'");
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(pieces[usize::try_from(state >> 33).unwrap() % pieces.len()]);
        }
        let mut out = Vec::new();
        let _ = PythonText.normalize(text.as_bytes(), 64, &mut out);
        assert!(out.len() <= 64 && std::str::from_utf8(&out).is_ok(), "{text:?}");
    }
}

/// Draws values, writes each as `repr` and as JSON, one pair of lines each.
const GENERATOR: &str = r"
import json, random, sys
sys.stdout.reconfigure(encoding='utf-8')
draw = random.Random(5)
def text():
    pool = ['a', chr(39), chr(34), chr(92), chr(10), chr(0), chr(127), 'é', '€', chr(0x1f600), chr(0x85), ' ']
    return ''.join(draw.choice(pool) for _ in range(draw.randrange(8)))
def value(depth):
    kind = draw.randrange(11 if depth else 8)
    if kind == 0: return None
    if kind == 1: return draw.choice([True, False])
    if kind == 2: return draw.randrange(-2**63, 2**63)
    if kind == 3: return draw.uniform(-1e30, 1e30)
    if kind == 4: return draw.choice([float('inf'), float('-inf'), float('nan')])
    if kind == 5: return bytes(draw.randrange(256) for _ in range(draw.randrange(6)))
    if kind in (6, 7): return text()
    if kind == 8: return tuple(value(depth - 1) for _ in range(draw.randrange(4)))
    if kind == 9: return [value(depth - 1) for _ in range(draw.randrange(4))]
    return {text(): value(depth - 1) for _ in range(draw.randrange(4))}
def plain(v):
    if isinstance(v, float) and (v != v or v in (float('inf'), float('-inf'))): return None
    if isinstance(v, (bytes, tuple, list)): return [plain(i) for i in v]
    if isinstance(v, dict): return {k: plain(i) for k, i in v.items()}
    return v
for _ in range(3000):
    v = {'k': value(4)}
    print(str(v))
    print(json.dumps(plain(v)))
";

#[test]
fn agrees_with_python() {
    let python = Command::new("python3")
        .args(["-", "x"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut python) = python else {
        println!("skipped: there is no python3 here");
        return;
    };
    python.stdin.take().unwrap().write_all(GENERATOR.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    if !output.status.success() {
        println!("skipped: python3 did not run");
        return;
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.split('\n').collect();
    let mut pairs = 0;
    for pair in lines.chunks_exact(2) {
        let wanted: Value = serde_json::from_str(pair[1]).unwrap();
        assert_eq!(json(pair[0]), Ok(wanted), "{}", pair[0]);
        pairs += 1;
    }
    assert_eq!(pairs, 3000);
}
