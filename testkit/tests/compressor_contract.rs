//! The contract suite notices compressors that break it, and names the rule.

use std::panic::catch_unwind;
use std::sync::Mutex;

use lanc_codec::Zlib;
use lanc_core::ports::{Compressor, ExpandError};
use lanc_testkit::contract::compressor as rules;

mod of_simulated_nodes {
    lanc_testkit::compressor_contract!(lanc_testkit::sim::Quick);
}

/// What is wrong with a compressor that is right in everything else.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    ClaimsJson,
    LosesTheLastByte,
    RemembersTheBodyBefore,
    AllowsOneMoreByte,
    LeavesTraces,
    TakesHalfBodies,
    IgnoresWhatFollows,
    IgnoresTheChecksum,
    PanicsAtHighBytes,
}

struct Broken(Fault, Zlib, Mutex<Vec<u8>>);

impl Broken {
    fn is(&self, fault: Fault) -> bool {
        self.0 == fault
    }
}

impl Compressor for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn claims(&self, first: u8) -> bool {
        self.1.claims(first) || (self.is(Fault::ClaimsJson) && first == b'{')
    }

    fn compress(&self, plain: &[u8], out: &mut Vec<u8>) {
        let shorter = plain.len().saturating_sub(usize::from(self.is(Fault::LosesTheLastByte)));
        if self.is(Fault::RemembersTheBodyBefore) {
            let mut before = self.2.lock().unwrap();
            if *before == plain {
                return self.1.compress(b"again", out);
            }
            plain.clone_into(&mut before);
        }
        self.1.compress(&plain[..shorter], out);
    }

    fn expand(&self, packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), ExpandError> {
        assert!(!self.is(Fault::PanicsAtHighBytes) || packed.first() != Some(&0xff), "planted");
        let limit = limit.saturating_add(usize::from(self.is(Fault::AllowsOneMoreByte)));
        let result = self.1.expand(packed, limit, out);
        match result {
            Err(_) if self.is(Fault::LeavesTraces) => out.push(0),
            Err(ExpandError::Damaged) if self.is(Fault::TakesHalfBodies) => return Ok(()),
            Err(ExpandError::Damaged) if self.is(Fault::IgnoresWhatFollows) => {
                let ends = (0..packed.len()).rev();
                let mut wholes =
                    ends.filter(|end| self.1.expand(&packed[..*end], limit, out).is_ok());
                return wholes.next().map(|_| ()).ok_or(ExpandError::Damaged);
            }
            Err(ExpandError::Damaged) if self.is(Fault::IgnoresTheChecksum) => {
                // As if there were none: the last bit of it is set right or wrong.
                let mut other = packed.to_vec();
                if let Some(last) = other.last_mut() {
                    *last ^= 1;
                }
                return self.1.expand(&other, limit, out).map(|()| out.push(b'!'));
            }
            _ => {}
        }
        result
    }
}

#[test]
fn each_fault_breaks_the_rule_that_names_it() {
    type Rule = fn(&dyn Compressor);
    let expected: [(Fault, Rule, &str); 9] = [
        (Fault::ClaimsJson, rules::what_is_compressed_is_claimed, "rule Z1:"),
        (Fault::LosesTheLastByte, rules::bodies_round_trip, "rule Z2:"),
        (Fault::RemembersTheBodyBefore, rules::bodies_stand_for_themselves, "rule Z3:"),
        (Fault::AllowsOneMoreByte, rules::the_limit_is_exact, "rule Z4:"),
        (Fault::LeavesTraces, rules::the_limit_is_exact, "rule Z4:"),
        (Fault::TakesHalfBodies, rules::cut_bodies_are_refused, "rule Z5:"),
        (Fault::IgnoresWhatFollows, rules::what_follows_is_refused, "rule Z6:"),
        (Fault::IgnoresTheChecksum, rules::changed_bodies_are_refused, "rule Z7:"),
        (Fault::PanicsAtHighBytes, rules::any_bytes_are_survived, "planted"),
    ];
    for (fault, rule, name) in expected {
        let run = catch_unwind(|| rule(&Broken(fault, Zlib::new(), Mutex::default())));
        let panic = run.expect_err(&format!("{fault:?} was not noticed"));
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        assert!(said.as_deref().is_some_and(|said| said.contains(name)), "{fault:?}: {said:?}");
    }
    rules::all(&Zlib::new());
}
