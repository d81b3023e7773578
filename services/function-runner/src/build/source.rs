//! What an image is made of: its digest, and the context that Podman builds from.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// A path below the root and what is there, in the order of the paths.
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Directory,
    File { executable: bool, bytes: u64 },
    Link { target: String },
}

/// Which of the files of a project are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selection {
    All,
    /// These, at the root.
    Only(&'static [&'static str]),
    /// All but a directory at the root.
    Without(&'static str),
}

impl Selection {
    fn holds(self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(&path),
            Self::Without(directory) => path.split('/').next() != Some(directory),
        }
    }
}

/// Digests all that lies below `root`: paths, executable bits and contents, and `salt` before it all. Blocking.
pub(super) fn digest(root: &Path, selection: Selection, salt: &[&str]) -> io::Result<String> {
    let mut hash = Sha256::new();
    let field = |hash: &mut Sha256, bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for text in salt {
        field(&mut hash, text.as_bytes());
    }
    for entry in walk(root, selection)? {
        field(&mut hash, entry.path.as_bytes());
        match entry.kind {
            Kind::Directory => field(&mut hash, b"directory"),
            Kind::Link { target } => {
                field(&mut hash, b"link");
                field(&mut hash, target.as_bytes());
            }
            Kind::File { executable, bytes } => {
                field(&mut hash, if executable { b"program" } else { b"file" });
                hash.update(bytes.to_be_bytes());
                let mut file = File::open(root.join(&entry.path))?;
                let mut buffer = vec![0; 64 * 1024];
                loop {
                    let read = file.read(&mut buffer)?;
                    if read == 0 {
                        break;
                    }
                    hash.update(buffer.get(..read).unwrap_or_default());
                }
            }
        }
    }
    Ok(hex::encode(hash.finalize()))
}

/// Writes the context as a tar file: the Containerfile, and the selected files below `root` in `app`. Owners and times
/// are the same for the same files. Blocking.
pub(super) fn write_context(
    root: &Path,
    selection: Selection,
    containerfile: &str,
    context: &Path,
) -> io::Result<()> {
    let mut tar = Builder::new(BufWriter::new(File::create(context)?));
    let bytes = containerfile.len() as u64;
    append(&mut tar, EntryType::Regular, 0o644, "Containerfile", bytes, containerfile.as_bytes())?;
    append(&mut tar, EntryType::Directory, 0o755, "app/", 0, io::empty())?;
    append_all(&mut tar, root, selection, "app/")?;
    tar.into_inner()?.flush()
}

/// Writes the selected files below `root` as a tar file. Blocking.
pub(super) fn write_files(root: &Path, selection: Selection, target: &Path) -> io::Result<()> {
    let mut tar = Builder::new(BufWriter::new(File::create(target)?));
    append_all(&mut tar, root, selection, "")?;
    tar.into_inner()?.flush()
}

fn append_all(
    tar: &mut Builder<impl Write>,
    root: &Path,
    selection: Selection,
    prefix: &str,
) -> io::Result<()> {
    for entry in walk(root, selection)? {
        let path = format!("{prefix}{}", entry.path);
        match entry.kind {
            Kind::Directory => append(tar, EntryType::Directory, 0o755, &path, 0, io::empty())?,
            Kind::File { executable, bytes } => {
                let mode = if executable { 0o755 } else { 0o644 };
                let file = File::open(root.join(&entry.path))?;
                append(tar, EntryType::Regular, mode, &path, bytes, file)?;
            }
            Kind::Link { target } => {
                tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), &path, &target)?;
            }
        }
    }
    Ok(())
}

fn append(
    tar: &mut Builder<impl Write>,
    kind: EntryType,
    mode: u32,
    path: &str,
    bytes: u64,
    content: impl io::Read,
) -> io::Result<()> {
    tar.append_data(&mut header(kind, mode, bytes), path, content)
}

fn header(kind: EntryType, mode: u32, bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Lists the selected entries below `root`. Blocking.
pub(super) fn walk(root: &Path, selection: Selection) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(directory) = pending.pop() {
        for found in fs::read_dir(root.join(&directory))? {
            let found = found?;
            let name = found.file_name().into_string().map_err(|_| io::ErrorKind::InvalidFilename)?;
            let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            if !selection.holds(&path) {
                continue;
            }
            let data = found.metadata()?;
            let kind = if data.is_dir() {
                pending.push(path.clone());
                Kind::Directory
            } else if data.is_symlink() {
                let target = fs::read_link(found.path())?.into_os_string().into_string();
                Kind::Link { target: target.map_err(|_| io::ErrorKind::InvalidFilename)? }
            } else {
                Kind::File { executable: data.permissions().mode() & 0o111 != 0, bytes: data.len() }
            };
            entries.push(Entry { path, kind });
        }
    }
    entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn project(content: &str) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("lib")).unwrap();
        fs::write(root.path().join("lib/a.py"), content).unwrap();
        fs::write(root.path().join("main.py"), "x").unwrap();
        symlink("lib/a.py", root.path().join("link")).unwrap();
        root
    }

    #[test]
    fn the_same_files_have_the_same_digest_and_context() {
        let (one, other) = (project("1"), project("1"));
        assert_eq!(
            digest(one.path(), Selection::All, &["o"]).unwrap(),
            digest(other.path(), Selection::All, &["o"]).unwrap()
        );
        let context = |root: &Path| {
            let file = tempfile::NamedTempFile::new().unwrap();
            write_context(root, Selection::All, "FROM x\n", file.path()).unwrap();
            fs::read(file.path()).unwrap()
        };
        assert_eq!(context(one.path()), context(other.path()));
    }

    #[test]
    fn any_difference_makes_another_digest() {
        let root = project("1");
        let plain = digest(root.path(), Selection::All, &["a", "b"]).unwrap();
        assert_ne!(digest(root.path(), Selection::All, &["a", "c"]).unwrap(), plain);
        assert_ne!(digest(root.path(), Selection::All, &["ab"]).unwrap(), plain);
        assert_ne!(digest(project("2").path(), Selection::All, &["a", "b"]).unwrap(), plain);
        fs::set_permissions(root.path().join("main.py"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(digest(root.path(), Selection::All, &["a", "b"]).unwrap(), plain);
    }

    #[test]
    fn the_context_holds_the_containerfile_and_the_project_as_it_is() {
        let (root, file) = (project("1"), tempfile::NamedTempFile::new().unwrap());
        write_context(root.path(), Selection::All, "FROM x\n", file.path()).unwrap();
        let mut archive = tar::Archive::new(File::open(file.path()).unwrap());
        let paths: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(paths, ["Containerfile", "app/", "app/lib", "app/lib/a.py", "app/link", "app/main.py"]);
    }

    #[test]
    fn what_is_not_selected_is_neither_digested_nor_written() {
        let (one, other) = (project("1"), project("2"));
        for selection in [Selection::Only(&["main.py", "not-there"]), Selection::Without("lib")] {
            assert_eq!(
                digest(one.path(), selection, &[]).unwrap(),
                digest(other.path(), selection, &[]).unwrap()
            );
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        write_files(one.path(), Selection::Without("lib"), file.path()).unwrap();
        let mut archive = tar::Archive::new(File::open(file.path()).unwrap());
        let paths =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
        assert_eq!(paths.collect::<Vec<_>>(), ["link", "main.py"]);
    }
}
