//! Tests that run inside a namespace themselves.

use crate::host::Host;

const INSIDE: &str = "LANC_TEST_INSIDE_NAMESPACE";

/// Runs the test of this name, of the program that is running, again inside a new namespace.
/// Where none can be made it says so and checks nothing; in CI that is a failure.
#[track_caller]
pub fn inside(test: &str) {
    let Some(host) = Host::new() else { return };
    let program = std::env::current_exe().unwrap();
    let status = host
        .command(program.to_str().unwrap(), &["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed inside the namespace");
}

/// Whether this process was started by [`inside`].
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}
