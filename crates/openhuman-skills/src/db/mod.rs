//! The database port: what the engine needs from a database, in its own types.

#[cfg(feature = "runtime")]
pub(crate) mod pool;
pub(crate) mod store;

use std::sync::Arc;

use crate::SkillId;

/// Opens the database of a skill. Called on a database thread, each time the skill starts.
pub trait DbOpener: Send + Sync {
    /// Opens (or creates) the database of `skill`. What it holds survives a restart of the skill.
    ///
    /// # Errors
    /// [`DbError`] when it cannot be opened; the skill then does not start.
    fn open(&self, skill: &SkillId) -> Result<Box<dyn Database>, DbError>;
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
