use std::io;

/// Says why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// Neither magic number is there.
    #[error("the archive is neither a zip nor a tar.gz file")]
    UnknownFormat,
    /// It cannot be read to its end.
    #[error("the archive is damaged or cut off: {0}")]
    Damaged(String),
    /// It holds nothing.
    #[error("the archive is empty")]
    Empty,
    /// One of its entries may not be unpacked.
    #[error("the entry {path:?} {fault}")]
    Entry {
        /// The entry's name, cut where it is long.
        path: String,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// More files or directories than the limit.
    #[error("the archive holds more than {0} files or directories")]
    TooManyFiles(usize),
    /// More bytes than the limit.
    #[error("the archive unpacks to more than {0} bytes")]
    TooLarge(u64),
    /// Compressed like no real content.
    #[error("the archive unpacks to more than {0} times its size")]
    Ratio(u64),
    /// A fault of this host, not of the archive.
    #[error("cannot unpack the archive: {0}")]
    Host(#[from] io::Error),
}

/// What is wrong with one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EntryFault {
    /// Starts with `/`.
    #[error("has an absolute path")]
    Absolute,
    /// Has a `..` in its path.
    #[error("has `..` in its path")]
    Parent,
    /// Is no name that a file can have here.
    #[error(
        "has a name that cannot be used: it must be UTF-8 without NUL or (in a zip) `\\`, and not too long"
    )]
    Name,
    /// Was there before.
    #[error("is there twice")]
    Duplicate,
    /// Lies below a file or a link.
    #[error("lies below something that is no directory")]
    NotInDirectory,
    /// Is a link that leaves the archive.
    #[error("is a link that leaves the archive")]
    LinkLeaves,
    /// Is a hard link to nothing.
    #[error("is a hard link to a file that does not come before it")]
    LinkToNothing,
    /// Is a device, a pipe or a socket.
    #[error("is a device, a pipe or a socket")]
    Device,
    /// Is of a kind that is not supported, such as a sparse file.
    #[error("is of a kind that is not supported")]
    Kind,
    /// Needs a password.
    #[error("is encrypted")]
    Encrypted,
}

impl EntryFault {
    /// Names the entry at fault.
    pub(super) fn of(self, path: &[u8]) -> ArchiveError {
        const SHOWN: usize = 200;
        let shown = path.get(..SHOWN).unwrap_or(path);
        ArchiveError::Entry { path: String::from_utf8_lossy(shown).into_owned(), fault: self }
    }
}

impl ArchiveError {
    /// Turns what reading the archive said into a fault of the archive.
    pub(super) fn from_reading(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(limit) => limit,
            Err(error) => Self::Damaged(error.to_string()),
        }
    }
}
