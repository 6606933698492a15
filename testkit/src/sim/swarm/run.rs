//! Running a plan: the phase of faults, the phase in which everything must settle, silence.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use lanc_codec::{JsonCodec, MsgpackCodec, PythonText};
use lanc_core::error::{ErrorCode, Fault};
use lanc_core::id::SessionId;
use lanc_core::{Class, Config, KeyInfo, Pipeline};
use serde_json::{Value, json};

use super::plan::{Act, NodePlan, Plan};
use crate::original::PythonFunction;
use crate::sim::calls::{CallId, Ended};
use crate::sim::check;
use crate::sim::coverage::Coverage;
use crate::sim::envelope::group_key;
use crate::sim::hostile::{HostileId, HostileSpec, Script};
use crate::sim::input::{Ask, Function, Input, Place, Spec};
use crate::sim::invariant::{Broken, Invariant, Violation};
use crate::sim::node::NodeId;
use crate::sim::originals::{OriginalAct, OriginalId, OriginalSpec};
use crate::sim::quick::Quick;
use crate::sim::world::World;
use crate::sim::{Rules, ms, secs};

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it came by.
    pub coverage: Coverage,
    /// A hash of every output.
    pub trace: u64,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
}

/// Runs a plan to its end or to the first broken promise. A panic of the code under test is one.
pub fn run(plan: &Plan) -> Report {
    let mut run = Run::new(plan);
    let finished = catch_unwind(AssertUnwindSafe(|| run.play()));
    if let Err(panic) = finished {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let report = format!("panicked: {}", text.unwrap_or_default());
        let violation = Violation { invariant: Invariant::NoCrash, at: run.lan.now, report };
        run.lan.violation.get_or_insert(violation);
    }
    run.report()
}

/// A part of a run.
type Phase<'p> = fn(&mut Run<'p>) -> Result<(), Broken>;

/// A plan on its way.
pub(super) struct Run<'p> {
    plan: &'p Plan,
    pub(super) lan: World,
    pub(super) nodes: BTreeMap<usize, NodeId>,
    pub(super) calls: BTreeMap<usize, CallId>,
    pub(super) originals: BTreeMap<usize, OriginalId>,
    faults: u64,
}

fn number(args: &[Value], place: usize) -> u64 {
    args.get(place).and_then(Value::as_u64).unwrap_or(0)
}

/// Gives back its arguments, with a mark of its own.
fn own(mark: usize) -> Function {
    Function::new(&format!("own{mark}"), move |args| (ms(1), Ok(json!([mark, args]))))
}

fn functions(number_of_node: usize) -> Vec<Function> {
    let sleep = |args: &[Value]| (ms(number(args, 1)), Ok(json!(args)));
    let waits = Function::new("sleep", sleep);
    let waits = if number_of_node.is_multiple_of(2) { waits.stops_when_cancelled() } else { waits };
    let fail = |args: &[Value]| {
        let code = ErrorCode(1000 + u16::try_from(number(args, 1)).unwrap_or(0));
        let code =
            if number(args, 1).is_multiple_of(3) { ErrorCode::EXECUTION_ERROR } else { code };
        (ms(1), Err(Fault::new(code, "can't")))
    };
    let large = |args: &[Value]| {
        let length = usize::try_from(number(args, 1)).unwrap_or(0) * 2;
        (ms(3), Ok(json!([args, "x".repeat(length)])))
    };
    vec![
        own(number_of_node),
        Function::new("echo", |args| (ms(1), Ok(json!(args)))),
        waits,
        Function::new("soon", sleep).class(Class::Async),
        Function::new("quick", |args| (ms(0), Ok(json!(args)))).class(Class::Inline),
        Function::new("fail", fail),
        Function::new("large", large),
    ]
}

fn spec(plan: &NodePlan) -> Spec {
    let mut spec = Spec::new(&format!("n{}", plan.number));
    if plan.lean {
        let pipeline = Pipeline::new(Arc::new(MsgpackCodec)).with_codec(Arc::new(JsonCodec));
        spec = spec.pipeline(pipeline.with_normalizer(Arc::new(PythonText)));
    }
    if let Some(from) = plan.compress {
        spec = spec.compressor(Arc::new(Quick), from);
    }
    if plan.key != 0 {
        let lifetime = plan.token_lifetime;
        let config = move |config: Config| config.with_token_lifetime(lifetime);
        spec = spec.key(group_key(plan.key)).config(config);
    }
    if let Some(limits) = plan.limits {
        spec = spec.config(|config| limits.apply(config));
    }
    functions(plan.number).into_iter().fold(spec, Spec::offers)
}

impl<'p> Run<'p> {
    fn new(plan: &'p Plan) -> Self {
        let mut lan = World::lenient(plan.seed);
        lan.keep_events(0);
        let (nodes, calls, originals) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { plan, lan, nodes, calls, originals, faults: 0 }
    }

    fn report(mut self) -> Report {
        let mut coverage = std::mem::take(&mut self.lan.coverage);
        let programs = self.nodes.len() + self.originals.len() + self.plan.hostiles.len();
        coverage.seeds = 1;
        coverage.programs = u64::try_from(programs).unwrap_or(0);
        coverage.datagrams = self.lan.traffic().datagrams();
        coverage.faults = self.faults;
        coverage.steps = self.lan.steps();
        (coverage.transmissions, coverage.resends) = self.lan.book.ledger.transmissions;
        for node in &self.lan.nodes {
            if let Some(life) = &node.life {
                coverage.life(life.core.counters());
            }
        }
        let violation = self.lan.violation.take();
        Report { coverage, trace: self.lan.trace_hash(), violation }
    }

    fn play(&mut self) {
        self.trouble();
        let heals_at = self.plan.heals_at;
        let phases: [Phase<'p>; 4] = [Self::heal, Self::serve, Self::settle, Self::fall_silent];
        for (phase, ends) in phases.into_iter().zip([24, 29, 30, 30]) {
            if self.lan.violation.is_some() {
                return;
            }
            if let Err(broken) = phase(self) {
                self.lan.fail(broken);
                return;
            }
            self.lan.run_to((heals_at + secs(ends)).max(self.lan.now()));
        }
    }

    /// The phase of faults.
    fn trouble(&mut self) {
        let plan = self.plan;
        self.lan.rules(plan.weather.rules());
        for number in &plan.originals {
            let name = format!("py{number}");
            let echo = PythonFunction::new(&name, 2, ms(3), |args| Some(json!(args)));
            let original = self.lan.original(OriginalSpec::new().offers(echo));
            self.originals.insert(*number, original);
        }
        for script in &plan.hostiles {
            self.lan.apply(Input::Hostile(HostileSpec { segment: 0, script: *script }));
        }
        let mut births: Vec<&NodePlan> = plan.nodes.iter().collect();
        births.sort_by_key(|node| (node.born, node.number));
        let mut births = births.into_iter().peekable();
        for (at, act) in &plan.acts {
            while let Some(node) = births.next_if(|node| node.born <= *at) {
                self.bear(node);
            }
            self.lan.run_to(*at);
            self.faults += u64::from(act.is_fault());
            self.act(act);
            if self.lan.violation.is_some() {
                return;
            }
        }
        births.for_each(|node| self.bear(node));
        self.lan.run_to(plan.heals_at);
    }

    fn bear(&mut self, plan: &NodePlan) {
        self.lan.run_to(plan.born);
        if self.lan.violation.is_none() {
            let node = self.lan.add(spec(plan));
            self.nodes.insert(plan.number, node);
            if plan.clock != 1000 {
                self.lan.clock_rate(node, plan.clock);
            }
        }
    }

    /// The network is good again, everybody lives; then all know each other within two hello
    /// intervals, and what a slow clock and the wait of a question add. Who has used up what it
    /// may send to an address that has not proved itself waits ten seconds more.
    fn heal(&mut self) -> Result<(), Broken> {
        self.lan.heal();
        for (place, script) in self.plan.hostiles.iter().enumerate() {
            // Those without a key do no group any harm, however long.
            let goes_on = matches!(script, Script::Recorder | Script::Garbler | Script::Flooder);
            if !goes_on {
                self.lan.apply(Input::Hush(HostileId(place)));
            }
        }
        self.end_clones();
        for (number, node) in self.nodes.clone() {
            if !self.lan.is_open(node) {
                self.lan.restart(node, Place::Same);
            }
            self.lan.resume(node);
            self.renew_keys(number, node);
            // A damaged list may look like a good one: only the next revision replaces it.
            if self.lan.book.ledger.falsified {
                self.lan.register(node, "fresh", |args| (ms(1), Ok(json!(args))));
            }
        }
        self.lan.run_for(secs(9));
        for original in self.originals.values().copied().collect::<Vec<_>>() {
            self.lan.apply(Input::Act(original, OriginalAct::Start));
        }
        let mut strange = self.strange();
        for look in 0..30 {
            self.lan.coverage.slow += u64::from(look == 12 && strange.is_some());
            if strange.is_none() || self.lan.violation.is_some() {
                return Ok(());
            }
            self.lan.run_for(ms(500));
            strange = self.strange();
        }
        match strange {
            Some(why) => Err(Invariant::Heals.broken(why)),
            None => Ok(()),
        }
    }

    /// Copies of processes end; their originals start anew, so that a session is theirs alone.
    fn end_clones(&mut self) {
        let born: BTreeSet<NodeId> = self.nodes.values().copied().collect();
        for place in 0..self.lan.nodes.len() {
            let node = NodeId(place);
            let Some(life) = &self.lan.nodes[place].life else { continue };
            if !born.contains(&node) {
                self.lan.crash(node);
            } else if self.lan.book.ledger.is_cloned(life.core.session().short()) {
                self.lan.restart(node, Place::Same);
            }
        }
    }

    /// Who is late with a change of keys, or has started anew with the old one, changes now.
    fn renew_keys(&mut self, number: usize, node: NodeId) {
        let mut plans = self.plan.nodes.iter();
        let Some(last) = plans.find(|plan| plan.number == number).map(|plan| plan.last_key) else {
            return;
        };
        if last != 0 {
            self.act(&Act::AddKey(number, last));
            let is_primary = |key: &KeyInfo| key.id == group_key(last).id() && key.primary;
            if !self.lan.core(node).keys(self.lan.now()).iter().any(is_primary) {
                self.act(&Act::PrimaryKey(number, last));
            }
        }
    }

    /// The key that nodes have in the end: those of one key are a group, those of none too.
    fn group(&self, number: usize) -> u8 {
        let mut plans = self.plan.nodes.iter();
        plans.find(|plan| plan.number == number).map_or(0, |plan| plan.last_key)
    }

    /// Who does not know whom yet.
    fn strange(&self) -> Option<String> {
        for (number, node) in &self.nodes {
            let sessions: BTreeSet<SessionId> =
                self.lan.peers(*node).into_iter().map(|peer| peer.session).collect();
            let offered: BTreeMap<String, Vec<String>> = self
                .lan
                .core(*node)
                .functions()
                .into_iter()
                .map(|f| (f.name, f.providers))
                .collect();
            let group = self.group(*number);
            for (other_number, other) in self.nodes.iter().filter(|(_, other)| *other != node) {
                if self.group(*other_number) != group {
                    continue;
                }
                if !sessions.contains(&self.lan.session(*other)) {
                    return Some(format!("n{number} does not list n{other_number}"));
                }
                let providers = offered.get(&format!("own{other_number}"));
                let name = format!("n{other_number}");
                if !providers.is_some_and(|providers| providers.contains(&name)) {
                    return Some(format!("n{number} does not know what n{other_number} offers"));
                }
            }
        }
        None
    }

    /// After all that, every node still calls and is called.
    fn serve(&mut self) -> Result<(), Broken> {
        let mut nodes: Vec<_> = self.nodes.iter().map(|(number, node)| (*number, *node)).collect();
        nodes.sort_by_key(|(number, _)| (self.group(*number), *number));
        let gap = ms(4900 / u64::try_from(nodes.len()).unwrap_or(1).max(1));
        for (place, (number, node)) in nodes.iter().enumerate() {
            let group = self.group(*number);
            let mut others = nodes.iter().cycle().skip(place + 1).take(nodes.len() - 1);
            let Some((other, to)) = others.find(|(other, _)| self.group(*other) == group) else {
                continue;
            };
            let session = self.lan.session(*to);
            let ask = Ask::new(&format!("own{other}"), json!(["still here"]));
            let call = self.lan.ask(*node, ask.to_session(session).deadline(ms(900)));
            self.lan.run_for(gap.min(ms(900)));
            if self.lan.violation.is_some() {
                return Ok(());
            }
            let expected = Some(Ok(json!([other, ["still here"]])));
            let result = self.lan.result(call);
            Invariant::VerifiedStay.holds_if(result == expected, || {
                format!("n{number} calls n{other} on a good network and gets {result:?}")
            })?;
        }
        Ok(())
    }

    /// What died elsewhere is forgotten, every call has its outcome, nothing is under way.
    fn settle(&mut self) -> Result<(), Broken> {
        let end = self.plan.heals_at + ms(29_500);
        self.lan.run_to(end);
        // In a crowd not all are verified: invented peers may take the place of some for a while.
        let is_crowded_out = self.plan.hostiles.contains(&Script::Flooder);
        if let Some(why) = self.strange().filter(|_| !is_crowded_out) {
            return Err(Invariant::Heals.broken(format!("later on, {why}")));
        }
        let living: BTreeSet<SessionId> =
            self.nodes.values().map(|node| self.lan.session(*node)).collect();
        for (number, node) in &self.nodes {
            for peer in self.lan.peers(*node) {
                // A hello that was lost may come after all, once, and prolong a lease.
                let mut scripts = self.plan.hostiles.iter();
                let is_copied = scripts.any(|script| Script::SEALED.contains(script));
                let was_ours = self.lan.book.ledger.knows(peer.session.short()) && !is_copied;
                Invariant::Heals.holds_if(!was_ours || living.contains(&peer.session), || {
                    format!("n{number} lists a dead session of {}", peer.name)
                })?;
                Invariant::Bounded.holds_if(peer.open_calls == 0, || {
                    format!("n{number} counts {} open calls to {}", peer.open_calls, peer.name)
                })?;
            }
            let tables = self.lan.tables(*node);
            // What is for an invented peer waits until its lease is over.
            let waiting = if self.plan.hostiles.is_empty() { tables.outbox } else { 0 };
            let busy = tables.open_calls + tables.queued + tables.running + waiting;
            Invariant::Bounded
                .holds_if(busy == 0, || format!("n{number} is not at rest: {tables:?}"))?;
        }
        for (number, call) in &self.calls {
            let ended = self.lan.ended(*call);
            Invariant::OneOutcome.holds_if(ended != Ended::Open, || {
                format!("call {number} of the plan has no outcome")
            })?;
        }
        Ok(())
    }

    /// Nothing arrives any more: two leases later nothing is left.
    fn fall_silent(&mut self) -> Result<(), Broken> {
        for original in self.originals.values().copied().collect::<Vec<_>>() {
            self.lan.apply(Input::Act(original, OriginalAct::Crash));
        }
        for place in 0..self.plan.hostiles.len() {
            self.lan.apply(Input::Hush(HostileId(place)));
        }
        self.lan.rules(Rules::default().loss(1000));
        // A verified peer may say that it greets every five minutes.
        let greets = if self.plan.hostiles.is_empty() { 7 } else { 300 };
        let ends = self.lan.now() + ms(2 * greets * 3500 + 70_000);
        // Nothing new is heard any more: who is silent before that stays silent.
        loop {
            self.lan.run_for(secs(40));
            match self.silence() {
                Err(_) if self.lan.violation.is_none() && self.lan.now() < ends => {}
                done => return done,
            }
        }
    }

    /// Whether every node has forgotten everybody.
    fn silence(&self) -> Result<(), Broken> {
        for node in self.nodes.values().filter(|_| self.lan.violation.is_none()) {
            let own = self.lan.nodes[node.index()].spec.functions.len();
            check::silence(self.lan.core(*node), own)
                .map_err(|broken| Broken { why: format!("{node:?}: {}", broken.why), ..broken })?;
        }
        Ok(())
    }
}
