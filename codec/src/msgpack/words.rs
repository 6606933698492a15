//! Errors of `rmp-serde` in the words of who wrote the value, not of the format.

/// How `rmp-serde` begins when it wanted a number or a truth value and found something else; a
/// marker follows. Other types it lets serde complain about, in serde's words.
const WRONG_MARKER: &str = "wrong msgpack marker ";

/// The reason without names of markers. What is no such error stays as it is.
pub(super) fn reason(text: String) -> String {
    let Some((before, rest)) = text.split_once(WRONG_MARKER) else { return text };
    let name = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let behind = rest.strip_prefix(name).unwrap_or_default();
    // A short form has its length or its value in parentheses.
    let behind = match behind.strip_prefix('(').and_then(|behind| behind.split_once(')')) {
        Some((_, behind)) => behind,
        None => behind,
    };
    format!("{before}invalid type: {}, expected a number or true or false{behind}", family(name))
}

/// What a value that begins with a marker of this name is.
fn family(marker: &str) -> &'static str {
    match marker {
        "Null" => "null",
        "True" | "False" => "true or false",
        "F32" | "F64" => "floating point number",
        "FixStr" | "Str8" | "Str16" | "Str32" => "string",
        "Bin8" | "Bin16" | "Bin32" => "byte string",
        "FixArray" | "Array16" | "Array32" => "list",
        "FixMap" | "Map16" | "Map32" => "map",
        "FixPos" | "FixNeg" | "U8" | "U16" | "U32" | "U64" | "I8" | "I16" | "I32" | "I64" => {
            "whole number"
        }
        _ => "extension",
    }
}
