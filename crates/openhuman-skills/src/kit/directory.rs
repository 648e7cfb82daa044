//! Databases in a directory of the author's choice, unencrypted: for `openhuman skills run --data`.

use std::path::PathBuf;

use rusqlite::Connection;

use crate::rusqlite::{DbQuota, SqliteDatabase};
use crate::{Database, DbError, DbOpener, DbOptions, SkillId};

/// Opens `DIR/<skill>.db` as a plain SQLite file that the author can look into.
#[derive(Clone, Debug)]
pub struct DirectoryDbOpener(PathBuf);

impl DirectoryDbOpener {
    /// An opener for this directory, which is created when the first database is opened.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self(dir)
    }
}

impl DbOpener for DirectoryDbOpener {
    fn open(&self, skill: &SkillId, options: &DbOptions) -> Result<Box<dyn Database>, DbError> {
        let failed = |text: String| DbError::Open(format!("{}: {text}", self.0.display()));
        std::fs::create_dir_all(&self.0).map_err(|error| failed(error.to_string()))?;
        // A skill id is a checked name without separators.
        let connection = Connection::open(self.0.join(format!("{skill}.db")))
            .map_err(|error| failed(error.to_string()))?;
        SqliteDatabase::try_new(connection, DbQuota::default().within(options))
    }
}
