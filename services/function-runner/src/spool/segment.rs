//! The files of the spool: `<number>.spool`, 20 digits, in the order in which they were begun.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::SpooledRecord;
use super::frame::Frames;

const EXTENSION: &str = "spool";

pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}.{EXTENSION}"))
}

/// Lists the segments, oldest first. Other files are left alone.
pub(super) fn list(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if path.extension().is_some_and(|extension| extension == EXTENSION)
            && let Some(number) = stem.and_then(|stem| stem.parse().ok())
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Begins a segment. A power cut may take its name away until [`sync_names`].
pub(super) fn create(directory: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path(directory, number))
}

/// Makes the names of the segments outlast a power cut.
pub(super) fn sync_names(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Reads a segment's records. A torn tail is what a crash leaves behind: it was never acknowledged.
pub(super) fn read(directory: &Path, number: u64) -> io::Result<Vec<SpooledRecord>> {
    let bytes = fs::read(path(directory, number))?;
    let mut frames = Frames::new(&bytes);
    let mut records = Vec::new();
    for payload in frames.by_ref() {
        match serde_json::from_slice(payload) {
            Ok(record) => records.push(SpooledRecord::new(number, record, payload.len())),
            Err(fault) => {
                tracing::error!(spool.segment = number, %fault, "left out a record that cannot be read");
            }
        }
    }
    if frames.unread() > 0 {
        tracing::warn!(spool.segment = number, spool.bytes = frames.unread(), "left out a torn tail");
    }
    Ok(records)
}

/// Counts, by segment, the records that are not in PostgreSQL yet, and deletes segments that hold none.
///
/// Segments go strictly in order, so that the end of a run never goes before its beginning.
pub(super) struct Outstanding {
    directory: PathBuf,
    segments: Mutex<BTreeMap<u64, Segment>>,
}

#[derive(Debug, Default)]
struct Segment {
    records: usize,
    closed: bool,
}

impl Outstanding {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, segments: Mutex::default() }
    }

    pub(super) fn add(&self, number: u64, records: usize) {
        self.lock().entry(number).or_default().records += records;
    }

    pub(super) fn confirm(&self, number: u64, records: usize) {
        let mut segments = self.lock();
        if let Some(segment) = segments.get_mut(&number) {
            segment.records = segment.records.saturating_sub(records);
        }
        self.delete_settled(&mut segments);
    }

    pub(super) fn close(&self, number: u64) {
        let mut segments = self.lock();
        segments.entry(number).or_default().closed = true;
        self.delete_settled(&mut segments);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delete_settled(&self, segments: &mut BTreeMap<u64, Segment>) {
        while let Some(first) = segments.first_entry()
            && first.get().closed
            && first.get().records == 0
        {
            let (number, _) = first.remove_entry();
            if let Err(error) = fs::remove_file(path(&self.directory, number)) {
                tracing::warn!(spool.segment = number, %error, "cannot delete a segment of the spool");
            }
        }
    }
}
