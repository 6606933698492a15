//! Samples drawn from a seed: the same seed, the same samples.

use std::borrow::Cow;

use lanc_core::ports::{Budget, Codec, DecodeError, Item, Value};

/// Bounds that no sample reaches.
pub(super) const AMPLE: Budget = Budget { depth: 64, nodes: 65_536 };

/// SplitMix64.
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..below`.
    pub(super) fn below(&mut self, below: usize) -> usize {
        let below = u64::try_from(below).unwrap_or(u64::MAX);
        usize::try_from(self.u64() % below).unwrap_or(0)
    }

    pub(super) fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    pub(super) fn some<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flip().then(|| draw(self))
    }

    pub(super) fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    /// A whole number of any magnitude.
    pub(super) fn number(&mut self) -> u64 {
        let shift = self.below(64);
        self.u64() >> shift
    }

    /// Text of up to `most` characters, with all that formats find hard.
    pub(super) fn text(&mut self, most: usize) -> String {
        const HARD: [char; 18] = [
            '\'',
            '"',
            '\\',
            '/',
            '\n',
            '\r',
            '\t',
            '\0',
            '\u{1f}',
            '\u{7f}',
            '\u{85}',
            'ä',
            '€',
            '\u{2028}',
            '\u{ffff}',
            '\u{10ffff}',
            '😀',
            '\u{feff}',
        ];
        let length = self.below(most + 1);
        (0..length)
            .map(|_| {
                if self.below(4) == 0 {
                    *self.pick(&HARD)
                } else {
                    char::from(b' ' + u8::try_from(self.below(95)).unwrap_or(0))
                }
            })
            .collect()
    }

    /// One value, containers at most `depth` deep.
    pub(super) fn tree(&mut self, depth: usize) -> Tree {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0 => Tree::Null,
            1 => Tree::Bool(self.flip()),
            2 => Tree::Int(i64::from_ne_bytes(self.number().to_ne_bytes())),
            3 => Tree::Uint(self.u64() | 1 << 63),
            4 => Tree::Float(self.float().to_bits()),
            5 => Tree::Text(self.text(20)),
            6 | 7 => self.list(depth),
            _ => self.map(depth),
        }
    }

    /// A list, containers at most `depth` deep, itself included.
    pub(super) fn list(&mut self, depth: usize) -> Tree {
        let length = self.below(5);
        Tree::List((0..length).map(|_| self.tree(depth - 1)).collect())
    }

    /// A map, containers at most `depth` deep, itself included.
    pub(super) fn map(&mut self, depth: usize) -> Tree {
        let length = self.below(5);
        Tree::Map((0..length).map(|_| (self.text(12), self.tree(depth - 1))).collect())
    }

    fn float(&mut self) -> f64 {
        let float = f64::from_bits(self.u64());
        if float.is_finite() { float } else { 0.1 }
    }
}

/// One value, containers opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    /// As bits, so that zero and negative zero differ.
    Float(u64),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Tree {
    /// The value, written by `codec`.
    pub(super) fn encode(&self, codec: &dyn Codec) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::List(items) => {
                let encoded: Vec<_> = items.iter().map(|item| item.encode(codec)).collect();
                let items: Vec<_> = encoded.iter().map(|raw| Item::Encoded(raw)).collect();
                codec.write_list(&items, &mut out);
            }
            Self::Map(entries) => {
                let encoded: Vec<_> = entries.iter().map(|(_, item)| item.encode(codec)).collect();
                let entries: Vec<_> = entries
                    .iter()
                    .zip(&encoded)
                    .map(|((key, _), raw)| (key.as_str(), Item::Encoded(raw)))
                    .collect();
                codec.write_map(&entries, &mut out);
            }
            scalar => codec.write_item(&scalar.item(), &mut out),
        }
        out
    }

    /// The value as an item; a container as an empty one.
    pub(super) fn item(&self) -> Item<'_> {
        match self {
            Self::Null => Item::Null,
            Self::Bool(is) => Item::Bool(*is),
            Self::Int(number) => Item::Int(*number),
            Self::Uint(number) => Item::Uint(*number),
            Self::Float(bits) => Item::Float(f64::from_bits(*bits)),
            Self::Text(text) => Item::Text(Cow::Borrowed(text)),
            Self::List(_) => Item::List(&[]),
            Self::Map(_) => Item::Map(&[]),
        }
    }

    /// What `codec` reads from a value, with its containers opened.
    pub(super) fn open(codec: &dyn Codec, value: &Value<'_>) -> Result<Self, DecodeError> {
        Ok(match &value.item {
            Item::Null => Self::Null,
            Item::Bool(is) => Self::Bool(*is),
            Item::Int(number) => Self::Int(*number),
            Item::Uint(number) => Self::Uint(*number),
            Item::Float(number) => Self::Float(number.to_bits()),
            Item::Text(text) => Self::Text(text.to_string()),
            Item::List(raw) => Self::read_list(codec, raw, &mut AMPLE.clone())?.0,
            Item::Map(raw) => Self::read_map(codec, raw, &mut AMPLE.clone())?.0,
            Item::Bytes(_) | Item::Encoded(_) | Item::Entries(_) => {
                return Err(DecodeError::WrongType);
            }
        })
    }

    pub(super) fn read_list(
        codec: &dyn Codec,
        input: &[u8],
        budget: &mut Budget,
    ) -> Result<(Self, usize), DecodeError> {
        let mut items = Vec::new();
        let used = codec.read_list(input, budget, &mut |value| {
            items.push(Self::open(codec, &value)?);
            Ok(())
        })?;
        Ok((Self::List(items), used))
    }

    pub(super) fn read_map(
        codec: &dyn Codec,
        input: &[u8],
        budget: &mut Budget,
    ) -> Result<(Self, usize), DecodeError> {
        let mut entries = Vec::new();
        let used = codec.read_map(input, budget, &mut |key, value| {
            entries.push((key.to_owned(), Self::open(codec, &value)?));
            Ok(())
        })?;
        Ok((Self::Map(entries), used))
    }

    /// Reads what the tree itself is: a list or a map.
    pub(super) fn read_like(
        &self,
        codec: &dyn Codec,
        input: &[u8],
        budget: &mut Budget,
    ) -> Result<(Self, usize), DecodeError> {
        match self {
            Self::Map(_) => Self::read_map(codec, input, budget),
            _ => Self::read_list(codec, input, budget),
        }
    }

    /// How many values a budget has to hold for it.
    pub(super) fn nodes(&self) -> u32 {
        match self {
            Self::List(items) => 1 + items.iter().map(Self::nodes).sum::<u32>(),
            Self::Map(entries) => 1 + entries.iter().map(|(_, item)| 1 + item.nodes()).sum::<u32>(),
            _ => 1,
        }
    }

    /// How deep a budget has to be for it.
    pub(super) fn depth(&self) -> u32 {
        match self {
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(entries) => {
                1 + entries.iter().map(|(_, item)| item.depth()).max().unwrap_or(0)
            }
            _ => 0,
        }
    }
}
