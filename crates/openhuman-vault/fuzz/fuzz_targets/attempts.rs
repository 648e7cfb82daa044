#![no_main]
//! See `openhuman_vault::fuzzing`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| openhuman_vault::fuzzing::attempts(data));
