//! What a user of the crate relies on, tested through its public interface.

mod access;
mod basics;
mod concurrency;
mod copies;
mod crash;
mod damage;
mod differential;
mod disk;
mod freshness;
mod processes;
mod reader;
mod rekey;
mod structure;
#[cfg(target_os = "linux")]
mod syscalls;

use std::path::{Path, PathBuf};

use openhuman_sqlite::rusqlite::Connection;
use openhuman_sqlite::{Options, open};
use openhuman_vault::Key;
use tempfile::TempDir;

/// A directory with one database in it.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Home {
        Home {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("test.db")
    }

    /// Waits long for other connections: the disk of a test machine can be slow.
    pub(crate) fn open(&self) -> Connection {
        let patient = Options {
            busy_timeout: std::time::Duration::from_secs(60),
            ..Options::default()
        };
        open(&self.path(), &key(), &patient).unwrap()
    }

    /// Every file in the directory with its content.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(self.dir())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (
                    entry.file_name().into_string().unwrap(),
                    std::fs::read(entry.path()).unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    }
}

pub(crate) fn key() -> Key {
    Key::from_bytes([0x42; 32])
}

/// Options that do not wait.
pub(crate) fn at_once() -> Options {
    Options {
        busy_timeout: std::time::Duration::ZERO,
        ..Options::default()
    }
}

pub(crate) fn integrity(connection: &Connection) -> String {
    connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap()
}

pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// How often something happens: `standard` in the tests, more where the variable says so.
pub(crate) fn count(variable: &str, standard: u32) -> u32 {
    std::env::var(variable).map_or(standard, |text| text.parse().expect("the variable is a number"))
}
