//! Datagrams that no node sends, from a seed.

/// Draws datagrams. Equal seeds give equal sequences.
pub(crate) struct Generator {
    state: u64,
    drawn: usize,
    /// Sessions that earlier hellos made known.
    sessions: Vec<String>,
}

/// What a byte may be replaced by so that it stays close to the grammar.
const SPICE: &[u8] = b"\"{}[],:0919eE-+.tfn\\u\n\x00\x01\x7f\xc3\xff";

const WRONG: &[&str] = &[
    "null",
    "true",
    "[]",
    "{}",
    "-1",
    "1.5",
    "\"\"",
    "\"\\u0000\"",
    "[[[]]]",
    "{\"sid\":1}",
    "18446744073709551616",
    "-9223372036854775809",
    "1e308",
    "1e999",
    "0.1e-400",
    "\"\\ud800\"",
];

type Kind = fn(&mut Generator) -> Vec<u8>;

const KINDS: &[Kind] = &[
    |_| Vec::new(),
    Generator::random_bytes,
    Generator::truncated,
    Generator::mutated,
    Generator::mutated,
    Generator::spliced,
    Generator::deep,
    Generator::huge_number,
    Generator::wrong_type,
    Generator::wrong_type,
    Generator::invalid_utf8,
    Generator::other_version,
    Generator::stranger,
    Generator::strangers_functions,
    Generator::unknown_peers_functions,
    Generator::unknown_function,
    Generator::answer_to_nothing,
    |random| random.behind(&[0x01]),
    |random| random.behind(&[0x78, 0x9c]),
    Generator::message_pack,
    Generator::many_messages,
    Generator::many_values,
    Generator::duplicate_keys,
    Generator::blank,
];

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, drawn: 0, sessions: Vec::new() }
    }

    /// Has messages speak of this session too.
    pub(crate) fn knows(&mut self, session: &str) {
        self.sessions.push(session.to_owned());
    }

    /// The next datagram. Every kind comes in its turn, one in fifty of 65,000 bytes.
    pub(crate) fn datagram(&mut self) -> Vec<u8> {
        self.drawn += 1;
        let kind = KINDS[self.drawn % KINDS.len()];
        let mut bytes = kind(self);
        if self.drawn.is_multiple_of(50) {
            bytes = self.inflated(bytes);
        }
        bytes.truncate(65_000);
        bytes
    }

    pub(crate) fn below(&mut self, most: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 16).unwrap() % most.max(1)
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from(b"0123456789abcdef"[self.below(16)])).collect()
    }

    /// A session: one that was met, or nobody's.
    fn session(&mut self) -> String {
        match self.below(2) {
            0 if !self.sessions.is_empty() => {
                let place = self.below(self.sessions.len());
                self.sessions[place].clone()
            }
            _ => self.hex(32),
        }
    }

    /// The `data` and what else is special to a method; the names are those of the protocol.
    fn body(&mut self, method: &str) -> (String, String) {
        let id = format!(",\"exe_id\":\"{}.{}.{}\"", self.hex(16), self.below(99), self.hex(8));
        let to = self.hex(16);
        match method {
            "hello" => {
                let (sid, token, echo) = (self.session(), self.hex(16), self.hex(16));
                let data = format!(
                    "{{\"node\":\"n\",\"sid\":\"{sid}\",\"iv\":5000,\"rev\":1,\"feat\":8,\
                     \"tok\":\"{token}\",\"echo\":\"{echo}\",\"want\":true}}"
                );
                (data, String::new())
            }
            "func" => {
                let (sid, rev) = (self.session(), self.below(5));
                let x = format!(
                    ",\"x\":{{\"sid\":\"{sid}\",\"rev\":{rev},\"part\":0,\"parts\":{}}}",
                    self.below(4)
                );
                ("[\"add\",\"f\",{\"name\":\"g\"}]".to_owned(), x)
            }
            "call" => {
                let x = format!(",\"x\":{{\"to\":\"{to}\",\"dl\":2000,\"ow\":false}}");
                ("\"add\"".to_owned(), format!("{id},\"args\":[1,2],\"kwargs\":{{\"k\":1}}{x}"))
            }
            "callback" => ("[1,{\"a\":null}]".to_owned(), id),
            "error" => {
                let data = "{\"code\":4,\"message\":\"no\",\"ex\":\"yes\",\"retry_ms\":5}";
                (data.to_owned(), id)
            }
            "ack" => ("{\"state\":\"queued\",\"at\":0}".to_owned(), id),
            "bye" => (format!("{{\"sid\":\"{}\"}}", self.hex(32)), String::new()),
            "ping" | "pong" => (self.below(1 << 40).to_string(), String::new()),
            _ => ("null".to_owned(), id),
        }
    }

    fn message(&mut self, method: &str, version: &str, data: &str, rest: &str) -> String {
        format!(
            "{{\"type\":\"LANC\",\"method\":\"{method}\",\"version\":\"{version}\",\
             \"data\":{data},\"encrypted\":\"no\",\"compress\":\"no\"{rest}}}"
        )
    }

    /// A message as the protocol has it, of any method.
    fn real(&mut self) -> String {
        let method = self.pick(&[
            "hello", "func", "call", "callback", "error", "ack", "probe", "cancel", "bye", "ping",
            "pong",
        ]);
        let (data, rest) = self.body(method);
        self.message(method, "0.2", &data, &rest)
    }

    fn random_bytes(&mut self) -> Vec<u8> {
        let length = 1 + self.below(1400);
        (0..length).map(|_| self.byte()).collect()
    }

    fn behind(&mut self, first: &[u8]) -> Vec<u8> {
        let mut bytes = first.to_vec();
        bytes.extend(self.random_bytes());
        bytes
    }

    fn truncated(&mut self) -> Vec<u8> {
        let mut bytes = self.real().into_bytes();
        bytes.truncate(self.below(bytes.len()));
        bytes
    }

    fn mutated(&mut self) -> Vec<u8> {
        let mut bytes = self.real().into_bytes();
        for _ in 0..=self.below(8) {
            let place = self.below(bytes.len());
            bytes[place] = match self.below(2) {
                0 => self.byte(),
                _ => SPICE[self.below(SPICE.len())],
            };
        }
        bytes
    }

    fn spliced(&mut self) -> Vec<u8> {
        let (mut first, second) = (self.truncated(), self.real().into_bytes());
        first.extend_from_slice(&second[self.below(second.len())..]);
        first
    }

    fn deep(&mut self) -> Vec<u8> {
        let depth = 1 + self.below(1900);
        let (open, close) = if self.below(2) == 0 { ("[", "]") } else { ("{\"a\":", "}") };
        let close = if self.below(3) == 0 { "" } else { close };
        let nest = format!("{}1{}", open.repeat(depth.min(700)), close.repeat(depth.min(700)));
        let (_, rest) = self.body("call");
        match self.below(3) {
            0 => nest.into_bytes(),
            1 => self.message("callback", "0.2", &nest, &rest).into_bytes(),
            _ => {
                let rest = format!(",\"args\":[{nest}],\"exe_id\":7");
                self.message("call", "0.2", "\"add\"", &rest).into_bytes()
            }
        }
    }

    fn huge_number(&mut self) -> Vec<u8> {
        let digits = "9".repeat(1 + self.below(900));
        let number = match self.below(4) {
            0 => digits,
            1 => format!("-{digits}"),
            2 => format!("1e{digits}"),
            _ => format!("0.{digits}e-{digits}"),
        };
        let rest = format!(",\"exe_id\":{number},\"args\":[{number}],\"x\":{{\"dl\":{number}}}");
        let method = self.pick(&["call", "ping", "callback", "cancel"]);
        let data = if method == "call" { "\"add\"" } else { &number };
        self.message(method, "0.2", data, &rest).into_bytes()
    }

    /// A real message of which one value is another thing.
    fn wrong_type(&mut self) -> Vec<u8> {
        let text = self.real();
        let colons: Vec<usize> = text.match_indices("\":").map(|(place, _)| place + 2).collect();
        let begin = colons[self.below(colons.len())];
        let rest = &text[begin..];
        let end = rest.find([',', '}']).unwrap_or(rest.len());
        let wrong = self.pick(WRONG);
        format!("{}{wrong}{}", &text[..begin], &rest[end..]).into_bytes()
    }

    fn invalid_utf8(&mut self) -> Vec<u8> {
        let mut bytes = self.real().into_bytes();
        let bad: &[u8] =
            self.pick(&[&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2"]);
        let place = self.below(bytes.len());
        bytes.splice(place..place, bad.iter().copied());
        bytes
    }

    fn other_version(&mut self) -> Vec<u8> {
        let version = self.pick(&["0.1", "0.0", "1.0", "2.7", "99999.99999", "0.3", "x", "0", ""]);
        let method = self.pick(&["hello", "call", "callback", "error", "func", "1", "2", "nosuch"]);
        let (data, rest) = self.body(method);
        self.message(method, version, &data, &rest).into_bytes()
    }

    /// A well-formed hello of somebody who is not there.
    fn stranger(&mut self) -> Vec<u8> {
        let session = self.hex(32);
        if self.sessions.len() >= 64 {
            let place = self.below(64);
            self.sessions.swap_remove(place);
        }
        let data = format!(
            "{{\"node\":\"stranger {}\",\"sid\":\"{session}\",\"iv\":{},\"rev\":{}}}",
            self.below(1000),
            100 + self.below(4900),
            self.below(3)
        );
        self.sessions.push(session);
        self.message("hello", "0.2", &data, "").into_bytes()
    }

    fn names(&mut self) -> String {
        let count = self.below(90);
        let names: Vec<String> = (0..count).map(|_| format!("\"f{}\"", self.hex(6))).collect();
        format!("[{}]", names.join(","))
    }

    fn strangers_functions(&mut self) -> Vec<u8> {
        let (session, names) = (self.session(), self.names());
        let (part, parts) = (self.below(3), 1 + self.below(3));
        let rest = format!(
            ",\"x\":{{\"sid\":\"{session}\",\"rev\":{},\"part\":{part},\"parts\":{parts}}}",
            self.below(5)
        );
        self.message("func", "0.2", &names, &rest).into_bytes()
    }

    fn unknown_peers_functions(&mut self) -> Vec<u8> {
        let names = self.names();
        let rest = format!(",\"x\":{{\"sid\":\"{}\",\"rev\":1}}", self.hex(32));
        self.message("func", "0.2", &names, &rest).into_bytes()
    }

    fn unknown_function(&mut self) -> Vec<u8> {
        let name = format!("\"nosuch_{}\"", self.hex(4));
        let (_, rest) = self.body("call");
        self.message("call", "0.2", &name, &rest).into_bytes()
    }

    fn answer_to_nothing(&mut self) -> Vec<u8> {
        let method = self.pick(&["callback", "error", "ack", "pong", "cancel", "probe"]);
        let (data, rest) = self.body(method);
        self.message(method, "0.2", &data, &rest).into_bytes()
    }

    fn message_pack(&mut self) -> Vec<u8> {
        let first = [0x80, 0x87, 0x8f, 0x90, 0xc1, 0xc7, 0xdc, 0xdd, 0xde, 0xdf][self.below(10)];
        self.behind(&[first])
    }

    fn many_messages(&mut self) -> Vec<u8> {
        let count = 1 + self.below(30);
        let messages: Vec<String> = (0..count).map(|_| self.real()).collect();
        messages.join(self.pick(&["\n", "", " \r\n\t", ","])).into_bytes()
    }

    fn many_values(&mut self) -> Vec<u8> {
        let values = "0,".repeat(self.below(1500));
        let rest = format!(",\"exe_id\":1,\"args\":[{values}0]");
        self.message("call", "0.2", "\"add\"", &rest).into_bytes()
    }

    fn duplicate_keys(&mut self) -> Vec<u8> {
        let rest = ",\"method\":\"ping\",\"data\":1".repeat(1 + self.below(40));
        self.message("hello", "0.2", "{}", &rest).into_bytes()
    }

    fn blank(&mut self) -> Vec<u8> {
        self.pick(&[" ", "\n\n", "{", "}", "{}", "[]", "null", "{}{}", "\u{feff}{}"]).into()
    }

    /// The same beginning, and then as much as a datagram holds.
    fn inflated(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let fill = self.pick(&[&b" "[..], b"[", b"{\"a\":", b"0,", b"\"x\",", b"\xff"]);
        bytes.extend(fill.iter().cycle().take(65_000 - bytes.len().min(65_000)));
        bytes
    }
}
