use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A function's folder, for one test.
pub struct Project(TempDir);

impl Project {
    /// Makes a folder with these files.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, content) in files {
            std::fs::write(directory.path().join(name), content).expect("a file in it");
        }
        Self(directory)
    }

    /// Makes a folder with one Python file.
    pub fn python(main: &str) -> Self {
        Self::of(&[("main.py", main)])
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns the folder of one of the examples in the repository.
    pub fn example(name: &str) -> PathBuf {
        repository().join("deploy/examples").join(name)
    }
}

/// Returns the root of the checkout.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout").to_owned()
}
