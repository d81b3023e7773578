//! The whole platform, run as its programs are run: for the end-to-end tests and the benchmark.
//!
//! Faults of the surroundings are panics that say what to do.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "in a test, a panic that names the fault is the report"
)]

mod cluster;
mod containers;
mod platform;
mod projects;
mod running;
mod victims;
mod waiting;

pub use cluster::TestCluster;
pub use containers::{containers_of, images_of, kill_container, networks_of, processes_of, watchers_of};
pub use platform::{ADMIN_PASSWORD, Mode, Platform};
pub use projects::{Project, pack};
pub use running::{Running, nginx_arguments};
pub use slipway_testkit::free_port;
pub use victims::{Blow, Victims};
pub use waiting::eventually;
