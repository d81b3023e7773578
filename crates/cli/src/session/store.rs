//! The file that keeps the sign-in: mode 0600, in a folder of mode 0700, replaced whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::environment::variable;
use crate::failure::Failure;
use crate::session::Session;

/// Where the sign-in is kept.
pub(crate) struct Store {
    file: PathBuf,
    folder: PathBuf,
}

/// Held while the sign-in is changed; other commands wait. The system lets go of it when the process ends.
pub(crate) struct Lock {
    _file: File,
}

impl Store {
    /// Takes the file that was named, or finds it: in `$SLIPWAY_CONFIG_DIR`, or in `slipway` below
    /// `$XDG_CONFIG_HOME` or `~/.config`.
    pub(crate) fn locate(named: Option<PathBuf>) -> Result<Self, Failure> {
        let file = named.map_or_else(|| default_folder().map(|folder| folder.join("session.json")), Ok)?;
        let file = std::path::absolute(&file).map_err(|fault| unusable(&file, &fault))?;
        match file.parent() {
            Some(folder) => Ok(Self { folder: folder.to_owned(), file }),
            None => Err(Failure::usage("the session file must be a file")),
        }
    }

    pub(crate) fn load(&self) -> Result<Option<Session>, Failure> {
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(unusable(&self.file, &fault)),
        };
        let mode = file.metadata().map_err(|fault| unusable(&self.file, &fault))?.permissions().mode();
        let shown = self.file.display();
        if mode & 0o077 != 0 {
            return Err(Failure::local(format!("{shown} can be read by other users of this machine"))
                .hint(format!("run: chmod 600 {shown}")));
        }
        let text = io::read_to_string(file).map_err(|fault| unusable(&self.file, &fault))?;
        serde_json::from_str(&text).map(Some).map_err(|fault| {
            Failure::local(format!("{shown} is no session file: line {}", fault.line()))
                .hint(format!("remove it and run: slipway login\n  rm {shown}"))
        })
    }

    pub(crate) fn save(&self, session: &Session) -> Result<(), Failure> {
        self.replace(session).map_err(|fault| unusable(&self.file, &fault))
    }

    pub(crate) fn remove(&self) -> Result<(), Failure> {
        match fs::remove_file(&self.file) {
            Err(fault) if fault.kind() != ErrorKind::NotFound => Err(unusable(&self.file, &fault)),
            _ => Ok(()),
        }
    }

    pub(crate) async fn lock(&self) -> Result<Lock, Failure> {
        let path = self.file.with_added_extension("lock");
        let file = self.open_lock(&path).map_err(|fault| unusable(&path, &fault))?;
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        let file = locked.map_err(io::Error::from).flatten().map_err(|fault| unusable(&path, &fault))?;
        Ok(Lock { _file: file })
    }

    fn open_lock(&self, path: &Path) -> io::Result<File> {
        self.make_folder()?;
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
    }

    /// Writes beside the file and renames, so that no reader and no crash meets half of it.
    fn replace(&self, session: &Session) -> io::Result<()> {
        self.make_folder()?;
        let mut file = tempfile::Builder::new().prefix(".session-").tempfile_in(&self.folder)?;
        serde_json::to_writer_pretty(&mut file, session)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(&self.file)?;
        Ok(())
    }

    fn make_folder(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }
}

fn default_folder() -> Result<PathBuf, Failure> {
    if let Some(folder) = variable("SLIPWAY_CONFIG_DIR") {
        return Ok(folder.into());
    }
    // The specification has relative paths ignored: XDG Base Directory, "Environment variables".
    let configuration = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".config"));
    configuration.or_else(home).map(|folder| folder.join("slipway")).ok_or_else(|| {
        Failure::usage(
            "HOME is not set, so there is no place to keep the sign-in: name one with --session FILE",
        )
    })
}

fn unusable(path: &Path, fault: &io::Error) -> Failure {
    Failure::local(format!("{}: {fault}", path.display()))
}
