use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use slipway_kernel::DeploymentId;

/// Where archives are received, unpacked and made into contexts. Only this process writes here.
#[derive(Debug, Clone)]
pub(crate) struct Workspaces {
    uploads: PathBuf,
    builds: PathBuf,
}

/// The files of one deployment; removed when it is dropped, unless they are kept.
#[derive(Debug)]
pub(crate) struct Workspace {
    path: PathBuf,
    is_kept: bool,
}

impl Workspaces {
    /// Prepares the directories under `state`, and empties what uploads a process that was killed left. Blocking.
    pub(crate) fn prepare(state: &Path) -> io::Result<Self> {
        let workspaces = Self { uploads: state.join("uploads"), builds: state.join("builds") };
        remove_all(&workspaces.uploads)?;
        for directory in [&workspaces.uploads, &workspaces.builds] {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        Ok(workspaces)
    }

    /// Returns the directory for archives that are being received.
    pub(crate) fn uploads(&self) -> &Path {
        &self.uploads
    }

    /// Makes the workspace of a new deployment. Blocking.
    pub(crate) fn create(&self, id: DeploymentId) -> io::Result<Workspace> {
        let path = self.builds.join(id.to_string());
        DirBuilder::new().mode(0o700).create(&path)?;
        let workspace = Workspace { path, is_kept: false };
        DirBuilder::new().mode(0o700).create(workspace.source())?;
        Ok(workspace)
    }

    /// Returns the workspace that a deployment has from before a restart. It is kept until it is released.
    pub(crate) fn find(&self, id: DeploymentId) -> Option<Workspace> {
        let workspace = Workspace { path: self.builds.join(id.to_string()), is_kept: true };
        workspace.source().is_dir().then_some(workspace)
    }

    /// Returns the names of the workspaces that there are. Blocking.
    pub(crate) fn names(&self) -> io::Result<HashSet<String>> {
        let names =
            fs::read_dir(&self.builds)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    /// Removes a workspace by its name. Blocking.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        remove_all(&self.builds.join(name))
    }
}

impl Workspace {
    /// Returns where the archive is unpacked.
    pub(crate) fn source(&self) -> PathBuf {
        self.path.join("source")
    }

    /// Returns where the context goes that Podman builds from.
    pub(crate) fn context(&self) -> PathBuf {
        self.path.join("context.tar")
    }

    /// Returns where the files go that an installation is given.
    pub(super) fn files(&self) -> PathBuf {
        self.path.join("files.tar")
    }

    /// Returns where the tar goes that an installation makes.
    pub(super) fn output(&self) -> PathBuf {
        self.path.join("output.tar")
    }

    /// Returns where that tar is unpacked.
    pub(super) fn installed(&self) -> PathBuf {
        self.path.join("installed")
    }

    /// Keeps the files for the next start.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }

    /// Lets the files go when this is dropped.
    pub(crate) fn release(mut self) -> Self {
        self.is_kept = false;
        self
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(fault) = remove_all(&self.path)
        {
            tracing::warn!(error = %fault, path = %self.path.display(), "a workspace was not removed");
        }
    }
}

fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        _ => Ok(()),
    }
}
