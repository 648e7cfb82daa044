//! One sealed file as this process knows it, shared by all its connections.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use openhuman_vault::Key;

use crate::Options;
use crate::error::{Error, io_at};
use crate::format::{self, Codec, ID, MAGIC, PAGE};
use crate::vfs::Shm;

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
    /// Freed by dropping it, after the last connection has closed its files.
    _lock: Option<File>,
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
    pub(crate) fn new(key: &Key, file_id: [u8; ID], lock: Option<File>) -> Database {
        Database {
            codec: Codec::new(key, file_id),
            shm: Shm::default(),
            key_check: key_check(key, &file_id),
            damage: Mutex::new(None),
            _lock: lock,
        }
    }

    pub(crate) fn note_damage(&self, damage: Damage) {
        *self.damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(damage);
    }

    pub(crate) fn damage(&self) -> Option<Damage> {
        *self.damage.lock().unwrap_or_else(PoisonError::into_inner)
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
    let started = Instant::now();
    let patience = options.busy_timeout.max(LEAST_WAIT);
    loop {
        match try_acquire(path, key, options) {
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
        return Ok((database, path));
    }
    let lock = lock(&path)?;
    if !exists {
        let log = with_suffix(&path, "-wal");
        if log.exists() {
            return Err(Error::Missing { path });
        }
        create(&path, key)?;
    }
    let file_id = read_file_id(&path, key)?;
    let database = Arc::new(Database::new(key, file_id, Some(lock)));
    open.insert(path.clone(), Arc::downgrade(&database));
    Ok((database, path))
}

/// Resolves links, so that one file has one name.
fn full_path(path: &Path) -> Result<PathBuf, Error> {
    let bad = || Error::BadPath {
        path: path.to_owned(),
    };
    if let Ok(full) = path.canonicalize() {
        return Ok(full);
    }
    let absolute = std::path::absolute(path).map_err(|_| bad())?;
    let (parent, name) = (
        absolute.parent().ok_or_else(bad)?,
        absolute.file_name().ok_or_else(bad)?,
    );
    Ok(parent.canonicalize().map_err(io_at(parent))?.join(name))
}

/// The index of the log is in this process's memory, so no second process may use the file. A file of its own
/// carries the lock, because SQLite has locks on the database itself.
fn lock(path: &Path) -> Result<File, Error> {
    let lock_path = with_suffix(path, "-lock");
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    owner_only(&mut options);
    let file = options.open(&lock_path).map_err(io_at(&lock_path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(Error::Io {
            path: lock_path,
            source,
        }),
    }
}

/// Writes an empty database in one step (temporary file, fsync, rename, fsync of the directory), so that a file
/// of this format is never shorter than one page and never needs a rollback journal. Called with the lock held;
/// another process may have created the database, and written to it, just before it gave the lock away.
fn create(path: &Path, key: &Key) -> Result<(), Error> {
    if path.try_exists().map_err(io_at(path))? {
        return Ok(());
    }
    let codec = Codec::new(key, format::new_file_id(key)?);
    let mut page = format::empty_database(u32::try_from(rusqlite::version_number()).unwrap_or_default());
    codec.seal_page(1, &mut page)?;
    let temporary = with_suffix(path, "-new");
    let written = (|| {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        owner_only(&mut options);
        let mut file = options.open(&temporary)?;
        file.write_all(&page)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        sync_parent(path)
    })();
    written.map_err(io_at(path))
}

fn read_file_id(path: &Path, key: &Key) -> Result<[u8; ID], Error> {
    let io = io_at(path);
    let mut file = File::open(path).map_err(&io)?;
    let size = file.metadata().map_err(&io)?.len();
    let mut id = [0; ID];
    match file.read_exact(&mut id) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(Error::Truncated {
                path: path.to_owned(),
                size,
            });
        }
        Err(error) => return Err(io(error)),
    }
    if id == *MAGIC {
        return Err(Error::NotSealed {
            path: path.to_owned(),
        });
    }
    if !format::id_matches(key, &id) {
        return Err(Error::WrongKey {
            path: path.to_owned(),
        });
    }
    if size < PAGE as u64 {
        return Err(Error::Truncated {
            path: path.to_owned(),
            size,
        });
    }
    Ok(id)
}

fn owner_only(options: &mut std::fs::OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

fn sync_parent(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_another_process_created_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.db");
        let key = Key::from_bytes([1; 32]);
        create(&path, &key).unwrap();
        let theirs = std::fs::read(&path).unwrap();
        create(&path, &key).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), theirs);
    }
}
