use std::io;
use std::path::{Path, PathBuf};

use super::{MAX_RECORD, VERSION};
use crate::key::RandomError;
use crate::seal::SealError;

/// Why a record file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file system failed.
    #[error("cannot use the record file {}: {source}", path.display())]
    Io {
        /// The record file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file does not begin like a record file, or is too short to be one.
    #[error("{} is not a record file, or it was cut off; restore it from a copy", path.display())]
    NotARecordFile {
        /// The file.
        path: PathBuf,
    },
    /// Damaged at its first byte, or written by a newer program.
    #[error(
        "{} is damaged, or written by a newer version of this program (record format {version}, this one reads \
         format {VERSION}); restore it from a backup, or use the newer version",
        path.display()
    )]
    UnknownVersion {
        /// The record file.
        path: PathBuf,
        /// The version byte found.
        version: u8,
    },
    /// Not even the anchors authenticate.
    #[error("{} does not open with this key: wrong key or changed file; unlock the vault it belongs to", path.display())]
    WrongKeyOrTampered {
        /// The record file.
        path: PathBuf,
    },
    /// A record was changed, moved or removed.
    #[error("record {index} of {} was changed or removed; restore the file from a copy", path.display())]
    Tampered {
        /// The record file.
        path: PathBuf,
        /// The first record that is not as it was written, counted from 0.
        index: u64,
    },
    /// More than [`MAX_RECORD`] bytes.
    #[error("a record of {len} bytes is longer than the limit of {MAX_RECORD}; split it")]
    TooLong {
        /// Bytes asked for.
        len: usize,
    },
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Sealing failed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> RecordError + use<> {
    let path = path.to_owned();
    move |source| RecordError::Io {
        path: path.clone(),
        source,
    }
}
