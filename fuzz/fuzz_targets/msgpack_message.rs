#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lanc_testkit::fuzz::msgpack_message(bytes));
