use std::io;
use std::path::{Path, PathBuf};

use openhuman_vault::RandomError;

use crate::freshness::AnchorError;

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
    /// A frame of the write-ahead log does not authenticate, or was exchanged, though it had reached the disk.
    #[error("frame {frame} of the log of {} is damaged; restore both from a copy, or delete the log to \
         give up what it holds", path.display())]
    LogCorrupt {
        /// The database.
        path: PathBuf,
        /// The frame, counted from 0.
        frame: u64,
    },
    /// The database is not the one of the last clean close: an older copy of it, or of some of its pages, was put
    /// back, or a program without the anchor wrote to it.
    #[error(
        "{}{} is older than its seal (session {generation}): a copy was put back; restore the newest copy, or clear \
         the seal to accept this one", of_page(*page), path.display()
    )]
    #[non_exhaustive]
    RolledBack {
        /// The database.
        path: PathBuf,
        /// The session that the anchor knows.
        generation: u64,
        /// The page, counted from 1, when all other pages are those of that session. `None` when more than one is
        /// another, when the size or the file id is, or when there is a log.
        page: Option<u64>,
    },
    /// The place that keeps the seal failed. Nothing was written without it.
    #[error("the seal of {} cannot be kept: {source}; unlock or repair the place that keeps it", path.display())]
    Anchor {
        /// The database.
        path: PathBuf,
        /// What the anchor reported.
        source: AnchorError,
    },
    /// There is no room. What was committed is still there.
    #[error("there is no room left for {}; free some space and try again", path.display())]
    DiskFull {
        /// The database or a file beside it.
        path: PathBuf,
    },
    /// The database, its directory or the connection can only be read.
    #[error("{} cannot be written; check the permissions of the file and its directory", path.display())]
    ReadOnly {
        /// The database or a file beside it.
        path: PathBuf,
    },
    /// These options do not go together, or not with how the database is open already.
    #[error("{} cannot be opened like this: {what}", path.display())]
    Unsupported {
        /// The database.
        path: PathBuf,
        /// Why, and what to do.
        what: &'static str,
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
    /// The target of a copy or an export is there already.
    #[error("{} already exists; choose another name for the copy", path.display())]
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

fn of_page(page: Option<u64>) -> String {
    page.map_or_else(String::new, |page| format!("page {page} of "))
}

pub(crate) fn io_at(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| match source.kind() {
        _ if no_room(&source) => Error::DiskFull {
            path: path.to_owned(),
        },
        _ => Error::Io {
            path: path.to_owned(),
            source,
        },
    }
}

/// As [`io_at`], for files that are to be written.
pub(crate) fn write_at(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Error::ReadOnly {
            path: path.to_owned(),
        },
        _ => io_at(path)(source),
    }
}

/// Whether the disk, the quota or the allowed file size is used up.
pub(crate) fn no_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
