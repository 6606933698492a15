#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lanc_testkit::fuzz::pairing(bytes));
