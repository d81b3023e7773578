//! Key files: PEM, PKCS#8, one key a file, private ones readable by their owner alone.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use chrono::{DateTime, TimeDelta, Utc};
use zeroize::Zeroizing;

use crate::KeyError;
use crate::jwks::{Jwk, Jwks};

/// No key of ours is larger: RSA-8192 in PEM takes 6.4 KB.
const MAX_FILE_BYTES: u64 = 16 * 1024;
const PREFIX: &str = "access-";
const SUFFIX: &str = ".pem";
/// Sorts before the keys that `scripts/generate-jwt-keys` names by the time.
const FIRST_KEY: &str = "access-0.pem";

/// How long a new key is shown before it signs: by then every gateway has it, as each fetches the key set once a minute.
pub const SHOWN_BEFORE_IT_SIGNS: TimeDelta = TimeDelta::minutes(2);
/// How long a key is kept after a later one has begun to sign: its last token has ended by then.
const KEPT_AFTER_IT_SIGNED: TimeDelta = TimeDelta::minutes(75);

/// The RSA keys that sign access tokens. The last by file name signs, once it has been shown for long enough; the others
/// still verify.
pub struct SigningKeys {
    first: SigningKey,
    later: Vec<SigningKey>,
    jwks: Jwks,
    files: Vec<KeyFile>,
}

struct SigningKey {
    kid: String,
    key: RsaKeyPair,
    made_at: DateTime<Utc>,
}

/// The file of a signing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// Where it is.
    pub path: PathBuf,
    /// When it was written.
    pub made_at: DateTime<Utc>,
}

impl KeyFile {
    /// Returns when the key begins to sign, unless it is the only one: that always signs.
    pub fn signs_from(&self) -> DateTime<Utc> {
        self.made_at + SHOWN_BEFORE_IT_SIGNS
    }
}

/// What asking for a new key came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// There is a new key.
    Made(KeyFile),
    /// The last one that was made has not begun to sign: nothing was done.
    Waits(KeyFile),
}

impl SigningKeys {
    /// Loads `access-*.pem` from `directory`, and makes the first one where there is none.
    ///
    /// Making a key takes seconds of one core: call it off the async threads. Processes that start at the same
    /// time end with the same key.
    pub fn load_or_create(directory: &Path) -> Result<Self, KeyError> {
        create_directory(directory)?;
        if Self::files_in(directory)?.is_empty() {
            write_rsa(&directory.join(FIRST_KEY))?;
        }
        Self::load(directory)
    }

    /// Loads `access-*.pem` from `directory`, where there is one.
    pub fn load(directory: &Path) -> Result<Self, KeyError> {
        Self::from_files(Self::files_in(directory)?)
    }

    /// Lists the files of the keys in `directory`, in the order of their names.
    pub fn files_in(directory: &Path) -> Result<Vec<KeyFile>, KeyError> {
        let paths = list(directory, |name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))?;
        let file = |path: PathBuf| {
            let made_at = path.metadata().and_then(|metadata| metadata.modified());
            let made_at = made_at.map_err(KeyError::file(&path))?.into();
            Ok(KeyFile { path, made_at })
        };
        paths.into_iter().map(file).collect()
    }

    /// Adds a key, unless the one before still waits for its turn: asking twice makes no second one. The file is there
    /// whole or not at all. Making a key takes seconds of one core.
    pub fn rotate(directory: &Path, now: DateTime<Utc>) -> Result<Rotation, KeyError> {
        create_directory(directory)?;
        let files = Self::files_in(directory)?;
        if let Some(last) = files.last().filter(|last| files.len() > 1 && now < last.signs_from()) {
            return Ok(Rotation::Waits(last.clone()));
        }
        let path = directory.join(format!("{PREFIX}{}{SUFFIX}", now.format("%Y%m%dT%H%M%SZ")));
        if files.last().is_some_and(|last| last.path >= path) {
            return Err(KeyError::NameTaken { path });
        }
        write_rsa(&path)?;
        let made = Self::files_in(directory)?.into_iter().find(|file| file.path == path);
        made.map(Rotation::Made).ok_or(KeyError::KeySet)
    }

    /// Removes the files of keys whose last token has ended: a later key has signed for longer than a token lives.
    pub fn prune(directory: &Path, now: DateTime<Utc>) -> Result<Vec<KeyFile>, KeyError> {
        let mut files = Self::files_in(directory)?;
        let has_taken_over = |file: &KeyFile| file.signs_from() + KEPT_AFTER_IT_SIGNED <= now;
        let kept_from = files.iter().rposition(has_taken_over).unwrap_or_default();
        files.truncate(kept_from);
        for file in &files {
            std::fs::remove_file(&file.path).map_err(KeyError::file(&file.path))?;
        }
        Ok(files)
    }

    /// Tells whether these are the keys that are in `directory` now.
    pub fn are_those_in(&self, directory: &Path) -> Result<bool, KeyError> {
        Ok(Self::files_in(directory)? == self.files)
    }

    /// Returns the public halves, as verifiers take them.
    pub fn jwks(&self) -> &Jwks {
        &self.jwks
    }

    /// Returns the key that signs at a time: where none has been shown for long enough, the first.
    pub(crate) fn current(&self, now: DateTime<Utc>) -> (&str, &RsaKeyPair) {
        let signs = |key: &&SigningKey| key.made_at + SHOWN_BEFORE_IT_SIGNS <= now;
        let key = self.later.iter().rev().find(signs).unwrap_or(&self.first);
        (&key.kid, &key.key)
    }

    fn from_files(files: Vec<KeyFile>) -> Result<Self, KeyError> {
        let mut later = Vec::with_capacity(files.len());
        let mut keys = Vec::with_capacity(files.len());
        for file in &files {
            let (key, public) = read_rsa(&file.path)?;
            later.push(SigningKey { kid: public.kid.clone(), key, made_at: file.made_at });
            keys.push(public);
        }
        if later.is_empty() {
            return Err(KeyError::KeySet);
        }
        Ok(Self { first: later.remove(0), later, jwks: Jwks { keys }, files })
    }
}

fn write_rsa(path: &Path) -> Result<(), KeyError> {
    let pair = RsaKeyPair::generate(KeySize::Rsa4096).map_err(|_| KeyError::Cryptography)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Cryptography)?;
    write_private(path, "PRIVATE KEY", der.as_ref())
}

fn read_rsa(path: &Path) -> Result<(RsaKeyPair, Jwk), KeyError> {
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
    Ok((pair, public))
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
