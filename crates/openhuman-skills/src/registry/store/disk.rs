//! The writing side of a file system, small enough to be replaced by one that fails on purpose.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// What the store asks of a file system. Reading goes to the file system itself.
pub(crate) trait Disk: Send + Sync {
    /// Creates a directory and those above it; an existing one is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Writes a file, in place of any other; it need not be on the disk yet.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()>;
    /// Puts a written file on the disk.
    fn sync_file(&self, path: &Path) -> io::Result<()>;
    /// Puts the names in a directory on the disk.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Renames a file or directory, in place of any other file of that name, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a directory with everything in it.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
}

/// The file system of the operating system.
#[derive(Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(content)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        // Windows flushes through a handle that may write only.
        OpenOptions::new().write(true).open(path)?.sync_all()
    }

    #[cfg(unix)]
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// Windows has no such call; its file system journals names.
    #[cfg(not(unix))]
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }
}
