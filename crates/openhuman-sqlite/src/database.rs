//! One sealed file as this process knows it, shared by all its connections.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use openhuman_vault::Key;

use crate::error::{Error, io_at};
use crate::files::{self, full_path, with_suffix};
use crate::format::{Codec, ID};
use crate::freshness::{AnchorError, Freshness, Keeper};
use crate::recovery::{self, LogProgress};
use crate::vfs::{Code, IOERR_WRITE, Shm};
use crate::{Options, Processes};

/// Even a caller that does not want to wait waits this long: a connection that another thread is closing gives
/// the lock back within it.
const LEAST_WAIT: Duration = Duration::from_millis(200);
const POLL: Duration = Duration::from_millis(5);

/// What the connections to one file share: its keys, its log index, and the lock that keeps other processes
/// out while they use it.
pub(crate) struct Database {
    pub(crate) codec: Codec,
    pub(crate) shm: Shm,
    key_check: [u8; 32],
    damage: Mutex<Option<Damage>>,
    progress: Mutex<LogProgress>,
    processes: Processes,
    purpose: Purpose,
    keeper: Option<(Keeper, PathBuf)>,
    anchor_failure: Mutex<Option<AnchorError>>,
    /// Freed by dropping it, after the last connection has closed its files.
    _lock: Option<File>,
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A database with pages.
    Use,
    /// An empty file that `VACUUM INTO` fills.
    Fill,
}

/// The last thing that did not authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// A page, counted from 1.
    Page(u64),
    /// A frame of the log, counted from 0.
    Frame(u64),
    /// The file ends before or inside a page that should be there.
    EndsBefore { page: u64, size: u64 },
}

impl Database {
    pub(crate) fn new(
        key: &Key,
        file_id: [u8; ID],
        processes: Processes,
        purpose: Purpose,
        keeper: Option<(Keeper, PathBuf)>,
        lock: Option<File>,
    ) -> Database {
        Database {
            codec: Codec::new(key, file_id),
            shm: Shm::default(),
            key_check: key_check(key, &file_id),
            damage: Mutex::new(None),
            progress: Mutex::new(LogProgress::new(processes == Processes::Many)),
            processes,
            purpose,
            keeper,
            anchor_failure: Mutex::new(None),
            _lock: lock,
        }
    }

    pub(crate) fn processes(&self) -> Processes {
        self.processes
    }

    pub(crate) fn purpose(&self) -> Purpose {
        self.purpose
    }

    pub(crate) fn log_progress(&self) -> MutexGuard<'_, LogProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn freshness(&self) -> Freshness {
        let found = self.keeper.as_ref().map(|(keeper, _)| keeper.found());
        found.unwrap_or(Freshness::NotAnchored)
    }

    /// Nothing is written before the anchor knows that something will be.
    pub(crate) fn before_write(&self) -> Result<(), Code> {
        let told = self
            .keeper
            .as_ref()
            .map_or(Ok(()), |(keeper, _)| keeper.before_write());
        told.map_err(|error| {
            *self.anchor_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            IOERR_WRITE
        })
    }

    pub(crate) fn take_anchor_failure(&self) -> Option<AnchorError> {
        self.anchor_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    pub(crate) fn note_damage(&self, damage: Damage) {
        *self.damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(damage);
    }

    pub(crate) fn damage(&self) -> Option<Damage> {
        *self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some((keeper, path)) = &self.keeper {
            keeper.finish(path);
        }
    }
}

fn key_check(key: &Key, file_id: &[u8; ID]) -> [u8; 32] {
    *key.derive(file_id, "openhuman-memory/v1/same-key").expose()
}

type OpenDatabases = HashMap<PathBuf, Weak<Database>>;

fn open_databases() -> MutexGuard<'static, OpenDatabases> {
    static OPEN: LazyLock<Mutex<OpenDatabases>> = LazyLock::new(Mutex::default);
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The database at `path` if this process has it open.
pub(crate) fn find(path: &Path) -> Option<Arc<Database>> {
    let path = path.canonicalize().ok()?;
    open_databases().get(&path)?.upgrade()
}

/// The database at `path`, created, locked and checked as `options` say; and its full path.
pub(crate) fn acquire(path: &Path, key: &Key, options: &Options) -> Result<(Arc<Database>, PathBuf), Error> {
    patiently(options.busy_timeout, || try_acquire(path, key, options))
}

/// Tries until the file is not in use any more or the time is over.
pub(crate) fn patiently<T>(
    timeout: Duration,
    mut attempt: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let started = Instant::now();
    let patience = timeout.max(LEAST_WAIT);
    loop {
        match attempt() {
            Err(Error::InUse { .. }) if started.elapsed() < patience => std::thread::sleep(POLL),
            other => return other,
        }
    }
}

fn try_acquire(path: &Path, key: &Key, options: &Options) -> Result<(Arc<Database>, PathBuf), Error> {
    let path = full_path(path)?;
    let mut open = open_databases();
    open.retain(|_, database| database.strong_count() > 0);
    let exists = path.try_exists().map_err(io_at(&path))?;
    if !exists && (options.must_exist || options.read_only) {
        return Err(Error::Missing { path });
    }
    if let Some(database) = open.get(&path).and_then(Weak::upgrade) {
        if !exists {
            return Err(Error::Missing { path });
        }
        if key_check(key, database.codec.file_id()) != database.key_check {
            return Err(Error::WrongKey { path });
        }
        if database.processes != options.processes {
            let what = "this program has it open for another number of processes; use the same options";
            return Err(Error::Unsupported { path, what });
        }
        if options.anchor.is_some() && database.keeper.is_none() {
            let what = "this program has it open without an anchor; give the anchor to the first connection";
            return Err(Error::Unsupported { path, what });
        }
        return Ok((database, path));
    }
    if options.anchor.is_some() && options.processes == Processes::Many {
        let what = "freshness needs one process; leave the anchor away or open it for one process";
        return Err(Error::Unsupported { path, what });
    }
    if !exists {
        if with_suffix(&path, "-wal").exists() {
            return Err(Error::Missing { path });
        }
        // Alone, also when the database will be shared: two programs must not create it at once.
        let alone = files::lock(&path, Processes::One)?;
        files::create(&path, key)?;
        drop(alone);
    }
    let lock = files::lock(&path, options.processes)?;
    let file_id = files::read_file_id(&path, key)?;
    if options.processes == Processes::One {
        check_log(&path, key, file_id)?;
    }
    let keeper = match &options.anchor {
        Some(anchor) => Some((
            Keeper::verify(&path, key, file_id, Arc::clone(anchor))?,
            path.clone(),
        )),
        None => None,
    };
    let database = Database::new(key, file_id, options.processes, Purpose::Use, keeper, Some(lock));
    let database = Arc::new(database);
    open.insert(path.clone(), Arc::downgrade(&database));
    Ok((database, path))
}

/// A log that a crash left must end where the crash tore it, and not in the middle of what was durable.
fn check_log(path: &Path, key: &Key, file_id: [u8; ID]) -> Result<(), Error> {
    let log = with_suffix(path, "-wal");
    let mut file = match File::open(&log) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_at(&log)(error)),
    };
    let length = file.metadata().map_err(io_at(&log))?.len();
    let scanned = recovery::scan(&Codec::new(key, file_id), length, &mut |buf, offset| {
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buf)
    });
    match scanned.map_err(io_at(&log))?.damaged {
        Some(frame) => Err(Error::LogCorrupt {
            path: path.to_owned(),
            frame,
        }),
        None => Ok(()),
    }
}
