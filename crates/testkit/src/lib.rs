//! What the tests of every service start from: a database of their own, callers of any role, a clock that stands.
//!
//! Faults of a test's surroundings are panics that say what to do.
#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "in a test, a panic that names the fault is the report"
)]

mod callers;
mod corpus;
mod database;
mod ports;
mod redis;
mod smtp;
pub mod tls;

pub use callers::{Callers, TestCaller};
pub use corpus::check_corpus;
pub use database::TestDatabase;
pub use ports::{free_port, free_ports};
pub use redis::TestRedis;
pub use smtp::{TestLetter, TestSmtp};

use std::sync::Arc;

use chrono::{TimeZone as _, Utc};
use slipway_kernel::FixedClock;

/// Returns a clock that stands at 2026-01-10 12:00 UTC.
pub fn fixed_clock() -> Arc<FixedClock> {
    match Utc.with_ymd_and_hms(2026, 1, 10, 12, 0, 0).single() {
        Some(noon) => Arc::new(FixedClock::at(noon)),
        None => panic!("2026-01-10 12:00 UTC is a time"),
    }
}

/// Returns what `make test` sets for tests; without it, panics.
#[expect(clippy::disallowed_methods, reason = "tests have no settings but what `make test` exports")]
pub fn required_setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run the tests by `make test`, or `eval \"$(scripts/test-stack env)\"` first"
        )
    })
}
