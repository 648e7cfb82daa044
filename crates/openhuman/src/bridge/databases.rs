//! Skills keep their rows in sealed databases: one file and one key for each place.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openhuman_skills::rusqlite::{DbQuota, SqliteDatabase};
use openhuman_skills::{Database, DbError, DbOpener, DbOptions, DbRows, DbValue, SkillId};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::CoreError;
use crate::databases::{DatabaseName, Databases};
use crate::home::create_private_dir;
use crate::owners::Places;

/// How long closing waits for the databases of skills.
const LAST_CLOSE: Duration = Duration::from_secs(2);

/// Opens `skills_data/<place>/skill.db`, sealed under a key of that place alone.
pub(crate) struct SealedDatabases {
    databases: Arc<Databases>,
    places: Places,
    /// The databases of skills that are open.
    open: TaskTracker,
}

impl SealedDatabases {
    pub(crate) fn new(databases: Arc<Databases>, places: Places) -> Self {
        Self {
            databases,
            places,
            open: TaskTracker::new(),
        }
    }

    /// Waits until the databases of skills are closed, which the threads that run their statements do on their own. A
    /// process that ends before leaves a database whose age is unknown.
    pub(crate) async fn closed(&self) {
        self.open.close();
        if tokio::time::timeout(LAST_CLOSE, self.open.wait()).await.is_err() {
            tracing::warn!("a skill's database is still open");
        }
    }

    /// Whether there is data under a skill's id itself, whoever left it.
    pub(crate) fn is_there(&self, skill: &SkillId) -> bool {
        self.databases
            .home()
            .skills_data_dir()
            .join(skill.as_str())
            .exists()
    }

    /// The name under which a skill's data lies.
    pub(crate) fn place(&self, skill: &SkillId) -> String {
        self.places.of(skill)
    }

    /// Copies a skill's database as plain SQLite to `target`; `None` when the skill has none yet.
    pub(crate) fn export(&self, skill: &SkillId, target: &Path) -> Result<Option<PathBuf>, CoreError> {
        let name = DatabaseName::Rows(self.place(skill));
        if !self.databases.path(&name).exists() {
            return Ok(None);
        }
        let connection = self.databases.open_database(&name)?;
        openhuman_sqlite::export_plain(&connection, target)?;
        Ok(Some(target.to_owned()))
    }

    /// Opens the database that holds the data files of a place. The skill's SQL never sees it.
    pub(crate) fn open_files(&self, place: &str) -> Result<Box<dyn Database>, DbError> {
        self.open_as(&DatabaseName::Files(place.to_owned()), &DbOptions::default())
    }

    /// Whether a data file was ever written at a place.
    pub(crate) fn has_files(&self, place: &str) -> bool {
        let name = DatabaseName::Files(place.to_owned());
        self.databases.path(&name).exists()
    }

    /// Opens the database of what left the machine for all skills.
    pub(crate) fn open_egress(&self) -> Result<Box<dyn Database>, DbError> {
        self.open_as(&DatabaseName::Egress, &DbOptions::default())
    }

    fn open_as(&self, name: &DatabaseName, options: &DbOptions) -> Result<Box<dyn Database>, DbError> {
        let failed = |error: CoreError| DbError::Open(error.to_string());
        if let Some(dir) = self.databases.path(name).parent() {
            create_private_dir(dir).map_err(failed)?;
        }
        let connection = self.databases.open_database(name).map_err(failed)?;
        Ok(SqliteDatabase::new(
            connection,
            DbQuota::default().within(options),
        ))
    }
}

impl DbOpener for SealedDatabases {
    fn exists(&self, skill: &SkillId) -> bool {
        let name = DatabaseName::Rows(self.place(skill));
        self.databases.path(&name).exists()
    }

    fn open(&self, skill: &SkillId, options: &DbOptions) -> Result<Box<dyn Database>, DbError> {
        let database = self.open_as(&DatabaseName::Rows(self.place(skill)), options)?;
        Ok(Box::new(Counted {
            database,
            _open: self.open.token(),
        }))
    }
}

/// A database that is known to be open until it is dropped.
struct Counted {
    // Dropped first.
    database: Box<dyn Database>,
    _open: TaskTrackerToken,
}

impl Database for Counted {
    fn execute(&mut self, sql: &str, params: &[DbValue]) -> Result<u64, DbError> {
        self.database.execute(sql, params)
    }

    fn query(&mut self, sql: &str, params: &[DbValue], max_rows: usize) -> Result<DbRows, DbError> {
        self.database.query(sql, params, max_rows)
    }

    fn set_trusted(&mut self, trusted: bool) {
        self.database.set_trusted(trusted);
    }

    fn can_close(&self) -> bool {
        self.database.can_close()
    }

    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        self.database.interrupter()
    }
}
