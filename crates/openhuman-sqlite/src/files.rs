//! The files of a database outside SQLite: creation, the lock, the first look.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use openhuman_vault::Key;

use crate::Processes;
use crate::error::{Error, io_at, write_at};
use crate::format::{self, Codec, ID, MAGIC, PAGE};

/// Resolves links, so that one file has one name.
pub(crate) fn full_path(path: &Path) -> Result<PathBuf, Error> {
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

/// Keeps programs apart that must not use the file together. A file of its own carries the lock, because SQLite
/// has locks on the database itself.
pub(crate) fn lock(path: &Path, processes: Processes) -> Result<File, Error> {
    let lock_path = with_suffix(path, "-lock");
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    owner_only(&mut options);
    let file = options.open(&lock_path).map_err(write_at(&lock_path))?;
    let locked = match processes {
        Processes::One => file.try_lock(),
        Processes::Many => file.try_lock_shared(),
    };
    match locked {
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
/// of this format is never shorter than one page and never needs a rollback journal. Called with the lock held
/// by this process alone; another one may have created the database, and written to it, just before it gave the
/// lock away.
pub(crate) fn create(path: &Path, key: &Key) -> Result<(), Error> {
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
    written.map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        write_at(path)(error)
    })
}

/// The id of the file, if `key` opens it.
pub(crate) fn read_file_id(path: &Path, key: &Key) -> Result<[u8; ID], Error> {
    let io = io_at(path);
    // Opening a pipe would wait for somebody to write into it.
    if !std::fs::metadata(path).map_err(&io)?.is_file() {
        return Err(Error::NotSealed {
            path: path.to_owned(),
        });
    }
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

pub(crate) fn owner_only(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    #[cfg(test)]
    crate::vfs::trace::record_at(
        path,
        crate::vfs::trace::Which::Main,
        crate::vfs::trace::Op::SyncNames,
    );
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
