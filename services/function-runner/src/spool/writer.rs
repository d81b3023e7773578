//! Writing to the newest segment, and making what was written outlast a power cut.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use slipway_kernel::ExecutionId;
use tokio::sync::oneshot;

use super::segment::{self, Outstanding};
use super::{Fsync, Record, SpoolError, SpooledRecord};

const SYNC_INTERVAL: Duration = Duration::from_millis(100);

/// Says how a sync went that an append waits for.
pub(super) type Synced = oneshot::Receiver<Result<(), SpoolError>>;

/// The segment that is written to.
struct Current {
    number: u64,
    file: Arc<File>,
    length: u64,
}

/// The state of writing. Whoever appends writes: a thread that wrote for all would cost each of them two wake-ups.
pub(super) struct Writer {
    directory: PathBuf,
    segment_bytes: u64,
    fsync: Fsync,
    outstanding: Arc<Outstanding>,
    observer: Box<dyn Fn(SpooledRecord) + Send>,
    current: Current,
    /// Segments that are full, and are closed once they, and the one after them, are synced.
    full: Vec<Current>,
    /// The beginnings of the runs that have not ended, as frames.
    unended: HashMap<ExecutionId, Vec<u8>>,
    /// True when the segment may have a fault, past which no reader gets.
    broken: bool,
    /// Appends that wait for the next sync.
    unsynced: Vec<oneshot::Sender<Result<(), SpoolError>>>,
}

impl Writer {
    /// Begins the segment `first`.
    pub(super) fn begin(
        directory: PathBuf,
        first: u64,
        segment_bytes: u64,
        fsync: Fsync,
        outstanding: Arc<Outstanding>,
        observer: Box<dyn Fn(SpooledRecord) + Send>,
    ) -> io::Result<Self> {
        let file = segment::create(&directory, first)?.into();
        segment::sync_names(&directory)?;
        Ok(Self {
            directory,
            segment_bytes,
            fsync,
            outstanding,
            observer,
            current: Current { number: first, file, length: 0 },
            full: Vec::new(),
            unended: HashMap::new(),
            broken: false,
            unsynced: Vec::new(),
        })
    }

    /// Writes a record, and returns what to wait for where it has to outlast a power cut at once.
    pub(super) fn append(&mut self, record: Record, frame: Vec<u8>) -> Result<Option<Synced>, SpoolError> {
        if self.broken {
            self.rotate();
        }
        self.write(&frame).map_err(|cause| {
            tracing::error!(error = %cause, "cannot write to the spool");
            SpoolError::Write(cause.kind())
        })?;
        let number = self.current.number;
        self.outstanding.add(number, 1);
        let spooled = SpooledRecord::new(number, record, frame.len());
        self.note(&spooled.record, frame);
        (self.observer)(spooled);
        let synced = (self.fsync == Fsync::Always).then(|| {
            let (sender, synced) = oneshot::channel();
            self.unsynced.push(sender);
            synced
        });
        if self.current.length >= self.segment_bytes {
            self.rotate();
        }
        Ok(synced)
    }

    /// Appends all of `bytes` or, where the disk is full, takes back what it wrote of them.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("the segment is torn and the next one cannot be begun"));
        }
        let mut file = &*self.current.file;
        if let Err(fault) = file.write_all(bytes) {
            self.broken = file.set_len(self.current.length).is_err();
            return Err(fault);
        }
        self.current.length += bytes.len() as u64;
        Ok(())
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
    /// that cannot be done, the next append that finds the segment broken or full tries again.
    fn rotate(&mut self) {
        match self.next_segment() {
            Ok(next) => {
                self.full.push(mem::replace(&mut self.current, next));
                self.broken = false;
            }
            Err(error) => {
                let _ = fs::remove_file(segment::path(&self.directory, self.current.number + 1));
                tracing::error!(%error, "cannot begin a segment of the spool");
            }
        }
    }

    fn next_segment(&self) -> io::Result<Current> {
        let number = self.current.number + 1;
        let mut file = segment::create(&self.directory, number)?;
        let bytes: Vec<u8> = self.unended.values().flatten().copied().collect();
        file.write_all(&bytes)?;
        Ok(Current { number, file: file.into(), length: bytes.len() as u64 })
    }
}

/// What was written since the last sync.
struct Unsynced {
    number: u64,
    file: Arc<File>,
    full: Vec<Current>,
    appends: Vec<oneshot::Sender<Result<(), SpoolError>>>,
}

impl Writer {
    fn take_unsynced(&mut self) -> Unsynced {
        Unsynced {
            number: self.current.number,
            file: Arc::clone(&self.current.file),
            full: mem::take(&mut self.full),
            appends: mem::take(&mut self.unsynced),
        }
    }
}

impl Unsynced {
    fn sync(&self, directory: &Path) -> io::Result<()> {
        self.full
            .iter()
            .map(|segment| &segment.file)
            .chain([&self.file])
            .try_for_each(|file| file.sync_data())?;
        if self.full.is_empty() { Ok(()) } else { segment::sync_names(directory) }
    }
}

/// Locks the state of writing.
pub(super) fn lock(writer: &Mutex<Writer>) -> MutexGuard<'_, Writer> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread that makes what was written outlast a power cut. Dropped, it has synced all of it.
pub(super) struct Syncer {
    dirty: Option<SyncSender<()>>,
    going: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(super) fn start(
        writer: Arc<Mutex<Writer>>,
        outstanding: Arc<Outstanding>,
        directory: PathBuf,
        fsync: Fsync,
    ) -> io::Result<Self> {
        let pause = match fsync {
            Fsync::Interval => SYNC_INTERVAL,
            Fsync::Always => Duration::ZERO,
        };
        let (dirty, wakes) = sync_channel(1);
        let (going, end) = sync_channel::<()>(0);
        let thread = thread::Builder::new().name("spool-sync".into()).spawn(move || {
            while wakes.recv().is_ok() {
                // Nothing is ever sent: this waits for the time, or for the end.
                let _ = end.recv_timeout(pause);
                sync(&writer, &outstanding, &directory);
            }
        })?;
        Ok(Self { dirty: Some(dirty), going: Some(going), thread: Some(thread) })
    }

    /// Has what was written synced in due time.
    pub(super) fn notice(&self) {
        // A full channel means that a sync, which will cover this write, is still to begin.
        let _ = self.dirty.as_ref().map(|dirty| dirty.try_send(()));
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        (self.dirty, self.going) = (None, None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Syncs what was written, and closes the segments that are full.
fn sync(writer: &Mutex<Writer>, outstanding: &Outstanding, directory: &Path) {
    let unsynced = lock(writer).take_unsynced();
    let outcome = unsynced.sync(directory).map_err(|error| {
        tracing::error!(%error, "cannot sync the spool");
        SpoolError::Write(error.kind())
    });
    if outcome.is_ok() {
        unsynced.full.iter().for_each(|segment| outstanding.close(segment.number));
    } else {
        // It is not tried again: a second sync would tell of success, whatever the first one lost. What comes goes
        // into another segment; those that are full stay, and the next start reads them again.
        let mut writer = lock(writer);
        writer.broken |= writer.current.number == unsynced.number;
    }
    for append in unsynced.appends {
        // Nobody waits for it any more: it is on record all the same.
        let _ = append.send(outcome);
    }
}
