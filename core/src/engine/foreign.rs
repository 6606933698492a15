//! Who is near with another key, or with one while this node has none, or without one while it
//! has: the commonest reason that nobody is found.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Core;
use crate::endpoint::LinkId;
use crate::event::Event;
use crate::ports::{Codec, KeyId};
use crate::time::Time;
use crate::wire::sessions::Head;
use crate::wire::sessions::carriage;

/// Keys of others that are remembered, and nodes of each that are counted.
const MOST_KEYS: usize = 16;
const MOST_NODES: usize = 64;
/// How often each is told.
const TELL: Duration = Duration::from_secs(60);
/// How long one that is silent is counted.
const KEPT: Duration = Duration::from_secs(60);

/// Nodes with a key that this one does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForeignGroup {
    /// The key.
    pub key: KeyId,
    /// How many addresses used it within the last minute, at most 64.
    pub nodes: usize,
}

/// What is remembered of them.
#[derive(Default)]
pub(super) struct Foreign {
    groups: BTreeMap<KeyId, Group>,
    plaintext_told: Option<Time>,
    /// Addresses that spoke without sealing, and when last.
    plain: BTreeMap<String, Time>,
}

#[derive(Default)]
struct Group {
    told: Option<Time>,
    nodes: BTreeMap<String, Time>,
}

impl Foreign {
    /// Notes a node; `true`: it is time to tell of its group.
    fn note(&mut self, now: Time, key: KeyId, node: String) -> bool {
        if !self.groups.contains_key(&key) && self.groups.len() >= MOST_KEYS {
            self.groups.retain(|_, group| group.nodes.values().any(|at| now.since(*at) < KEPT));
            if self.groups.len() >= MOST_KEYS {
                return false;
            }
        }
        let group = self.groups.entry(key).or_default();
        note(&mut group.nodes, now, node);
        let is_due = group.told.is_none_or(|told| now.since(told) >= TELL);
        if is_due {
            group.told = Some(now);
        }
        is_due
    }

    /// Whether it is time to tell that somebody spoke without sealing.
    pub(super) fn tells_plaintext(&mut self, now: Time, node: String) -> bool {
        note(&mut self.plain, now, node);
        let is_due = self.plaintext_told.is_none_or(|told| now.since(told) >= TELL);
        if is_due {
            self.plaintext_told = Some(now);
        }
        is_due
    }
}

fn note(nodes: &mut BTreeMap<String, Time>, now: Time, node: String) {
    if !nodes.contains_key(&node) && nodes.len() >= MOST_NODES {
        nodes.retain(|_, at| now.since(*at) < KEPT);
    }
    if nodes.contains_key(&node) || nodes.len() < MOST_NODES {
        nodes.insert(node, now);
    }
}

fn count(nodes: &BTreeMap<String, Time>, now: Time) -> usize {
    nodes.values().filter(|at| now.since(**at) < KEPT).count()
}

impl Core {
    /// The groups near this node whose key it does not hold, by what was heard within the last
    /// minute.
    pub fn foreign_groups(&self, now: Time) -> Vec<ForeignGroup> {
        let groups = self.sealing.foreign.groups.iter();
        let groups =
            groups.map(|(key, group)| ForeignGroup { key: *key, nodes: count(&group.nodes, now) });
        groups.filter(|group| group.nodes > 0).collect()
    }

    /// How many addresses spoke without sealing within the last minute, while this node has a
    /// key: at most 64.
    pub fn plain_nodes(&self, now: Time) -> usize {
        count(&self.sealing.foreign.plain, now)
    }

    /// Somebody seals under a key that this node does not hold.
    pub(super) fn note_foreign(&mut self, now: Time, link: LinkId, key: KeyId) {
        let Some(endpoint) = self.links.get(link).map(|link| link.remote.clone()) else { return };
        if self.sealing.foreign.note(now, key, endpoint.to_string()) {
            self.event(Event::ForeignGroup { key, endpoint });
        }
    }

    /// The same while this node has no key.
    pub(super) fn note_foreign_envelope(&mut self, now: Time, link: LinkId, envelope: &[u8]) {
        if let Ok(head) = Head::read(envelope) {
            self.note_foreign(now, link, head.key);
        }
    }

    /// The same of an envelope that is the data of a message.
    pub(super) fn note_foreign_message(
        &mut self,
        now: Time,
        link: LinkId,
        codec: &dyn Codec,
        message: &[u8],
    ) {
        let mut envelope = std::mem::take(&mut self.sealing.scratch);
        if carriage::read(codec, message, &mut envelope).is_ok() {
            self.note_foreign_envelope(now, link, &envelope);
        }
        envelope.clear();
        self.sealing.scratch = envelope;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_nodes_are_bounded_and_told_once_a_minute() {
        let at = |secs| Time::ZERO + Duration::from_secs(secs);
        let mut foreign = Foreign::default();
        for number in 0..20 {
            let told = foreign.note(at(0), KeyId([number; 4]), "a".to_owned());
            assert_eq!(told, usize::from(number) < MOST_KEYS);
        }
        for node in 0..100 {
            assert!(!foreign.note(at(1), KeyId([0; 4]), format!("node {node}")));
        }
        let nodes = |foreign: &Foreign, now| count(&foreign.groups[&KeyId([0; 4])].nodes, now);
        assert_eq!(nodes(&foreign, at(1)), MOST_NODES);
        assert_eq!(nodes(&foreign, at(61)), 0);
        assert!(foreign.note(at(60), KeyId([0; 4]), "a".to_owned()));
        assert!(foreign.note(at(61), KeyId([99; 4]), "a".to_owned()), "silent groups make room");
        assert_eq!(foreign.groups.len(), 2);
    }
}
