//! The structure of a format that is given by its tokens.

use std::borrow::Cow;

use lanc_core::ports::{Budget, DecodeError, Item, OnEntry, Value};

use super::{Token, TokenCodec, Tokens};

/// A position in encoded bytes. [`Self::container`] never recurses.
pub(super) struct Scanner<'t, 'a, 'b, T> {
    tokens: &'t T,
    input: &'a [u8],
    at: usize,
    budget: &'b mut Budget,
}

/// An open container.
pub(super) struct Level {
    pub(super) map: bool,
    left: Option<usize>,
}

impl Level {
    pub(super) fn begun_by(token: &Token<'_>) -> Option<Self> {
        match *token {
            Token::Map(left) => Some(Self { map: true, left }),
            Token::List(left) => Some(Self { map: false, left }),
            _ => None,
        }
    }
}

/// An entry of a map or, with an empty key, an item of a list.
pub(super) struct Entry<'a> {
    pub(super) key: Cow<'a, str>,
    /// Where its value begins.
    start: usize,
    /// The value, or the beginning of one.
    pub(super) first: Token<'a>,
}

impl<'t, 'a, 'b, T: Tokens> Scanner<'t, 'a, 'b, T> {
    pub(super) fn new(tokens: &'t T, input: &'a [u8], budget: &'b mut Budget) -> Self {
        Self { tokens, input, at: 0, budget }
    }

    /// Reads the container at the start and returns where it ends.
    pub(super) fn container(
        &mut self,
        map: bool,
        each: &mut OnEntry<'_, 'a>,
    ) -> Result<usize, DecodeError> {
        let token = self.next()?;
        let level = Level::begun_by(&token).filter(|level| level.map == map);
        let mut level = level.ok_or(DecodeError::Malformed(0))?;
        self.budget.spend(1)?;
        let depth = self.budget.depth.min(TokenCodec::<T>::MAX_DEPTH);
        let depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        while let Some(entry) = self.entry(&mut level)? {
            let item = match Level::begun_by(&entry.first) {
                Some(level) => {
                    let map = level.map;
                    self.pass(level, depth)?;
                    let raw = self.since(entry.start);
                    if map { Item::Map(raw) } else { Item::List(raw) }
                }
                None => scalar(entry.first).ok_or(DecodeError::Malformed(entry.start))?,
            };
            each(&entry.key, Value { item, raw: self.since(entry.start) })?;
        }
        Ok(self.at)
    }

    /// The next entry of a container; `None` where it ends. A value counts as one, a key too.
    pub(super) fn entry(&mut self, level: &mut Level) -> Result<Option<Entry<'a>>, DecodeError> {
        if level.left == Some(0) {
            return Ok(None);
        }
        let mut start = self.at;
        let mut first = self.next()?;
        if first == Token::End && level.left.is_none() {
            return Ok(None);
        }
        let mut key = Cow::Borrowed("");
        if level.map {
            let Token::Text(text) = first else { return Err(DecodeError::Malformed(start)) };
            self.budget.spend(1)?;
            (key, start) = (text, self.at);
            first = self.next()?;
        }
        if first == Token::End {
            return Err(DecodeError::Malformed(start));
        }
        self.budget.spend(1)?;
        level.left = level.left.map(|left| left.saturating_sub(1));
        Ok(Some(Entry { key, start, first }))
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Result<Token<'a>, DecodeError> {
        let rest = self.input.get(self.at..).filter(|rest| !rest.is_empty());
        let rest = rest.ok_or(DecodeError::Truncated)?;
        let (token, used) = self.tokens.read(rest).map_err(|error| match error {
            DecodeError::Malformed(at) => DecodeError::Malformed(self.at.saturating_add(at)),
            other => other,
        })?;
        // A format that takes nothing would never end, one that takes too much never fit.
        if used == 0 || used > rest.len() {
            return Err(DecodeError::Malformed(self.at));
        }
        self.at += used;
        Ok(token)
    }

    /// Whether everything was read.
    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.input.len()
    }

    /// Passes over what is left of a container; at most `depth` may stand inside each other,
    /// itself included.
    fn pass(&mut self, level: Level, depth: u32) -> Result<(), DecodeError> {
        let mut open = Vec::new();
        let mut next = Some(level);
        loop {
            if let Some(level) = next.take() {
                if u32::try_from(open.len()).map_or(true, |count| count >= depth) {
                    return Err(DecodeError::TooDeep);
                }
                open.push(level);
            }
            let Some(level) = open.last_mut() else { return Ok(()) };
            match self.entry(level)? {
                Some(entry) => next = Level::begun_by(&entry.first),
                None => drop(open.pop()),
            }
        }
    }

    fn since(&self, start: usize) -> &'a [u8] {
        self.input.get(start..self.at).unwrap_or_default()
    }
}

fn scalar(token: Token<'_>) -> Option<Item<'_>> {
    Some(match token {
        Token::Null => Item::Null,
        Token::Bool(is) => Item::Bool(is),
        Token::Int(number) => Item::Int(number),
        Token::Uint(number) => Item::Uint(number),
        Token::Float(number) => Item::Float(number),
        Token::Text(text) => Item::Text(text),
        Token::Bytes(bytes) => Item::Bytes(bytes),
        Token::List(_) | Token::Map(_) | Token::End => return None,
    })
}
