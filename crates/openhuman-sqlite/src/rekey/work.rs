//! `NAME-rekey`, the copy under the new key. Tests of power cuts record what is done with it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::files::{owner_only, sync_parent, with_suffix};
#[cfg(test)]
use crate::vfs::trace::{Op, Which, record_at};

pub(super) struct Work {
    path: PathBuf,
    database: PathBuf,
    file: File,
}

impl Work {
    /// Its name, beside the database.
    pub(super) fn name(database: &Path) -> PathBuf {
        with_suffix(database, "-rekey")
    }

    /// Opens what is there of an interrupted change, or begins one.
    pub(super) fn open(database: &Path) -> io::Result<Work> {
        let path = Work::name(database);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        owner_only(&mut options);
        Ok(Work {
            file: options.open(&path)?,
            path,
            database: database.to_owned(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Fills `buf` from `offset` on.
    pub(super) fn read(&mut self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(buf)
    }

    pub(super) fn write(&mut self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(buf)?;
        #[cfg(test)]
        self.record(Op::Write {
            offset,
            data: buf.to_vec(),
        });
        Ok(())
    }

    pub(super) fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.file.set_len(size)?;
        #[cfg(test)]
        self.record(Op::Truncate { size });
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        #[cfg(test)]
        self.record(Op::Sync);
        Ok(())
    }

    /// Becomes the database: after a power cut it is the one or the other.
    pub(super) fn take_its_place(self) -> io::Result<()> {
        let Work { path, database, file } = self;
        // Some systems do not rename what is open.
        drop(file);
        std::fs::rename(&path, &database)?;
        #[cfg(test)]
        record_at(&database, Which::Work, Op::Rename);
        sync_parent(&database)
    }

    #[cfg(test)]
    fn record(&self, op: Op) {
        record_at(&self.database, Which::Work, op);
    }
}
