//! Which headers pass, the one form of a path, and its route.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slipway_gateway::properties::check(input));
