//! The acts of a plan, done to its world. What is done to somebody who is not there, or cannot
//! do it now, does nothing: so any act may be left out of a plan.

use serde_json::json;

use super::plan::{Act, Wish};
use super::run::Run;
use crate::sim::calls::{CallId, Ended};
use crate::sim::envelope::group_key;
use crate::sim::input::{Ask, Function, Input, KeyChange};
use crate::sim::ms;
use crate::sim::node::NodeId;
use crate::sim::originals::OriginalAct;

fn extra(kind: u64) -> Function {
    Function::new(&format!("extra{kind}"), |args| (ms(2), Ok(json!(["extra", args]))))
}

impl Run<'_> {
    /// Does one thing.
    pub(super) fn act(&mut self, act: &Act) {
        match act {
            Act::Call(node, wish) => return self.call(*node, wish),
            Act::Turn(weather) => {
                self.lan.heal();
                return self.lan.rules(weather.rules());
            }
            Act::CutBoth(one, other) => {
                let (Some(one), Some(other)) = (self.there(*one), self.there(*other)) else {
                    return;
                };
                return self.lan.cut(one, other);
            }
            _ => {}
        }
        let input = self.of_call(act).or_else(|| self.of_process(act));
        let input = input.or_else(|| self.of_keys(act));
        let input = input.or_else(|| self.of_program(act)).or_else(|| self.of_path(act));
        if let Some(input) = input.or_else(|| self.of_original(act)) {
            self.lan.apply(input);
        }
    }

    fn there(&self, number: usize) -> Option<NodeId> {
        self.nodes.get(&number).copied()
    }

    fn awake(&self, number: usize) -> Option<NodeId> {
        self.there(number).filter(|node| self.lan.is_awake(*node))
    }

    fn of_call(&self, act: &Act) -> Option<Input> {
        match act {
            Act::Cancel(call) => self.open_call(*call).map(Input::Cancel),
            Act::Abandon(call) => self.open_call(*call).map(Input::Abandon),
            Act::Get(call) => self.kept_call(*call).map(Input::Get),
            _ => None,
        }
    }

    /// What a program does.
    fn of_program(&self, act: &Act) -> Option<Input> {
        let open = |number: &usize| self.awake(*number).filter(|node| self.lan.is_open(*node));
        match act {
            Act::Ping(node, peer) => Some(Input::Ping(self.awake(*node)?, format!("n{peer}"))),
            Act::Register(node, kind) => Some(Input::Register(open(node)?, extra(*kind))),
            Act::Unregister(node, kind) => {
                Some(Input::Unregister(open(node)?, format!("extra{kind}")))
            }
            Act::Shutdown(node) => Some(Input::Shutdown(self.awake(*node)?)),
            _ => None,
        }
    }

    /// What is done to a process, or to its clock.
    fn of_process(&self, act: &Act) -> Option<Input> {
        match act {
            Act::Crash(node) => Some(Input::Crash(self.there(*node)?)),
            Act::Restart(node, place) => Some(Input::Restart(self.there(*node)?, *place)),
            Act::Pause(node) => Some(Input::Pause(self.awake(*node)?)),
            Act::Resume(node) => Some(Input::Resume(self.there(*node)?)),
            Act::ClockRate(node, rate) => Some(Input::ClockRate(self.there(*node)?, *rate)),
            Act::Clone(node) => Some(Input::Clone(self.awake(*node)?)),
            Act::Leap(node, by) => Some(Input::Leap(self.there(*node)?, *by)),
            _ => None,
        }
    }

    /// A change of a node's keys, if it can be made.
    fn of_keys(&self, act: &Act) -> Option<Input> {
        let (Act::AddKey(node, key) | Act::PrimaryKey(node, key) | Act::RemoveKey(node, key)) = act
        else {
            return None;
        };
        let (node, key) = (self.awake(*node)?, group_key(*key));
        let held = self.lan.core(node).keys(self.lan.now());
        let own = held.iter().find(|held| held.id == key.id());
        let change = match act {
            Act::AddKey(..) if !held.is_empty() => KeyChange::Add(key),
            Act::PrimaryKey(..) if own.is_some() => KeyChange::Primary(key.id()),
            Act::RemoveKey(..) if own.is_some_and(|own| !own.primary) => {
                KeyChange::Remove(key.id())
            }
            _ => return None,
        };
        Some(Input::Keys(node, change))
    }

    fn of_path(&self, act: &Act) -> Option<Input> {
        match act {
            Act::Cut(one, other) => Some(Input::Cut(self.there(*one)?, self.there(*other)?)),
            Act::Path(one, other, weather) => {
                let (one, other) = (self.there(*one)?, self.there(*other)?);
                Some(Input::PairRules(one, other, weather.rules()))
            }
            _ => None,
        }
    }

    fn of_original(&self, act: &Act) -> Option<Input> {
        let (number, act) = match act {
            Act::OriginalCalls(number, function) => {
                (number, OriginalAct::Call(function.clone(), vec![json!(1), json!(2)]))
            }
            Act::OriginalCrashes(number) => (number, OriginalAct::Crash),
            Act::OriginalStarts(number) => (number, OriginalAct::Start),
            _ => return None,
        };
        Some(Input::Act(*self.originals.get(number)?, act))
    }

    fn open_call(&self, call: usize) -> Option<CallId> {
        let call = self.calls.get(&call).copied()?;
        let entry = &self.lan.book.entries[call.0];
        (entry.ended == Ended::Open && self.lan.is_awake(entry.node)).then_some(call)
    }

    fn kept_call(&self, call: usize) -> Option<CallId> {
        let call = self.calls.get(&call).copied()?;
        let entry = &self.lan.book.entries[call.0];
        (entry.keeps && self.lan.is_awake(entry.node)).then_some(call)
    }

    fn call(&mut self, node: usize, wish: &Wish) {
        let Some(node) = self.awake(node) else { return };
        let large = wish.function == "echo" && wish.size > 900;
        let args = match large {
            true => json!([wish.call, "y".repeat(usize::try_from(wish.size).unwrap_or(0))]),
            false => json!([wish.call, wish.size]),
        };
        let mut ask = Ask::new(&wish.function, args)
            .deadline(wish.deadline)
            .mode(wish.mode)
            .policy(wish.policy);
        if let Some(wait) = wish.wait {
            ask = ask.wait(wait);
        }
        if let Some(target) = wish.target {
            ask = ask.to(&format!("n{target}"));
        }
        if wish.idempotent {
            ask = ask.idempotent();
        }
        if wish.keeps {
            ask = ask.keeps_result();
        }
        let before = self.lan.book.entries.len();
        self.lan.apply(Input::Call(node, Box::new(ask)));
        if self.lan.book.entries.len() > before {
            self.calls.insert(wish.call, CallId(before));
        }
    }
}
