//! The one thread that writes, and the one that makes what was written outlast a power cut.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use slipway_kernel::ExecutionId;
use tokio::sync::{mpsc, oneshot};

use super::segment::{self, Outstanding};
use super::{Fsync, Record, SpoolError, SpooledRecord};

/// How many bytes one `write` takes together.
const GROUP: usize = 1024 * 1024;
const SYNC_INTERVAL: Duration = Duration::from_millis(100);

pub(super) struct Append {
    pub(super) record: Record,
    pub(super) frame: Vec<u8>,
    pub(super) written: oneshot::Sender<Result<(), SpoolError>>,
}

pub(super) struct Writer {
    pub(super) directory: PathBuf,
    pub(super) segment_bytes: u64,
    pub(super) fsync: Fsync,
    pub(super) outstanding: Arc<Outstanding>,
    /// Told of each record, in order, before its append returns.
    pub(super) observer: Box<dyn Fn(SpooledRecord) + Send>,
    /// Held for as long as this may write.
    pub(super) _lock: File,
}

impl Writer {
    /// Begins the segment `first` and starts the threads. They end when every sender of appends is gone.
    pub(super) fn spawn(self, first: u64, appends: mpsc::Receiver<Append>) -> io::Result<()> {
        let current =
            Current { number: first, file: segment::create(&self.directory, first)?.into(), length: 0 };
        let newest = Arc::new(Mutex::new(Arc::clone(&current.file)));
        let (dirty, syncs) = sync_channel(1);
        let syncer_newest = Arc::clone(&newest);
        thread::Builder::new()
            .name("spool-sync".into())
            .spawn(move || keep_synced(&syncs, &syncer_newest))?;
        let run = Run { writer: self, current, newest, dirty, unended: HashMap::new(), broken: false };
        thread::Builder::new().name("spool-write".into()).spawn(move || run.until_closed(appends))?;
        Ok(())
    }
}

/// The segment that is written to.
struct Current {
    number: u64,
    file: Arc<File>,
    length: u64,
}

struct Run {
    writer: Writer,
    current: Current,
    /// The current file, for the thread that syncs.
    newest: Arc<Mutex<Arc<File>>>,
    dirty: SyncSender<()>,
    /// The beginnings of the runs that have not ended, as frames.
    unended: HashMap<ExecutionId, Vec<u8>>,
    /// True when the segment may end in a torn frame, past which no reader gets.
    broken: bool,
}

impl Run {
    fn until_closed(mut self, mut appends: mpsc::Receiver<Append>) {
        while let Some(first) = appends.blocking_recv() {
            let mut size = first.frame.len();
            let mut group = vec![first];
            while size < GROUP
                && let Ok(next) = appends.try_recv()
            {
                size += next.frame.len();
                group.push(next);
            }
            self.append(group);
            if self.broken || self.current.length >= self.writer.segment_bytes {
                self.rotate();
            }
        }
        if let Err(error) = self.current.file.sync_data() {
            tracing::error!(%error, "cannot sync the spool");
        }
    }

    fn append(&mut self, group: Vec<Append>) {
        let bytes: Vec<u8> = group.iter().flat_map(|append| &append.frame).copied().collect();
        let outcome = self.write(&bytes).map_err(|cause| {
            tracing::error!(error = %cause, "cannot write to the spool");
            SpoolError::Write(cause.kind())
        });
        if outcome.is_ok() {
            self.writer.outstanding.add(self.current.number, group.len());
        }
        for Append { record, frame, written } in group {
            if outcome.is_ok() {
                let spooled = SpooledRecord::new(self.current.number, record, frame.len());
                self.note(&spooled.record, frame);
                (self.writer.observer)(spooled);
            }
            // Nobody waits for it any more: it is on record all the same.
            let _ = written.send(outcome);
        }
    }

    /// Appends all of `bytes` or, where the disk is full, takes back what it wrote of them.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("the segment is torn and the next one cannot be begun"));
        }
        let file = &*self.current.file;
        let mut writer = file;
        if let Err(fault) = writer.write_all(bytes) {
            self.broken = file.set_len(self.current.length).is_err();
            return Err(fault);
        }
        self.current.length += bytes.len() as u64;
        match self.writer.fsync {
            Fsync::Always => file.sync_data(),
            Fsync::Interval => {
                // A full channel means that a sync, which will cover this write, is still to begin.
                let _ = self.dirty.try_send(());
                Ok(())
            }
        }
    }

    fn note(&mut self, record: &Record, frame: Vec<u8>) {
        match record {
            Record::Began { execution } => {
                self.unended.insert(execution.id, frame);
            }
            Record::Printed { .. } => {}
            Record::Ended { execution, .. } => {
                self.unended.remove(&execution.id);
            }
        }
    }

    /// Begins the next segment with the runs that have not ended, so that no earlier one is needed for them. Where
    /// that cannot be done, the next append tries again.
    fn rotate(&mut self) {
        match self.next_segment() {
            Ok(next) => {
                *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next.file);
                let closed = std::mem::replace(&mut self.current, next);
                self.broken = false;
                self.writer.outstanding.close(closed.number);
            }
            Err(error) => {
                let _ = fs::remove_file(segment::path(&self.writer.directory, self.current.number + 1));
                tracing::error!(%error, "cannot begin a segment of the spool");
            }
        }
    }

    fn next_segment(&self) -> io::Result<Current> {
        self.current.file.sync_data()?;
        let number = self.current.number + 1;
        let mut file = segment::create(&self.writer.directory, number)?;
        let bytes: Vec<u8> = self.unended.values().flatten().copied().collect();
        file.write_all(&bytes)?;
        file.sync_data()?;
        Ok(Current { number, file: file.into(), length: bytes.len() as u64 })
    }
}

fn keep_synced(syncs: &Receiver<()>, newest: &Mutex<Arc<File>>) {
    while syncs.recv().is_ok() {
        thread::sleep(SYNC_INTERVAL);
        let file = Arc::clone(&newest.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = file.sync_data() {
            tracing::error!(%error, "cannot sync the spool");
        }
    }
}
