use std::io;
use std::path::{Path, PathBuf};

use openhuman_vault::RandomError;

/// Why a sealed database could not be opened, read or exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file was sealed under another key, or its first 16 bytes were changed.
    #[error("the key does not open {}; unlock the vault this database belongs to", path.display())]
    WrongKey {
        /// The database.
        path: PathBuf,
    },
    /// The file is a plain SQLite database or something else altogether.
    #[error("{} is not a sealed database; choose another file, or import it into a new database", path.display())]
    NotSealed {
        /// The file.
        path: PathBuf,
    },
    /// A page does not authenticate: bits rotted, or somebody changed the file.
    #[error("page {page} of {} is damaged; restore the database from a copy", path.display())]
    PageCorrupt {
        /// The database.
        path: PathBuf,
        /// The page, counted from 1.
        page: u64,
    },
    /// A frame of the write-ahead log does not authenticate.
    #[error("frame {frame} of the log of {} is damaged; restore the database and its log from a copy", path.display())]
    LogCorrupt {
        /// The database.
        path: PathBuf,
        /// The frame, counted from 0.
        frame: u64,
    },
    /// The file is shorter than it was.
    #[error("{} was cut off (only {size} bytes are left); restore it from a copy", path.display())]
    Truncated {
        /// The database.
        path: PathBuf,
        /// Bytes found.
        size: u64,
    },
    /// There is no database, and none may be created.
    #[error("there is no database {}; restore it from a copy", path.display())]
    Missing {
        /// The database, or its log when only that is left.
        path: PathBuf,
    },
    /// Another process has the database open.
    #[error("{} is in use by another process; close the other program and try again", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The target of an export is there already.
    #[error("{} already exists; choose another name for the export", path.display())]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// The path cannot be handed to SQLite.
    #[error("the path {} has no file name or is not valid Unicode; choose another one", path.display())]
    BadPath {
        /// The path.
        path: PathBuf,
    },
    /// The file system failed.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// No randomness for a new database.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Anything else SQLite reported.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

pub(crate) fn io_at(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io {
        path: path.to_owned(),
        source,
    }
}
