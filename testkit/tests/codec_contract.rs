//! The contract suite notices codecs that break it, and names the rule.

use std::panic::catch_unwind;

use lanc_codec::JsonCodec;
use lanc_core::ports::{
    Budget, Codec, DecodeError, EncodeError, Format, Item, OnEntry, OnItem, OnValue, Value,
};
use lanc_testkit::contract::codec as rules;

/// What is wrong with a codec that is right in everything else.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    ClaimsNothing,
    WritesTrueAsFalse,
    DropsRepeatedKeys,
    HandsOutShortSpans,
    LosesApostrophes,
    AllowsOneMoreLevel,
    AllowsOneMoreNode,
    TakesCutInput,
    PanicsAtHighBytes,
    SwallowsErrors,
    LeavesTraces,
    StopsBeforeSeparators,
    DropsOneWay,
    IgnoresWhatFollows,
    WritesOneMoreLevel,
}

struct Broken(Fault);

impl Broken {
    fn is(&self, fault: Fault) -> bool {
        self.0 == fault
    }

    fn budget(&self, budget: Budget) -> Budget {
        Budget {
            depth: budget.depth.saturating_add(u32::from(self.is(Fault::AllowsOneMoreLevel))),
            nodes: budget.nodes.saturating_add(u32::from(self.is(Fault::AllowsOneMoreNode))),
        }
    }

    fn value<'a>(&self, value: Value<'a>) -> Value<'a> {
        let shortened = usize::from(self.is(Fault::HandsOutShortSpans));
        Value { raw: &value.raw[..value.raw.len() - shortened], ..value }
    }

    fn result(&self, given: Result<(), DecodeError>) -> Result<(), DecodeError> {
        if self.is(Fault::SwallowsErrors) { Ok(()) } else { given }
    }

    fn used(&self, input: &[u8], used: Result<usize, DecodeError>) -> Result<usize, DecodeError> {
        assert!(!self.is(Fault::PanicsAtHighBytes) || input.is_ascii(), "a planted panic");
        if self.is(Fault::TakesCutInput) && used == Err(DecodeError::Truncated) {
            return Ok(input.len());
        }
        let used = used?;
        let white =
            input[..used].iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
        Ok(if self.is(Fault::StopsBeforeSeparators) { used - white } else { used })
    }
}

impl Codec for Broken {
    fn format(&self) -> Format {
        Format::new("broken")
    }

    fn claims(&self, first: u8) -> bool {
        !self.is(Fault::ClaimsNothing) && JsonCodec.claims(first)
    }

    fn read_map<'a>(
        &self,
        input: &'a [u8],
        budget: &mut Budget,
        each: &mut OnEntry<'_, 'a>,
    ) -> Result<usize, DecodeError> {
        let mut inner = self.budget(*budget);
        let used = JsonCodec.read_map(input, &mut inner, &mut |key, value| {
            self.result(each(key, self.value(value)))
        });
        budget.nodes = inner.nodes;
        self.used(input, used)
    }

    fn read_list<'a>(
        &self,
        input: &'a [u8],
        budget: &mut Budget,
        each: &mut OnItem<'_, 'a>,
    ) -> Result<usize, DecodeError> {
        let mut inner = self.budget(*budget);
        let used = JsonCodec
            .read_list(input, &mut inner, &mut |value| self.result(each(self.value(value))));
        budget.nodes = inner.nodes;
        self.used(input, used)
    }

    fn write_item(&self, item: &Item<'_>, out: &mut Vec<u8>) {
        let wrong = self.is(Fault::WritesTrueAsFalse) && *item == Item::Bool(true);
        JsonCodec.write_item(if wrong { &Item::Bool(false) } else { item }, out);
    }

    fn write_map(&self, entries: &[(&str, Item<'_>)], out: &mut Vec<u8>) {
        let mut kept: Vec<(&str, Item<'_>)> = Vec::new();
        for (key, item) in entries {
            let repeated = kept.iter().any(|(other, _)| other == key);
            let dropped = self.is(Fault::DropsRepeatedKeys) && repeated
                || self.is(Fault::DropsOneWay) && *key == "ow";
            if dropped {
                continue;
            }
            let item = match item {
                Item::Entries(inner) => {
                    let mut map = Vec::new();
                    self.write_map(inner, &mut map);
                    Item::Map(map.leak())
                }
                item => item.clone(),
            };
            kept.push((key, item));
        }
        JsonCodec.write_map(&kept, out);
    }

    fn write_list(&self, items: &[Item<'_>], out: &mut Vec<u8>) {
        JsonCodec.write_list(items, out);
    }

    fn write_separator(&self, out: &mut Vec<u8>) {
        JsonCodec.write_separator(out);
    }

    fn serialize(
        &self,
        value: &dyn erased_serde::Serialize,
        depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let mut own = Vec::new();
        let depth = depth.saturating_add(u32::from(self.is(Fault::WritesOneMoreLevel)));
        let result = JsonCodec.serialize(value, depth, &mut own);
        if self.is(Fault::LeavesTraces) && result.is_err() {
            out.push(b'[');
        }
        if self.is(Fault::LosesApostrophes) {
            own = String::from_utf8_lossy(&own).replace("\\u0027", "").into_bytes();
        }
        out.extend_from_slice(&own);
        result
    }

    fn deserialize(&self, bytes: &[u8], with: &mut OnValue<'_>) -> Result<(), String> {
        if !self.is(Fault::IgnoresWhatFollows) {
            return JsonCodec.deserialize(bytes, with);
        }
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        with(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut deserializer))
            .map_err(|error| error.to_string())
    }
}

#[test]
fn each_fault_breaks_the_rule_that_names_it() {
    type Rule = fn(&dyn Codec);
    let expected: [(Fault, Rule, &str); 15] = [
        (Fault::ClaimsNothing, rules::what_is_written_is_claimed, "rule C1:"),
        (Fault::WritesTrueAsFalse, rules::items_round_trip, "rule C2:"),
        (Fault::DropsRepeatedKeys, rules::containers_round_trip, "rule C3:"),
        (Fault::HandsOutShortSpans, rules::spans_stand_for_their_values, "rule C4:"),
        (Fault::LosesApostrophes, rules::typed_values_round_trip, "rule C5:"),
        (Fault::AllowsOneMoreLevel, rules::depth_is_exact, "rule C6:"),
        (Fault::AllowsOneMoreNode, rules::nodes_are_exact, "rule C7:"),
        (Fault::TakesCutInput, rules::cut_input_is_refused, "rule C8:"),
        (Fault::PanicsAtHighBytes, rules::any_bytes_are_survived, "rule C9:"),
        (Fault::SwallowsErrors, rules::errors_of_each_are_passed_on, "rule C11:"),
        (Fault::LeavesTraces, rules::a_failed_write_leaves_no_trace, "rule C12:"),
        (Fault::StopsBeforeSeparators, rules::messages_follow_each_other, "rule C13:"),
        (Fault::DropsOneWay, rules::lanc_messages_round_trip, "rule C14:"),
        (Fault::IgnoresWhatFollows, rules::deserialize_is_bounded, "rule C15:"),
        (Fault::WritesOneMoreLevel, rules::serialize_is_bounded, "rule C19:"),
    ];
    for (fault, rule, name) in expected {
        let panic = catch_unwind(|| rule(&Broken(fault)))
            .expect_err(&format!("{fault:?} went unnoticed by {name}"));
        let message = panic.downcast_ref::<String>().expect("a message");
        assert!(message.starts_with(name), "{fault:?}: {message}");
    }
}

#[test]
fn a_sound_codec_keeps_every_rule() {
    rules::all(&JsonCodec);
}
