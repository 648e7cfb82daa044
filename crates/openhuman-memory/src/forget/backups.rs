//! Which backups hold something that was forgotten since.

use std::path::{Path, PathBuf};

use rusqlite::params;

use crate::error::MemoryError;
use crate::memory::Memory;

impl Memory {
    /// Remembers that a backup was written, so that [`Memory::forget_everywhere`] can name it.
    pub fn note_backup(&self, path: &Path) -> Result<(), MemoryError> {
        let (path, now_ms) = (path.to_string_lossy().into_owned(), self.clock().now_ms());
        self.database().write(
            |transaction| {
                let sql = "REPLACE INTO backups (path, created_ms) VALUES (?1, ?2)";
                Ok(transaction.execute(sql, params![path, now_ms])?)
            },
            |_| (),
        )?;
        Ok(())
    }

    /// Backups that hold something that was forgotten since, oldest first. Those that are not there any more are
    /// dropped from the list.
    pub fn outdated_backups(&self) -> Result<Vec<PathBuf>, MemoryError> {
        let paths: Vec<String> = self.database().write(
            |transaction| {
                let mut all = transaction.prepare("SELECT path FROM backups")?;
                let all: Vec<String> = all.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
                for path in all.iter().filter(|path| !Path::new(path).exists()) {
                    transaction.execute("DELETE FROM backups WHERE path = ?1", [path])?;
                }
                let sql = "SELECT path FROM backups WHERE outdated_ms IS NOT NULL ORDER BY created_ms, path";
                let mut left = transaction.prepare(sql)?;
                let left = left.query_map([], |row| row.get(0))?;
                Ok(left.collect::<Result<_, _>>()?)
            },
            |_| (),
        )?;
        Ok(paths.into_iter().map(PathBuf::from).collect())
    }

    pub(super) fn outdate_backups(&self) -> Result<Vec<PathBuf>, MemoryError> {
        let now_ms = self.clock().now_ms();
        self.database().write(
            |transaction| {
                let sql = "UPDATE backups SET outdated_ms = coalesce(outdated_ms, ?1)";
                Ok(transaction.execute(sql, [now_ms])?)
            },
            |_| (),
        )?;
        self.outdated_backups()
    }
}
