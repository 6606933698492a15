//! The directory of functions: this node's own, and every provider of every name it has heard.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{FunctionKey, FunctionName, PeerKey, tag};
use crate::keyed::{HashKey, KeyedMap};
use crate::latency::Latency;
use crate::slots::Slots;

/// How a function is run. Decided at registration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// On a worker thread; may block or compute. The default of plain functions.
    Blocking,
    /// A future, spawned on the runtime: never polled by whoever received the call.
    Async,
    /// Declared short: run at once by whoever received the call.
    Inline,
}

impl Class {
    /// Its name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Async => "async",
            Self::Inline => "inline",
        }
    }
}

/// A function of this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalFunction {
    /// How it is run.
    pub class: Class,
    /// What it does, for people; not sent.
    pub doc: String,
    /// Whether to run it more than once does no more than to run it once. Announced: callers may
    /// then go on to another provider when they do not know whether it ran, and send copies.
    pub idempotent: bool,
    /// The service whose members alone may call it: it is not announced, and whoever calls it here
    /// is refused. It is offered by another node of the same program, under the service's key.
    pub service: Option<Arc<str>>,
    /// In keyed mode, whether its results may be compressed. What an attacker can add to a message
    /// then shows by its length what else is in it (CRIME), so say so only where nothing secret is
    /// beside what others choose.
    pub compress: bool,
}

impl LocalFunction {
    /// A function that must run at most once for each call.
    pub const fn new(class: Class) -> Self {
        Self { class, doc: String::new(), idempotent: false, service: None, compress: false }
    }
}

/// One name.
pub(crate) struct Function {
    pub(crate) name: FunctionName,
    pub(crate) local: Option<LocalFunction>,
    /// In the order of their first announcement: the latest is last.
    pub(crate) providers: Vec<PeerKey>,
    /// Those of them where it may run more than once.
    idempotent_at: Vec<PeerKey>,
    /// How long answers of providers take, once it was called as one that may run more than
    /// once.
    latency: Option<Box<Latency>>,
}

impl Function {
    /// Whether this provider says that the function may run more than once.
    pub(crate) fn is_idempotent_at(&self, peer: PeerKey) -> bool {
        self.idempotent_at.contains(&peer)
    }

    /// Whether everybody who offers it says that it may run more than once.
    pub(crate) fn is_idempotent(&self) -> bool {
        let here = self.local.as_ref().is_none_or(|local| local.idempotent);
        here && self.idempotent_at.len() == self.providers.len()
    }

    /// In what time 95 of 100 answers come; `None` while too few have come.
    pub(crate) fn p95(&self) -> Option<Duration> {
        self.latency.as_ref()?.p95()
    }
}

/// Every function known here.
pub(crate) struct Directory {
    table: Slots<Function, tag::Function>,
    by_name: KeyedMap<FunctionName, FunctionKey>,
    /// The one that was asked for last: the same is often asked for again.
    last: Cell<Option<FunctionKey>>,
    /// Rises with every change of the local list.
    revision: u64,
    local_count: usize,
}

impl Directory {
    pub(crate) fn new(limit: usize, hash: HashKey) -> Self {
        let (table, by_name) = (Slots::new(limit), KeyedMap::new(hash));
        Self { table, by_name, last: Cell::new(None), revision: 0, local_count: 0 }
    }

    pub(crate) fn find(&self, name: &str) -> Option<FunctionKey> {
        let last = self.last.get().filter(|key| {
            self.table.get(*key).is_some_and(|function| function.name.as_str() == name)
        });
        last.or_else(|| {
            let found = self.by_name.get(name).copied();
            self.last.set(found);
            found
        })
    }

    pub(crate) fn get(&self, key: FunctionKey) -> Option<&Function> {
        self.table.get(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (FunctionKey, &Function)> {
        self.table.iter()
    }

    /// The peers that offer a name, in the order of their first announcement.
    pub(crate) fn providers(&self, name: &str) -> &[PeerKey] {
        let function = self.find(name).and_then(|key| self.get(key));
        function.map_or(&[], |function| &function.providers)
    }

    /// The number of the local list, for hello. Zero while it has never held anything.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn local_count(&self) -> usize {
        self.local_count
    }

    /// This node's functions that are announced, in the order they were first heard of.
    pub(crate) fn locals(&self) -> impl Iterator<Item = (&str, &LocalFunction)> {
        let locals =
            self.table.iter().filter_map(|(_, f)| Some((f.name.as_str(), f.local.as_ref()?)));
        locals.filter(|(_, local)| local.service.is_none())
    }

    /// Counts how long an answer of a provider took. Allocates for the first of a function.
    pub(crate) fn record_latency(&mut self, key: FunctionKey, took: Duration) {
        if let Some(function) = self.table.get_mut(key) {
            function.latency.get_or_insert_default().record(took);
        }
    }

    pub(crate) fn local(&self, name: &str) -> Option<(FunctionKey, &LocalFunction)> {
        let key = self.find(name)?;
        let local = self.table.get(key)?.local.as_ref()?;
        Some((key, local))
    }

    fn intern(&mut self, name: &FunctionName) -> Option<FunctionKey> {
        if let Some(key) = self.find(name.as_str()) {
            return Some(key);
        }
        let function = Function {
            name: name.clone(),
            local: None,
            providers: Vec::new(),
            idempotent_at: Vec::new(),
            latency: None,
        };
        let key = self.table.insert(function).ok()?;
        self.by_name.insert(name.clone(), key);
        Some(key)
    }

    /// Adds or replaces a function of this node. `None`: the table is full.
    pub(crate) fn register(
        &mut self,
        name: &FunctionName,
        local: LocalFunction,
    ) -> Option<FunctionKey> {
        let key = self.intern(name)?;
        let function = self.table.get_mut(key)?;
        let told = |local: &LocalFunction| (local.idempotent, local.service.is_none());
        let tells = told(&local);
        let before = function.local.replace(local);
        self.local_count += usize::from(before.is_none());
        if before.is_none_or(|before| told(&before) != tells) {
            self.revision += 1;
        }
        Some(key)
    }

    /// Changes how a function of this node is run.
    pub(crate) fn set_class(&mut self, key: FunctionKey, class: Class) {
        if let Some(local) = self.table.get_mut(key).and_then(|f| f.local.as_mut()) {
            local.class = class;
        }
    }

    /// Takes a function of this node away. `false`: there was none.
    pub(crate) fn unregister(&mut self, name: &str) -> bool {
        let Some(key) = self.find(name) else { return false };
        let had = self.table.get_mut(key).is_some_and(|f| f.local.take().is_some());
        if had {
            self.local_count -= 1;
            self.revision += 1;
            self.drop_if_unused(key);
        }
        had
    }

    /// Notes that `peer` offers `name`, and whether it may run more than once there. The second
    /// value tells whether the offer is news; `None`: the table is full.
    pub(crate) fn announce(
        &mut self,
        name: &FunctionName,
        peer: PeerKey,
        idempotent: bool,
    ) -> Option<(FunctionKey, bool)> {
        let key = self.intern(name)?;
        let function = self.table.get_mut(key)?;
        let news = !function.providers.contains(&peer);
        if news {
            function.providers.push(peer);
        }
        if !idempotent {
            function.idempotent_at.retain(|provider| *provider != peer);
        } else if !function.is_idempotent_at(peer) {
            function.idempotent_at.push(peer);
        }
        Some((key, news))
    }

    /// Notes that `peer` offers the function no more.
    pub(crate) fn withdraw(&mut self, key: FunctionKey, peer: PeerKey) {
        if let Some(function) = self.table.get_mut(key) {
            function.providers.retain(|provider| *provider != peer);
            function.idempotent_at.retain(|provider| *provider != peer);
        }
        self.drop_if_unused(key);
    }

    fn drop_if_unused(&mut self, key: FunctionKey) {
        let unused =
            self.table.get(key).is_some_and(|f| f.local.is_none() && f.providers.is_empty());
        if unused && let Some(function) = self.table.remove(key) {
            self.by_name.remove(function.name.as_str());
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }
}
