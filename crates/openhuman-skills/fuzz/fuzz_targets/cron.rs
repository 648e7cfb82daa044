#![no_main]
//! See `openhuman_skills::fuzzing`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| openhuman_skills::fuzzing::cron(data));
