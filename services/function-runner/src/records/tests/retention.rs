use slipway_db::IdempotencyKey;
use slipway_kernel::SystemClock;
use slipway_models::functions::StatsPeriod;

use super::*;
use crate::domain::stats::Window;
use crate::records::retention::{Kept, Retention, Sweeper};

const PLENTY: Kept = Kept { age: TimeDelta::days(30), count: 1_000 };

impl Home {
    async fn sweep(&self, retention: Retention) {
        let metrics = Metrics::new("test").unwrap();
        let database = Database::new(&self.database.config(), &metrics).unwrap();
        let clock: SharedClock = self.clock.clone();
        Sweeper::new(database, clock, retention, &metrics).unwrap().sweep().await.unwrap();
    }

    async fn calls(&self, records: &Records) -> u64 {
        let window = Window::ending(StatsPeriod::Month, self.clock.now());
        records.stats(self.version.owner, self.version.function_id, window).await.unwrap().totals.calls
    }

    /// Records runs that printed a line each; returns them.
    async fn ran(&self, records: &Records, count: usize) -> Vec<Execution> {
        let mut runs = Vec::new();
        for number in 0..count {
            let run = self.begin();
            records.began(run.clone()).await.unwrap();
            let line = self.line(&run, &number.to_string());
            let ended = self.succeed(run, "done");
            records.ended(ended.clone(), vec![line]).await.unwrap();
            runs.push(ended);
        }
        runs
    }
}

#[tokio::test]
async fn what_is_beyond_the_newest_goes_and_the_figures_stay() {
    let home = Home::new();
    let records = home.open().await;
    let open = home.begin();
    records.began(open.clone()).await.unwrap();
    let runs = home.ran(&records, 12).await;
    records.flush().await.unwrap();

    let retention = Retention { executions: Kept { count: 5, ..PLENTY }, lines: Kept { count: 3, ..PLENTY } };
    for _ in 0..2 {
        home.sweep(retention).await;
        let kept: Vec<_> = home.list(&records).await.into_iter().map(|run| run.id).collect();
        let newest = runs[7..].iter().rev().map(|run| run.id);
        assert_eq!(kept, newest.chain([open.id]).collect::<Vec<_>>(), "what has not ended is kept");
        assert_eq!(home.texts(&records).await, ["11", "10", "9"]);
        assert_eq!(home.calls(&records).await, 12);
    }
}

#[tokio::test]
async fn keys_of_requests_go_when_nobody_may_repeat_them() {
    let home = Home::new();
    let key = IdempotencyKey::new(home.version.owner.as_uuid(), "test", "key", b"").unwrap();
    let connection = &mut home.database.superuser();
    slipway_db::begin(connection, &key, home.clock.now()).unwrap();
    home.clock.advance(TimeDelta::hours(25));
    home.sweep(Retention { executions: PLENTY, lines: PLENTY }).await;
    assert_eq!(slipway_db::purge_expired(connection, home.clock.now(), 1).unwrap(), 0);
}

#[tokio::test]
async fn a_run_that_was_signed_is_kept_for_as_long_as_its_signature_is_good() {
    let home = Home::new();
    let records = home.open().await;
    // Ids are of the real time.
    home.clock.advance(SystemClock.now() - home.clock.now());
    let mut run = home.begin();
    let signature = SignatureMark::new(home.clock.now().timestamp(), &[7; 32]);
    run.signed_by = Some(SignedBy { key_id: SigningKeyId::generate(), signature });
    records.began(run.clone()).await.unwrap();
    records.ended(home.succeed(run.clone(), "done"), Vec::new()).await.unwrap();
    home.ran(&records, 3).await;
    records.flush().await.unwrap();
    let retention = Retention { executions: Kept { count: 1, ..PLENTY }, lines: PLENTY };

    home.clock.advance(TimeDelta::minutes(10));
    home.sweep(retention).await;
    let kept = home.list(&records).await;
    assert_eq!((kept.len(), kept[1].id), (2, run.id));
    home.clock.advance(TimeDelta::minutes(30));
    home.sweep(retention).await;
    assert_eq!(home.list(&records).await.len(), 1);
}

#[tokio::test]
async fn what_is_too_old_goes() {
    let home = Home::new();
    let records = home.open().await;
    home.ran(&records, 3).await;
    records.flush().await.unwrap();
    let of_lines = Kept { age: TimeDelta::days(2), ..PLENTY };
    let retention = Retention { executions: PLENTY, lines: of_lines };

    // Ids are of the real time.
    home.clock.advance(SystemClock.now() - home.clock.now() + TimeDelta::days(1));
    home.sweep(retention).await;
    assert_eq!((home.list(&records).await.len(), home.texts(&records).await.len()), (3, 3));

    home.clock.advance(TimeDelta::days(10));
    home.sweep(retention).await;
    assert_eq!((home.list(&records).await.len(), home.texts(&records).await.len()), (3, 0));

    home.clock.advance(TimeDelta::days(30));
    home.sweep(retention).await;
    assert_eq!(home.list(&records).await.len(), 0);
}

#[tokio::test]
async fn a_spool_that_is_read_again_brings_nothing_back_and_counts_nothing_twice() {
    let home = Home::new();
    let before = home.open().await;
    home.ran(&before, 10).await;
    before.flush().await.unwrap();
    home.sweep(Retention { executions: Kept { count: 4, ..PLENTY }, lines: PLENTY }).await;
    drop(before);

    let after = home.open().await;
    assert_eq!(home.calls(&after).await, 10, "before the flush");
    after.flush().await.unwrap();
    assert_eq!((home.list(&after).await.len(), home.calls(&after).await), (4, 10));
    home.ran(&after, 1).await;
    after.flush().await.unwrap();
    assert_eq!((home.list(&after).await.len(), home.calls(&after).await), (5, 11));
}
