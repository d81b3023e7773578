//! Where requests end, for the reader before the server, for the server and for the gateway.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slipway_web::strict::properties::check(input));
