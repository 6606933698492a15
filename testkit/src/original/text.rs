//! `str(dict)`: what the original puts into its datagrams.

use serde_json::Value;

/// The tail of every message.
const PLAIN: &str = "'encrypted': 0, 'compress': 0";

fn message(method: u8, data: &str, tail: &str) -> Vec<u8> {
    let head = format!("'type': 'LANC', 'method': {method}, 'version': 0.01");
    format!("{{{head}, 'data': {data}, {PLAIN}{tail}}}").into_bytes()
}

pub(super) fn hello() -> Vec<u8> {
    message(1, "'hello'", "")
}

pub(super) fn func<T: AsRef<str>>(names: &[T]) -> Vec<u8> {
    let items: Vec<_> =
        names.iter().map(|name| format!("{{'name': {}}}", quoted(name.as_ref()))).collect();
    message(2, &format!("[{}]", items.join(", ")), "")
}

pub(super) fn call(function: &str, id: u64, args: &[Value], kwargs: &[(&str, Value)]) -> Vec<u8> {
    let mut tail = format!(", 'exe_id': {id}");
    let map = |entries: Vec<String>| format!("{{{}}}", entries.join(", "));
    if !args.is_empty() {
        let entries = args.iter().enumerate().map(|(n, v)| format!("'p{n}': {}", repr(v)));
        tail.push_str(&format!(", 'args': {}", map(entries.collect())));
    }
    if !kwargs.is_empty() {
        let entries = kwargs.iter().map(|(key, v)| format!("{}: {}", quoted(key), repr(v)));
        tail.push_str(&format!(", 'kwargs': {}", map(entries.collect())));
    }
    message(3, &quoted(function), &tail)
}

pub(super) fn callback(exe_id: &Value, result: &Value) -> Vec<u8> {
    let tail =
        if is_true(exe_id) { format!(", 'exe_id': {}", repr(exe_id)) } else { String::new() };
    message(4, &repr(result), &tail)
}

/// Python's truth.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}

/// Python's `repr`.
pub(super) fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", "))
        }
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, v)| format!("{}: {}", quoted(key), repr(v)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}
