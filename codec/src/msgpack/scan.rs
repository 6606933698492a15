//! The structure: which values stand in which container.

use std::borrow::Cow;

use lanc_core::ports::{Budget, DecodeError, Item, OnEntry, OnItem, Value};

use super::MsgpackCodec;
use super::token::{Rest, Token, behind_scalar};

/// [`MsgpackCodec::MAX_DEPTH`], as the size of an array.
const LEVELS: usize = 127;
const _: () = assert!(MsgpackCodec::MAX_DEPTH == 127);

/// A position in MessagePack. Never recurses: how many values are left in each open container
/// is an array.
pub(super) struct Scanner<'a> {
    pub(super) rest: Rest<'a>,
    pub(super) budget: Budget,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(input: &'a [u8], budget: Budget) -> Self {
        let depth = budget.depth.min(MsgpackCodec::MAX_DEPTH);
        Self { rest: Rest(input, input.len()), budget: Budget { depth, ..budget } }
    }

    pub(super) fn nodes_left(&self) -> u32 {
        self.budget.nodes
    }

    /// Reads a map and returns where it ends.
    pub(super) fn map(&mut self, each: &mut OnEntry<'_, 'a>) -> Result<usize, DecodeError> {
        let entries = self.entries()?;
        let inner = self.inner_depth()?;
        for _ in 0..entries {
            let key = self.rest.key()?;
            let value = self.value(inner)?;
            each(key, value)?;
        }
        Ok(self.rest.at())
    }

    /// Reads how many entries a map has, and takes their keys and values from the budget.
    #[inline(always)]
    pub(super) fn entries(&mut self) -> Result<u32, DecodeError> {
        self.budget.spend(1)?;
        let entries = match self.rest.0 {
            [marker @ 0x80..=0x8f, behind @ ..] => {
                self.rest.0 = behind;
                u32::from(marker & 0x0f)
            }
            _ => match self.rest.token()? {
                Token::Map(entries) => entries,
                _ => return Err(DecodeError::Malformed(0)),
            },
        };
        self.children(u64::from(entries) * 2)?;
        Ok(entries)
    }

    /// How many containers may stand inside each other within the one that is read.
    #[inline]
    pub(super) fn inner_depth(&self) -> Result<u32, DecodeError> {
        self.budget.depth.checked_sub(1).ok_or(DecodeError::TooDeep)
    }

    /// What has been read behind `begin`.
    fn since(&self, begin: &'a [u8]) -> &'a [u8] {
        read_of(begin, self.rest.0)
    }

    /// Reads a list and returns where it ends.
    pub(super) fn list(&mut self, each: &mut OnItem<'_, 'a>) -> Result<usize, DecodeError> {
        self.budget.spend(1)?;
        let Token::List(items) = self.rest.token()? else { return Err(DecodeError::Malformed(0)) };
        self.children(u64::from(items))?;
        let inner = self.inner_depth()?;
        for _ in 0..items {
            let value = self.value(inner)?;
            each(value)?;
        }
        Ok(self.rest.at())
    }

    /// Checks and passes a value of any kind and returns where it ends.
    pub(super) fn pass_value(&mut self) -> Result<usize, DecodeError> {
        self.budget.spend(1)?;
        self.value(self.budget.depth)?;
        Ok(self.rest.at())
    }

    /// Takes all direct children of a container from the budget at once, before any is read.
    /// Each has a byte of its own at least.
    fn children(&mut self, count: u64) -> Result<u32, DecodeError> {
        if usize::try_from(count).map_or(true, |count| count > self.rest.0.len()) {
            return Err(DecodeError::Truncated);
        }
        let count = u32::try_from(count).map_err(|_| DecodeError::TooManyValues)?;
        self.budget.spend(count)?;
        Ok(count)
    }

    /// Reads one value, which has been counted, and in which at most `depth` containers may
    /// stand inside each other.
    #[inline(always)]
    pub(super) fn value(&mut self, depth: u32) -> Result<Value<'a>, DecodeError> {
        let begin = self.rest.0;
        let token = self.rest.token()?;
        let children = match token {
            Token::List(items) => u64::from(items),
            Token::Map(entries) => u64::from(entries) * 2,
            _ => 0,
        };
        if matches!(token, Token::List(_) | Token::Map(_)) {
            self.contents(children, depth)?;
        }
        let raw = self.since(begin);
        let item = match token {
            Token::Nil => Item::Null,
            Token::Bool(is) => Item::Bool(is),
            Token::Int(number) => Item::Int(number),
            Token::Uint(number) => Item::Uint(number),
            Token::Float(number) => Item::Float(number),
            Token::Text(text) => Item::Text(Cow::Borrowed(text)),
            Token::Bytes(bytes) => Item::Bytes(bytes),
            Token::List(_) => Item::List(raw),
            Token::Map(_) => Item::Map(raw),
        };
        Ok(Value { item, raw })
    }

    /// Checks and passes what stands in a container that has `count` children, with itself at
    /// most `depth` deep.
    fn contents(&mut self, count: u64, depth: u32) -> Result<(), DecodeError> {
        if depth == 0 {
            return Err(DecodeError::TooDeep);
        }
        // The first container inside is where the levels outside it must be remembered.
        let mut left = self.children(count)?;
        while left > 0 {
            left -= 1;
            if let Some(children) = self.pass_token()? {
                return self.nested(left, children, depth);
            }
        }
        Ok(())
    }

    /// The same from where the first inner container, of `count` children, has begun, with
    /// `left` values behind it.
    fn nested(&mut self, left: u32, count: u64, depth: u32) -> Result<(), DecodeError> {
        let mut outer = [0_u32; LEVELS];
        let most = usize::try_from(depth).unwrap_or(LEVELS).min(LEVELS);
        let outer = outer.get_mut(..most.saturating_sub(1)).unwrap_or_default();
        let mut level = 0;
        let mut left = left;
        let mut begun = Some(count);
        loop {
            if let Some(count) = begun {
                *outer.get_mut(level).ok_or(DecodeError::TooDeep)? = left;
                level += 1;
                left = self.children(count)?;
            }
            while left == 0 {
                let Some(above) = level.checked_sub(1) else { return Ok(()) };
                level = above;
                left = outer.get(level).copied().unwrap_or_default();
            }
            left -= 1;
            begun = self.pass_token()?;
        }
    }

    /// Passes one token; how many children follow, if it begins a container.
    #[inline]
    fn pass_token(&mut self) -> Result<Option<u64>, DecodeError> {
        if let Some(behind) = behind_scalar(self.rest.0) {
            self.rest.0 = behind;
            return Ok(None);
        }
        Ok(match self.rest.token()? {
            Token::List(items) => Some(u64::from(items)),
            Token::Map(entries) => Some(u64::from(entries) * 2),
            _ => None,
        })
    }
}

/// What of `begin` stands before its end, `behind`.
#[inline(always)]
pub(super) fn read_of<'a>(begin: &'a [u8], behind: &[u8]) -> &'a [u8] {
    let used = begin.len().saturating_sub(behind.len());
    begin.get(..used).unwrap_or_default()
}
