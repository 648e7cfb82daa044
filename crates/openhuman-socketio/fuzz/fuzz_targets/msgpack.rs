#![no_main]
//! See `openhuman_socketio::fuzzing`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| openhuman_socketio::fuzzing::msgpack(data));
