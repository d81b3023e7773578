//! Unpacks what people upload: zip and tar.gz, from anyone, into an empty directory of its own.
//!
//! Nothing is written through a path that the archive made: [`tree::Tree`] knows every entry so far, refuses paths
//! that leave the root or pass through a link, and makes the links last. Of modes only the executable bit survives;
//! owners and times do not. Every limit is checked while bytes flow, never by what a header claims, and what a header
//! may make us hold in memory is bounded.

mod error;
mod tarred;
mod tree;
mod zipped;

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::Path;

pub(crate) use error::{ArchiveError, EntryFault};
use tree::Tree;

/// What an archive may unpack to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The most files (and links), and the most directories.
    pub(crate) files: usize,
    /// The most bytes in all files together.
    pub(crate) unpacked_bytes: u64,
    /// The most bytes that one packed byte may become; archives that unpack to less than 1 MiB are exempt.
    pub(crate) ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { files: 10_000, unpacked_bytes: 250 * 1024 * 1024, ratio: 100 }
    }
}

/// Unpacks `archive` into `root`, an empty directory that nobody else writes to. Blocking. After an error `root` holds
/// a part of it: the caller removes it either way.
pub(crate) fn unpack(archive: &mut File, root: &Path, limits: &Limits) -> Result<(), ArchiveError> {
    let packed_bytes = archive.metadata()?.len();
    let mut magic = Vec::new();
    archive.rewind()?;
    archive.by_ref().take(4).read_to_end(&mut magic)?;
    archive.rewind()?;
    let mut tree = Tree::new(root, limits.clone(), packed_bytes);
    match magic[..] {
        [b'P', b'K', 3, 4] | [b'P', b'K', 5, 6] => zipped::unpack(archive, &mut tree)?,
        [0x1f, 0x8b, ..] => tarred::unpack(archive, &mut tree, limits)?,
        _ => return Err(ArchiveError::UnknownFormat),
    }
    tree.finish()
}

/// Unpacks a plain tar file that an installation made: as untrusted as an archive, and as [`unpack`] does.
pub(crate) fn unpack_tar(tar: File, root: &Path, limits: &Limits) -> Result<(), ArchiveError> {
    let mut tree = Tree::new(root, limits.clone(), tar.metadata()?.len());
    tarred::unpack_plain(BufReader::new(tar), &mut tree, limits)?;
    tree.finish()
}

#[cfg(test)]
mod tests;
