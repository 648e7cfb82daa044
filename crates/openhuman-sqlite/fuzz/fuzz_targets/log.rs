#![no_main]
//! See `openhuman_sqlite::fuzzing`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| openhuman_sqlite::fuzzing::log(data));
