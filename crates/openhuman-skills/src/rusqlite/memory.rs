use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::rusqlite::Connection;

use super::{DbQuota, SqliteDatabase};
use crate::{Database, DbError, DbOpener, DbOptions, DbRows, DbValue, SkillId};

/// How long a database is waited for that is still open elsewhere.
const PATIENCE: Duration = Duration::from_secs(1);

/// Databases that live in memory as long as the opener does, also across restarts of a skill. For tests and
/// for hosts without storage. One that is not in use is kept as a few pages, without a connection.
#[derive(Default)]
pub struct MemoryDbOpener {
    quota: DbQuota,
    databases: Mutex<BTreeMap<SkillId, Arc<Place>>>,
}

/// Where the database of one skill is kept.
#[derive(Default)]
struct Place {
    kept: Mutex<Kept>,
    /// Told when it is put back.
    back: Condvar,
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A database between two uses.
#[derive(Default)]
enum Kept {
    #[default]
    New,
    Pages(Box<[u8]>),
    /// It cannot be put away, so it stays open.
    Open(SqliteDatabase),
    InUse,
}

impl MemoryDbOpener {
    /// An opener with these limits.
    #[must_use]
    pub fn with_quota(quota: DbQuota) -> Self {
        Self {
            quota,
            ..Self::default()
        }
    }

    fn place(&self, skill: &SkillId) -> Option<Arc<Place>> {
        let databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        databases.get(skill).cloned()
    }
}

impl fmt::Debug for MemoryDbOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDbOpener")
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

impl DbOpener for MemoryDbOpener {
    fn exists(&self, skill: &SkillId) -> bool {
        self.place(skill).is_some()
    }

    fn open(&self, skill: &SkillId, options: &DbOptions) -> Result<Box<dyn Database>, DbError> {
        let place = {
            let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(databases.entry(skill.clone()).or_default())
        };
        // Whoever gave it up may be putting it away.
        let in_use = |kept: &mut Kept| matches!(kept, Kept::InUse);
        let (mut kept, _) = place
            .back
            .wait_timeout_while(place.lock(), PATIENCE, in_use)
            .unwrap_or_else(PoisonError::into_inner);
        let failed = |error: ::rusqlite::Error| DbError::Open(error.to_string());
        let connect = |pages: Option<&[u8]>| {
            let mut connection = Connection::open_in_memory().map_err(failed)?;
            match pages {
                Some(pages) => connection
                    .deserialize_read_exact("main", pages, pages.len(), false)
                    .map_err(failed)?,
                // Small: most skills keep a handful of rows.
                None => connection
                    .execute_batch("PRAGMA page_size = 1024")
                    .map_err(failed)?,
            }
            SqliteDatabase::confined(connection, self.quota.within(options))
        };
        let database = match std::mem::replace(&mut *kept, Kept::InUse) {
            Kept::Open(database) => database,
            Kept::New => connect(None)?,
            Kept::Pages(pages) => connect(Some(&pages)).inspect_err(|_| *kept = Kept::Pages(pages))?,
            Kept::InUse => return Err(DbError::Open("it is open already".to_owned())),
        };
        drop(kept);
        Ok(Box::new(Lent {
            database: Some(database),
            place,
        }))
    }
}

/// An open database that goes back to its place when it is dropped.
struct Lent {
    /// There until it is dropped.
    database: Option<SqliteDatabase>,
    place: Arc<Place>,
}

impl Lent {
    fn database(&mut self) -> Result<&mut SqliteDatabase, DbError> {
        let gone = || DbError::Open("it was closed".to_owned());
        self.database.as_mut().ok_or_else(gone)
    }
}

impl Database for Lent {
    fn execute(&mut self, sql: &str, params: &[DbValue]) -> Result<u64, DbError> {
        self.database()?.execute(sql, params)
    }
    fn query(&mut self, sql: &str, params: &[DbValue], max_rows: usize) -> Result<DbRows, DbError> {
        self.database()?.query(sql, params, max_rows)
    }
    fn set_trusted(&mut self, trusted: bool) {
        if let Ok(database) = self.database() {
            database.set_trusted(trusted);
        }
    }
    fn can_close(&self) -> bool {
        self.database.as_ref().is_some_and(Database::can_close)
    }
    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        self.database.as_ref().and_then(Database::interrupter)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut database) = self.database.take() else {
            return;
        };
        let pages = match database.can_close() {
            true => database
                .connection
                .serialize("main")
                .ok()
                .map(|pages| Box::from(&*pages)),
            false => None,
        };
        let kept = pages.map_or(Kept::Open(database), Kept::Pages);
        *self.place.lock() = kept;
        self.place.back.notify_one();
    }
}
