use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use crate::harness::{TestRunner, problem, tar_gz_of, zip_of};

/// Makes a tar.gz of one entry whose name is taken as it is, however hostile.
fn entry(kind: EntryType, name: &str, target: &str) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(0o644);
    header.set_cksum();
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    tar.append(&header, std::io::empty()).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

fn bomb() -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1024 * 1024];
    let mut header = Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(200 * 1024 * 1024);
    header.set_mode(0o644);
    header.set_cksum();
    gzip.write_all(header.as_bytes()).unwrap();
    for _ in 0..200 {
        gzip.write_all(&zeros).unwrap();
    }
    gzip.finish().unwrap()
}

#[tokio::test]
async fn hostile_and_broken_archives_are_refused_by_their_fault_and_leave_nothing() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    let whole = tar_gz_of(&[("main.py", "def handle(request, context): return 1")]);
    for (archive, expected) in [
        (entry(EntryType::Regular, "../evil", ""), "the entry \"../evil\" has `..` in its path"),
        (entry(EntryType::Regular, "/etc/evil", ""), "the entry \"/etc/evil\" has an absolute path"),
        (entry(EntryType::Symlink, "l", "../../etc"), "the entry \"l\" is a link that leaves the archive"),
        (entry(EntryType::Char, "dev", ""), "the entry \"dev\" is a device, a pipe or a socket"),
        (bomb(), "the archive unpacks to more than 100 times its size"),
        (whole[..whole.len() / 2].to_vec(), "the archive is damaged or cut off: incomplete deflate stream"),
        (b"#!/bin/sh".to_vec(), "the archive is neither a zip nor a tar.gz file"),
        (
            zip_of(&[("..\\evil", "")]),
            "the entry \"..\\\\evil\" has a name that cannot be used: it must be UTF-8 \
            without NUL or (in a zip) `\\`, and not too long",
        ),
    ] {
        let (status, code, detail) = problem(runner.try_deploy("hello", archive, &ada).await).await;
        assert_eq!((status, code.as_str(), detail.as_str()), (422, "invalid_archive", expected));
    }
    assert_eq!(runner.state("builds"), Vec::<String>::new());
    assert_eq!(runner.state("uploads"), Vec::<String>::new());
    assert_eq!(runner.read("/api/v1/functions", &ada).await["items"], serde_json::json!([]));
}

#[tokio::test]
async fn an_archive_that_is_no_project_is_refused_with_a_hint() {
    let runner = TestRunner::start().await;
    let ada = runner.person();
    for (files, expected) in [
        (vec![("hello/main.py", "")], "the root holds hello/"),
        (vec![("main.py", ""), ("package.json", "{}")], "both look right"),
        (vec![("main.py", ""), ("slipway.toml", "entry = \"no.py\"")], "\"no.py\" is no file in the archive"),
    ] {
        let (status, code, detail) = problem(runner.try_deploy("hello", zip_of(&files), &ada).await).await;
        assert_eq!((status, code.as_str()), (422, "invalid_project"));
        assert!(detail.contains(expected), "{detail}");
    }
}
