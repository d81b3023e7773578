use slipway_models::functions::StatsPeriod;

use super::*;

const PERIODS: [StatsPeriod; 4] =
    [StatsPeriod::Hour, StatsPeriod::Day, StatsPeriod::Week, StatsPeriod::Month];

impl Home {
    async fn stats(&self, records: &Records, period: StatsPeriod) -> StatsBody {
        let window = Window::ending(period, self.clock.now());
        records.stats(self.version.owner, self.version.function_id, window).await.unwrap()
    }

    /// Records a run that took so long, from its beginning to its end.
    async fn run(&self, records: &Records, duration: TimeDelta) {
        let mut run = self.begin();
        records.began(run.clone()).await.unwrap();
        run.begin(1, self.clock.now(), None);
        self.clock.advance(duration);
        run.succeed(200, Value::Null, 4, self.clock.now());
        records.ended(run, Vec::new()).await.unwrap();
    }

    async fn fail(&self, records: &Records, kind: &str) {
        let mut run = self.begin();
        records.began(run.clone()).await.unwrap();
        run.begin(1, self.clock.now(), Some(12.0));
        run.used(Some(1_000), Some(2.5));
        let error = ExecutionError { kind: kind.to_owned(), message: String::new(), trace: None };
        run.fail(ExecutionStatus::Failed, error, self.clock.now());
        records.ended(run, Vec::new()).await.unwrap();
    }
}

#[tokio::test]
async fn figures_are_the_same_before_and_after_they_reach_the_database() {
    let home = Home::new();
    let records = home.open().await;
    home.run(&records, TimeDelta::milliseconds(40)).await;
    home.fail(&records, "ValueError").await;
    home.fail(&records, "nul \0").await;
    records.began(home.begin()).await.unwrap();

    for flushed in [false, true] {
        if flushed {
            records.flush().await.unwrap();
        }
        for period in PERIODS {
            let stats = home.stats(&records, period).await;
            let totals = &stats.totals;
            assert_eq!((totals.calls, totals.errors, totals.cold_starts), (3, 2, 2), "{flushed} {period:?}");
            let kinds = [("ValueError".to_owned(), 1), ("nul \u{fffd}".to_owned(), 1)];
            assert_eq!(totals.errors_by_kind, BTreeMap::from(kinds));
            assert_eq!((totals.peak_memory_bytes, totals.peak_cpu_ms), (Some(1_000), Some(2.5)));
            assert!((totals.p99_ms.unwrap() - 40.0).abs() <= 0.8, "{totals:?}");
            assert_eq!(stats.buckets.last().unwrap().figures, stats.totals);
        }
    }
}

#[tokio::test]
async fn percentiles_over_many_flushes_are_those_of_all_runs() {
    let home = Home::new();
    let records = home.open().await;
    let mut durations: Vec<i64> = Vec::new();
    for number in 0..120_i64 {
        // From a microsecond to two minutes, in no order, and into many minutes.
        let duration = 1 + (number * 7_919_993) % 120_000_000 / (1 + number % 50).pow(3);
        durations.push(duration);
        home.run(&records, TimeDelta::microseconds(duration)).await;
        if number % 17 == 0 {
            records.flush().await.unwrap();
        }
    }
    durations.sort_unstable();
    let totals = home.stats(&records, StatsPeriod::Day).await.totals;
    assert_eq!(totals.calls, 120);
    for (found, rank) in [(totals.p50_ms, 60), (totals.p95_ms, 114), (totals.p99_ms, 119)] {
        let expected = TimeDelta::microseconds(durations[rank - 1]).as_seconds_f64() * 1_000.0;
        assert!((found.unwrap() - expected).abs() <= 0.02 * expected, "{found:?}, not {expected}");
    }
}

#[tokio::test]
async fn a_run_is_counted_once_however_often_the_spool_is_read() {
    let home = Home::new();
    for process in 1..=3 {
        // What the process before wrote lies in the spool still, with what reached the database.
        let records = home.open().await;
        assert_eq!(home.stats(&records, StatsPeriod::Hour).await.totals.calls, process - 1);
        home.run(&records, TimeDelta::milliseconds(1)).await;
        records.flush().await.unwrap();
        assert_eq!(home.stats(&records, StatsPeriod::Hour).await.totals.calls, process);
    }
}

#[tokio::test]
async fn figures_that_are_read_while_runs_end_neither_miss_nor_repeat_one() {
    let home = Home::new();
    let records = Arc::new(home.open().await);
    let flusher = Flusher::start(Arc::clone(&records));
    for calls in 1..=60 {
        home.run(&records, TimeDelta::milliseconds(1)).await;
        assert_eq!(home.stats(&records, StatsPeriod::Hour).await.totals.calls, calls);
    }
    flusher.stop().await;
}

#[tokio::test]
async fn runs_fall_into_the_bucket_in_which_they_ended_and_leave_the_period_with_it() {
    let home = Home::new();
    let records = home.open().await;
    home.run(&records, TimeDelta::milliseconds(1)).await;
    home.clock.advance(TimeDelta::minutes(59));
    home.run(&records, TimeDelta::milliseconds(1)).await;
    records.flush().await.unwrap();
    let stats = home.stats(&records, StatsPeriod::Hour).await;
    let calls = |place: usize| stats.buckets[place].figures.calls;
    assert_eq!((calls(0), calls(59), stats.totals.calls), (1, 1, 2));

    home.clock.advance(TimeDelta::minutes(1));
    assert_eq!(home.stats(&records, StatsPeriod::Hour).await.totals.calls, 1);
    assert_eq!(home.stats(&records, StatsPeriod::Month).await.totals.calls, 2);
}

#[tokio::test]
async fn another_owner_sees_no_figures() {
    let home = Home::new();
    let records = home.open().await;
    home.run(&records, TimeDelta::milliseconds(1)).await;
    for flushed in [false, true] {
        if flushed {
            records.flush().await.unwrap();
        }
        let window = Window::ending(StatsPeriod::Hour, home.clock.now());
        let stats = records.stats(UserId::generate(), home.version.function_id, window).await.unwrap();
        assert_eq!(stats.totals.calls, 0);
    }
}
