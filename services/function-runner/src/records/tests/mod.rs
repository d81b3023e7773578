mod logs;
mod retention;
mod stats;

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use diesel::RunQueryDsl as _;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use serde_json::Value;
use slipway_kernel::{Clock as _, FixedClock, FunctionId, SigningKeyId};
use slipway_models::functions::LogStream;
use slipway_telemetry::Metrics;
use slipway_testkit::{TestDatabase, fixed_clock};
use tempfile::TempDir;

use super::*;
use crate::domain::{SignedBy, Trigger, Version};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");
const PATIENCE: Duration = Duration::from_secs(30);

struct Home {
    spool: TempDir,
    database: TestDatabase,
    clock: Arc<FixedClock>,
    version: Version,
}

impl Home {
    /// Makes a database that holds one function.
    fn new() -> Self {
        let version = Version::sample();
        let database = TestDatabase::create("functions", MIGRATIONS);
        diesel::sql_query(format!(
            "INSERT INTO functions VALUES ('{}', '{}', 'hello', 'python', 'active', 1, 1, '{{}}', now(), now())",
            version.function_id, version.owner
        ))
        .execute(&mut database.superuser())
        .unwrap();
        Self { spool: TempDir::new().unwrap(), database, clock: fixed_clock(), version }
    }

    /// Opens the records as a new process would, when the one before has let go of them.
    async fn open(&self) -> Records {
        let patience = Instant::now() + PATIENCE;
        loop {
            match self.try_open(self.spool.path(), 1 << 20).await {
                Ok(records) => return records,
                Err(error) => assert!(
                    error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < patience,
                    "{error}"
                ),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn try_open(&self, directory: &Path, max_pending_bytes: usize) -> io::Result<Records> {
        let metrics = Metrics::new("test").unwrap();
        let database = Database::new(&self.database.config(), &metrics).unwrap();
        let spool =
            SpoolConfig { directory: directory.to_owned(), segment_bytes: 4_096, fsync: Fsync::Interval };
        let clock: SharedClock = self.clock.clone();
        Records::open(RecordsConfig { spool, max_pending_bytes }, database, &clock).await
    }

    fn begin(&self) -> Execution {
        Execution::queued(&self.version, Trigger::Invoke, self.clock.now())
    }

    fn line(&self, run: &Execution, text: &str) -> LogLine {
        LogLine::received(run.id, self.clock.now(), LogStream::Stdout, text)
    }

    fn succeed(&self, mut run: Execution, result: &str) -> Execution {
        run.begin(1, self.clock.now(), None);
        run.succeed(200, Value::from(result), result.len(), self.clock.now());
        run
    }

    fn filter(&self) -> LogFilter {
        LogFilter::all_of(self.version.function_id)
    }

    fn runs(&self) -> ExecutionFilter {
        ExecutionFilter {
            function_id: self.version.function_id,
            status: None,
            trigger: None,
            dead_letter: None,
        }
    }

    async fn list(&self, records: &Records) -> Vec<Execution> {
        let page = PageRequest::new(None, None).unwrap();
        records.list(self.version.owner, self.runs(), page).await.unwrap().items
    }

    async fn texts(&self, records: &Records) -> Vec<String> {
        let page = PageRequest::new(None, None).unwrap();
        let lines = records.lines(self.version.owner, self.filter(), page).await.unwrap();
        lines.items.into_iter().map(|line| line.text).collect()
    }
}

#[tokio::test]
async fn a_run_reads_the_same_before_and_after_it_reaches_the_database() {
    let home = Home::new();
    let records = home.open().await;
    let run = home.begin();
    records.began(run.clone()).await.unwrap();
    records.printed(&run, || vec![home.line(&run, "first")]).await.unwrap();
    let ended = home.succeed(run.clone(), "nul \0 and more");
    records.ended(ended.clone(), vec![home.line(&run, "second \0")]).await.unwrap();

    for flushed in [false, true] {
        if flushed {
            records.flush().await.unwrap();
            assert_eq!(records.pending.bytes(), 0);
        }
        assert_eq!(records.find(home.version.owner, run.id).await.unwrap(), Some(ended.clone()));
        assert_eq!(home.list(&records).await, std::slice::from_ref(&ended));
        assert_eq!(home.texts(&records).await, ["second \u{fffd}", "first"]);
    }
}

#[tokio::test]
async fn another_owner_finds_nothing() {
    let home = Home::new();
    let records = home.open().await;
    let run = home.begin();
    records.began(run.clone()).await.unwrap();
    records.ended(home.succeed(run.clone(), "done"), vec![home.line(&run, "secret")]).await.unwrap();
    let stranger = UserId::generate();
    let page = PageRequest::new(None, None).unwrap();
    for flushed in [false, true] {
        if flushed {
            records.flush().await.unwrap();
        }
        assert_eq!(records.find(stranger, run.id).await.unwrap(), None);
        assert_eq!(records.list(stranger, home.runs(), page).await.unwrap().items, []);
        assert_eq!(records.lines(stranger, home.filter(), page).await.unwrap().items, []);
    }
}

#[tokio::test]
async fn pages_join_what_is_pending_and_what_is_stored() {
    let home = Home::new();
    let records = home.open().await;
    let mut ids = Vec::new();
    for number in 0..7 {
        let run = home.begin();
        ids.push(run.id);
        records.began(run.clone()).await.unwrap();
        records.ended(home.succeed(run, "done"), Vec::new()).await.unwrap();
        if number == 3 {
            records.flush().await.unwrap();
        }
    }
    ids.reverse();
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = PageRequest::new(Some(3), cursor.as_deref()).unwrap();
        let page = records.list(home.version.owner, home.runs(), page).await.unwrap();
        found.extend(page.items.iter().map(|run| run.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, ids);
}

#[tokio::test]
async fn runs_are_found_by_how_they_stand_wherever_they_are() {
    let home = Home::new();
    let records = home.open().await;
    let (open, ended) = (home.begin(), home.begin());
    for run in [&open, &ended] {
        records.began(run.clone()).await.unwrap();
    }
    // The database has it as queued, and what is pending says that it has ended.
    records.flush().await.unwrap();
    records.ended(home.succeed(ended.clone(), "done"), Vec::new()).await.unwrap();
    let page = PageRequest::new(Some(1), None).unwrap();
    for flushed in [false, true] {
        if flushed {
            records.flush().await.unwrap();
        }
        for (status, expected) in [
            (ExecutionStatus::Queued, vec![open.id]),
            (ExecutionStatus::Succeeded, vec![ended.id]),
            (ExecutionStatus::Failed, vec![]),
        ] {
            let filter = ExecutionFilter { status: Some(status), ..home.runs() };
            let found = records.list(home.version.owner, filter, page).await.unwrap();
            assert_eq!(found.items.iter().map(|run| run.id).collect::<Vec<_>>(), expected, "{status:?}");
            assert_eq!(found.next_cursor, None);
        }
        let filter = ExecutionFilter { trigger: Some(Trigger::Async), ..home.runs() };
        assert_eq!(records.list(home.version.owner, filter, page).await.unwrap().items, []);
    }
}

#[tokio::test]
async fn lines_are_found_by_run_and_by_time() {
    let home = Home::new();
    let records = home.open().await;
    let (early, late) = (home.begin(), home.begin());
    records.began(early.clone()).await.unwrap();
    records.began(late.clone()).await.unwrap();
    records.ended(home.succeed(early.clone(), "done"), vec![home.line(&early, "early")]).await.unwrap();
    home.clock.advance(TimeDelta::seconds(1));
    let since = home.clock.now();
    records.ended(home.succeed(late.clone(), "done"), vec![home.line(&late, "late")]).await.unwrap();
    let page = PageRequest::new(None, None).unwrap();
    for flushed in [false, true] {
        if flushed {
            records.flush().await.unwrap();
        }
        let by_time = LogFilter { since: Some(since), ..home.filter() };
        let by_run = LogFilter { execution_id: Some(early.id), ..home.filter() };
        for (filter, text) in [(by_time, "late"), (by_run, "early")] {
            let lines = records.lines(home.version.owner, filter, page).await.unwrap().items;
            assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), [text]);
        }
    }
}

#[tokio::test]
async fn a_killed_runner_loses_no_record_and_leaves_no_run_open() {
    let home = Home::new();
    let (flushed, cut, ended) = (home.begin(), home.begin(), home.begin());
    let before = home.open().await;
    before.began(flushed.clone()).await.unwrap();
    before.flush().await.unwrap();
    before.began(cut.clone()).await.unwrap();
    before.printed(&cut, || vec![home.line(&cut, "before the kill")]).await.unwrap();
    before.began(ended.clone()).await.unwrap();
    before.ended(home.succeed(ended.clone(), "done"), Vec::new()).await.unwrap();
    drop(before);

    let after = home.open().await;
    after.flush().await.unwrap();
    let listed = home.list(&after).await;
    assert_eq!(listed.len(), 3);
    for run in listed {
        let error = run.error.map(|error| error.kind);
        if run.id == ended.id {
            assert_eq!((run.status, error), (ExecutionStatus::Succeeded, None));
        } else {
            assert_eq!((run.status, error.as_deref()), (ExecutionStatus::Failed, Some("runner_restarted")));
        }
    }
    assert_eq!(home.texts(&after).await, ["before the kill"]);
}

#[tokio::test]
async fn an_end_in_the_database_is_final() {
    let home = Home::new();
    let records = home.open().await;
    let run = home.begin();
    let ended = home.succeed(run.clone(), "done");
    records.began(run.clone()).await.unwrap();
    records.ended(ended.clone(), Vec::new()).await.unwrap();
    records.flush().await.unwrap();
    records.began(run.clone()).await.unwrap();
    records.flush().await.unwrap();
    let mut connection = home.database.superuser();
    let stored = store::executions::find(&mut connection, run.owner, run.id).unwrap();
    assert_eq!(stored, Some(ended));
}

#[tokio::test]
async fn while_the_database_is_away_runs_are_recorded_and_reach_it_later() {
    let home = Home::new();
    let records = Arc::new(home.open().await);
    let flusher = Flusher::start(Arc::clone(&records));
    home.database.stop();
    let run = home.begin();
    records.began(run.clone()).await.unwrap();
    let ended = home.succeed(run.clone(), "done");
    records.ended(ended.clone(), Vec::new()).await.unwrap();
    assert_eq!(records.find(run.owner, run.id).await.unwrap(), Some(ended.clone()));
    let page = PageRequest::new(None, None).unwrap();
    let refused = records.list(run.owner, home.runs(), page).await.unwrap_err();
    assert!(refused.is_transient(), "{refused}");

    home.database.start();
    let patience = Instant::now() + PATIENCE;
    while records.pending.bytes() > 0 {
        assert!(Instant::now() < patience, "the records never reached the database");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(home.list(&records).await, [ended]);
    flusher.stop().await;
}

#[tokio::test]
async fn too_long_a_backlog_refuses_new_runs_and_drops_none() {
    let home = Home::new();
    let directory = TempDir::new().unwrap();
    let records = home.try_open(directory.path(), 1).await.unwrap();
    let run = home.begin();
    records.began(run.clone()).await.unwrap();
    assert!(matches!(records.began(home.begin()).await, Err(NotRecorded::Backlog(_))));
    records.ended(home.succeed(run, "done"), Vec::new()).await.unwrap();
    records.flush().await.unwrap();
    records.began(home.begin()).await.unwrap();
}

#[tokio::test]
async fn a_deleted_function_takes_its_records_along_and_holds_up_no_others() {
    let home = Home::new();
    let records = home.open().await;
    let mut orphan = home.begin();
    orphan.function_id = FunctionId::generate();
    records.began(orphan.clone()).await.unwrap();
    let run = home.begin();
    records.began(run.clone()).await.unwrap();
    records.ended(home.succeed(run.clone(), "done"), Vec::new()).await.unwrap();
    records.ended(home.succeed(orphan.clone(), "done"), Vec::new()).await.unwrap();
    records.flush().await.unwrap();
    assert_eq!(records.find(orphan.owner, orphan.id).await.unwrap(), None);
    assert_eq!(home.list(&records).await.len(), 1);
}

#[tokio::test]
async fn the_signature_that_set_off_a_run_is_known_from_its_beginning_on() {
    let home = Home::new();
    let records = home.open().await;
    let (owner, function_id, now) = (home.version.owner, home.version.function_id, home.clock.now());
    let mut run = home.begin();
    let signature = SignatureMark::new(now.timestamp(), &[7; 32]);
    run.signed_by = Some(SignedBy { key_id: SigningKeyId::generate(), signature });
    records.began(run.clone()).await.unwrap();
    records.began(home.begin()).await.unwrap();
    let known = async |records: &Records| records.signatures(owner, function_id, now).await.unwrap();
    assert_eq!(known(&records).await, [signature], "while it is on disk alone");
    drop(records);

    let records = home.open().await;
    assert_eq!(known(&records).await, [signature], "after a restart");
    records.flush().await.unwrap();
    assert_eq!(known(&records).await, [signature], "once the database has it");
    assert_eq!(records.find(owner, run.id).await.unwrap().unwrap().signed_by, run.signed_by);
    let later = records.signatures(owner, function_id, now + TimeDelta::seconds(1)).await.unwrap();
    assert_eq!(later, []);
    assert_eq!(records.signatures(UserId::generate(), function_id, now).await.unwrap(), []);
}
