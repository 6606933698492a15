//! Mutants of known inputs, from a seed: what an ordinary test runs where no fuzzer is at hand.

use crate::sim::Dice;

/// What stands at the edges of the grammars.
const SPICE: &[&[u8]] = &[
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\u",
    b"\\ud800",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551615",
    b"18446744073709551616",
    b"0.2",
    b"\n",
    b"'",
    b"None",
    b"\xff",
    b"\xc3",
    b"\x00",
    b"\x80",
    b"\x90",
    b"\x9f",
    b"\xc0",
    b"\xc1",
    b"\xc7",
    b"\xcf",
    b"\xd9",
    b"\xdc\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\x01\x4c\x02\x00",
];
/// Longest mutant in bytes.
const MOST: usize = 4096;

/// Draws inputs from a corpus. Equal seeds and corpora give equal inputs.
pub struct Mutator<'c> {
    corpus: &'c [Vec<u8>],
    dice: Dice,
}

impl<'c> Mutator<'c> {
    /// Mutants of these inputs.
    pub fn new(corpus: &'c [Vec<u8>], seed: u64) -> Self {
        Self { corpus, dice: Dice::new(seed, 17) }
    }

    /// The next one: one to five changes to a known input, or noise where there is none.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = match self.corpus {
            [] => (0..self.dice.place(64)).map(|_| self.byte()).collect(),
            corpus => corpus[self.dice.place(corpus.len())].clone(),
        };
        for _ in 0..=self.dice.below(5) {
            self.change(&mut input);
        }
        input.truncate(MOST);
        input
    }

    fn byte(&mut self) -> u8 {
        self.dice.number().to_le_bytes()[0]
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.dice.place(input.len() + 1);
        let span = 1 + self.dice.place(8);
        let end = (at + span).min(input.len());
        match self.dice.below(8) {
            0 if at < input.len() => input[at] = self.byte(),
            1 if at < input.len() => input[at] ^= 1 << self.dice.below(8),
            2 => drop(input.drain(at.min(end)..end)),
            3 => input.insert(at, self.byte()),
            4 => {
                let spice = SPICE[self.dice.place(SPICE.len())];
                input.splice(at..at, spice.iter().copied());
            }
            5 => input.truncate(at),
            6 => {
                let again = input[at.min(end)..end].to_vec();
                input.splice(at..at, again);
            }
            _ => self.splice(input, at),
        }
    }

    /// Goes on with the tail of another input.
    fn splice(&mut self, input: &mut Vec<u8>, at: usize) {
        let Some(other) = self.corpus.get(self.dice.place(self.corpus.len())) else { return };
        input.truncate(at);
        input.extend_from_slice(&other[self.dice.place(other.len() + 1)..]);
    }
}
