use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::{ArchiveError, EntryFault, Limits};

/// Archives that unpack to less than this may have any ratio.
const RATIO_APPLIES_FROM: u64 = 1024 * 1024;
const MAX_NAME_BYTES: usize = 255;
const MAX_PATH_BYTES: usize = 1024;
/// As many links as Linux itself follows in one path (`path_resolution(7)`).
const MAX_LINKS_FOLLOWED: usize = 40;

/// The directory that an archive becomes, and all that is in it so far.
pub(super) struct Tree {
    root: PathBuf,
    limits: Limits,
    packed_bytes: u64,
    unpacked_bytes: u64,
    files: usize,
    directories: usize,
    entries: BTreeMap<String, Node>,
}

enum Node {
    Directory,
    File { bytes: u64, executable: bool },
    Link { target: String },
}

impl Tree {
    pub(super) fn new(root: &Path, limits: Limits, packed_bytes: u64) -> Self {
        Self {
            root: root.to_owned(),
            limits,
            packed_bytes,
            unpacked_bytes: 0,
            files: 0,
            directories: 0,
            entries: BTreeMap::new(),
        }
    }

    /// Makes a directory. One that is there already stays.
    pub(super) fn add_directory(&mut self, name: &[u8]) -> Result<(), ArchiveError> {
        let path = clean_path(name)?;
        self.make_directories(&path, name)
    }

    /// Writes a file of what `content` holds.
    pub(super) fn add_file(
        &mut self,
        name: &[u8],
        executable: bool,
        content: &mut impl Read,
    ) -> Result<(), ArchiveError> {
        let path = self.claim(name)?;
        let mut file = create_file(&self.root.join(&path), executable)?;
        let mut buffer = vec![0; 64 * 1024];
        let mut bytes = 0;
        loop {
            let read = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ArchiveError::from_reading(error)),
            };
            bytes += read as u64;
            self.account(read as u64)?;
            file.write_all(buffer.get(..read).unwrap_or_default())?;
        }
        self.entries.insert(path, Node::File { bytes, executable });
        Ok(())
    }

    /// Notes a symbolic link; [`Tree::finish`] checks and makes it.
    pub(super) fn add_link(&mut self, name: &[u8], target: &[u8]) -> Result<(), ArchiveError> {
        let path = self.claim(name)?;
        let target = str::from_utf8(target).map_err(|_| EntryFault::Name.of(name))?;
        if target.is_empty() || target.len() > MAX_PATH_BYTES || target.contains('\0') {
            return Err(EntryFault::Name.of(name));
        }
        self.entries.insert(path, Node::Link { target: target.to_owned() });
        Ok(())
    }

    /// Copies a file that came before: a hard link would let a small archive count once and build to a huge image.
    pub(super) fn add_hard_link(&mut self, name: &[u8], target: &[u8]) -> Result<(), ArchiveError> {
        let source = clean_path(target).map_err(|_| EntryFault::LinkLeaves.of(name))?;
        let Some(&Node::File { bytes, executable }) = self.entries.get(&source) else {
            return Err(EntryFault::LinkToNothing.of(name));
        };
        let path = self.claim(name)?;
        self.account(bytes)?;
        let mut copy = create_file(&self.root.join(&path), executable)?;
        std::io::copy(&mut File::open(self.root.join(&source))?, &mut copy)?;
        self.entries.insert(path, Node::File { bytes, executable });
        Ok(())
    }

    /// Checks every link against the whole tree, makes them, and refuses an archive of nothing.
    pub(super) fn finish(self) -> Result<(), ArchiveError> {
        if self.files == 0 {
            return Err(ArchiveError::Empty);
        }
        let links = || {
            self.entries.iter().filter_map(|(path, node)| match node {
                Node::Link { target } => Some((path, target)),
                _ => None,
            })
        };
        for (path, target) in links() {
            if !self.stays_inside(path, target) {
                return Err(EntryFault::LinkLeaves.of(path.as_bytes()));
            }
        }
        for (path, target) in links() {
            symlink(target, self.root.join(path))?;
        }
        Ok(())
    }

    /// Follows a link as the kernel would, through other links, and tells whether it ever leaves the root. What it
    /// points to need not exist.
    fn stays_inside(&self, path: &str, target: &str) -> bool {
        let mut place: Vec<&str> = path.split('/').collect();
        place.pop();
        let mut steps: VecDeque<&str> = target.split('/').collect();
        let mut followed = 0;
        if target.starts_with('/') {
            return false;
        }
        while let Some(step) = steps.pop_front() {
            match step {
                "" | "." => {}
                ".." => {
                    if place.pop().is_none() {
                        return false;
                    }
                }
                name => {
                    place.push(name);
                    let Some(Node::Link { target }) = self.entries.get(&place.join("/")) else { continue };
                    followed += 1;
                    if followed > MAX_LINKS_FOLLOWED || target.starts_with('/') {
                        return false;
                    }
                    place.pop();
                    for step in target.split('/').rev() {
                        steps.push_front(step);
                    }
                }
            }
        }
        true
    }

    /// Checks the path of a new file or link, and makes the directories above it.
    fn claim(&mut self, name: &[u8]) -> Result<String, ArchiveError> {
        let path = clean_path(name)?;
        if path.is_empty() || self.entries.contains_key(&path) {
            return Err(EntryFault::Duplicate.of(name));
        }
        self.files += 1;
        if self.files > self.limits.files {
            return Err(ArchiveError::TooManyFiles(self.limits.files));
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.make_directories(parent, name)?;
        }
        Ok(path)
    }

    fn make_directories(&mut self, path: &str, name: &[u8]) -> Result<(), ArchiveError> {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for directory in ends.filter_map(|end| path.get(..end)).filter(|directory| !directory.is_empty()) {
            match self.entries.get(directory) {
                Some(Node::Directory) => {}
                Some(_) => return Err(EntryFault::NotInDirectory.of(name)),
                None => {
                    self.directories += 1;
                    if self.directories > self.limits.files {
                        return Err(ArchiveError::TooManyFiles(self.limits.files));
                    }
                    fs::DirBuilder::new().mode(0o755).create(self.root.join(directory))?;
                    self.entries.insert(directory.to_owned(), Node::Directory);
                }
            }
        }
        Ok(())
    }

    fn account(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.unpacked_bytes = self.unpacked_bytes.saturating_add(bytes);
        if self.unpacked_bytes > self.limits.unpacked_bytes {
            return Err(ArchiveError::TooLarge(self.limits.unpacked_bytes));
        }
        let allowed = self.packed_bytes.saturating_mul(self.limits.ratio).max(RATIO_APPLIES_FROM);
        if self.unpacked_bytes > allowed {
            return Err(ArchiveError::Ratio(self.limits.ratio));
        }
        Ok(())
    }
}

/// Reads an entry's name as a path below the root: `./a//b/` is `a/b`, and the root itself is empty.
fn clean_path(name: &[u8]) -> Result<String, ArchiveError> {
    let text = str::from_utf8(name).map_err(|_| EntryFault::Name.of(name))?;
    if text.starts_with('/') {
        return Err(EntryFault::Absolute.of(name));
    }
    let mut path = String::with_capacity(text.len());
    for part in text.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            return Err(EntryFault::Parent.of(name));
        }
        if part.len() > MAX_NAME_BYTES || part.contains('\0') {
            return Err(EntryFault::Name.of(name));
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
    }
    if path.len() > MAX_PATH_BYTES { Err(EntryFault::Name.of(name)) } else { Ok(path) }
}

fn create_file(path: &Path, executable: bool) -> std::io::Result<File> {
    let mode = if executable { 0o755 } else { 0o644 };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}
