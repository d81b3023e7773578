//! Statistics of runs: sums over stretches of time, which add up to those of longer ones.

mod histogram;
mod period;
mod rollup;

pub use histogram::Histogram;
pub use period::{Width, Window};
pub use rollup::{Rollup, RollupKey, Sample};
