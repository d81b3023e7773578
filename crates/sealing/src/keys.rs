use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use slipway_jwt::{KeyError, key_files};
use zeroize::Zeroizing;

const SUFFIX: &str = ".pem";
const LABEL: &str = "SLIPWAY SEALING KEY";
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const FORMAT: u8 = 1;
const ID_BYTES: usize = 8;
const HEADER_BYTES: usize = 1 + ID_BYTES;
/// What sealing adds to a value, in bytes.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + NONCE_LEN + TAG_BYTES;
/// The largest value that is sealed, in bytes.
pub const MAX_PLAIN_BYTES: usize = 1024 * 1024;

/// The keys that seal what one service keeps secret: the last by file name seals, all of them open.
pub struct SealingKeys {
    /// The last is the current one.
    keys: Vec<Key>,
}

struct Key {
    id: [u8; ID_BYTES],
    key: RandomizedNonceKey,
}

/// Says why a value was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It is larger than [`MAX_PLAIN_BYTES`].
    #[error("a value of {0} bytes is too large to be sealed")]
    TooLarge(usize),
    /// The cryptography failed.
    #[error("the value could not be sealed")]
    Cryptography,
}

/// Says why a sealed value does not open. It never holds a part of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is no sealed value of a format that is known.
    #[error("the value is not sealed in a known format")]
    Malformed,
    /// The file of the key that sealed it is gone.
    #[error("the value is sealed with a key that is not there")]
    UnknownKey,
    /// It was changed, or sealed for another context.
    #[error("the value was changed, or sealed for something else")]
    Forged,
}

impl SealingKeys {
    /// Loads `<name>.sealing-*.pem` from `directory`, and makes the first one where there is none. Blocking. Processes
    /// that start at the same time end with the same key.
    pub fn load_or_create(directory: &Path, name: &str) -> Result<Self, KeyError> {
        key_files::create_directory(directory)?;
        let prefix = format!("{name}.sealing-");
        let is_key = |file: &str| file.starts_with(&prefix) && file.ends_with(SUFFIX);
        let mut files = key_files::list(directory, is_key)?;
        if files.is_empty() {
            let mut new = Zeroizing::new([0; KEY_BYTES]);
            aws_lc_rs::rand::fill(new.as_mut()).map_err(|_| KeyError::Cryptography)?;
            // Sorts before the keys that scripts/generate-sealing-key names by the time.
            let first = directory.join(format!("{prefix}0.pem"));
            key_files::write_private(&first, LABEL, new.as_ref())?;
            files.push(first);
        }
        let keys = files.iter().map(|path| Key::read(path)).collect::<Result<_, KeyError>>()?;
        Ok(Self { keys })
    }

    /// Seals a value. `context` says whose and what it is: it opens with the same one only.
    pub fn seal(&self, context: &[impl AsRef<[u8]>], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        if plain.len() > MAX_PLAIN_BYTES {
            return Err(SealError::TooLarge(plain.len()));
        }
        let key = self.keys.last().ok_or(SealError::Cryptography)?;
        let header = key.header();
        let mut in_out = plain.to_vec();
        let nonce = key
            .key
            .seal_in_place_append_tag(authenticated(&header, context), &mut in_out)
            .map_err(|_| SealError::Cryptography)?;
        Ok([&header[..], nonce.as_ref(), &in_out].concat())
    }

    /// Opens what [`SealingKeys::seal`] sealed.
    pub fn open(&self, context: &[impl AsRef<[u8]>], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (header, rest) = sealed.split_first_chunk::<HEADER_BYTES>().ok_or(OpenError::Malformed)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(OpenError::Malformed)?;
        if header[0] != FORMAT || ciphertext.len() < TAG_BYTES {
            return Err(OpenError::Malformed);
        }
        let key = self.keys.iter().find(|key| key.header() == *header).ok_or(OpenError::UnknownKey)?;
        let mut in_out = Zeroizing::new(ciphertext.to_vec());
        let length = key
            .key
            .open_in_place(Nonce::from(nonce), authenticated(header, context), &mut in_out)
            .map_err(|_| OpenError::Forged)?
            .len();
        in_out.truncate(length);
        Ok(in_out)
    }

    /// Tells whether a value was sealed with the key that seals now. One that was not wants to be sealed anew.
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        self.keys.last().is_some_and(|key| sealed.starts_with(&key.header()))
    }
}

impl Key {
    fn read(path: &Path) -> Result<Self, KeyError> {
        let not_a_key =
            || KeyError::NotAKey { path: path.to_owned(), expected: "a sealing key of 32 bytes in PEM" };
        let text = key_files::read_private(path)?;
        let parsed = pem::parse(text.as_bytes()).map_err(|_| not_a_key())?;
        let bytes = Zeroizing::new(parsed.into_contents());
        let is_ours = text.starts_with(&format!("-----BEGIN {LABEL}-----"));
        if !is_ours || bytes.len() != KEY_BYTES {
            return Err(not_a_key());
        }
        let mut id = [0; ID_BYTES];
        let named = Zeroizing::new([LABEL.as_bytes(), &bytes].concat());
        id.copy_from_slice(&digest(&SHA256, &named).as_ref()[..ID_BYTES]);
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| KeyError::Cryptography)?;
        Ok(Self { id, key })
    }

    fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [FORMAT; HEADER_BYTES];
        header[1..].copy_from_slice(&self.id);
        header
    }
}

/// Each part goes with its length, so that no two contexts are written alike.
fn authenticated(header: &[u8], context: &[impl AsRef<[u8]>]) -> Aad<Vec<u8>> {
    let mut bytes = header.to_vec();
    for part in context {
        let part = part.as_ref();
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    Aad::from(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    const CONTEXT: [&[u8]; 2] = [b"owner", b"name"];

    fn load(directory: &Path) -> SealingKeys {
        SealingKeys::load_or_create(directory, "functions").unwrap()
    }

    #[test]
    fn what_was_sealed_opens_after_a_restart_and_shows_nothing() {
        let directory = tempfile::tempdir().unwrap();
        for plain in [&b""[..], b"hunter2", &vec![7; MAX_PLAIN_BYTES]] {
            let sealed = load(directory.path()).seal(&CONTEXT, plain).unwrap();
            assert_eq!(sealed.len(), plain.len() + OVERHEAD_BYTES);
            assert!(plain.is_empty() || !sealed.windows(plain.len()).any(|window| window == plain));
            assert_eq!(load(directory.path()).open(&CONTEXT, &sealed).unwrap().as_slice(), plain);
        }
        let keys = load(directory.path());
        let same = (0..100).map(|_| keys.seal(&CONTEXT, b"hunter2").unwrap()).collect::<BTreeSet<_>>();
        assert_eq!(same.len(), 100, "no two are alike");
    }

    #[test]
    fn what_was_sealed_for_one_thing_opens_for_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let keys = load(directory.path());
        let sealed = keys.seal(&CONTEXT, b"hunter2").unwrap();
        for other in [&[&b"owner"[..], b"nam"][..], &[b"ownern", b"ame"], &[b"owner"], &[]] {
            assert_eq!(keys.open(other, &sealed).unwrap_err(), OpenError::Forged);
        }
    }

    #[test]
    fn what_was_changed_or_cut_does_not_open() {
        let directory = tempfile::tempdir().unwrap();
        let keys = load(directory.path());
        let sealed = keys.seal(&CONTEXT, b"hunter2").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(keys.open(&CONTEXT, &changed).is_err(), "byte {index}");
            assert!(keys.open(&CONTEXT, &sealed[..index]).is_err(), "{index} bytes");
        }
    }

    #[test]
    fn a_new_key_seals_and_the_one_before_still_opens() {
        let directory = tempfile::tempdir().unwrap();
        let old = load(directory.path()).seal(&CONTEXT, b"hunter2").unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/generate-sealing-key");
        let made = Command::new(script).arg("functions").arg(directory.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

        let keys = load(directory.path());
        assert!(!keys.is_current(&old));
        assert_eq!(keys.open(&CONTEXT, &old).unwrap().as_slice(), b"hunter2");
        let new = keys.seal(&CONTEXT, b"hunter2").unwrap();
        assert!(keys.is_current(&new));

        fs::remove_file(directory.path().join("functions.sealing-0.pem")).unwrap();
        let keys = load(directory.path());
        assert_eq!(keys.open(&CONTEXT, &old).unwrap_err(), OpenError::UnknownKey);
        assert_eq!(keys.open(&CONTEXT, &new).unwrap().as_slice(), b"hunter2");
    }

    #[test]
    fn a_key_is_its_owners_alone_and_is_refused_when_it_is_not() {
        let directory = tempfile::tempdir().unwrap();
        load(directory.path());
        let path = directory.path().join("functions.sealing-0.pem");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = SealingKeys::load_or_create(directory.path(), "functions");
        assert!(matches!(refused, Err(KeyError::Permissions { .. })));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("functions.sealing-0.pem");
        for text in
            ["", "hunter2", "-----BEGIN SLIPWAY SEALING KEY-----\nAAAA\n-----END SLIPWAY SEALING KEY-----\n"]
        {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let refused = SealingKeys::load_or_create(directory.path(), "functions");
            assert!(matches!(refused, Err(KeyError::NotAKey { .. })), "{text:?}");
        }
    }
}
