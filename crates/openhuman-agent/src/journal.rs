//! A journal in one file.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use crate::ports::{Journal, JournalError};
use crate::turn::{Turn, TurnError};

/// Keeps the latest entry of one turn in a file: written beside it, flushed to the disk, then renamed over it, so that
/// a kill at any moment leaves the last entry or the one before it, never a part.
///
/// The file holds the conversation in plain text and is readable by its owner only. It is not removed when the turn
/// ends.
#[derive(Debug)]
pub struct FileJournal {
    path: Arc<PathBuf>,
    /// Entries are written one after the other.
    writing: Mutex<()>,
}

impl FileJournal {
    /// A journal at `path`; its folder must exist.
    pub fn new(path: impl Into<PathBuf>) -> FileJournal {
        FileJournal {
            path: Arc::new(path.into()),
            writing: Mutex::new(()),
        }
    }

    /// The turn in the file, to be resumed; `None` when there is no file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no turn of this version.
    pub fn turn(&self) -> Result<Option<Turn>, FileJournalError> {
        let path = self.path.as_path();
        match std::fs::read_to_string(path) {
            Ok(entry) => Ok(Some(Turn::from_json(&entry)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FileJournalError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }
}

impl Journal for FileJournal {
    fn append<'a>(&'a self, entry: &'a str) -> BoxFuture<'a, Result<(), JournalError>> {
        async move {
            let _one = self.writing.lock().await;
            let (path, entry) = (Arc::clone(&self.path), entry.to_owned());
            let shown = self.path.display().to_string();
            let failed = move |reason: String| JournalError::new(format!("{shown}: {reason}"));
            match tokio::task::spawn_blocking(move || replace(&path, entry.as_bytes())).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(failed(error.to_string())),
                Err(error) => Err(failed(error.to_string())),
            }
        }
        .boxed()
    }
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    // The new name is on the disk once its folder is.
    #[cfg(unix)]
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Why the turn in a file cannot be taken up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileJournalError {
    /// The file cannot be read.
    #[error("the journal {path} cannot be read: {source}; check its permissions", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It holds no turn of this version.
    #[error(transparent)]
    Turn(#[from] TurnError),
}
