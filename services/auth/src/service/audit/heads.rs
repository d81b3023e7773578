use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use slipway_jwt::SecretKey;

use crate::domain::Tip;

const HEAD: &str = "audit-head";

/// The file of signed heads, a line of JSON each: how far the log went, and when. It only grows, and is worth most where
/// whoever has the database cannot reach it.
pub(super) struct Heads {
    path: PathBuf,
    key: Arc<SecretKey>,
    /// The last place that was added.
    added: Mutex<i64>,
}

/// A head as the file has it.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    seq: i64,
    hash: String,
    time: DateTime<Utc>,
    mac: String,
}

/// A head that was read.
pub(super) struct SignedHead {
    pub(super) tip: Tip,
    /// Whether it is as it was signed.
    pub(super) is_genuine: bool,
}

impl Heads {
    pub(super) fn new(path: PathBuf, key: Arc<SecretKey>) -> Self {
        Self { path, key, added: Mutex::new(0) }
    }

    /// Adds a head and waits until the disk has it. One that is in the file already is not added again. Blocking.
    pub(super) fn add(&self, tip: Tip, now: DateTime<Utc>) -> io::Result<()> {
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        if tip.seq <= *added {
            return Ok(());
        }
        let line = Line {
            seq: tip.seq,
            hash: hex::encode(tip.hash),
            time: now,
            mac: hex::encode(self.mac(&tip, now)),
        };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        let mut file = self.open()?;
        if ends_amid_a_line(&mut file)? {
            text.insert(0, '\n');
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        *added = tip.seq;
        Ok(())
    }

    /// Finds the head that goes furthest, and remembers it as added. Blocking.
    pub(super) fn last(&self) -> io::Result<Tip> {
        let mut last = Tip::START;
        for head in self.read()? {
            let head = head?;
            if !head.is_genuine {
                tracing::error!(audit.seq = head.tip.seq, "a signed head of the audit log was changed");
            } else if head.tip.seq > last.seq {
                last = head.tip;
            }
        }
        *self.added.lock().unwrap_or_else(PoisonError::into_inner) = last.seq;
        Ok(last)
    }

    /// Reads the heads one by one, in the file's order. A line that is no head, such as one that a crash cut off, is passed
    /// over: whoever could write one could also take lines away.
    pub(super) fn read(&self) -> io::Result<impl Iterator<Item = io::Result<SignedHead>>> {
        let lines = match File::open(&self.path) {
            Ok(file) => Some(BufReader::new(file).lines()),
            Err(fault) if fault.kind() == ErrorKind::NotFound => None,
            Err(fault) => return Err(fault),
        };
        Ok(lines.into_iter().flatten().filter_map(|line| match line {
            Ok(line) => self.parse(&line).map(Ok),
            Err(fault) => Some(Err(fault)),
        }))
    }

    fn parse(&self, line: &str) -> Option<SignedHead> {
        let line: Line = serde_json::from_str(line).ok()?;
        let mut hash = [0; 32];
        hex::decode_to_slice(&line.hash, &mut hash).ok()?;
        let tip = Tip { seq: line.seq, hash };
        // No secret is compared: the file is there to be read.
        let is_genuine = line.mac == hex::encode(self.mac(&tip, line.time));
        Some(SignedHead { tip, is_genuine })
    }

    fn mac(&self, tip: &Tip, time: DateTime<Utc>) -> [u8; 32] {
        let parts = [&tip.seq.to_be_bytes()[..], &tip.hash, &time.timestamp_micros().to_be_bytes()];
        self.key.digest(HEAD, &parts.concat())
    }

    fn open(&self) -> io::Result<File> {
        if let Some(directory) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)
    }
}

fn ends_amid_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn heads(directory: &std::path::Path) -> Heads {
        let key = Arc::new(SecretKey::load_or_create(directory, "audit").unwrap());
        Heads::new(directory.join("state/heads.jsonl"), key)
    }

    fn tip(seq: i64) -> Tip {
        Tip { seq, hash: [7; 32] }
    }

    #[test]
    fn heads_are_added_once_and_outlive_a_restart_and_a_line_that_was_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/heads.jsonl");
        let first = heads(directory.path());
        assert_eq!(first.last().unwrap(), Tip::START);
        for seq in [3, 3, 5] {
            first.add(tip(seq), DateTime::UNIX_EPOCH).unwrap();
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"seq\":6,\"ha").unwrap();

        let again = heads(directory.path());
        assert_eq!(again.last().unwrap(), tip(5));
        again.add(tip(5), DateTime::UNIX_EPOCH).unwrap();
        again.add(tip(9), DateTime::UNIX_EPOCH).unwrap();
        let read: Vec<_> = again.read().unwrap().map(|head| head.unwrap().tip.seq).collect();
        assert_eq!(read, [3, 5, 9]);
    }

    #[test]
    fn a_head_that_was_changed_is_not_genuine() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/heads.jsonl");
        heads(directory.path()).add(tip(10), DateTime::UNIX_EPOCH).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for (from, to) in [("\"seq\":10", "\"seq\":9"), ("07\"", "08\""), ("1970", "1971")] {
            fs::write(&path, text.replace(from, to)).unwrap();
            let read: Vec<_> = heads(directory.path()).read().unwrap().map(|head| head.unwrap()).collect();
            assert!(!read[0].is_genuine, "{to}");
        }
        assert_eq!(heads(directory.path()).last().unwrap(), Tip::START);
    }
}
