//! What hostile programs say.

use serde_json::Value;

use crate::sim::dice::Dice;

/// The vocabulary of one of them.
pub(super) struct Words {
    session: String,
    name: String,
    revision: u64,
    calls: u64,
    /// The session of somebody else.
    other: String,
}

fn message(method: &str, rest: &str) -> String {
    format!(
        r#"{{"type":"LANC","method":"{method}","version":"0.2","encrypted":"no","compress":"no",{rest}}}"#
    )
}

impl Words {
    pub(super) fn new(dice: &mut Dice, number: usize) -> Self {
        let session = format!("{:016x}{:016x}", dice.number() | 1, dice.number());
        let other = session.clone();
        Self { session, name: format!("evil{number}"), revision: 1, calls: 0, other }
    }

    /// The same of another session.
    pub(super) fn of(self, session: lanc_core::id::SessionId) -> Self {
        Self { session: session.to_string(), ..self }
    }

    /// A call like any other.
    pub(super) fn plain_call(&mut self) -> String {
        self.calls += 1;
        let short = self.session.get(..16).unwrap_or_default();
        let id = format!("{short}.{}.{:08x}", self.calls, self.calls);
        message("call", &format!(r#""data":"echo","exe_id":"{id}","args":[1],"x":{{"dl":1000}}"#))
    }

    pub(super) fn meets(&mut self, session: &str) {
        if session.len() == 32 && session != self.session {
            session.clone_into(&mut self.other);
        }
    }

    pub(super) fn hello(
        &self,
        interval: u32,
        token: Option<&str>,
        echo: Option<&str>,
        wants: bool,
    ) -> String {
        let (session, name, revision) = (&self.session, &self.name, self.revision);
        let token = token.map_or(String::new(), |token| format!(r#","tok":"{token}""#));
        let echo = echo.map_or(String::new(), |echo| format!(r#","echo":"{echo}""#));
        let wants = if wants { r#","want":true"# } else { "" };
        message(
            "hello",
            &format!(
                r#""data":{{"node":"{name}","sid":"{session}","iv":{interval},"rev":{revision},"feat":8{token}{echo}{wants}}}"#
            ),
        )
    }

    pub(super) fn foreign_hello(&self) -> String {
        let (session, name) = (&self.other, &self.name);
        let data = format!(r#""data":{{"node":"{name}","sid":"{session}","iv":100,"rev":77}}"#);
        message("hello", &data)
    }

    pub(super) fn foreign_bye(&self) -> String {
        message("bye", &format!(r#""data":{{"sid":"{}"}}"#, self.other))
    }

    pub(super) fn func(&self, names: &[&str]) -> String {
        self.list(&self.session, self.revision, names)
    }

    pub(super) fn foreign_func(&self) -> String {
        self.list(&self.other, 1000, &["echo", "stolen"])
    }

    fn list(&self, session: &str, revision: u64, names: &[&str]) -> String {
        let names = Value::from(names.to_vec());
        message("func", &format!(r#""data":{names},"x":{{"sid":"{session}","rev":{revision}}}"#))
    }

    /// `id` and `result` are JSON.
    pub(super) fn callback(&self, id: &str, result: &str) -> String {
        message("callback", &format!(r#""data":{result},"exe_id":{id}"#))
    }

    pub(super) fn error(&self, id: Option<&str>, data: &str) -> String {
        let id = id.map_or(String::new(), |id| format!(r#","exe_id":{id}"#));
        message("error", &format!(r#""data":{data}{id}"#))
    }

    /// The ids, as JSON, of the calls in a frame that is JSON.
    pub(super) fn calls_in(bytes: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(bytes);
        let read = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let calls = read.filter(|m| m.get("method").and_then(Value::as_str) == Some("call"));
        calls.filter_map(|call| Some(call.get("exe_id")?.to_string())).collect()
    }

    /// A message that may be said, too much or to the wrong one, and some that may not.
    pub(super) fn abuse(&mut self, dice: &mut Dice) -> String {
        self.calls += 1;
        let short = self.session.get(..16).unwrap_or_default();
        let id = match dice.below(4) {
            0 => "7".to_owned(),
            1 => format!(r#""{short}.1.00000000""#),
            2 => format!(r#""{}""#, "i".repeat(70)),
            _ => format!(r#""{short}.{}.{:08x}""#, self.calls, self.calls),
        };
        let call = |function: &str, args: &str, x: &str| {
            message("call", &format!(r#""data":"{function}","exe_id":{id},"args":{args},"x":{x}"#))
        };
        match dice.below(14) {
            0..3 => call("sleep", "[300]", r#"{"dl":86400000000}"#),
            3 => call("echo", &format!("[\"{}\"]", "a".repeat(1200)), "{}"),
            4 => call("echo", "[1]", r#"{"to":"00000000000000aa","dl":1000}"#),
            5 => call("echo", "[1]", r#"{"dl":0}"#),
            6 => call("nothing here", "{}", r#"{"ow":true}"#),
            7 => call("fail", &"[".repeat(400), "{}"),
            8 => message("cancel", &format!(r#""exe_id":{id}"#)),
            9 => message("ack", &format!(r#""data":{{"state":"done","at":0}},"exe_id":{id}"#)),
            10 => message("probe", &format!(r#""exe_id":{id}"#)),
            11 => self.error(Some(&id), r#"{"code":4,"message":"why","ex":"yes"}"#),
            12 => self.error(None, r#"{"code":10}"#),
            _ => call("echo", "[1,2]", r#"{"dl":"soon"}"#),
        }
    }

    /// What nobody can read, or nobody should believe.
    pub(super) fn garbage(&mut self, dice: &mut Dice) -> Vec<u8> {
        let sid = format!("{:016x}{:016x}", dice.number() | 1, dice.number());
        let hello = message(
            "hello",
            &format!(r#""data":{{"node":"fake","sid":"{sid}","iv":5000,"rev":1,"feat":8}}"#),
        );
        match dice.below(8) {
            0 => {
                let mut bytes = vec![0; dice.place(1500)];
                lanc_core::ports::Entropy::fill(dice, &mut bytes);
                bytes
            }
            1 => {
                let mut bytes = self.abuse(dice).into_bytes();
                bytes.truncate(dice.place(bytes.len()));
                bytes
            }
            2 => [&[0x93, 0x02, 0xcf], sid.as_bytes(), &[0xc0, 0x85, 0xa1, 0x69]].concat(),
            3 => "[".repeat(dice.place(1400)).into_bytes(),
            4 => vec![0xdd; dice.place(64)],
            5 => vec![b' '; 5000],
            _ => hello.into_bytes(),
        }
    }
}
