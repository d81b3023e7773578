use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
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

    /// Packs the folder into an unlinked file, open at its start.
    pub fn pack(&self) -> File {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(&pack(self.path())).and_then(|()| file.rewind()).expect("the archive is written");
        file
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

/// Packs a folder as clients do: tar.gz.
pub fn pack(folder: &Path) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    builder.append_dir_all(".", folder).expect("the folder is packed");
    builder.into_inner().and_then(GzEncoder::finish).expect("the archive ends")
}

/// Returns the root of the checkout.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout").to_owned()
}
