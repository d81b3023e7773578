//! Key files: PEM, PKCS#8, one key a file, private ones readable by their owner alone.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use jsonwebtoken::EncodingKey;
use zeroize::Zeroizing;

use crate::KeyError;
use crate::jwks::{Jwk, Jwks};

/// No key of ours is larger: RSA-8192 in PEM takes 6.4 KB.
const MAX_FILE_BYTES: u64 = 16 * 1024;
const PREFIX: &str = "access-";
const SUFFIX: &str = ".pem";
/// Sorts before the keys that `scripts/generate-jwt-keys` names by the time.
const FIRST_KEY: &str = "access-0.pem";

/// The RSA keys that sign access tokens: the last by file name signs, the others still verify.
pub struct SigningKeys {
    current: SigningKey,
    jwks: Jwks,
}

struct SigningKey {
    kid: String,
    key: EncodingKey,
}

impl SigningKeys {
    /// Loads `access-*.pem` from `directory`, and makes the first one where there is none.
    ///
    /// Making a key takes seconds of one core: call it off the async threads. Processes that start at the same
    /// time end with the same key.
    pub fn load_or_create(directory: &Path) -> Result<Self, KeyError> {
        create_directory(directory)?;
        let mut files = key_files(directory)?;
        if files.is_empty() {
            let path = directory.join(FIRST_KEY);
            let pair = RsaKeyPair::generate(KeySize::Rsa4096).map_err(|_| KeyError::Cryptography)?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Cryptography)?;
            write_private(&path, "PRIVATE KEY", der.as_ref())?;
            files.push(path);
        }
        Self::from_files(&files)
    }

    /// Returns the public halves, as verifiers take them.
    pub fn jwks(&self) -> &Jwks {
        &self.jwks
    }

    pub(crate) fn current(&self) -> (&str, &EncodingKey) {
        (&self.current.kid, &self.current.key)
    }

    fn from_files(files: &[PathBuf]) -> Result<Self, KeyError> {
        let mut current = None;
        let mut keys = Vec::with_capacity(files.len());
        for path in files {
            let (key, public) = read_rsa(path)?;
            current = Some(SigningKey { kid: public.kid.clone(), key });
            keys.push(public);
        }
        let current = current.ok_or(KeyError::KeySet)?;
        Ok(Self { current, jwks: Jwks { keys } })
    }
}

fn read_rsa(path: &Path) -> Result<(EncodingKey, Jwk), KeyError> {
    let not_a_key = || KeyError::NotAKey {
        path: path.to_owned(),
        expected: "an RSA key of 4096 bits or more in PKCS#8 PEM",
    };
    let text = read_private(path)?;
    let der = pem::parse(text.as_bytes()).map_err(|_| not_a_key())?;
    let pair = RsaKeyPair::from_pkcs8(der.contents()).map_err(|_| not_a_key())?;
    let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    let public = Jwk::rs256(&public.n, &public.e);
    public.decoding_key().map_err(|_| not_a_key())?;
    let key = EncodingKey::from_rsa_pem(text.as_bytes()).map_err(|_| not_a_key())?;
    Ok((key, public))
}

fn key_files(directory: &Path) -> Result<Vec<PathBuf>, KeyError> {
    list(directory, |name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
}

/// Lists the files of a directory whose names `wanted` accepts, in the order of their names.
pub fn list(directory: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, KeyError> {
    let mut files = Vec::new();
    for entry in directory.read_dir().map_err(KeyError::file(directory))? {
        let entry = entry.map_err(KeyError::file(directory))?;
        if entry.file_name().to_str().is_some_and(&wanted) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Makes a directory for keys, which only its owner may enter, unless it is there.
pub fn create_directory(directory: &Path) -> Result<(), KeyError> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(KeyError::file(directory))
}

/// Reads a private key's file, and refuses one that anybody but its owner may touch.
pub fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    read(path, 0o077, "a private key must not be open to its group or to others (chmod 600)")
}

/// Reads a public key's file, and refuses one that anybody but its owner may write.
pub(crate) fn read_public(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    read(path, 0o022, "a public key must not be writable by its group or by others (chmod 644)")
}

fn read(path: &Path, forbidden: u32, rule: &'static str) -> Result<Zeroizing<String>, KeyError> {
    let file = File::open(path).map_err(KeyError::file(path))?;
    // Of the open file, not of its name, which may point elsewhere a moment later.
    let mode = file.metadata().map_err(KeyError::file(path))?.permissions().mode() & 0o7777;
    if mode & forbidden != 0 {
        return Err(KeyError::Permissions { path: path.to_owned(), mode, rule });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(KeyError::file(path))?;
    Ok(text)
}

/// Writes a new private key. A file that is there already is left alone: it won the race.
pub fn write_private(path: &Path, label: &str, key: &[u8]) -> Result<(), KeyError> {
    let text = Zeroizing::new(pem::encode(&pem::Pem::new(label, key)));
    match temporary(path, &text)?.persist_noclobber(path) {
        Ok(_) => sync_directory(path),
        Err(lost) if lost.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(failed) => Err(KeyError::file(path)(failed.error)),
    }
}

/// Writes a public key, in the place of the one before.
pub(crate) fn write_public(path: &Path, der: &[u8]) -> Result<(), KeyError> {
    let text = pem::encode(&pem::Pem::new("PUBLIC KEY", der));
    let file = temporary(path, &text)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(KeyError::file(path))?;
    file.persist(path).map_err(|failed| KeyError::file(path)(failed.error))?;
    sync_directory(path)
}

/// Writes `text` to a file beside `path` that only its owner may read, and waits until the disk has it.
fn temporary(path: &Path, text: &str) -> Result<tempfile::NamedTempFile, KeyError> {
    let mut file = tempfile::NamedTempFile::new_in(parent(path)).map_err(KeyError::file(path))?;
    file.write_all(text.as_bytes()).map_err(KeyError::file(path))?;
    file.as_file().sync_all().map_err(KeyError::file(path))?;
    Ok(file)
}

fn sync_directory(path: &Path) -> Result<(), KeyError> {
    File::open(parent(path)).and_then(|directory| directory.sync_all()).map_err(KeyError::file(path))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
