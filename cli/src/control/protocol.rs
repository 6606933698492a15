//! What is said over a control socket: one line of JSON each way.
//!
//! `{"v":1,"ask":"join"}` is answered `{"v":1,"ok":...}` or `{"v":1,"error":{...}}`, where the
//! error is the object that `--json` prints. Unknown keys are ignored.

use std::io;

use lanc::{ErrorCode, Executed};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::failure::Failure;

/// The version spoken here. A later one that an older `lanc` cannot answer has a higher number.
pub(crate) const VERSION: u32 = 1;

/// Longest request in bytes, its line feed not counted.
pub(crate) const MAX_REQUEST: usize = 4096;

/// Longest answer in bytes: the largest message is 16 MiB, and JSON writes a byte of it with six
/// characters at most.
pub(crate) const MAX_ANSWER: usize = 128 << 20;

/// What may be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// What this process is, and how far it is.
    Status,
    /// The result, once it is there.
    Join,
    /// The result, if it is there.
    Get,
    /// To give the call up.
    Cancel,
    /// To end: the result has been fetched.
    Forget,
    /// What the node of this process counted.
    Stats,
    /// To take over the keys that are stored now.
    Rekey,
}

/// An answer: JSON as it was written, or a failure.
pub(crate) type Answer = Result<Box<RawValue>, Failure>;

/// Any value as a good answer.
pub(crate) fn good(value: &impl Serialize) -> Answer {
    to_raw_value(value).map_err(|error| {
        Failure::before_call(ErrorCode::INTERNAL, format!("cannot write the answer: {error}"))
    })
}

pub(crate) fn request(ask: Ask) -> Vec<u8> {
    let mut line = json!({ "v": VERSION, "ask": ask }).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// Reads a request.
///
/// # Errors
/// The answer to who sent it: `protocol`, `incompatible_version` or `unsupported`.
pub(crate) fn read_request(line: &[u8]) -> Result<Ask, Failure> {
    #[derive(Deserialize)]
    struct Request {
        v: u32,
        ask: Value,
    }
    let refused = |code, text: String| Failure::before_call(code, text);
    let Ok(Request { v, ask }) = serde_json::from_slice(line) else {
        let text = "this is a control socket of lanc, and that was no request to it";
        return Err(refused(ErrorCode::PROTOCOL, text.to_owned()));
    };
    if v > VERSION {
        let text = format!("version {v} was asked for, and this process speaks {VERSION}");
        return Err(refused(ErrorCode::INCOMPATIBLE_VERSION, text));
    }
    Ask::deserialize(ask).map_err(|_| {
        let text = "this process does not know the request";
        refused(ErrorCode::UNSUPPORTED, text.to_owned())
    })
}

/// An answer as a line.
pub(crate) fn to_line(answer: &Answer) -> Vec<u8> {
    let (key, value) = match answer {
        Ok(raw) => ("ok", raw.get().to_owned()),
        Err(failure) => ("error", failure.to_json().to_string()),
    };
    format!("{{\"v\":{VERSION},\"{key}\":{value}}}\n").into_bytes()
}

/// Reads an answer.
///
/// # Errors
/// The line is no answer.
pub(crate) fn read_answer(line: &[u8]) -> Result<Answer, Failure> {
    #[derive(Deserialize)]
    struct Form {
        #[serde(default, deserialize_with = "present")]
        ok: Option<Box<RawValue>>,
        error: Option<Value>,
    }
    // A result that is `null` is a result, not none.
    fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
        Box::deserialize(from).map(Some)
    }
    let broken = || {
        let text = "the process at the control socket gave no answer that makes sense";
        Failure::before_call(ErrorCode::PROTOCOL, text).executed(Executed::Maybe)
    };
    match serde_json::from_slice::<Form>(line) {
        Ok(Form { error: Some(error), .. }) => {
            Ok(Err(Failure::from_json(&error).ok_or_else(broken)?))
        }
        Ok(Form { ok: Some(raw), .. }) => Ok(Ok(raw)),
        _ => Err(broken()),
    }
}

/// Reads up to the first line feed, which is left out. `None`: the stream ended before it.
///
/// # Errors
/// The system's, or `InvalidData` when the line is longer than `limit` bytes.
pub(crate) async fn read_line(
    from: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let known = line.len();
        if from.read_buf(&mut line).await? == 0 {
            return Ok(None);
        }
        let end = line.iter().skip(known).position(|byte| *byte == b'\n');
        let length = end.map_or(line.len(), |end| known + end);
        if length > limit {
            let text = format!("the line is longer than {limit} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if end.is_some() {
            line.truncate(length);
            return Ok(Some(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_garbage_is_answered() {
        for ask in [Ask::Status, Ask::Join, Ask::Get, Ask::Cancel, Ask::Forget] {
            let line = request(ask);
            assert!(line.len() <= MAX_REQUEST);
            assert_eq!(read_request(line.trim_ascii_end()), Ok(ask));
        }
        assert_eq!(read_request(br#"{"v":1,"ask":"get","later":[1]}"#), Ok(Ask::Get));
        for (line, code) in [
            (&b"GET / HTTP/1.1\r"[..], ErrorCode::PROTOCOL),
            (b"", ErrorCode::PROTOCOL),
            (b"\xff\x00", ErrorCode::PROTOCOL),
            (br#"{"ask":"get"}"#, ErrorCode::PROTOCOL),
            (br#"{"v":-1,"ask":"get"}"#, ErrorCode::PROTOCOL),
            (br#"{"v":2,"ask":"get"}"#, ErrorCode::INCOMPATIBLE_VERSION),
            (br#"{"v":1,"ask":"dance"}"#, ErrorCode::UNSUPPORTED),
            (br#"{"v":1,"ask":7}"#, ErrorCode::UNSUPPORTED),
        ] {
            assert_eq!(read_request(line).unwrap_err().code(), Some(code), "{line:?}");
        }
    }

    #[test]
    fn answers_come_back_as_they_were() {
        let failure = Failure::before_call(ErrorCode::BUSY, "full").executed(Executed::Maybe);
        for answer in [
            good(&json!({ "a": [1, 2.5e-300, "\n"] })),
            good(&json!(null)),
            good(&json!("\"ok\":null}")),
            Err(failure),
            Err(Failure::interrupted("given up", Executed::Yes)),
        ] {
            let line = to_line(&answer);
            let back = read_answer(line.strip_suffix(b"\n").unwrap()).unwrap();
            match (answer, back) {
                (Ok(sent), Ok(got)) => assert_eq!(sent.get(), got.get()),
                (sent, got) => assert_eq!(sent.unwrap_err(), got.unwrap_err()),
            }
        }
        for line in [&b"{}"[..], b"", b"[1]", br#"{"v":1,"error":"no object"}"#, b"{\"ok\":"] {
            assert!(read_answer(line).is_err(), "{line:?}");
        }
    }

    #[tokio::test]
    async fn a_line_has_a_longest_length() {
        let read = async |text: &[u8], limit| read_line(&mut &text[..], limit).await;
        assert_eq!(read(b"abc\nrest", 3).await.unwrap(), Some(b"abc".to_vec()));
        assert_eq!(read(b"abcd\n", 3).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(b"abcd", 3).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(b"abc", 3).await.unwrap(), None);
        assert_eq!(read(b"\n", 3).await.unwrap(), Some(Vec::new()));
    }
}
