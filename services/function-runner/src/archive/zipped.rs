use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek as _};

use zip::ZipArchive;
use zip::result::ZipError;

use super::tree::Tree;
use super::{ArchiveError, EntryFault};

/// The central directory is read into memory before anything of it can be checked, so a file that could hold more
/// headers than this is refused by their signature alone. Generous: archives within archives have headers too.
const MAX_CENTRAL_HEADERS: usize = 100_000;
const CENTRAL_HEADER: &[u8; 4] = b"PK\x01\x02";
/// The longest target that a symbolic link may have, as `Tree` checks it too.
const MAX_TARGET_BYTES: u64 = 1024;

// The types of files in Unix modes, stat(2).
const TYPE_MASK: u32 = 0o170_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_LINK: u32 = 0o120_000;

/// Unpacks a zip file into `tree`.
pub(super) fn unpack(file: &mut File, tree: &mut Tree) -> Result<(), ArchiveError> {
    refuse_a_huge_directory(file)?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(fault)?;
    if archive.has_duplicate_names() {
        return Err(ArchiveError::Damaged("it has two entries of the same name".to_owned()));
    }
    if archive.has_overlapping_entries().map_err(fault)? {
        return Err(ArchiveError::Damaged("its entries overlap".to_owned()));
    }
    for index in 0..archive.len() {
        let data = archive.by_index_data(index).map_err(fault)?;
        if data.encrypted() {
            return Err(EntryFault::Encrypted.of(data.name_raw()));
        }
        let mut entry = archive.by_index(index).map_err(fault)?;
        let name = entry.name().map_err(fault)?.into_owned();
        let name = name.as_bytes();
        if name.contains(&b'\\') {
            return Err(EntryFault::Name.of(name));
        }
        let mode = entry.unix_mode().unwrap_or_default();
        match mode & TYPE_MASK {
            TYPE_LINK => {
                let mut target = Vec::new();
                let mut content = entry.by_ref().take(MAX_TARGET_BYTES + 1);
                content.read_to_end(&mut target).map_err(ArchiveError::from_reading)?;
                tree.add_link(name, &target)?;
            }
            TYPE_DIRECTORY => tree.add_directory(name)?,
            0 | TYPE_FILE if entry.is_dir() => tree.add_directory(name)?,
            0 | TYPE_FILE => tree.add_file(name, mode & 0o111 != 0, &mut entry)?,
            _ => return Err(EntryFault::Device.of(name)),
        }
    }
    Ok(())
}

/// Counts the signatures of central headers, without an allocation that the archive could size.
fn refuse_a_huge_directory(file: &mut File) -> Result<(), ArchiveError> {
    let mut reader = BufReader::with_capacity(64 * 1024, &mut *file);
    let mut matched = 0;
    let mut headers = 0;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        for &byte in buffer {
            matched = match CENTRAL_HEADER.get(matched) {
                Some(&expected) if expected == byte => matched + 1,
                _ => usize::from(byte == b'P'),
            };
            if matched == CENTRAL_HEADER.len() {
                matched = 0;
                headers += 1;
            }
        }
        if headers > MAX_CENTRAL_HEADERS {
            return Err(ArchiveError::TooManyFiles(MAX_CENTRAL_HEADERS));
        }
        let length = buffer.len();
        reader.consume(length);
    }
    file.rewind()?;
    Ok(())
}

fn fault(error: ZipError) -> ArchiveError {
    match error {
        ZipError::Io(error) => ArchiveError::from_reading(error),
        other => ArchiveError::Damaged(other.to_string()),
    }
}
