use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Each bucket reaches so much further than the one before.
const GROWTH: f64 = 1.04;
/// The upper bound of the first bucket, in milliseconds.
const FIRST: f64 = 0.01;
/// The last bucket reaches to about 100 days.
const BUCKETS: usize = 700;

static BOUNDS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    std::iter::successors(Some(FIRST), |bound| Some(bound * GROWTH)).take(BUCKETS).collect()
});

/// How often which span of time occurred, on a logarithmic scale whose buckets are the same everywhere: the sum of two
/// is exact, so a long period is made of short ones.
///
/// A quantile is within 2 % of the span that has its rank, as in `DDSketch` (Masson, Rim and Lee, VLDB 2019); spans
/// below 10 µs count as 10 µs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: BTreeMap<i32, u64>,
}

impl Histogram {
    /// Counts a span in milliseconds.
    pub fn add(&mut self, milliseconds: f64) {
        let bucket = BOUNDS.partition_point(|bound| *bound < milliseconds).min(BUCKETS - 1);
        *self.counts.entry(i32::try_from(bucket).unwrap_or_default()).or_default() += 1;
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            let sum = self.counts.entry(*bucket).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// Returns the span below or at which `percent` of all lie, by nearest rank; `None` where nothing was counted.
    pub fn quantile(&self, percent: u64) -> Option<f64> {
        let rank = (self.counts.values().sum::<u64>() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let mut reaches = |count: &u64| {
            seen += count;
            seen >= rank
        };
        let bucket = self.counts.iter().find(|(_, count)| reaches(count))?.0;
        let bound = BOUNDS.get(usize::try_from(*bucket).ok()?)?;
        // Equally far, in proportion, from both ends of the bucket. The first one has no lower end.
        Some(if *bucket == 0 { FIRST } else { bound * 2.0 / (1.0 + GROWTH) })
    }

    /// Writes the buckets that are not empty: bucket, count, bucket, count, …
    pub fn to_pairs(&self) -> Vec<i32> {
        let count = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
        self.counts.iter().flat_map(|(bucket, counted)| [*bucket, count(*counted)]).collect()
    }

    /// Reads what [`Self::to_pairs`] wrote.
    pub fn from_pairs(pairs: &[i32]) -> Self {
        let (pairs, _) = pairs.as_chunks();
        let counts = pairs.iter().map(|[bucket, count]| (*bucket, u64::try_from(*count).unwrap_or_default()));
        Self { counts: counts.collect() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(spans: &[f64]) -> Histogram {
        let mut histogram = Histogram::default();
        for span in spans {
            histogram.add(*span);
        }
        histogram
    }

    /// The straight computation: the span of that rank.
    fn straight(spans: &[f64], percent: usize) -> f64 {
        let mut sorted = spans.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
    }

    /// Spans of every size: from below the first bucket to weeks.
    fn spans() -> impl Strategy<Value = Vec<f64>> {
        proptest::collection::vec((-7.0..9.0_f64).prop_map(|exponent| 10_f64.powf(exponent)), 1..400)
    }

    proptest! {
        #[test]
        fn quantiles_are_within_two_percent_of_the_straight_computation(spans in spans()) {
            let histogram = of(&spans);
            for percent in [0, 1, 50, 95, 99, 100] {
                let expected = straight(&spans, usize::try_from(percent).unwrap()).max(FIRST);
                let found = histogram.quantile(percent).unwrap();
                prop_assert!((found - expected).abs() <= 0.02 * expected, "p{percent}: {found}, not {expected}");
            }
        }

        #[test]
        fn parts_make_up_the_whole_in_any_order(first in spans(), second in spans()) {
            let mut merged = of(&second);
            merged.merge(&of(&first));
            prop_assert_eq!(&merged, &of(&[first, second].concat()));
            prop_assert_eq!(Histogram::from_pairs(&merged.to_pairs()), merged);
        }
    }

    #[test]
    fn nothing_has_no_quantile_and_no_span_is_too_odd_to_count() {
        assert_eq!(Histogram::default().quantile(50), None);
        for (odd, counted) in [(f64::NAN, FIRST), (-1.0, FIRST), (0.0, FIRST)] {
            assert_eq!(of(&[odd]).quantile(50), Some(counted), "{odd}");
        }
        assert!(of(&[f64::INFINITY]).quantile(50).unwrap() > 5e9);
    }
}
