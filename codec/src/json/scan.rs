//! The structure of JSON: containers and what stands between values.

use lanc_core::ports::{Budget, DecodeError, Item, OnEntry, OnItem, Value};

use super::JsonCodec;
use super::text::Window;

/// A position in JSON text. Never recurses: which containers are open is a word of bits.
pub(super) struct Scanner<'a> {
    pub(super) input: &'a [u8],
    pub(super) at: usize,
    budget: Budget,
    pub(super) window: Window<'a>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(input: &'a [u8], budget: Budget) -> Self {
        let depth = budget.depth.min(JsonCodec::MAX_DEPTH);
        Self { input, at: 0, budget: Budget { depth, ..budget }, window: Window::default() }
    }

    pub(super) fn nodes_left(&self) -> u32 {
        self.budget.nodes
    }

    /// Reads a map with the white space around it and returns where that ends.
    pub(super) fn map(&mut self, each: &mut OnEntry<'_, 'a>) -> Result<usize, DecodeError> {
        let inner = self.outermost(b'{')?;
        if !self.take_if(b'}') {
            loop {
                self.budget.spend(1)?;
                let key = self.key()?;
                self.colon()?;
                let value = self.value(inner)?;
                each(&key, value)?;
                if !self.comma_or(b'}')? {
                    break;
                }
            }
        }
        self.skip_white();
        Ok(self.at)
    }

    /// Reads a list with the white space around it and returns where that ends.
    pub(super) fn list(&mut self, each: &mut OnItem<'_, 'a>) -> Result<usize, DecodeError> {
        let inner = self.outermost(b'[')?;
        if !self.take_if(b']') {
            loop {
                let value = self.value(inner)?;
                each(value)?;
                if !self.comma_or(b']')? {
                    break;
                }
            }
        }
        self.skip_white();
        Ok(self.at)
    }

    pub(super) fn peek(&self) -> Result<u8, DecodeError> {
        self.input.get(self.at).copied().ok_or(DecodeError::Truncated)
    }

    /// Takes `byte`, or says where something else stands.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        if self.peek()? != byte {
            return Err(DecodeError::Malformed(self.at));
        }
        self.at += 1;
        Ok(())
    }

    /// The bytes from `start` to here.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.input.get(start..self.at).unwrap_or_default()
    }

    /// Opens the container that was asked for; returns how many may stand inside it.
    fn outermost(&mut self, open: u8) -> Result<u32, DecodeError> {
        self.skip_white();
        if self.peek()? != open {
            return Err(DecodeError::Malformed(self.at));
        }
        self.budget.spend(1)?;
        let inner = self.budget.depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        self.at += 1;
        self.skip_white();
        Ok(inner)
    }

    /// Reads one value in which at most `depth` containers may stand inside each other.
    fn value(&mut self, depth: u32) -> Result<Value<'a>, DecodeError> {
        self.budget.spend(1)?;
        let start = self.at;
        let item = match self.peek()? {
            b'"' => Item::Text(self.text()?),
            b'{' => {
                self.container(depth)?;
                Item::Map(self.since(start))
            }
            b'[' => {
                self.container(depth)?;
                Item::List(self.since(start))
            }
            b't' => self.word(b"true", Item::Bool(true))?,
            b'f' => self.word(b"false", Item::Bool(false))?,
            b'n' => self.word(b"null", Item::Null)?,
            _ => self.number()?,
        };
        Ok(Value { item, raw: self.since(start) })
    }

    /// Checks and passes a container and all that is in it. The container itself has been
    /// counted, its depth not.
    fn container(&mut self, depth: u32) -> Result<(), DecodeError> {
        let mut open = Open { maps: 0, count: 0, most: depth };
        loop {
            let first = self.peek()?;
            if matches!(first, b'{' | b'[') {
                open.enter(first == b'{')?;
                self.at += 1;
                self.skip_white();
                if !self.take_if(open.close()) {
                    self.next_value(&open)?;
                    continue;
                }
                open.leave();
            } else {
                self.pass_scalar(first)?;
            }
            loop {
                if open.count == 0 {
                    return Ok(());
                }
                if self.comma_or(open.close())? {
                    self.next_value(&open)?;
                    break;
                }
                open.leave();
            }
        }
    }

    /// Counts the next value of the innermost container and passes its key, if it has one.
    fn next_value(&mut self, open: &Open) -> Result<(), DecodeError> {
        if open.in_map() {
            self.budget.spend(1)?;
            self.pass_key()?;
            self.colon()?;
        }
        self.budget.spend(1)
    }

    fn pass_scalar(&mut self, first: u8) -> Result<(), DecodeError> {
        match first {
            b'"' => self.quoted().map(drop),
            b't' => self.word(b"true", ()),
            b'f' => self.word(b"false", ()),
            b'n' => self.word(b"null", ()),
            _ => self.pass_number(),
        }
    }

    fn word<T>(&mut self, word: &[u8], meaning: T) -> Result<T, DecodeError> {
        for byte in word {
            self.expect(*byte)?;
        }
        Ok(meaning)
    }

    #[inline]
    fn colon(&mut self) -> Result<(), DecodeError> {
        if self.take_tight(b':') {
            return Ok(());
        }
        self.skip_white();
        self.expect(b':')?;
        self.skip_white();
        Ok(())
    }

    /// Whether another entry follows; else `close` did.
    #[inline]
    fn comma_or(&mut self, close: u8) -> Result<bool, DecodeError> {
        if self.take_tight(b',') {
            return Ok(true);
        }
        self.skip_white();
        if self.take_if(close) {
            return Ok(false);
        }
        self.expect(b',')?;
        self.skip_white();
        Ok(true)
    }

    /// Takes `byte`, unless there is white space on one of its sides: what programs write seldom
    /// has any.
    #[inline]
    fn take_tight(&mut self, byte: u8) -> bool {
        let here = self.input.get(self.at..).unwrap_or_default();
        let is = matches!(here, [first, next, ..] if *first == byte && *next > b' ');
        self.at += usize::from(is);
        is
    }

    fn take_if(&mut self, byte: u8) -> bool {
        let is = self.input.get(self.at) == Some(&byte);
        self.at += usize::from(is);
        is
    }

    fn skip_white(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.input.get(self.at) {
            self.at += 1;
        }
    }
}

/// The containers that are open, the innermost in the lowest bit. 128 bits hold
/// [`JsonCodec::MAX_DEPTH`].
struct Open {
    maps: u128,
    count: u32,
    most: u32,
}

impl Open {
    fn enter(&mut self, map: bool) -> Result<(), DecodeError> {
        if self.count >= self.most {
            return Err(DecodeError::TooDeep);
        }
        self.maps = (self.maps << 1) | u128::from(map);
        self.count += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.maps >>= 1;
        self.count = self.count.saturating_sub(1);
    }

    fn in_map(&self) -> bool {
        self.maps & 1 == 1
    }

    fn close(&self) -> u8 {
        if self.in_map() { b'}' } else { b']' }
    }
}
