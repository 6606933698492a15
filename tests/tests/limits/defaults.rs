//! The defaults and ceilings of the settings.

use std::fmt::Debug;
use std::sync::Arc;

use lanc_codec::JsonCodec;
use lanc_core::{Config, Core, Pipeline, Time};
use lanc_testkit::sim::{Dice, ms, secs};

fn is_taken(config: Config) -> bool {
    let pipeline = Pipeline::new(Arc::new(JsonCodec));
    Core::new(config, pipeline, Box::new(Dice::new(1, 0)), Time::ZERO).is_ok()
}

fn check<T: PartialEq + Debug>(
    name: &str,
    found: T,
    default: T,
    ceiling: T,
    above: T,
    with: fn(Config, T) -> Config,
) {
    assert_eq!(found, default, "the default of {name}");
    assert!(is_taken(with(Config::default(), ceiling)), "the ceiling of {name}");
    assert!(!is_taken(with(Config::default(), above)), "above the ceiling of {name}");
}

macro_rules! settings {
    ($($name:ident, $with:ident: $default:expr, to $ceiling:expr;)*) => {
        #[test]
        fn settings_have_the_defaults_and_the_ceilings_of_the_manual() {
            $(check(
                stringify!($name),
                Config::default().$name(),
                $default,
                $ceiling,
                $ceiling + 1,
                Config::$with,
            );)*
        }
    };
}

settings! {
    max_message, with_max_message: 16 << 20, to 1 << 30;
    max_unproved_frame, with_max_unproved_frame: 4096, to 65_507;
    max_depth, with_max_depth: 64, to 100;
    max_nodes, with_max_nodes: 65_536, to 1 << 24;
    max_results, with_max_results: 4096, to 1 << 20;
    max_functions_per_peer, with_max_functions_per_peer: 1024, to 16_384;
    max_functions, with_max_functions: 65_536, to 1 << 20;
    max_peers, with_max_peers: 4096, to 65_536;
    max_tentative, with_max_tentative: 2048, to 4096;
    max_tentative_per_ip, with_max_tentative_per_ip: 8, to 64;
    max_newcomers, with_max_newcomers: 64, to 4096;
    max_calls, with_max_calls: 16_384, to 1 << 20;
    max_calls_per_peer, with_max_calls_per_peer: 1024, to 1 << 20;
    max_queued, with_max_queued: 256, to 65_536;
    max_error_text, with_max_error_text: 1024, to 16 << 10;
    max_backlog, with_max_backlog: 16 << 20, to 256 << 20;
    max_buffered, with_max_buffered: 512 << 20, to 1 << 40;
    min_message_rate, with_min_message_rate: 16 << 10, to 1 << 30;
    max_queued_bytes, with_max_queued_bytes: 64 << 20, to 1 << 40;
    max_result_bytes, with_max_result_bytes: 64 << 20, to 1 << 40;
    unproved_rate, with_unproved_rate: 50, to 10_000_000;
    unproved_rate_total, with_unproved_rate_total: 5000, to 10_000_000;
    unproved_budget, with_unproved_budget: 1200, to 1 << 20;
    hello_replies, with_hello_replies: 200, to 100_000;
    lease_tenths, with_lease_tenths: 35, to 1000;
}

#[test]
fn times_have_the_defaults_and_the_ceilings_of_the_manual() {
    let config = Config::default();
    assert_eq!((config.call_deadline(), config.max_deadline()), (secs(30), secs(24 * 3600)));
    assert_eq!((config.result_lifetime(), config.drain()), (secs(600), secs(5)));
    assert_eq!((config.hello_interval(), config.message_stall()), (secs(5), secs(30)));
    assert!(is_taken(config.clone().with_hello_interval(secs(300))));
    assert!(!is_taken(config.clone().with_hello_interval(secs(300) + ms(1))));
    assert!(is_taken(config.clone().with_max_deadline(secs(30 * 24 * 3600))));
    assert!(!is_taken(config.with_max_deadline(secs(30 * 24 * 3600) + ms(1))));
}
