//! What a function of the binary runtime is made of: a program that this host can start without any library.

use std::env::consts::ARCH;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;

/// Where an instance finds the archive.
const FOLDER: &str = "/app/";
/// What the kernel reads of a script's first line, in bytes.
const SCRIPT_BYTES: u64 = 256;
/// The longest path of a dynamic loader that is shown, in bytes.
const PATH_BYTES: u64 = 256;
const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
/// `PT_INTERP`: the segment that names the dynamic loader.
const LOADER_SEGMENT: u32 = 3;

/// Says why a program would not start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProgramFault {
    /// It is not there.
    #[error("is no file in the archive")]
    Missing,
    /// It lacks the mode.
    #[error("is not executable: give it the mode before it is packed, as by chmod +x")]
    NotExecutable,
    /// It is no program of Linux.
    #[error("is no Linux executable: neither an ELF file nor a script that begins with #!")]
    NotElf,
    /// Its headers lie.
    #[error("is cut off or damaged: its ELF headers lead out of the file")]
    Damaged,
    /// It is an object file, or a core dump.
    #[error("is an ELF file that is no executable")]
    NoProgram,
    /// It is made for another processor.
    #[error("is made for {0}, and this host runs {ARCH}")]
    Machine(String),
    /// Its dynamic loader is in no instance.
    #[error(
        "needs the dynamic loader {0:?}, which is not there where it runs: link it statically, as for the Rust target \
         {ARCH}-unknown-linux-musl or with CGO_ENABLED=0 in Go"
    )]
    Loader(String),
    /// Its interpreter is in no instance.
    #[error(
        "is a script for {0:?}, which is not there where it runs: use a static executable, or pack one that interprets \
         the script and name it below {FOLDER}"
    )]
    Interpreter(String),
}

/// Checks the file `name` of an archive that was unpacked to `root`. Blocking; the outer error is this host's.
pub(crate) fn check(root: &Path, name: &str) -> io::Result<Result<(), ProgramFault>> {
    let path = root.join(name);
    if !path.is_file() {
        return Ok(Err(ProgramFault::Missing));
    }
    let file = File::open(path)?;
    if file.metadata()?.permissions().mode() & 0o111 == 0 {
        return Ok(Err(ProgramFault::NotExecutable));
    }
    let start = read_at(&file, 0, SCRIPT_BYTES)?;
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let interpreter = line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty());
        let interpreter = String::from_utf8_lossy(interpreter.unwrap_or_default()).into_owned();
        // One level: the kernel takes more, and no program needs it.
        let Some(packed) = interpreter.strip_prefix(FOLDER).filter(|packed| is_plain(packed)) else {
            return Ok(Err(ProgramFault::Interpreter(interpreter)));
        };
        let packed = root.join(packed);
        return if packed.is_file() {
            check_elf(root, &File::open(packed)?)
        } else {
            Ok(Err(ProgramFault::Interpreter(interpreter)))
        };
    }
    check_elf(root, &file)
}

fn check_elf(root: &Path, file: &File) -> io::Result<Result<(), ProgramFault>> {
    let header = read_at(file, 0, HEADER_BYTES as u64)?;
    if !header.starts_with(b"\x7fELF") {
        return Ok(Err(ProgramFault::NotElf));
    }
    let Some(header) = header.first_chunk::<HEADER_BYTES>() else { return Ok(Err(ProgramFault::Damaged)) };
    let (kind, machine) = (half(header, 16), half(header, 18));
    // Class and byte order: 64 bits, little-endian.
    if header[4..6] != [2, 1] || machine_name(machine) != ARCH {
        return Ok(Err(ProgramFault::Machine(describe_machine(header, machine))));
    }
    if !matches!(kind, 2 | 3) {
        return Ok(Err(ProgramFault::NoProgram));
    }
    match loader(file, header)? {
        Ok(Some(loader)) if !is_packed(root, &loader) => Ok(Err(ProgramFault::Loader(loader))),
        Ok(_) => Ok(Ok(())),
        Err(fault) => Ok(Err(fault)),
    }
}

/// Returns the path of the dynamic loader that a program asks for.
fn loader(file: &File, header: &[u8; HEADER_BYTES]) -> io::Result<Result<Option<String>, ProgramFault>> {
    let (offset, size, count) = (long(header, 32), half(header, 54), half(header, 56));
    if usize::from(size) != SEGMENT_BYTES {
        return Ok(Err(ProgramFault::Damaged));
    }
    let table = read_at(file, offset, u64::from(count) * SEGMENT_BYTES as u64)?;
    if table.len() != usize::from(count) * SEGMENT_BYTES {
        return Ok(Err(ProgramFault::Damaged));
    }
    let (segments, _) = table.as_chunks::<SEGMENT_BYTES>();
    let Some(segment) = segments.iter().find(|segment| word(segment, 0) == LOADER_SEGMENT) else {
        return Ok(Ok(None));
    };
    let path = read_at(file, long(segment, 8), long(segment, 32).min(PATH_BYTES))?;
    let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Ok(Some(String::from_utf8_lossy(path).into_owned())))
}

fn is_packed(root: &Path, path: &str) -> bool {
    path.strip_prefix(FOLDER).is_some_and(|packed| is_plain(packed) && root.join(packed).is_file())
}

fn is_plain(path: &str) -> bool {
    let is_normal = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    !path.is_empty() && !path.contains('\0') && Path::new(path).components().all(is_normal)
}

/// Reads up to `bytes` bytes; fewer where the file ends.
fn read_at(file: &File, offset: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut read = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
    let mut length = 0;
    while let Some(rest) = read.get_mut(length..).filter(|rest| !rest.is_empty()) {
        // An offset beyond what files can have is one beyond the end.
        match file.read_at(rest, offset.saturating_add(length as u64)) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
    }
    read.truncate(length);
    Ok(read)
}

fn half<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from(half(bytes, at)) | u32::from(half(bytes, at + 2)) << 16
}

fn long<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

/// Names a machine as Rust does.
const fn machine_name(machine: u16) -> &'static str {
    match machine {
        3 => "x86",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        _ => "",
    }
}

fn describe_machine(header: &[u8; HEADER_BYTES], machine: u16) -> String {
    match (machine_name(machine), header[4..6] == [2, 1]) {
        (name, false) if name == ARCH => format!("another variant of {name}"),
        ("", _) => format!("another machine (number {machine})"),
        (name, _) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use tempfile::TempDir;

    use super::*;

    const THIS_MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

    /// An executable of one segment, which names `loader` where there is one.
    fn elf(machine: u16, loader: Option<&str>) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES + SEGMENT_BYTES];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16] = 3;
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32] = u8::try_from(HEADER_BYTES).unwrap();
        bytes[54] = u8::try_from(SEGMENT_BYTES).unwrap();
        bytes[56] = 1;
        bytes[HEADER_BYTES] = 1;
        if let Some(loader) = loader {
            bytes[HEADER_BYTES] = 3;
            bytes[HEADER_BYTES + 8] = u8::try_from(HEADER_BYTES + SEGMENT_BYTES).unwrap();
            bytes[HEADER_BYTES + 32] = u8::try_from(loader.len() + 1).unwrap();
            bytes.extend_from_slice(loader.as_bytes());
            bytes.push(0);
        }
        bytes
    }

    fn archive(files: &[(&str, &[u8])]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(root.path().join(name), content).unwrap();
            fs::set_permissions(root.path().join(name), Permissions::from_mode(0o755)).unwrap();
        }
        root
    }

    fn checked(files: &[(&str, &[u8])]) -> Result<(), ProgramFault> {
        check(archive(files).path(), "bootstrap").unwrap()
    }

    #[test]
    fn a_static_executable_of_this_machine_is_taken() {
        assert_eq!(checked(&[("bootstrap", &elf(THIS_MACHINE, None))]), Ok(()));
    }

    #[test]
    fn what_would_not_start_is_refused_by_its_fault() {
        let other = if THIS_MACHINE == 62 { (183, "aarch64") } else { (62, "x86_64") };
        let mut narrow = elf(THIS_MACHINE, None);
        narrow[4] = 1;
        let mut object = elf(THIS_MACHINE, None);
        object[16] = 1;
        let mut beyond = elf(THIS_MACHINE, None);
        beyond[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        let loader = "/lib64/ld-linux-x86-64.so.2";
        for (content, fault) in [
            (b"print(1)".to_vec(), ProgramFault::NotElf),
            (Vec::new(), ProgramFault::NotElf),
            (b"\x7fELF".to_vec(), ProgramFault::Damaged),
            (beyond, ProgramFault::Damaged),
            (object, ProgramFault::NoProgram),
            (elf(other.0, None), ProgramFault::Machine(other.1.to_owned())),
            (elf(9, None), ProgramFault::Machine("another machine (number 9)".to_owned())),
            (narrow, ProgramFault::Machine(format!("another variant of {ARCH}"))),
            (elf(THIS_MACHINE, Some(loader)), ProgramFault::Loader(loader.to_owned())),
            (elf(THIS_MACHINE, Some("/app/../ld.so")), ProgramFault::Loader("/app/../ld.so".to_owned())),
            (b"#!/bin/sh\necho".to_vec(), ProgramFault::Interpreter("/bin/sh".to_owned())),
            (b"#! /usr/bin/env python3".to_vec(), ProgramFault::Interpreter("/usr/bin/env".to_owned())),
            (b"#!".to_vec(), ProgramFault::Interpreter(String::new())),
            (b"#!/app/no".to_vec(), ProgramFault::Interpreter("/app/no".to_owned())),
        ] {
            assert_eq!(checked(&[("bootstrap", &content)]), Err(fault));
        }
        assert_eq!(checked(&[]), Err(ProgramFault::Missing));
        let root = archive(&[("bootstrap", b"")]);
        fs::set_permissions(root.path().join("bootstrap"), Permissions::from_mode(0o644)).unwrap();
        assert_eq!(check(root.path(), "bootstrap").unwrap(), Err(ProgramFault::NotExecutable));
    }

    #[test]
    fn what_a_program_needs_may_be_packed_with_it() {
        let (plain, loaded) = (elf(THIS_MACHINE, None), elf(THIS_MACHINE, Some("/app/ld.so")));
        assert_eq!(checked(&[("bootstrap", b"#!/app/shell -e\n"), ("shell", &plain)]), Ok(()));
        assert_eq!(checked(&[("bootstrap", &loaded), ("ld.so", b"")]), Ok(()));
        assert_eq!(
            checked(&[("bootstrap", b"#!/app/shell\n"), ("shell", b"#!/app/shell\n")]),
            Err(ProgramFault::NotElf)
        );
    }

    #[test]
    fn this_test_is_a_program_that_needs_a_loader() {
        let program = std::env::current_exe().unwrap();
        let (folder, name) = (program.parent().unwrap(), program.file_name().unwrap().to_str().unwrap());
        let checked = check(folder, name).unwrap();
        assert!(
            matches!(&checked, Err(ProgramFault::Loader(loader)) if loader.contains("/ld")),
            "{checked:?}"
        );
    }
}
