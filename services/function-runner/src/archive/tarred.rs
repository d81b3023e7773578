use std::fs::File;
use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, Entry, EntryType, PaxExtensions};

use super::tree::Tree;
use super::{ArchiveError, EntryFault, Limits};

/// What a tar file needs for one entry besides its content: a header, its padding, and room for a long name.
const OVERHEAD_BYTES: u64 = 4 * 1024;
/// The longest description of an entry (a long name, PAX extensions) that is read into memory.
const MAX_DESCRIPTION_BYTES: u64 = 64 * 1024;

/// Unpacks a tar.gz file into `tree`.
///
/// The entries are read raw, so that what describes the next entry is read here, within a bound: the `tar` crate would
/// read a long name of any length, and a sparse file's map of any size, into memory.
pub(super) fn unpack(file: &mut File, tree: &mut Tree, limits: &Limits) -> Result<(), ArchiveError> {
    unpack_plain(MultiGzDecoder::new(BufReader::new(file)), tree, limits)
}

/// Unpacks a tar file into `tree`.
pub(super) fn unpack_plain(tar: impl Read, tree: &mut Tree, limits: &Limits) -> Result<(), ArchiveError> {
    let overhead = OVERHEAD_BYTES.saturating_mul(2 * limits.files as u64);
    let stream = Bounded {
        inner: tar,
        left: limits.unpacked_bytes.saturating_add(overhead),
        limit: limits.unpacked_bytes,
    };
    let mut archive = Archive::new(stream);
    let mut described = Description::default();
    for entry in archive.entries().map_err(ArchiveError::from_reading)?.raw(true) {
        let mut entry = entry.map_err(ArchiveError::from_reading)?;
        if !described.read(&mut entry)? {
            add(&mut entry, &std::mem::take(&mut described), tree)?;
        }
    }
    // To the end, so that the checksum of the whole is looked at.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(ArchiveError::from_reading)?;
    Ok(())
}

fn add(
    entry: &mut Entry<'_, impl Read>,
    described: &Description,
    tree: &mut Tree,
) -> Result<(), ArchiveError> {
    let name = described.name.clone().unwrap_or_else(|| entry.path_bytes().into_owned());
    let target =
        described.target.clone().or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned));
    let target = target.unwrap_or_default();
    if described.is_unsupported {
        return Err(EntryFault::Kind.of(&name));
    }
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => tree.add_directory(&name),
        EntryType::Regular | EntryType::Continuous => {
            let mode = entry.header().mode().map_err(ArchiveError::from_reading)?;
            let size = entry.size();
            let mut content = Whole { inner: entry, left: size };
            tree.add_file(&name, mode & 0o111 != 0, &mut content)
        }
        EntryType::Directory => tree.add_directory(&name),
        EntryType::Symlink => tree.add_link(&name, &target),
        EntryType::Link => tree.add_hard_link(&name, &target),
        EntryType::Block | EntryType::Char | EntryType::Fifo => Err(EntryFault::Device.of(&name)),
        _ => Err(EntryFault::Kind.of(&name)),
    }
}

/// What entries before an entry say of it: GNU's long names and POSIX's extended headers (pax).
#[derive(Default)]
struct Description {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    is_unsupported: bool,
}

impl Description {
    /// Reads `entry` if it describes the next one; tells whether it does.
    fn read(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<bool, ArchiveError> {
        match entry.header().entry_type() {
            EntryType::GNULongName => self.name = Some(without_nul(bounded_content(entry)?)),
            EntryType::GNULongLink => self.target = Some(without_nul(bounded_content(entry)?)),
            EntryType::XHeader => self.read_extensions(&bounded_content(entry)?)?,
            // Defaults for all entries: times, comments such as a commit's id. Nothing of it is used here.
            EntryType::XGlobalHeader => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn read_extensions(&mut self, content: &[u8]) -> Result<(), ArchiveError> {
        for extension in PaxExtensions::new(content) {
            let extension = extension.map_err(ArchiveError::from_reading)?;
            match extension.key_bytes() {
                b"path" => self.name = Some(extension.value_bytes().to_vec()),
                b"linkpath" => self.target = Some(extension.value_bytes().to_vec()),
                key => self.is_unsupported |= key == b"size" || key.starts_with(b"GNU.sparse"),
            }
        }
        Ok(())
    }
}

fn bounded_content(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, ArchiveError> {
    if entry.size() > MAX_DESCRIPTION_BYTES {
        return Err(EntryFault::Name.of(&entry.path_bytes()));
    }
    let mut content = Vec::new();
    let size = entry.size();
    Whole { inner: entry, left: size }.read_to_end(&mut content).map_err(ArchiveError::from_reading)?;
    Ok(content)
}

fn without_nul(mut name: Vec<u8>) -> Vec<u8> {
    if name.last() == Some(&0) {
        name.pop();
    }
    name
}

/// A stream that may not be longer than a limit.
struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(ArchiveError::TooLarge(self.limit)))?;
        Ok(read)
    }
}

/// The content of an entry, which must be as long as its header says: `tar` takes an early end for the end.
struct Whole<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(read as u64);
        if read == 0 && !buffer.is_empty() && self.left > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(read)
    }
}
