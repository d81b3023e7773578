use std::fs;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tar::{EntryType, Header};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

fn unpacked(archive: &[u8], limits: &Limits) -> Result<TempDir, ArchiveError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(archive).unwrap();
    let root = tempfile::tempdir().unwrap();
    unpack(&mut file, root.path(), limits).map(|()| root)
}

fn refusal(archive: &[u8]) -> String {
    unpacked(archive, &Limits::default()).unwrap_err().to_string()
}

struct TarGz(tar::Builder<GzEncoder<Vec<u8>>>);

impl TarGz {
    fn new() -> Self {
        Self(tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast())))
    }

    /// Adds an entry whose name is taken as it is, however hostile.
    fn with(mut self, kind: EntryType, name: &str, target: &str, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.with(EntryType::Regular, name, "", content)
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.with(EntryType::Symlink, name, target, b"")
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap().finish().unwrap()
    }
}

fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn paths_in(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            }
            found.push(entry.path().strip_prefix(root).unwrap().to_owned());
        }
    }
    found.sort();
    found
}

#[test]
fn a_zip_and_a_tar_gz_unpack_to_the_same_files() {
    let files: [(&str, &[u8]); 2] = [("main.py", b"def handle(): ..."), ("lib/a.py", b"")];
    let tar = files.iter().fold(TarGz::new(), |tar, (name, content)| tar.file(name, content)).bytes();
    for archive in [zip_of(&files), tar] {
        let root = unpacked(&archive, &Limits::default()).unwrap();
        assert_eq!(paths_in(root.path()), ["lib", "lib/a.py", "main.py"].map(PathBuf::from));
        assert_eq!(fs::read(root.path().join("main.py")).unwrap(), b"def handle(): ...");
    }
}

#[test]
fn only_the_executable_bit_of_a_mode_survives() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode) in [("run", 0o4777), ("plain", 0o600)] {
        writer.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
    }
    let root = unpacked(&writer.finish().unwrap().into_inner(), &Limits::default()).unwrap();
    let mode = |name| fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("run"), mode("plain")), (0o755, 0o644));
}

#[test]
fn long_names_are_read_from_their_extensions() {
    let name = format!("{}/main.py", "d".repeat(150));
    let mut tar = TarGz::new();
    let mut header = Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o644);
    tar.0.append_data(&mut header, &name, &b"ok"[..]).unwrap();
    let root = unpacked(&tar.bytes(), &Limits::default()).unwrap();
    assert_eq!(fs::read(root.path().join(name)).unwrap(), b"ok");
}

#[test]
fn links_within_the_archive_are_kept() {
    let archive = TarGz::new()
        .link("bin/tool", "../lib/tool.js")
        .file("lib/tool.js", b"tool")
        .with(EntryType::Link, "copy.js", "lib/tool.js", b"")
        .bytes();
    let root = unpacked(&archive, &Limits::default()).unwrap();
    assert_eq!(fs::read(root.path().join("bin/tool")).unwrap(), b"tool");
    assert_eq!(fs::read(root.path().join("copy.js")).unwrap(), b"tool");
}

#[test]
fn paths_that_leave_the_root_are_refused_by_name() {
    for name in ["../evil", "a/../../evil", "a/.."] {
        let expected = format!("the entry {name:?} has `..` in its path");
        assert_eq!(refusal(&TarGz::new().file(name, b"x").bytes()), expected);
        assert_eq!(refusal(&zip_of(&[(name, b"x")])), expected);
    }
    for archive in [TarGz::new().file("/etc/passwd", b"x").bytes(), zip_of(&[("/etc/passwd", b"x")])] {
        assert_eq!(refusal(&archive), "the entry \"/etc/passwd\" has an absolute path");
    }
    assert!(refusal(&zip_of(&[("..\\evil", b"x")])).contains("has a name that cannot be used"));
}

#[test]
fn links_that_leave_the_root_are_refused_however_they_are_built() {
    let plain = |target| TarGz::new().file("main.py", b"").link("l", target);
    for target in ["/etc/passwd", "..", "../x", "a/../../x"] {
        assert_eq!(refusal(&plain(target).bytes()), "the entry \"l\" is a link that leaves the archive");
    }
    // Each is harmless alone: together they climb out.
    let chained = TarGz::new().file("a/b/main.py", b"").link("a/b/up", "../..").link("out", "a/b/up/..");
    assert_eq!(refusal(&chained.bytes()), "the entry \"out\" is a link that leaves the archive");
    let endless = TarGz::new().file("main.py", b"").link("x", "y").link("y", "x");
    assert!(refusal(&endless.bytes()).contains("is a link that leaves the archive"));
    let hard = TarGz::new().with(EntryType::Link, "l", "../../etc/passwd", b"");
    assert_eq!(refusal(&hard.bytes()), "the entry \"l\" is a link that leaves the archive");
    let zip = {
        let mut writer = ZipWriter::new(Cursor::new(zip_of(&[])));
        writer.start_file("main.py", SimpleFileOptions::default()).unwrap();
        writer.add_symlink("l", "../../etc", SimpleFileOptions::default()).unwrap();
        writer.finish().unwrap().into_inner()
    };
    assert_eq!(refusal(&zip), "the entry \"l\" is a link that leaves the archive");
}

#[test]
fn nothing_is_written_through_a_link() {
    let archive = TarGz::new().link("d", "sub").file("d/evil", b"x").bytes();
    assert_eq!(refusal(&archive), "the entry \"d/evil\" lies below something that is no directory");
    let archive = TarGz::new().file("d", b"x").file("d/evil", b"x").bytes();
    assert_eq!(refusal(&archive), "the entry \"d/evil\" lies below something that is no directory");
}

#[test]
fn devices_pipes_and_unknown_kinds_are_refused() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let archive = TarGz::new().with(kind, "dev", "", b"").bytes();
        assert_eq!(refusal(&archive), "the entry \"dev\" is a device, a pipe or a socket");
    }
    let sparse = TarGz::new().with(EntryType::GNUSparse, "holes", "", b"").bytes();
    assert_eq!(refusal(&sparse), "the entry \"holes\" is of a kind that is not supported");
}

#[test]
fn an_entry_that_is_there_twice_is_refused() {
    let archive = TarGz::new().file("main.py", b"1").file("./main.py", b"2").bytes();
    assert_eq!(refusal(&archive), "the entry \"./main.py\" is there twice");
    let mut zip = zip_of(&[("main.py", b"1"), ("mein.py", b"2")]);
    for at in 0..zip.len() - 7 {
        if &zip[at..at + 7] == b"mein.py" {
            zip[at + 1] = b'a';
        }
    }
    assert!(refusal(&zip).contains("two entries of the same name"));
}

#[test]
fn limits_hold_for_what_flows_and_not_for_what_headers_claim() {
    let limits = Limits { files: 3, unpacked_bytes: 2 * 1024 * 1024, ratio: 100 };
    let refused = |archive: &[u8]| unpacked(archive, &limits).unwrap_err().to_string();

    let many = (0..4).fold(TarGz::new(), |tar, n| tar.file(&format!("{n}"), b"")).bytes();
    assert_eq!(refused(&many), "the archive holds more than 3 files or directories");
    let deep = TarGz::new().file("a/b/c/d/e", b"").bytes();
    assert_eq!(refused(&deep), "the archive holds more than 3 files or directories");

    let noise: Vec<u8> = (0_u32..800_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for archive in [TarGz::new().file("a", &noise).bytes(), zip_of(&[("a", &noise)])] {
        assert_eq!(refused(&archive), "the archive unpacks to more than 2097152 bytes");
    }
    let zeros = vec![0; 1_500_000];
    for archive in [TarGz::new().file("a", &zeros).bytes(), zip_of(&[("a", &zeros)])] {
        assert_eq!(refused(&archive), "the archive unpacks to more than 100 times its size");
    }
    let mut padded = GzEncoder::new(Vec::new(), Compression::fast());
    padded.write_all(&vec![0; 8 * 1024 * 1024]).unwrap();
    assert_eq!(
        refused(&padded.finish().unwrap()),
        "the archive unpacks to more than 2097152 bytes",
        "also what follows the end of the tar file counts"
    );
}

#[test]
fn a_description_longer_than_any_name_is_never_read_into_memory() {
    let archive = TarGz::new().with(EntryType::GNULongName, "l", "", &vec![b'a'; 100_000]).bytes();
    assert!(refusal(&archive).contains("has a name that cannot be used"));
}

#[test]
fn hard_links_count_as_the_copies_that_they_become() {
    let half = (0_u32..300_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<_>>();
    let archive = TarGz::new().file("a", &half).with(EntryType::Link, "b", "a", b"").bytes();
    let limits = Limits { unpacked_bytes: 2_000_000, ..Limits::default() };
    let fault = unpacked(&archive, &limits).unwrap_err();
    assert!(matches!(fault, ArchiveError::TooLarge(_)), "{fault}");
}

#[test]
fn what_is_encrypted_cut_off_or_no_archive_is_refused() {
    assert_eq!(refusal(b""), "the archive is neither a zip nor a tar.gz file");
    assert_eq!(refusal(b"#!/bin/sh"), "the archive is neither a zip nor a tar.gz file");
    assert_eq!(refusal(&TarGz::new().bytes()), "the archive is empty");
    assert_eq!(refusal(&zip_of(&[])), "the archive is empty");

    let mut encrypted = zip_of(&[("secret", b"x")]);
    let central = encrypted.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    encrypted[6] |= 1;
    encrypted[central + 8] |= 1;
    assert_eq!(refusal(&encrypted), "the entry \"secret\" is encrypted");

    let whole = TarGz::new().file("main.py", b"def handle(request, context): return 1").bytes();
    for length in 2..whole.len() {
        let fault = refusal(&whole[..length]);
        assert!(fault.starts_with("the archive is damaged or cut off"), "{length}: {fault}");
    }
    let whole = zip_of(&[("main.py", b"def handle(request, context): return 1")]);
    for length in 4..whole.len() {
        let fault = refusal(&whole[..length]);
        assert!(fault.starts_with("the archive is damaged or cut off"), "{length}: {fault}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_flip_of_bytes_makes_unpacking_panic_or_escape(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        is_zip: bool,
    ) {
        let files: [(&str, &[u8]); 3] = [("main.py", b"handle"), ("lib/a", b"0123456789"), ("b", b"")];
        let mut archive = if is_zip {
            zip_of(&files)
        } else {
            files.iter().fold(TarGz::new(), |tar, (name, content)| tar.file(name, content)).bytes()
        };
        for (index, byte) in flips {
            let at = index.index(archive.len());
            archive[at] = byte;
        }
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir(&root).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&archive).unwrap();
        let _ = unpack(&mut file, &root, &Limits::default());
        prop_assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_tar_of_any_names_and_links_reaches_past_the_root(
        entries in prop::collection::vec(("(\\.\\./|[ab]/){0,3}[abc]", "(\\.\\./|[abc]/){0,4}[abc]?", any::<bool>()), 1..8),
    ) {
        let archive = entries.iter().fold(TarGz::new(), |tar, (name, target, is_link)| {
            if *is_link { tar.link(name, target) } else { tar.file(name, b"x") }
        });
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir(&root).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&archive.bytes()).unwrap();
        if unpack(&mut file, &root, &Limits::default()).is_ok() {
            for path in paths_in(&root) {
                // What a link points to, as the kernel resolves it, is inside or is not there.
                if let Ok(real) = fs::canonicalize(root.join(path)) {
                    prop_assert!(real.starts_with(&root));
                }
            }
        }
        prop_assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }
}
