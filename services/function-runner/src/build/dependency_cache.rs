use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What was used so recently may be in use.
const BUSY: Duration = Duration::from_hours(1);

/// How many images of installed dependencies are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheLimits {
    /// The most of one owner.
    pub(crate) per_owner: usize,
    /// How long one is kept that no build uses.
    pub(crate) unused: Duration,
}

/// When each image of installed dependencies was used last: the time of a file that has the name of its tag. A file
/// that is lost costs an installation, no more.
#[derive(Debug)]
pub(super) struct DependencyCache {
    directory: PathBuf,
    limits: CacheLimits,
}

impl DependencyCache {
    pub(super) fn new(directory: PathBuf, limits: CacheLimits) -> Self {
        Self { directory, limits }
    }

    /// Notes that an image is used now. Blocking.
    pub(super) fn touch(&self, image: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        // Writing is what sets the time.
        fs::write(self.file(image), image)
    }

    /// Returns those of `images` that are not worth their place at the time `now`, and forgets them. Blocking.
    pub(super) fn take_stale(&self, images: Vec<String>, now: SystemTime) -> Vec<String> {
        let mut by_owner: HashMap<String, Vec<(Duration, String)>> = HashMap::new();
        for image in images {
            let used = File::open(self.file(&image)).and_then(|file| file.metadata()?.modified());
            let age = used.map_or(Duration::MAX, |used| now.duration_since(used).unwrap_or_default());
            by_owner.entry(owner(&image).to_owned()).or_default().push((age, image));
        }
        let mut stale = Vec::new();
        for mut of_one in by_owner.into_values() {
            of_one.sort_unstable();
            let too_many = |index: usize| index >= self.limits.per_owner;
            let is_stale =
                |index: usize, age: Duration| age > BUSY && (too_many(index) || age > self.limits.unused);
            let found = of_one.into_iter().enumerate().filter(|(index, (age, _))| is_stale(*index, *age));
            stale.extend(found.map(|(_, (_, image))| image));
        }
        for image in &stale {
            // Where it stays, the image is gone all the same, and its name does not come back.
            let _ = fs::remove_file(self.file(image));
        }
        stale
    }

    fn file(&self, image: &str) -> PathBuf {
        Path::new(&self.directory).join(tag(image))
    }
}

/// Of `localhost/slipway/dependencies:OWNER-DIGEST`, the last part.
fn tag(image: &str) -> &str {
    image.rsplit(['/', ':']).next().unwrap_or(image)
}

fn owner(image: &str) -> &str {
    tag(image).split('-').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn what_is_unused_or_beyond_an_owners_share_is_stale_but_never_what_was_used_just_now() {
        let directory = tempfile::tempdir().unwrap();
        let cache =
            DependencyCache::new(directory.path().join("d"), CacheLimits { per_owner: 2, unused: 7 * DAY });
        let now = SystemTime::UNIX_EPOCH + 100 * DAY;
        let used = |image: &str, ago: Duration| {
            cache.touch(image).unwrap();
            File::options().append(true).open(cache.file(image)).unwrap().set_modified(now - ago).unwrap();
            image.to_owned()
        };
        let images = vec![
            used("l/dependencies:ada-1", DAY),
            used("l/dependencies:ada-2", 2 * DAY),
            used("l/dependencies:ada-3", 3 * DAY),
            used("l/dependencies:eve-1", 8 * DAY),
            used("l/dependencies:bob-1", Duration::ZERO),
            used("l/dependencies:bob-2", Duration::ZERO),
            used("l/dependencies:bob-3", Duration::ZERO),
            "l/dependencies:ada-lost".to_owned(),
        ];

        let mut stale = cache.take_stale(images, now);

        stale.sort_unstable();
        assert_eq!(stale, ["l/dependencies:ada-3", "l/dependencies:ada-lost", "l/dependencies:eve-1"]);
        assert_eq!(fs::read_dir(directory.path().join("d")).unwrap().count(), 5);
    }
}
