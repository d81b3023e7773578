use std::io::Write as _;

use slipway_end_to_end::{Mode, Platform, containers_of, images_of};
use tar::EntryType;

use crate::support::{client_of, post_archive, token_of};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One entry written by hand: the `tar` crate refuses to write hostile names.
fn entry(name: &str, kind: EntryType, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let main = entry("main.py", EntryType::Regular, "", b"def handle(request, context):\n    return 1\n");
    let mut bytes = main;
    bytes.extend(entries.concat());
    bytes.resize(bytes.len() + 1024, 0);
    gzip(&bytes)
}

#[tokio::test]
async fn hostile_archives_are_refused_by_name_and_leave_nothing() {
    let platform = Platform::start(Mode::Standalone).await;
    let token = token_of(&platform, "ada").await;
    let bomb = entry("zeros", EntryType::Regular, "", &vec![0; 64 << 20]);
    for (what, bytes, names) in [
        ("parent", archive(&[entry("../evil", EntryType::Regular, "", b"x")]), ".."),
        ("absolute", archive(&[entry("/etc/evil", EntryType::Regular, "", b"x")]), "/etc/evil"),
        ("link out", archive(&[entry("out", EntryType::Symlink, "/etc/passwd", b"")]), "out"),
        ("device", archive(&[entry("dev", EntryType::Char, "", b"")]), "dev"),
        ("twice", archive(&[entry("main.py", EntryType::Regular, "", b"x")]), "main.py"),
        ("bomb", archive(&[bomb]), ""),
        ("no archive", b"neither zip nor tar".to_vec(), "zip"),
        ("empty", Vec::new(), ""),
        ("torn", archive(&[])[..40].to_vec(), ""),
    ] {
        let (status, body) = post_archive(&platform, &token, "hostile", bytes, None).await;
        assert_eq!(status, 422, "{what}: {body:#}");
        assert!(body["detail"].as_str().unwrap().contains(names), "{what}: {body:#}");
    }
    assert_eq!(client_of(&platform, &token).functions(None).await.unwrap().items, []);
    assert_eq!(containers_of(&platform.state()), Vec::<String>::new());
    assert_eq!(images_of(&platform.state()), Vec::<String>::new());
    for folder in ["uploads", "builds"] {
        let left = std::fs::read_dir(platform.state().join(folder)).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{folder} is empty");
    }
}
