//! The append-only record of runs on the local disk.
//!
//! A run's beginning is written before the run proceeds and its end before the answer is sent; from here both reach
//! PostgreSQL in batches (`crate::records`). "Written" means that `write(2)` has returned, which outlasts the death of
//! this process; what a power cut may take is bounded by [`Fsync`]. ADR 23 says why callers write by themselves.
//!
//! The files are segments. A segment begins with the runs that were under way when it was begun, so that an older one
//! is needed for nothing but its own records, and it is deleted when the last of them is in PostgreSQL. After a
//! crash the segments are read again, and what a reader finds twice is written once: every row has a key.

mod frame;
mod record;
mod segment;
mod writer;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

pub use record::Record;
use segment::Outstanding;
use writer::{Synced, Syncer, Writer};

/// When the spool is made to outlast a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Every 100 ms: a power cut takes what came after.
    Interval,
    /// Before an append returns.
    Always,
}

impl FromStr for Fsync {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "interval" => Ok(Self::Interval),
            "always" => Ok(Self::Always),
            _ => Err("expected `interval` or `always`"),
        }
    }
}

/// Where the spool is and how it writes.
#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// A directory of its own; made where it is missing.
    pub directory: PathBuf,
    /// The size at which the next segment is begun, in bytes.
    pub segment_bytes: u64,
    /// When it syncs.
    pub fsync: Fsync,
}

/// Says why a record was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// The disk is full or failing.
    #[error("the spool cannot be written: {0}")]
    Write(io::ErrorKind),
    /// The record is larger than any reader would believe.
    #[error("the record is too large for the spool")]
    TooLarge,
    /// The thread that syncs has died.
    #[error("the spool is closed")]
    Closed,
}

/// A record that is on disk.
#[derive(Debug, Clone)]
pub struct SpooledRecord {
    /// The segment that it is in, for [`Spool::confirm`].
    pub segment: u64,
    /// The record.
    pub record: Arc<Record>,
    /// Its size on disk, which stands for its size in memory.
    pub size: usize,
}

impl SpooledRecord {
    fn new(segment: u64, record: Record, size: usize) -> Self {
        Self { segment, record: Arc::new(record), size }
    }

    /// Stands for a record that the disk refused: it is in no segment.
    pub fn in_memory(record: Record) -> Self {
        Self::new(0, record, 0)
    }
}

/// The spool, open for appending. One process at a time has it open.
pub struct Spool {
    writer: Arc<Mutex<Writer>>,
    syncer: Syncer,
    outstanding: Arc<Outstanding>,
    /// Held for as long as anything may be written: dropped after the syncer.
    _lock: File,
}

impl Spool {
    /// Opens the spool and returns what earlier processes left in it, in the order of their writing. `observer` is
    /// told of every record from then on, in order and before its append returns. Blocking.
    ///
    /// # Errors
    /// The directory cannot be used, or another process has the spool open.
    pub fn open(
        config: SpoolConfig,
        observer: impl Fn(SpooledRecord) + Send + 'static,
    ) -> io::Result<(Self, Vec<SpooledRecord>)> {
        let SpoolConfig { directory, segment_bytes, fsync } = config;
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let lock = lock(&directory.join("lock"))?;
        let outstanding = Arc::new(Outstanding::new(directory.clone()));
        let mut left = Vec::new();
        let mut next = 1;
        for number in segment::list(&directory)? {
            let records = segment::read(&directory, number)?;
            outstanding.add(number, records.len());
            outstanding.close(number);
            left.extend(records);
            next = number + 1;
        }
        let observer = Box::new(observer);
        let writer =
            Writer::begin(directory.clone(), next, segment_bytes, fsync, Arc::clone(&outstanding), observer)?;
        let writer = Arc::new(Mutex::new(writer));
        let syncer = Syncer::start(Arc::clone(&writer), Arc::clone(&outstanding), directory, fsync)?;
        Ok((Self { writer, syncer, outstanding, _lock: lock }, left))
    }

    /// Writes `record` and returns when it is written. A caller that stops waiting has written it.
    pub async fn append(&self, record: Record) -> Result<(), SpoolError> {
        let frame = encode(&record)?;
        let written = writer::lock(&self.writer).append(record, frame);
        self.settle(written).await
    }

    /// Writes what `make` returns, as [`Self::append`] does; records are made in the order in which they are written.
    pub async fn append_in_order(&self, make: impl FnOnce() -> Record) -> Result<(), SpoolError> {
        let written = {
            let mut writer = writer::lock(&self.writer);
            let record = make();
            let frame = encode(&record)?;
            writer.append(record, frame)
        };
        self.settle(written).await
    }

    async fn settle(&self, written: Result<Option<Synced>, SpoolError>) -> Result<(), SpoolError> {
        self.syncer.notice();
        match written? {
            Some(synced) => synced.await.map_err(|_| SpoolError::Closed)?,
            None => Ok(()),
        }
    }

    /// Says that `records` records of `segment` are in PostgreSQL.
    pub fn confirm(&self, segment: u64, records: usize) {
        self.outstanding.confirm(segment, records);
    }
}

fn encode(record: &Record) -> Result<Vec<u8>, SpoolError> {
    let payload = serde_json::to_vec(record).map_err(|_| SpoolError::TooLarge)?;
    frame::encode(&payload).ok_or(SpoolError::TooLarge)
}

fn lock(path: &Path) -> io::Result<File> {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process has the spool open"))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests;
