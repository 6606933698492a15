//! A node that reads MessagePack, but no lean frames.

use lanc_codec::MsgpackCodec;
use lanc_core::ports::{
    Budget, Codec, DecodeError, EncodeError, Format, Item, OnEntry, OnItem, OnValue,
};

/// MessagePack as a node without lean frames has it.
#[derive(Clone, Copy)]
pub(crate) struct NineKeys;

impl Codec for NineKeys {
    fn format(&self) -> Format {
        Format::MSGPACK
    }
    fn claims(&self, first: u8) -> bool {
        MsgpackCodec.claims(first) && !matches!(first, 0x90..=0x9f)
    }
    fn read_map<'a>(
        &self,
        input: &'a [u8],
        budget: &mut Budget,
        each: &mut OnEntry<'_, 'a>,
    ) -> Result<usize, DecodeError> {
        MsgpackCodec.read_map(input, budget, each)
    }
    fn read_list<'a>(
        &self,
        input: &'a [u8],
        budget: &mut Budget,
        each: &mut OnItem<'_, 'a>,
    ) -> Result<usize, DecodeError> {
        MsgpackCodec.read_list(input, budget, each)
    }
    fn write_item(&self, item: &Item<'_>, out: &mut Vec<u8>) {
        MsgpackCodec.write_item(item, out);
    }
    fn write_map(&self, entries: &[(&str, Item<'_>)], out: &mut Vec<u8>) {
        MsgpackCodec.write_map(entries, out);
    }
    fn write_list(&self, items: &[Item<'_>], out: &mut Vec<u8>) {
        MsgpackCodec.write_list(items, out);
    }
    fn write_separator(&self, out: &mut Vec<u8>) {
        MsgpackCodec.write_separator(out);
    }
    fn serialize(
        &self,
        value: &dyn erased_serde::Serialize,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        MsgpackCodec.serialize(value, depth, out)
    }
    fn deserialize(&self, bytes: &[u8], with: &mut OnValue<'_>) -> Result<(), String> {
        MsgpackCodec.deserialize(bytes, with)
    }
}
