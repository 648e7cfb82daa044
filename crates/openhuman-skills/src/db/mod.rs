//! The database port: what the engine needs from a database, in its own types.

#[cfg(feature = "runtime")]
pub(crate) mod pool;
pub(crate) mod shared;
pub(crate) mod store;

use std::sync::Arc;

use crate::SkillId;

#[cfg(feature = "runtime")]
pub use self::pool::let_others_run;

/// Without the engine there are no other statements to run.
#[cfg(not(feature = "runtime"))]
#[must_use]
pub fn let_others_run() -> std::time::Duration {
    std::time::Duration::ZERO
}

/// What a skill may have of its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DbOptions {
    /// Its size in bytes: what the manifest asks for and the grant allows. Default 256 MB.
    pub max_bytes: u64,
}

impl DbOptions {
    /// A database of at most this many bytes.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        Self { max_bytes }
    }
}

impl Default for DbOptions {
    fn default() -> Self {
        Self::new(256 * 1024 * 1024)
    }
}

/// Opens the databases of skills. Called on a database thread, when a skill first uses its database and again after
/// it was closed because many others have been used since.
pub trait DbOpener: Send + Sync {
    /// Opens (or creates) the database of `skill`. What it holds survives closing and a restart of the skill.
    ///
    /// # Errors
    /// [`DbError`] when it cannot be opened. A skill whose database exists and cannot be opened does not start.
    fn open(&self, skill: &SkillId, options: &DbOptions) -> Result<Box<dyn Database>, DbError>;

    /// Whether the skill has a database already: without one, it starts without opening it. Default: yes.
    fn exists(&self, skill: &SkillId) -> bool {
        let _ = skill;
        true
    }
}

/// One skill's open database. Its calls block; the engine makes them on its database threads.
pub trait Database: Send {
    /// Runs one statement, or several without parameters, and returns the number of changed rows.
    ///
    /// # Errors
    /// [`DbError`] when the statement fails, is denied, or exceeds a quota.
    fn execute(&mut self, sql: &str, params: &[DbValue]) -> Result<u64, DbError>;

    /// Runs one statement and returns at most `max_rows` rows.
    ///
    /// # Errors
    /// As [`Database::execute`].
    fn query(&mut self, sql: &str, params: &[DbValue], max_rows: usize) -> Result<DbRows, DbError>;

    /// Says whether the statements that follow are the engine's own. A skill must not write to tables whose names begin
    /// with `_cron`, nor drop or alter them or `_kv`; the engine does. Default: nothing, everybody may.
    fn set_trusted(&mut self, trusted: bool) {
        let _ = trusted;
    }

    /// Whether it can be closed and opened again without the skill noticing: no transaction is open, and there is
    /// nothing temporary. Default: no, it stays open.
    fn can_close(&self) -> bool {
        false
    }

    /// A function that ends a running statement from another thread, if the database has one. It is called
    /// when the skill is stopped or a call reaches its limit. Default: none.
    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        None
    }
}

/// A value that goes into or comes out of a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum DbValue {
    /// SQL NULL.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// A 64-bit float.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// The rows of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DbRows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows; each has one value for each column.
    pub rows: Vec<Vec<DbValue>>,
    /// Whether more rows would have followed.
    pub truncated: bool,
}

/// Why a statement failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// The skill is not allowed to do this.
    #[error("not allowed in a skill's database: {0}")]
    Denied(String),
    /// A quota is used up.
    #[error("database quota exceeded: {0}")]
    Quota(String),
    /// The statement was ended because it took too long or the skill was stopped.
    #[error("the statement was interrupted: {0}")]
    Interrupted(String),
    /// The database cannot be opened.
    #[error("cannot open the database: {0}")]
    Open(String),
    /// The statement is wrong or a constraint forbids it.
    #[error("{0}")]
    Sql(String),
}
