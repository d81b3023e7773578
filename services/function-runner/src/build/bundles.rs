//! The files of versions, kept so that an instance that runs already can be given them.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use slipway_models::functions::Runtime;

use super::source::{self, Kind, Selection};

/// The runtimes that can load code which was not there when their worker started.
pub(crate) const WARM_RUNTIMES: [Runtime; 2] = [Runtime::Python, Runtime::Node];

/// The most files, directories and links of a bundle, and the most bytes: laying out more is no faster than starting
/// the version's own image.
const MAX_ENTRIES: usize = 4_000;
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Some of the files below a directory.
pub(super) type Part = (PathBuf, Selection);

/// The bundles of this host: what lies in an image's `/app`, for images that are a plain runtime, a function's files and
/// what it depends on, or that alone.
///
/// A bundle is named by its image, so it belongs to one owner and its content never changes. It is a shortcut: where
/// one is missing or damaged, the image is used. Instances are given hard links of its files, of which they see a
/// read-only mount as a user who does not own them.
pub struct Bundles {
    directory: PathBuf,
    known: Mutex<HashMap<String, Known>>,
    uses: AtomicU64,
}

struct Known {
    base: String,
    bytes: u64,
    /// The greater, the later it was used.
    used: u64,
    /// Whether its files were seen to be whole since they were written or this process began.
    is_whole: bool,
}

/// What lies beside a bundle's files.
#[derive(Serialize, Deserialize)]
struct Description {
    image: String,
    /// The id of the plain runtime's image.
    base: String,
    /// The digest of the files.
    digest: String,
}

impl Bundles {
    /// Finds the bundles under `state`, and removes what a process that was killed did not finish. Blocking.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        let directory = state.join("bundles");
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let mut known = HashMap::new();
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
        found.sort_unstable();
        for (used, (_, path)) in (0..).zip(found) {
            match read_description(&path) {
                Some(Description { image, base, .. }) if path == directory.join(file_name(&image)) => {
                    let (_, bytes) = size(&path.join("app"), Selection::All)?;
                    known.insert(image, Known { base, bytes, used, is_whole: false });
                }
                _ => fs::remove_dir_all(&path)?,
            }
        }
        let uses = AtomicU64::new(known.len() as u64);
        Ok(Self { directory, known: Mutex::new(known), uses })
    }

    /// Keeps the files of `parts`, which have none in common, as those that `image` adds to the plain runtime's image
    /// `base`, unless they are kept or too many. Blocking.
    pub(super) fn keep(&self, image: &str, base: &str, parts: &[Part]) -> io::Result<()> {
        if let Some(known) = self.known().get_mut(image) {
            known.used = self.next_use();
            return Ok(());
        }
        let (mut entries, mut bytes) = (0, 0);
        for (root, selection) in parts {
            let (more, size) = size(root, *selection)?;
            (entries, bytes) = (entries + more, bytes + size);
        }
        if entries > MAX_ENTRIES || bytes > MAX_BYTES {
            return Ok(());
        }
        let unfinished = tempfile::tempdir_in(&self.directory)?;
        let app = unfinished.path().join("app");
        create_directory(&app)?;
        for (root, selection) in parts {
            link_entries(root, *selection, &app)?;
        }
        let (image, base) = (image.to_owned(), base.to_owned());
        let digest = source::digest(&app, Selection::All, &[])?;
        let description = Description { image: image.clone(), base: base.clone(), digest };
        fs::write(unfinished.path().join("description.json"), serde_json::to_vec(&description)?)?;
        let mut known = self.known();
        match fs::rename(unfinished.path(), self.path(&image)) {
            // Another deployment of the same files was quicker.
            Err(fault) if fault.kind() != io::ErrorKind::DirectoryNotEmpty => return Err(fault),
            _ => {}
        }
        known.insert(image, Known { base, bytes, used: self.next_use(), is_whole: true });
        Ok(())
    }

    /// Returns the id of the plain runtime's image that an image's files belong to; `None` where they are not kept.
    pub(crate) fn base(&self, image: &str) -> Option<String> {
        self.known().get(image).map(|known| known.base.clone())
    }

    /// Lays an image's files into `target`, an empty directory; otherwise as [`Self::files`]. Blocking.
    pub(crate) fn lay(&self, image: &str, target: &Path) -> io::Result<()> {
        link_entries(&self.files(image)?, Selection::All, target)
    }

    /// Returns where the files of an image lie. Those that are not what was kept (a power cut takes some) are removed,
    /// and an error; so are those that are not kept ([`io::ErrorKind::NotFound`]). Blocking.
    pub(super) fn files(&self, image: &str) -> io::Result<PathBuf> {
        let use_now = |known: &mut Known| {
            known.used = self.next_use();
            known.is_whole
        };
        let is_whole = self.known().get_mut(image).map(use_now).ok_or(io::ErrorKind::NotFound)?;
        if !is_whole {
            self.require_whole(image)?;
        }
        Ok(self.path(image).join("app"))
    }

    /// Removes an image's files, where they are kept. Blocking.
    pub(super) fn remove(&self, image: &str) -> io::Result<()> {
        let mut known = self.known();
        if known.remove(image).is_none() {
            return Ok(());
        }
        fs::remove_dir_all(self.path(image))
    }

    /// Removes the files that were not used for the longest time, until those that are left have at most `most` bytes.
    /// Blocking.
    pub(super) fn trim(&self, most: u64) -> io::Result<()> {
        let mut all: Vec<(u64, u64, String)> =
            self.known().iter().map(|(image, known)| (known.used, known.bytes, image.clone())).collect();
        all.sort_unstable();
        let mut left: u64 = all.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, image) in all {
            if left <= most {
                break;
            }
            self.remove(&image)?;
            left -= bytes;
        }
        Ok(())
    }

    /// Returns the images whose files are kept.
    pub(super) fn images(&self) -> Vec<String> {
        self.known().keys().cloned().collect()
    }

    fn require_whole(&self, image: &str) -> io::Result<()> {
        let path = self.path(image);
        let kept = read_description(&path).map(|description| description.digest);
        let found = source::digest(&path.join("app"), Selection::All, &[]);
        if kept.is_none() || found.ok() != kept {
            self.remove(image)?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the files of a version are damaged"));
        }
        if let Some(known) = self.known().get_mut(image) {
            known.is_whole = true;
        }
        Ok(())
    }

    fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }

    fn path(&self, image: &str) -> PathBuf {
        self.directory.join(file_name(image))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn file_name(image: &str) -> String {
    hex::encode(Sha256::digest(image))
}

fn read_description(path: &Path) -> Option<Description> {
    serde_json::from_slice(&fs::read(path.join("description.json")).ok()?).ok()
}

/// Returns how many of the selected entries there are below a directory, and the bytes of their files.
fn size(root: &Path, selection: Selection) -> io::Result<(usize, u64)> {
    let entries = source::walk(root, selection)?;
    let bytes = entries.iter().map(|entry| if let Kind::File { bytes, .. } = entry.kind { bytes } else { 0 });
    Ok((entries.len(), bytes.sum()))
}

/// Makes in `target` the same directories and links as the selected ones of `root`, whose files are the same ones.
fn link_entries(root: &Path, selection: Selection, target: &Path) -> io::Result<()> {
    for entry in source::walk(root, selection)? {
        let (from, to) = (root.join(&entry.path), target.join(&entry.path));
        match entry.kind {
            Kind::Directory => create_directory(&to)?,
            Kind::Link { target } => symlink(target, to)?,
            Kind::File { executable, .. } => {
                fs::hard_link(&from, &to)?;
                allow(&to, if executable { 0o755 } else { 0o644 })?;
            }
        }
    }
    Ok(())
}

/// Makes a directory that others may enter, whatever this process's umask is.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(path)?;
    allow(path, 0o755)
}

fn allow(path: &Path, mode: u32) -> io::Result<()> {
    if fs::symlink_metadata(path)?.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const IMAGE: &str = "localhost/slipway/function:a-b";

    fn project() -> TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("lib")).unwrap();
        fs::write(root.path().join("lib/a.py"), "a").unwrap();
        fs::write(root.path().join("main.py"), "main").unwrap();
        fs::set_permissions(root.path().join("main.py"), Permissions::from_mode(0o600)).unwrap();
        symlink("lib/a.py", root.path().join("link")).unwrap();
        root
    }

    /// Lays the files of `IMAGE` out and returns the directory.
    fn laid(bundles: &Bundles) -> io::Result<TempDir> {
        let target = tempfile::tempdir_in(&bundles.directory)?;
        bundles.lay(IMAGE, target.path())?;
        Ok(target)
    }

    #[test]
    fn what_is_kept_is_laid_out_for_others_to_read_after_a_restart_too() {
        let (state, project) = (tempfile::tempdir().unwrap(), project());
        let bundles = Bundles::open(state.path()).unwrap();
        bundles.keep(IMAGE, "base", &[(project.path().to_owned(), Selection::All)]).unwrap();
        bundles.keep(IMAGE, "base", &[(project.path().to_owned(), Selection::All)]).unwrap();
        drop(project);

        for bundles in [bundles, Bundles::open(state.path()).unwrap()] {
            assert_eq!(bundles.base(IMAGE).as_deref(), Some("base"));
            let target = laid(&bundles).unwrap();
            let mode =
                |name: &str| fs::metadata(target.path().join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode("lib"), mode("lib/a.py"), mode("main.py")), (0o755, 0o644, 0o644));
            assert_eq!(fs::read_to_string(target.path().join("link")).unwrap(), "a");
        }
    }

    #[test]
    fn what_was_installed_lies_beside_a_projects_own_files() {
        let (state, project, installed) =
            (tempfile::tempdir().unwrap(), project(), tempfile::tempdir().unwrap());
        for (root, text) in [(&project, "old"), (&installed, "new")] {
            fs::create_dir(root.path().join(".deps")).unwrap();
            fs::write(root.path().join(".deps/a.py"), text).unwrap();
        }
        let bundles = Bundles::open(state.path()).unwrap();
        let dependencies = "localhost/slipway/dependencies:a-b";
        bundles.keep(dependencies, "base", &[(installed.path().to_owned(), Selection::All)]).unwrap();
        let parts = [
            (project.path().to_owned(), Selection::Without(".deps")),
            (bundles.files(dependencies).unwrap(), Selection::All),
        ];
        bundles.keep(IMAGE, "base", &parts).unwrap();
        bundles.remove(dependencies).unwrap();

        let target = laid(&bundles).unwrap();
        let read = |name: &str| fs::read_to_string(target.path().join(name)).unwrap();
        assert_eq!((read("main.py"), read(".deps/a.py")), ("main".to_owned(), "new".to_owned()));
        assert_eq!(bundles.files(dependencies).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_bundle_that_was_damaged_while_nobody_looked_is_not_used() {
        let (state, project) = (tempfile::tempdir().unwrap(), project());
        let bundles = Bundles::open(state.path()).unwrap();
        bundles.keep(IMAGE, "base", &[(project.path().to_owned(), Selection::All)]).unwrap();
        fs::write(bundles.path(IMAGE).join("app/main.py"), "").unwrap();

        let bundles = Bundles::open(state.path()).unwrap();
        assert_eq!(laid(&bundles).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!((bundles.base(IMAGE), fs::read_dir(&bundles.directory).unwrap().count()), (None, 0));
    }

    #[test]
    fn what_was_not_finished_and_what_was_removed_is_gone() {
        let (state, project) = (tempfile::tempdir().unwrap(), project());
        let bundles = Bundles::open(state.path()).unwrap();
        bundles.keep(IMAGE, "base", &[(project.path().to_owned(), Selection::All)]).unwrap();
        bundles.remove(IMAGE).unwrap();
        bundles.remove(IMAGE).unwrap();
        assert_eq!(laid(&bundles).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir_all(bundles.directory.join("unfinished/app")).unwrap();

        let bundles = Bundles::open(state.path()).unwrap();
        assert_eq!(bundles.images(), Vec::<String>::new());
        assert_eq!(fs::read_dir(&bundles.directory).unwrap().count(), 0);
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first() {
        let (state, project) = (tempfile::tempdir().unwrap(), project());
        let image = |number: u32| format!("localhost/slipway/function:a-{number}");
        let bundles = Bundles::open(state.path()).unwrap();
        for number in 1..=4 {
            bundles.keep(&image(number), "base", &[(project.path().to_owned(), Selection::All)]).unwrap();
        }
        let target = tempfile::tempdir_in(&bundles.directory).unwrap();
        bundles.lay(&image(1), target.path()).unwrap();
        drop(target);
        let (_, bytes) = size(project.path(), Selection::All).unwrap();
        let left = |bundles: &Bundles| {
            let mut images = bundles.images();
            images.sort_unstable();
            images
        };

        bundles.trim(3 * bytes).unwrap();
        assert_eq!(left(&bundles), [image(1), image(3), image(4)]);
        bundles.trim(2 * bytes - 1).unwrap();
        assert_eq!(left(&bundles), [image(1)]);
        let bundles = Bundles::open(state.path()).unwrap();
        assert_eq!(left(&bundles), [image(1)]);
        bundles.trim(bytes).unwrap();
        assert_eq!(left(&bundles), [image(1)]);
        bundles.trim(0).unwrap();
        assert_eq!(
            (left(&bundles), fs::read_dir(&bundles.directory).unwrap().count()),
            (Vec::<String>::new(), 0)
        );
    }

    #[test]
    fn what_is_large_is_not_kept() {
        let (state, project) = (tempfile::tempdir().unwrap(), project());
        let bundles = Bundles::open(state.path()).unwrap();
        for number in 0..MAX_ENTRIES {
            fs::write(project.path().join(number.to_string()), "").unwrap();
        }
        bundles.keep(IMAGE, "base", &[(project.path().to_owned(), Selection::All)]).unwrap();
        assert_eq!(bundles.base(IMAGE), None);

        let large = tempfile::tempdir().unwrap();
        fs::File::create(large.path().join("main.py")).unwrap().set_len(MAX_BYTES + 1).unwrap();
        bundles.keep(IMAGE, "base", &[(large.path().to_owned(), Selection::All)]).unwrap();
        assert_eq!(bundles.base(IMAGE), None);
    }
}
