//! Skills keep their rows in sealed databases: one file and one key for each place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openhuman_skills::rusqlite::{DbQuota, SqliteDatabase};
use openhuman_skills::{Database, DbError, DbOpener, DbOptions, DbRows, DbValue, SkillId};

use tokio::sync::watch;

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
    /// How many databases of each place are open.
    open: watch::Sender<BTreeMap<String, usize>>,
}

impl SealedDatabases {
    pub(crate) fn new(databases: Arc<Databases>, places: Places) -> Self {
        Self {
            databases,
            places,
            open: watch::Sender::default(),
        }
    }

    /// Waits until the databases of skills are closed, which the threads that run their statements do on their own. A
    /// process that ends before leaves a database whose age is unknown.
    pub(crate) async fn closed(&self) {
        self.wait_until(BTreeMap::is_empty).await;
    }

    /// Waits until nothing of a place is open; whether that is so.
    pub(crate) async fn closed_at(&self, place: &str) -> bool {
        self.wait_until(|open| !open.contains_key(place)).await
    }

    async fn wait_until(&self, done: impl Fn(&BTreeMap<String, usize>) -> bool) -> bool {
        let mut open = self.open.subscribe();
        let waited = tokio::time::timeout(LAST_CLOSE, open.wait_for(|open| done(open))).await;
        let closed = waited.is_ok_and(|outcome| outcome.is_ok());
        if !closed {
            tracing::warn!("a skill's database is still open");
        }
        closed
    }

    /// Deletes the databases of a place, of which none may be open, with everything that lies beside them. Blocks.
    pub(crate) fn delete(&self, place: &str) -> Result<(), CoreError> {
        for name in [
            DatabaseName::Rows(place.to_owned()),
            DatabaseName::Files(place.to_owned()),
        ] {
            // First: a seal without its file would read as a loss, a file without its seal is taken as it is.
            self.databases.forget_seal(&name)?;
        }
        let dir = self.directory(place);
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(CoreError::io("delete", dir, error))
            }
            _ => Ok(()),
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

    /// The places of loaded skills.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// The directory in which everything of a place lies.
    pub(crate) fn directory(&self, place: &str) -> PathBuf {
        self.databases.home().skills_data_dir().join(place)
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
        let place = self.place(skill);
        let database = self.open_as(&DatabaseName::Rows(place.clone()), options)?;
        Ok(Box::new(Counted {
            database,
            _open: OpenAt::new(place, &self.open),
        }))
    }
}

/// One open database of a place, counted until it is dropped.
struct OpenAt {
    place: String,
    open: watch::Sender<BTreeMap<String, usize>>,
}

impl OpenAt {
    fn new(place: String, open: &watch::Sender<BTreeMap<String, usize>>) -> Self {
        open.send_modify(|open| *open.entry(place.clone()).or_default() += 1);
        Self {
            place,
            open: open.clone(),
        }
    }
}

impl Drop for OpenAt {
    fn drop(&mut self) {
        self.open.send_modify(|open| {
            if let Some(count) = open.get_mut(&self.place) {
                *count -= 1;
                if *count == 0 {
                    open.remove(&self.place);
                }
            }
        });
    }
}

/// A database that is known to be open until it is dropped.
struct Counted {
    // Dropped first.
    database: Box<dyn Database>,
    _open: OpenAt,
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
