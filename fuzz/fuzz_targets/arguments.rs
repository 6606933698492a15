#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lanc_cli::fuzz::arguments(bytes));
