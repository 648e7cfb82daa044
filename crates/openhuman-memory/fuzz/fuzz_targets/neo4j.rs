#![no_main]
//! See `openhuman_memory::fuzzing`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| openhuman_memory::fuzzing::neo4j(data));
