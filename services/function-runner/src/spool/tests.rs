use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;

use chrono::{TimeZone as _, Utc};
use serde_json::Value;
use slipway_kernel::ExecutionId;
use slipway_models::functions::LogStream;
use tempfile::TempDir;

use super::*;
use crate::domain::{Execution, LogLine, Trigger, Version};

type Seen = Arc<Mutex<Vec<SpooledRecord>>>;

fn began() -> Execution {
    Execution::queued(&Version::sample(), Trigger::Invoke, Utc.timestamp_opt(1_700_000_000, 0).unwrap())
}

fn ended(mut execution: Execution) -> Record {
    let now = execution.queued_at;
    let line = LogLine::received(execution.id, now, LogStream::Stdout, "one\0two");
    execution.begin(1, now, None);
    execution.succeed(200, Value::from("done"), 6, now);
    Record::Ended { execution, lines: vec![line] }
}

fn config(directory: &Path, segment_bytes: u64) -> SpoolConfig {
    SpoolConfig { directory: directory.to_owned(), segment_bytes, fsync: Fsync::Interval }
}

fn open(directory: &Path, segment_bytes: u64) -> (Spool, Vec<Record>, Seen) {
    let seen = Seen::default();
    let written = Arc::clone(&seen);
    let note = move |record| written.lock().unwrap().push(record);
    let (spool, left) = Spool::open(config(directory, segment_bytes), note).unwrap();
    (spool, left.into_iter().map(|spooled| (*spooled.record).clone()).collect(), seen)
}

fn segments(directory: &Path) -> Vec<u64> {
    segment::list(directory).unwrap()
}

#[tokio::test]
async fn what_was_appended_is_there_after_the_process_has_gone() {
    let home = TempDir::new().unwrap();
    let run = began();
    let records = [Record::Began { execution: run.clone() }, ended(run)];
    let (spool, left, seen) = open(home.path(), 1 << 20);
    assert_eq!(left, []);
    for record in &records {
        spool.append(record.clone()).await.unwrap();
    }
    let observed: Vec<Record> =
        seen.lock().unwrap().iter().map(|spooled| (*spooled.record).clone()).collect();
    assert_eq!(observed, records);
    drop(spool);

    let (_spool, left, _) = open(home.path(), 1 << 20);
    assert_eq!(left, records);
}

#[tokio::test]
async fn many_appends_at_once_are_all_written() {
    let home = TempDir::new().unwrap();
    let (spool, ..) = open(home.path(), 4_096);
    let runs: Vec<Execution> = (0..500).map(|_| began()).collect();
    let appends = runs.iter().map(|run| spool.append(Record::Began { execution: run.clone() }));
    futures_util::future::try_join_all(appends).await.unwrap();
    drop(spool);

    let (_spool, left, _) = open(home.path(), 4_096);
    let found: HashSet<ExecutionId> = left.iter().map(Record::execution_id).collect();
    assert_eq!(found, runs.iter().map(|run| run.id).collect());
}

#[tokio::test]
async fn a_torn_tail_loses_only_what_was_never_acknowledged() {
    let home = TempDir::new().unwrap();
    let first = Record::Began { execution: began() };
    let (spool, ..) = open(home.path(), 1 << 20);
    spool.append(first.clone()).await.unwrap();
    let whole = fs::metadata(segment::path(home.path(), 1)).unwrap().len();
    spool.append(Record::Began { execution: began() }).await.unwrap();
    drop(spool);
    let bytes = fs::read(segment::path(home.path(), 1)).unwrap();

    for cut in usize::try_from(whole).unwrap()..bytes.len() {
        let torn = TempDir::new().unwrap();
        fs::write(segment::path(torn.path(), 1), &bytes[..cut]).unwrap();
        assert_eq!(segment::read(torn.path(), 1).unwrap().len(), 1, "cut at {cut}");
    }

    fs::write(segment::path(home.path(), 1), &bytes[..bytes.len() - 1]).unwrap();
    let (spool, left, _) = open(home.path(), 1 << 20);
    assert_eq!(left, std::slice::from_ref(&first));
    let second = Record::Began { execution: began() };
    spool.append(second.clone()).await.unwrap();
    drop(spool);
    let (_spool, left, _) = open(home.path(), 1 << 20);
    assert_eq!(left, [first, second]);
}

#[tokio::test]
async fn a_settled_segment_goes_and_a_run_under_way_is_carried_into_the_next() {
    let home = TempDir::new().unwrap();
    let long = began();
    let (spool, _, seen) = open(home.path(), 1);
    spool.append(Record::Began { execution: long.clone() }).await.unwrap();
    for _ in 0..3 {
        let run = began();
        spool.append(Record::Began { execution: run.clone() }).await.unwrap();
        spool.append(ended(run)).await.unwrap();
    }
    for spooled in seen.lock().unwrap().drain(..) {
        spool.confirm(spooled.segment, 1);
    }
    let newest = spool.append(Record::Began { execution: began() }).await;
    assert_eq!(newest, Ok(()));
    drop(spool);

    let (_spool, left, _) = open(home.path(), 1 << 20);
    assert!(segments(home.path()).len() <= 3, "{:?}", segments(home.path()));
    assert!(left.contains(&Record::Began { execution: long }));
    assert!(!left.iter().any(|record| matches!(record, Record::Ended { .. })));
}

#[tokio::test]
async fn an_unconfirmed_record_keeps_its_segment_and_those_after_it() {
    let home = TempDir::new().unwrap();
    let (spool, _, seen) = open(home.path(), 1);
    for _ in 0..3 {
        spool.append(Record::Began { execution: began() }).await.unwrap();
    }
    let segments_of: Vec<u64> = seen.lock().unwrap().iter().map(|spooled| spooled.segment).collect();
    for segment in &segments_of[1..] {
        spool.confirm(*segment, 1);
    }
    assert!(segments(home.path()).starts_with(&segments_of));
    spool.confirm(segments_of[0], 1);
    drop(spool);
    assert!(!segments(home.path()).iter().any(|number| segments_of.contains(number)));
}

#[tokio::test]
async fn appends_that_must_outlast_a_power_cut_return_when_they_are_synced() {
    let home = TempDir::new().unwrap();
    let config = SpoolConfig { fsync: Fsync::Always, ..config(home.path(), 4_096) };
    let (spool, _) = Spool::open(config, |_| {}).unwrap();
    let runs: Vec<Execution> = (0..100).map(|_| began()).collect();
    let appends = runs.iter().map(|run| spool.append(Record::Began { execution: run.clone() }));
    futures_util::future::try_join_all(appends).await.unwrap();
    drop(spool);

    let (_spool, left, _) = open(home.path(), 4_096);
    let found: HashSet<ExecutionId> = left.iter().map(Record::execution_id).collect();
    assert_eq!(found, runs.iter().map(|run| run.id).collect());
}

#[test]
fn a_second_process_is_refused() {
    let home = TempDir::new().unwrap();
    let _first = open(home.path(), 1);
    let second = Spool::open(config(home.path(), 1), |_| {}).err().unwrap();
    assert_eq!(second.kind(), io::ErrorKind::ResourceBusy);
}

#[tokio::test]
async fn a_record_that_no_reader_would_believe_is_refused() {
    let home = TempDir::new().unwrap();
    let (spool, ..) = open(home.path(), 1);
    let mut execution = began();
    execution.result = Some(Value::from("x".repeat(frame::MAX_PAYLOAD)));
    assert_eq!(spool.append(Record::Began { execution }).await, Err(SpoolError::TooLarge));
}
