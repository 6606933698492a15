//! Every limit of section 6 of `docs/protocol.md`: what happens at it and one above, and that
//! whoever hits it is seen, by a counter and an event. The last column of the table there names
//! the rows here.

#[path = "limits/calls.rs"]
mod calls;
#[path = "limits/defaults.rs"]
mod defaults;
#[path = "limits/manual.rs"]
mod manual;
#[path = "limits/strangers.rs"]
mod strangers;

use std::collections::BTreeSet;
use std::path::Path;

use lanc_core::Config;
use lanc_core::event::Event;
use lanc_testkit::sim::{Function, NodeId, Spec, World, ms, secs};
use lanc_tests::is_keyed;
use serde_json::{Value, json};

/// Where a limit is tried.
enum Tried {
    /// By this scenario.
    Here(fn()),
    /// By this one, in open mode only: in keyed mode no stranger calls anything.
    Open(fn()),
    /// In this file, by the test of this name.
    There(&'static str, &'static str),
}

use Tried::{Here, Open, There};

const CALL_BOUNDS: &str = "tests/tests/sim_calls/bounds.rs";
const INBOUND: &str = "core/src/inbound/tests.rs";
const EVERY_BOUND: &str = "every_bound_holds_at_its_number_and_one_more_is_refused";
const BOUNDS: &str = "core/src/wire/streams/tests/bounds.rs";
const KEEPING: &str = "tests/tests/lanes/keeping.rs";
const LOAD: &str = "tests/tests/sim_load.rs";
const TCP: &str = "transport-tcp/tests/loopback/limits.rs";

const ROWS: &[(&str, Tried)] = &[
    ("max_frame", There(CALL_BOUNDS, "what_does_not_fit_a_frame_is_too_large")),
    ("max_unproved_frame", Here(strangers::datagrams)),
    ("max_message", Here(calls::messages)),
    ("max_messages_per_frame", Here(strangers::messages_in_a_frame)),
    ("max_depth", Here(strangers::nesting)),
    ("max_nodes", Here(strangers::values)),
    ("max_connections", There(TCP, "one_connection_more_than_allowed_is_refused_both_ways")),
    (
        "max_per_host",
        There("transport-tcp/src/admission.rs", "a_host_has_its_share_and_loopback_is_not_counted"),
    ),
    ("max_silent", There(TCP, "one_more_than_may_be_silent_closes_the_oldest_of_them")),
    ("first_frame", There(TCP, "a_silent_connection_is_closed_and_one_that_spoke_is_not")),
    (
        "write_stall",
        There(
            "transport-tcp/tests/loopback/crowd.rs",
            "one_of_fifty_that_takes_nothing_is_cut_off_and_delays_nobody",
        ),
    ),
    ("connect", There(TCP, "a_dial_without_an_answer_fails_in_time")),
    (
        "max_backlog",
        There(KEEPING, "more_than_may_wait_for_a_far_end_that_takes_nothing_ends_its_connection"),
    ),
    (
        "one_shots",
        There(
            "tests/tests/lanes/one_shots.rs",
            "so_many_are_dialled_at_once_and_the_others_take_the_way_back",
        ),
    ),
    ("max_streams", There("tests/tests/streams/bounds.rs", "one_stream_more_than_may_be_is_busy")),
    ("stream_window", There(BOUNDS, "bytes_waiting_to_be_sent_or_read")),
    ("max_assembly", There(BOUNDS, "messages_being_put_together")),
    ("max_message_queue", There(KEEPING, "a_link_that_takes_nothing_holds_no_more_than_its_share")),
    (
        "min_message_rate",
        There(
            "core/src/wire/streams/tests/pace.rs",
            "a_message_comes_at_the_least_rate_or_is_turned_away",
        ),
    ),
    ("message_stall", There(KEEPING, "a_message_that_stands_still_is_turned_away")),
    ("older_hosts", There("core/src/homes.rs", "everything_is_bounded")),
    ("max_functions_per_peer", Here(strangers::functions_of_a_peer)),
    ("max_functions", Here(strangers::functions_in_all)),
    ("max_peers", Here(strangers::verified_peers)),
    ("max_tentative", Here(strangers::tentative_peers)),
    ("max_tentative_per_ip", Here(strangers::tentative_peers_of_a_host)),
    (
        "max_newcomers",
        There(
            "tests/tests/lanes/newcomers.rs",
            "one_newcomer_more_than_may_be_displaces_the_oldest",
        ),
    ),
    ("unproved_rate", Here(strangers::frames_of_a_host)),
    ("unproved_rate_total", Here(strangers::frames_of_all)),
    ("unproved_budget", Open(strangers::bytes_to_a_host)),
    ("hello_replies", Here(strangers::answers_to_hellos)),
    ("max_calls", Here(calls::open_calls)),
    ("max_calls_per_peer", Here(calls::open_calls_to_a_peer)),
    ("max_queued", Here(calls::queued)),
    ("max_queued_bytes", Here(calls::queued_bytes)),
    ("queue_share", There(LOAD, "a_queue_full_of_one_callers_calls_has_room_for_another")),
    ("queue_wait", There(LOAD, "what_could_not_be_done_in_time_is_refused_at_once")),
    (
        "max_buffered",
        There(LOAD, "when_all_is_held_that_may_be_new_work_is_refused_and_old_work_is_done"),
    ),
    ("max_stranger_tasks", Open(strangers::tasks)),
    (
        "max_attempts",
        There(
            "tests/tests/sim_attempts/moved.rs",
            "a_call_asks_three_providers_and_tells_of_each_that_failed",
        ),
    ),
    (
        "retries_withheld",
        There(
            "core/src/retry_budget.rs",
            "the_sixth_failure_in_a_row_ends_it_and_a_success_gives_a_tenth_back",
        ),
    ),
    ("workers", There(CALL_BOUNDS, "a_full_queue_says_busy_and_when_to_come_again")),
    ("max_async_running", There(LOAD, "async_functions_take_turns_too")),
    (
        "max_call_window",
        There(
            "core/src/recovery/tests.rs",
            "a_window_widens_by_clean_round_trips_and_is_halved_once_per_loss_burst",
        ),
    ),
    ("max_callers", There(INBOUND, EVERY_BOUND)),
    ("max_deduped_per_caller", There(INBOUND, EVERY_BOUND)),
    ("max_deduped", There(INBOUND, EVERY_BOUND)),
    ("max_stored_answers", There(INBOUND, EVERY_BOUND)),
    ("max_stored_answer", There(INBOUND, EVERY_BOUND)),
    (
        "max_senders",
        There(
            "core/src/wire/sessions/senders.rs",
            "who_has_named_no_token_makes_room_for_such_only",
        ),
    ),
    ("token_lifetime", There("testkit/tests/sealed/keys.rs", "tokens_change_and_nobody_notices")),
    ("max_results", Here(calls::results)),
    ("max_result_bytes", Here(calls::result_bytes)),
    (
        "result_lifetime",
        There(
            "tests/tests/sim_calls/results.rs",
            "results_nobody_fetches_are_forgotten_by_number_and_by_age",
        ),
    ),
    ("max_deadline", Here(calls::deadlines)),
    ("max_error_text", Here(calls::error_texts)),
    ("max_doubts", Here(calls::doubts)),
    ("max_pings", Here(calls::pings)),
    ("max_outbox", There(KEEPING, "a_link_that_takes_nothing_holds_no_more_than_its_share")),
    ("max_events", There("core/src/event.rs", "what_nobody_fetches_is_bounded")),
];

#[test]
fn every_limit_is_seen_at_one_above_it_and_not_at_it() {
    for (name, tried) in ROWS {
        match tried {
            Open(_) if is_keyed!() => {}
            Here(scenario) | Open(scenario) => {
                println!("{name}");
                scenario();
            }
            There(..) => {}
        }
    }
}

#[test]
fn what_is_tried_elsewhere_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (name, tried) in ROWS {
        let There(file, test) = tried else { continue };
        let text = std::fs::read_to_string(root.join(file)).expect(file);
        assert!(text.contains(&format!("fn {test}()")), "`{name}`: no `{test}` in {file}");
    }
}

/// The names in the last column of the table of limits.
fn documented() -> BTreeSet<&'static str> {
    let text = include_str!("../../docs/protocol.md");
    let section = text.split("\n## 6. Limits").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let last = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    last.flat_map(|names| names.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_rows_are_those_of_the_manual() {
    let tried: BTreeSet<_> = ROWS.iter().map(|(name, _)| *name).collect();
    assert_eq!(tried, documented());
    assert_eq!(tried.len(), ROWS.len(), "a row stands twice");
}

/// A node with these settings that everything happens to, and a friend that knows it.
struct Room {
    lan: World,
    node: NodeId,
    friend: NodeId,
    /// Frames that strangers have sealed.
    sealed: u64,
}

impl Room {
    fn new(config: fn(Config) -> Config) -> Self {
        let mut lan = if is_keyed!() { World::sealed(1) } else { World::new(1) };
        let wait = Function::new("wait", |_: &[Value]| (secs(1), Ok(Value::Null)));
        let echo = Function::new("echo", |args: &[Value]| {
            (ms(1), Ok(args.first().cloned().unwrap_or(Value::Null)))
        });
        let spec = Spec::new("node").config(|c| config(c.with_workers(1)));
        let node = lan.add(spec.offers(wait).offers(echo));
        let long = |_: &[Value]| (secs(1), Ok(json!("x".repeat(100))));
        let friend = lan.add(Spec::new("friend").offers(Function::new("long", long)));
        lan.run_for(secs(8));
        Self { lan, node, friend, sealed: 0 }
    }

    /// How often a limit was hit; when it was, an event told so.
    #[track_caller]
    fn hits(&self, limit: &'static str) -> u64 {
        let hits = self.lan.core(self.node).counters().limit_hits(limit);
        let told = self.lan.events(self.node).any(|(_, e)| *e == Event::LimitHit { limit });
        assert_eq!(told, hits > 0, "{limit}: {hits} times");
        hits
    }
}
