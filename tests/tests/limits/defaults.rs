//! The defaults and ceilings of settings that no row of the manual names (the others: `manual.rs`).

use std::sync::Arc;

use lanc_codec::JsonCodec;
use lanc_core::{Config, Core, Pipeline, Time};
use lanc_testkit::sim::{Dice, ms, secs};

fn is_taken(config: Config) -> bool {
    let pipeline = Pipeline::new(Arc::new(JsonCodec));
    Core::new(config, pipeline, Box::new(Dice::new(1, 0)), Time::ZERO).is_ok()
}

#[test]
fn settings_have_the_defaults_and_the_ceilings_of_the_manual() {
    let config = Config::default();
    assert_eq!((config.call_deadline(), config.drain()), (secs(30), secs(5)));
    assert_eq!((config.hello_interval(), config.lease_tenths()), (secs(5), 35));
    assert!(is_taken(config.clone().with_hello_interval(secs(300))));
    assert!(!is_taken(config.clone().with_hello_interval(secs(300) + ms(1))));
    assert!(is_taken(config.clone().with_lease_tenths(1000)));
    assert!(!is_taken(config.clone().with_lease_tenths(1001)));
    assert!(is_taken(config.clone().with_max_deadline(secs(30 * 24 * 3600))));
    assert!(!is_taken(config.with_max_deadline(secs(30 * 24 * 3600) + ms(1))));
}
