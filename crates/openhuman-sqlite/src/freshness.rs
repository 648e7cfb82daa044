//! Whether a database is the newest one, or an older copy that somebody put back.
//!
//! Sealing proves that every page is one this key wrote for this place. It cannot prove that the page is the
//! *last* one. For that, something outside the file has to remember: an [`Anchor`].

use std::error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use openhuman_vault::Key;
use zeroize::Zeroize;

use self::seal::{Compared, Seal};
use crate::error::{Error, io_at};
use crate::files::{sync_parent, with_suffix};
use crate::format::{Codec, ID, PAGE};

mod locator;
mod seal;

/// Keeps the seal of one database where the database's files cannot change it: in the vault's header, in the
/// system's keychain, on another machine.
///
/// A seal is at most 128 bytes and not secret. It is stored before the first write after an `open`, and again
/// when the last connection has closed. The calls come from whichever thread writes or closes; they must not use
/// the same database, and a slow one delays that thread. Whoever can put back an older seal together with the
/// older database is not detected, so keep a copy where the attacker is not.
pub trait Anchor: Send + Sync + fmt::Debug {
    /// The last stored seal; `None` when there is none. Return `None` to accept a database as it is.
    ///
    /// # Errors
    /// When the place cannot be read; `open` then fails with [`Error::Anchor`].
    fn load(&self) -> Result<Option<Vec<u8>>, AnchorError>;

    /// Replaces the seal, durably.
    ///
    /// # Errors
    /// When the place cannot be written; the write to the database then fails, too.
    fn store(&self, seal: &[u8]) -> Result<(), AnchorError>;
}

/// Why an [`Anchor`] failed.
pub type AnchorError = Box<dyn error::Error + Send + Sync>;

/// What is known about the age of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// There is no anchor: an older copy would not be noticed.
    NotAnchored,
    /// Every page is the one that was there at the last clean close.
    Fresh {
        /// Counts the sessions that wrote.
        generation: u64,
    },
    /// The anchor holds no seal yet.
    NeverSealed,
    /// The last session did not end with a clean close (a crash, a kill, a power cut): what was put back since,
    /// if anything was, cannot be known.
    UncleanClose {
        /// The session that did not end.
        generation: u64,
    },
}

const SEAL_KEY: &str = "openhuman-memory/v1/seal";

/// Keeps one open database's seal true.
pub(crate) struct Keeper {
    anchor: Arc<dyn Anchor>,
    key: Key,
    file_id: [u8; ID],
    found: Freshness,
    generation: Mutex<u64>,
    writing: AtomicBool,
}

impl Keeper {
    /// Loads the seal and compares it with the file, whose lock this process holds. Reads all of the file once.
    pub(crate) fn verify(
        path: &Path,
        key: &Key,
        file_id: [u8; ID],
        anchor: Arc<dyn Anchor>,
    ) -> Result<Keeper, Error> {
        let failed = |source| Error::Anchor {
            path: path.to_owned(),
            source,
        };
        let seal_key = key.derive(&file_id, SEAL_KEY);
        let (found, generation) = match anchor.load().map_err(failed)? {
            None => (Freshness::NeverSealed, 0),
            Some(bytes) => {
                let seal = Seal::parse(&bytes).ok_or_else(|| failed("what it holds is no seal".into()))?;
                let generation = seal.generation;
                let found = if seal.closed {
                    check(path, key, &seal_key, file_id, &seal)?;
                    Freshness::Fresh { generation }
                } else {
                    Freshness::UncleanClose { generation }
                };
                (found, generation)
            }
        };
        Ok(Keeper {
            anchor,
            key: seal_key,
            file_id,
            found,
            generation: Mutex::new(generation),
            writing: AtomicBool::new(false),
        })
    }

    pub(crate) fn found(&self) -> Freshness {
        self.found
    }

    /// Called before every write; the first one tells the anchor that the seal does not hold any more.
    pub(crate) fn before_write(&self) -> Result<(), AnchorError> {
        if self.writing.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.writing.load(Ordering::Acquire) {
            let next = *generation + 1;
            self.anchor.store(&Seal::open(next, self.file_id).bytes())?;
            *generation = next;
            self.writing.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Called when the last connection has closed its files, with the lock still held.
    pub(crate) fn finish(&self, path: &Path) {
        if !self.writing.load(Ordering::Acquire) || has_log(path) {
            return;
        }
        let sealed = catch_unwind(AssertUnwindSafe(|| -> Result<(), AnchorError> {
            let mut file = File::options().read(true).write(true).open(path)?;
            // The seal says that the log is gone and the pages are there: both must be on the disk first.
            file.sync_all()?;
            sync_parent(path)?;
            let generation = *self.generation.lock().unwrap_or_else(PoisonError::into_inner);
            let pages = file.metadata()?.len() / PAGE as u64;
            let seal = Seal::close(generation, self.file_id, pages, &self.key, &mut file)?;
            self.anchor.store(&seal.bytes())
        }));
        // Nobody takes an error here. The anchor still says that the session is open, which stays true.
        match sealed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the seal of a closed database could not be stored"),
            Err(_) => tracing::warn!("the anchor of a closed database panicked"),
        }
    }

    /// The keeper of the file that is about to take this one's place. The anchor knows from here on that a session
    /// is open: a crash before the next [`Keeper::finish`] reads as that.
    pub(crate) fn moved_to(self, key: &Key, file_id: [u8; ID]) -> Result<Keeper, AnchorError> {
        let keeper = Keeper {
            key: key.derive(&file_id, SEAL_KEY),
            file_id,
            writing: AtomicBool::new(false),
            ..self
        };
        keeper.before_write()?;
        Ok(keeper)
    }
}

fn check(path: &Path, key: &Key, seal_key: &Key, file_id: [u8; ID], seal: &Seal) -> Result<(), Error> {
    let rolled_back = |page| Error::RolledBack {
        path: path.to_owned(),
        generation: seal.generation,
        page,
    };
    let io = io_at(path);
    let mut file = File::open(path).map_err(&io)?;
    let size = file.metadata().map_err(&io)?.len();
    // A clean close leaves no log; one that is there now was put there.
    if seal.file_id != file_id || seal.pages.checked_mul(PAGE as u64) != Some(size) || has_log(path) {
        return Err(rolled_back(None));
    }
    let page = match seal.compare(seal_key, &mut file).map_err(&io)? {
        Compared::Same => return Ok(()),
        Compared::Other(page) => page,
    };
    if let Some(page) = page {
        // An older version of a page authenticates; a damaged one does not.
        let mut bytes = [0; PAGE];
        file.seek(SeekFrom::Start((page - 1) * PAGE as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(&io)?;
        let opened = Codec::new(key, file_id).open_page(page, &mut bytes);
        bytes.zeroize();
        if opened.is_err() {
            return Err(Error::PageCorrupt {
                path: path.to_owned(),
                page,
            });
        }
    }
    Err(rolled_back(page))
}

pub(crate) fn has_log(path: &Path) -> bool {
    match std::fs::metadata(with_suffix(path, "-wal")) {
        Ok(metadata) => metadata.len() > 0,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}
