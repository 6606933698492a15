//! The tokens a node has given out: whoever seals a frame for it names one.

use std::fmt;

use crate::mutant::planted;

/// What a receiver has drawn and told its peers. Never eight zeroes, which stand for everybody.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token([u8; 8]);

impl Token {
    /// A token of random bytes; `None`: these cannot be one, draw again.
    pub fn read(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    pub(crate) fn write(token: Option<Self>) -> [u8; 8] {
        token.map_or([0; 8], |token| token.0)
    }

    /// What the n-th frame on a connection names: the token of the connection and how many frames
    /// went before on it. So none can be left out, or put elsewhere, unnoticed.
    pub(crate) fn after(self, frames: u64) -> Option<Self> {
        Self::from_bits(self.bits().wrapping_add(frames))
    }

    /// As a number, for hello.
    pub fn bits(self) -> u64 {
        u64::from_be_bytes(self.0)
    }

    /// The token of a number.
    pub fn from_bits(bits: u64) -> Option<Self> {
        Self::read(bits.to_be_bytes())
    }
}

/// Not the token itself: it is worth nothing without a key, but need not stand in logs.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, ..] = self.0;
        write!(f, "Token({first:02x}{second:02x}..)")
    }
}

/// This node's own: the one it tells now, and the one before.
#[derive(Debug)]
pub(crate) struct Tokens {
    current: Token,
    previous: Option<Token>,
    generation: u64,
}

impl Tokens {
    pub(crate) fn new(first: Token) -> Self {
        Self { current: first, previous: None, generation: 1 }
    }

    pub(crate) fn current(&self) -> Token {
        self.current
    }

    /// Which of them a token is, in the order they were given out; `None`: none that is taken.
    pub(crate) fn generation_of(&self, token: Token) -> Option<u64> {
        if token == self.current {
            Some(self.generation)
        } else if Some(token) == self.previous {
            Some(self.generation - 1)
        } else {
            None
        }
    }

    /// The generation of the current one.
    pub(crate) fn newest(&self) -> u64 {
        self.generation
    }

    /// The oldest generation that is taken.
    pub(crate) fn oldest(&self) -> u64 {
        self.generation - u64::from(self.previous.is_some())
    }

    /// Gives out another one. What names the one before the last is taken no more.
    pub(crate) fn rotate(&mut self, next: Token) {
        let before = std::mem::replace(&mut self.current, next);
        if !planted!(TokenNeverDropped) || self.previous.is_none() {
            self.previous = Some(before);
        }
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_are_taken() {
        let token = |byte| Token::read([byte; 8]).unwrap();
        assert_eq!(Token::read([0; 8]), None);
        let mut tokens = Tokens::new(token(1));
        assert_eq!((tokens.generation_of(token(1)), tokens.oldest()), (Some(1), 1));
        assert_eq!(tokens.generation_of(token(2)), None);
        tokens.rotate(token(2));
        assert_eq!(tokens.current(), token(2));
        assert_eq!((tokens.generation_of(token(1)), tokens.oldest()), (Some(1), 1));
        tokens.rotate(token(3));
        assert_eq!((tokens.generation_of(token(1)), tokens.oldest()), (None, 2));
        assert_eq!(tokens.generation_of(token(3)), Some(3));
        assert_eq!(Token::from_bits(token(3).bits()), Some(token(3)));
    }
}
