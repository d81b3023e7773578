//! Packs a folder as tar.gz: the same content gives the same bytes, whoever packs it and when.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use ignore::{DirEntry, WalkBuilder};
use tar::{Builder, EntryType, Header};

use crate::failure::Failure;

/// Never part of a function: versions of the past, and what is installed anew.
const LEFT_OUT: [&str; 6] = [".git", ".hg", ".svn", ".venv", "__pycache__", "node_modules"];
const IGNORE_FILE: &str = ".slipwayignore";
/// Far above what a platform takes: the wrong folder was named.
const MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// Packs `folder` into a file that has no name, so that nothing is left of it however the command ends. Blocking.
/// `progress` is told each path's size.
pub(crate) fn pack(folder: &Path, progress: impl Fn(u64)) -> Result<File, Failure> {
    let target = tempfile::tempfile()
        .map_err(|fault| Failure::local(format!("cannot make a temporary file: {fault}")))?;
    let mut archive = Builder::new(GzEncoder::new(target, Compression::default()));
    let mut total = 0;
    for entry in walk(folder) {
        let entry = entry.map_err(|fault| Failure::local(fault.to_string()))?;
        let size = append(&mut archive, folder, &entry)
            .map_err(|fault| Failure::local(format!("{}: {fault}", entry.path().display())))?;
        total += size;
        if total > MAX_BYTES {
            let folder = folder.display();
            return Err(Failure::usage(format!(
                "{folder} holds more than 1 GiB: is it the function's folder?"
            ))
            .hint(format!("leave files out by naming them in {IGNORE_FILE}")));
        }
        progress(size);
    }
    finish(archive).map_err(|fault| Failure::local(format!("cannot write the archive: {fault}")))
}

fn walk(folder: &Path) -> impl Iterator<Item = Result<DirEntry, ignore::Error>> {
    let is_taken = |entry: &DirEntry| LEFT_OUT.iter().all(|name| entry.file_name() != OsStr::new(name));
    WalkBuilder::new(folder)
        .standard_filters(false)
        .add_custom_ignore_filename(IGNORE_FILE)
        .filter_entry(is_taken)
        .sort_by_file_name(OsStr::cmp)
        .build()
        .filter(|entry| entry.as_ref().map_or(true, |entry| entry.depth() > 0))
}

/// Appends a file, folder or link and returns its size.
fn append(archive: &mut Builder<GzEncoder<File>>, folder: &Path, entry: &DirEntry) -> io::Result<u64> {
    let path = entry.path();
    let name = path.strip_prefix(folder).map_err(io::Error::other)?;
    let kind = entry.file_type().ok_or_else(|| io::Error::other("cannot be read"))?;
    if kind.is_dir() {
        archive.append_data(&mut header(EntryType::Directory, 0o755, 0), name, io::empty())?;
        return Ok(0);
    }
    if kind.is_symlink() {
        archive.append_link(&mut header(EntryType::Symlink, 0o777, 0), name, fs::read_link(path)?)?;
        return Ok(0);
    }
    if !kind.is_file() {
        return Err(io::Error::other("is neither a file, a folder nor a link"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
    let mut content = file.take(metadata.len());
    archive.append_data(&mut header(EntryType::Regular, mode, metadata.len()), name, &mut content)?;
    if content.limit() > 0 {
        return Err(io::Error::other("became smaller while it was packed"));
    }
    Ok(metadata.len())
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header
}

fn finish(archive: Builder<GzEncoder<File>>) -> io::Result<File> {
    let mut file = archive.into_inner()?.finish()?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use flate2::read::GzDecoder;

    use super::*;

    fn bytes(folder: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        pack(folder, |_| {}).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// Returns what is in the archive: the mode by the path.
    fn content(folder: &Path) -> BTreeMap<String, u32> {
        let bytes = bytes(folder);
        let mut archive = tar::Archive::new(GzDecoder::new(&*bytes));
        let of = |entry: tar::Entry<'_, _>| {
            let name = entry.path().unwrap().display().to_string();
            (name, entry.header().mode().unwrap())
        };
        archive.entries().unwrap().map(|entry| of(entry.unwrap())).collect()
    }

    fn write(folder: &Path, name: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }

    #[test]
    fn what_is_installed_or_ignored_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "main.py",
            ".env",
            "lib/a.py",
            "lib/__pycache__/a.pyc",
            ".git/config",
            "node_modules/x/index.js",
            ".venv/bin/python",
            "data/big.bin",
            "data/small.txt",
        ] {
            write(folder.path(), name);
        }
        fs::write(folder.path().join(IGNORE_FILE), "*.bin\n").unwrap();
        let names = content(folder.path()).into_keys().collect::<Vec<_>>();
        let expected = [".env", ".slipwayignore", "data", "data/small.txt", "lib", "lib/a.py", "main.py"];
        assert_eq!(names, expected);
    }

    #[test]
    fn modes_are_plain_and_links_stay_links() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "run.sh");
        fs::set_permissions(folder.path().join("run.sh"), fs::Permissions::from_mode(0o4711)).unwrap();
        write(folder.path(), "private");
        fs::set_permissions(folder.path().join("private"), fs::Permissions::from_mode(0o600)).unwrap();
        symlink("private", folder.path().join("link")).unwrap();
        let expected = [("link", 0o777), ("private", 0o644), ("run.sh", 0o755)];
        assert_eq!(content(folder.path()), expected.map(|(name, mode)| (name.to_owned(), mode)).into());
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        let [one, two] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let long = format!("{}/{}", "a".repeat(200), "b".repeat(200));
        for name in ["z", "a/b", &*long] {
            write(one.path(), name);
        }
        for name in [&*long, "a/b", "z"] {
            write(two.path(), name);
        }
        assert_eq!(bytes(one.path()), bytes(two.path()));
        assert!(content(one.path()).contains_key(&long));
    }

    #[test]
    fn what_cannot_be_packed_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("a.sock")).unwrap();
        let failure = pack(folder.path(), |_| {}).unwrap_err();
        assert!(failure.message.ends_with("a.sock: is neither a file, a folder nor a link"), "{failure:?}");
    }
}
