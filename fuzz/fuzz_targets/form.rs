#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mender_http::testing::hostile::form(bytes));
