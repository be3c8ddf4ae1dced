#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mender_core::testing::hostile::artifact(bytes));
