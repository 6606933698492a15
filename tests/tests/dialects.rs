//! The bytes of the two older dialects, and what is read of them.

use std::borrow::Cow;

use lanc_codec::{JsonCodec, PythonText};
use lanc_core::dialect::Dialect;
use lanc_core::dialect::native::Unreadable;
use lanc_core::dialect::older::{self, Inexpressible, Older};
use lanc_core::error::{ErrorCode, Fault};
use lanc_core::fields::Fields;
use lanc_core::message::WireId;
use lanc_core::ports::{Budget, Normalizer};

const OLDER: [Dialect; 2] = [Dialect::S0, Dialect::Published];

/// Reads text the way a frame is read, and hands on what it says in which dialect.
fn read<R>(text: &str, look: impl FnOnce(Dialect, Result<Older<'_>, Unreadable>) -> R) -> R {
    let mut bytes = Vec::new();
    if PythonText.claims(text.as_bytes()) {
        PythonText.normalize(text.as_bytes(), 1 << 16, &mut bytes).unwrap();
    } else {
        bytes.extend_from_slice(text.as_bytes());
    }
    let mut budget = Budget { depth: 64, nodes: 1000 };
    let (fields, _) = Fields::read(&JsonCodec, &bytes, &mut budget).unwrap();
    let dialect = Dialect::of(&fields);
    let mut room = Vec::new();
    look(dialect, older::read(dialect, &fields, &JsonCodec, &mut budget, &mut room))
}

fn written(dialect: Dialect, message: &Older<'_>) -> String {
    let mut out = Vec::new();
    older::write(dialect, message, &JsonCodec, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn call<'a>(id: Option<WireId<'a>>, args: &'a [u8], kwargs: &'a [u8]) -> Older<'a> {
    Older::Call { id, function: Cow::Borrowed("add"), args, kwargs }
}

fn func<'a>(names: &[&'a str]) -> Older<'a> {
    Older::Func(names.iter().map(|name| Cow::Borrowed(*name)).collect())
}

#[test]
fn each_dialect_is_written_as_its_programs_write_it() {
    let callback = Older::Callback { id: WireId::Number(1), result: b"30" };
    let id = || Some(WireId::Number(1));
    let published = [
        (
            Older::Hello,
            r#"{"type":"LANC","method":1,"version":0.01,"data":"hello","encrypted":0,"compress":0}"#,
        ),
        (
            func(&["slow", "add"]),
            r#"{"type":"LANC","method":2,"version":0.01,"data":[{"name":"slow"},{"name":"add"}],"encrypted":0,"compress":0}"#,
        ),
        (
            call(id(), b"[10,20]", b""),
            r#"{"type":"LANC","method":3,"version":0.01,"data":"add","encrypted":0,"compress":0,"exe_id":1,"args":{"p0":10,"p1":20}}"#,
        ),
        (
            call(id(), b"[1]", br#"{"b":5}"#),
            r#"{"type":"LANC","method":3,"version":0.01,"data":"add","encrypted":0,"compress":0,"exe_id":1,"args":{"p0":1},"kwargs":{"b":5}}"#,
        ),
        (
            call(id(), b"[]", b"{}"),
            r#"{"type":"LANC","method":3,"version":0.01,"data":"add","encrypted":0,"compress":0,"exe_id":1}"#,
        ),
        (
            callback.clone(),
            r#"{"type":"LANC","method":4,"version":0.01,"data":30,"encrypted":0,"compress":0,"exe_id":1}"#,
        ),
    ];
    for (message, wanted) in &published {
        assert_eq!(written(Dialect::Published, message), *wanted);
    }
    let s0 = [
        (
            Older::Hello,
            r#"{"type":"LANC","method":"hello","version":0.1,"encrypted":"no","compress":"no"}"#,
        ),
        (
            func(&["slow", "add"]),
            r#"{"type":"LANC","method":"func","version":0.1,"data":["slow","add"],"encrypted":"no","compress":"no"}"#,
        ),
        (
            call(id(), b"[10,20]", b""),
            r#"{"type":"LANC","method":"call","version":0.1,"data":"add","exe_id":1,"args":[10,20],"kwargs":{},"encrypted":"no","compress":"no"}"#,
        ),
        (
            callback,
            r#"{"type":"LANC","method":"callback","version":0.1,"data":30,"exe_id":1,"encrypted":"no","compress":"no"}"#,
        ),
    ];
    for (message, wanted) in &s0 {
        assert_eq!(written(Dialect::S0, message), *wanted);
    }
}

#[test]
fn what_is_written_is_read_back_in_its_dialect() {
    let id = || Some(WireId::Text(Cow::Borrowed("abc-1")));
    let messages = [
        Older::Hello,
        func(&["slow", "add"]),
        func(&[]),
        call(id(), b"[1,[2,\"x\"]]", br#"{"b":5}"#),
        call(None, b"[1]", b""),
        Older::Callback { id: WireId::Number(7), result: br#"{"a":[null]}"# },
    ];
    for dialect in OLDER {
        for message in &messages {
            read(&written(dialect, message), |found, read| {
                assert_eq!(found, dialect);
                match (message, read.unwrap()) {
                    // No arguments at all are written as an empty map there.
                    (
                        Older::Call { id, args, kwargs, .. },
                        Older::Call { id: read_id, args: read_args, kwargs: read_kwargs, .. },
                    ) => {
                        let empty = |map: &[u8]| matches!(map, b"" | b"{}");
                        assert!(*kwargs == read_kwargs || empty(kwargs) && empty(read_kwargs));
                        assert_eq!((id, *args), (&read_id, read_args));
                    }
                    (message, read) => assert_eq!(*message, read),
                }
            });
        }
    }
}

#[test]
fn what_the_package_was_captured_sending_is_read() {
    let head = "{'type': 'LANC', 'method': 3, 'version': 0.01, 'data': 'mix', 'encrypted': 0, 'compress': 0";
    read(
        &format!("{head}, 'exe_id': 2, 'args': {{'z': 1, 'a': (2,)}}, 'kwargs': {{'b': None}}}}"),
        |dialect, message| {
            assert_eq!(dialect, Dialect::Published);
            let Older::Call { id, function, args, kwargs } = message.unwrap() else { panic!() };
            assert_eq!((id, function), (Some(WireId::Number(2)), Cow::Borrowed("mix")));
            assert_eq!((args, kwargs), (&b"[1,[2]]"[..], &b"{\"b\": null}"[..]));
        },
    );
    for id in ["", ", 'exe_id': 0", ", 'exe_id': ''", ", 'exe_id': None"] {
        read(&format!("{head}{id}}}"), |_, message| match message {
            Ok(Older::Call { id, .. }) => assert_eq!(id, None),
            // Text of no bytes is no id at all.
            other => assert!(other.is_err(), "{other:?}"),
        });
    }
    read("{'method': 1}", |_, message| assert_eq!(message, Ok(Older::Hello)));
    read("{'method': 1.0}", |_, message| assert_eq!(message, Ok(Older::Hello)));
    read("{'method': 5}", |_, message| assert_eq!(message, Err(Unreadable::UnknownMethod)));
    read("{'method': 2, 'data': [{'name': 'a'}, {'name': 'no name'}, 'b', 3]}", |_, message| {
        assert_eq!(message, Ok(func(&["b", "a"])));
    });
}

#[test]
fn the_dialect_follows_from_method_and_version() {
    for (text, wanted) in [
        (r#"{"method":1}"#, Dialect::Published),
        (r#"{"method":3.0,"version":"0.2"}"#, Dialect::Published),
        (r#"{"method":"hello","version":0.1}"#, Dialect::S0),
        (r#"{"method":"hello","version":"0.1"}"#, Dialect::S0),
        (r#"{"method":"hello","version":0.01}"#, Dialect::S0),
        (r#"{"method":"hello","version":0}"#, Dialect::S0),
        (r#"{"method":"hello","version":"0.2"}"#, Dialect::Native),
        (r#"{"method":"hello","version":"0.10"}"#, Dialect::Native),
        (r#"{"method":"hello","version":"1.0"}"#, Dialect::Native),
        (r#"{"method":"hello","version":1}"#, Dialect::Native),
        (r#"{"method":"hello"}"#, Dialect::Native),
        (r#"{"method":null,"version":0.1}"#, Dialect::Native),
        (r#"{"method":true}"#, Dialect::Native),
    ] {
        read(text, |dialect, _| assert_eq!(dialect, wanted, "{text}"));
    }
}

#[test]
fn named_arguments_alone_have_no_form_in_the_package() {
    let alone = call(Some(WireId::Number(1)), b"", br#"{"a":5}"#);
    let mut out = Vec::new();
    let refused = older::write(Dialect::Published, &alone, &JsonCodec, &mut out);
    assert_eq!((refused, out.len()), (Err(Inexpressible::NamedAlone), 0));
    assert!(written(Dialect::S0, &alone).contains(r#""args":[],"kwargs":{"a":5}"#));
}

#[test]
fn a_failure_is_one_short_result() {
    let id = WireId::Number(3);
    let text = |dialect: Dialect, message: &str| {
        let fault = Fault::new(ErrorCode::EXECUTION_ERROR, message);
        let mut out = Vec::new();
        older::write_failure(dialect, &id, &fault, &JsonCodec, &mut out);
        assert!(out.len() <= dialect.profile().max_frame && !out.contains(&b'\''));
        String::from_utf8(out).unwrap()
    };
    let short = text(Dialect::Published, "can't open");
    assert!(short.contains(r#""data":"error 4 execution_error: can\u0027t open""#), "{short}");
    for dialect in OLDER {
        for message in ["'".repeat(5000), "ä'".repeat(400), String::new()] {
            let text = text(dialect, &message);
            read(&text, |_, read| {
                assert!(matches!(read.unwrap(), Older::Callback { id: found, .. } if found == id));
            });
        }
    }
}
