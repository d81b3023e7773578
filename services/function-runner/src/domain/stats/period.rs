use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use slipway_models::functions::{StatsBody, StatsBucket, StatsPeriod};

use super::{Rollup, Sample};

/// The stretches of time over which runs are summed up; each begins at a whole multiple since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Width {
    /// One minute.
    Minute,
    /// 15 minutes.
    Quarter,
    /// Two hours.
    TwoHours,
}

impl Width {
    /// Every width: each run is counted once in each of them.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Quarter, Self::TwoHours];

    /// Returns the width in seconds.
    pub const fn seconds(self) -> i32 {
        match self {
            Self::Minute => 60,
            Self::Quarter => 15 * 60,
            Self::TwoHours => 2 * 60 * 60,
        }
    }

    /// Returns the beginning of the stretch that `time` lies in.
    pub fn start(self, time: DateTime<Utc>) -> DateTime<Utc> {
        floor(time, i64::from(self.seconds()))
    }
}

/// The buckets of a period that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    period: StatsPeriod,
    /// What it is made of.
    pub width: Width,
    bucket_seconds: i64,
    buckets: i32,
    /// When the first bucket begins. The last one is the one that `now` lies in.
    pub start: DateTime<Utc>,
}

impl Window {
    /// Lays the buckets of a period: 60 of a minute, 96 of 15 minutes, 84 of two hours, or 120 of six hours.
    pub fn ending(period: StatsPeriod, now: DateTime<Utc>) -> Self {
        let (width, bucket_seconds, buckets) = match period {
            StatsPeriod::Hour => (Width::Minute, 60, 60),
            StatsPeriod::Day => (Width::Quarter, 15 * 60, 96),
            StatsPeriod::Week => (Width::TwoHours, 2 * 60 * 60, 84),
            StatsPeriod::Month => (Width::TwoHours, 6 * 60 * 60, 120),
        };
        let start = floor(now, bucket_seconds) - TimeDelta::seconds(bucket_seconds) * (buckets - 1);
        Self { period, width, bucket_seconds, buckets, start }
    }

    /// Sums up: what is stored, by the beginnings of its stretches, and runs that are not stored yet.
    pub fn sum(&self, stored: Vec<(DateTime<Utc>, Rollup)>, samples: &[Sample]) -> StatsBody {
        let bucket = TimeDelta::seconds(self.bucket_seconds);
        let starts = (0..self.buckets).map(|number| self.start + bucket * number);
        let mut sums: BTreeMap<_, _> = starts.map(|start| (start, Rollup::default())).collect();
        for (start, rollup) in stored {
            if let Some(sum) = sums.get_mut(&floor(start, self.bucket_seconds)) {
                sum.merge(&rollup);
            }
        }
        for sample in samples {
            if let Some(sum) = sums.get_mut(&floor(sample.finished_at, self.bucket_seconds)) {
                sum.count(sample);
            }
        }
        let mut total = Rollup::default();
        for sum in sums.values() {
            total.merge(sum);
        }
        StatsBody {
            period: self.period,
            bucket_ms: bucket.num_milliseconds(),
            totals: (&total).into(),
            buckets: sums
                .iter()
                .map(|(start, sum)| StatsBucket { start: *start, figures: sum.into() })
                .collect(),
        }
    }
}

fn floor(time: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    let past = TimeDelta::seconds(time.timestamp().rem_euclid(seconds));
    let whole = time - TimeDelta::nanoseconds(time.timestamp_subsec_nanos().into());
    whole - past
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn buckets_are_aligned_and_the_last_one_holds_the_present() {
        let now = at("2026-01-10T13:37:21.5Z");
        for (period, first, last, buckets) in [
            (StatsPeriod::Hour, "2026-01-10T12:38:00Z", "2026-01-10T13:37:00Z", 60),
            (StatsPeriod::Day, "2026-01-09T13:45:00Z", "2026-01-10T13:30:00Z", 96),
            (StatsPeriod::Week, "2026-01-03T14:00:00Z", "2026-01-10T12:00:00Z", 84),
            (StatsPeriod::Month, "2025-12-11T18:00:00Z", "2026-01-10T12:00:00Z", 120),
        ] {
            let stats = Window::ending(period, now).sum(Vec::new(), &[]);
            assert_eq!(stats.buckets.len(), buckets);
            let ends = (stats.buckets[0].start, stats.buckets[buckets - 1].start);
            assert_eq!(ends, (at(first), at(last)), "{period:?}");
        }
    }

    #[test]
    fn what_lies_outside_of_the_period_is_left_out() {
        let window = Window::ending(StatsPeriod::Hour, at("2026-01-10T13:37:21Z"));
        let one = Rollup { calls: 1, ..Rollup::default() };
        let times =
            ["2026-01-10T12:37:00Z", "2026-01-10T12:38:00Z", "2026-01-10T13:37:00Z", "2026-01-10T13:38:00Z"];
        let stats = window.sum(times.map(|start| (at(start), one.clone())).to_vec(), &[]);
        assert_eq!((stats.totals.calls, stats.buckets[0].figures.calls), (2, 1));
    }
}
