//! Skill databases over a `rusqlite` connection: the caller brings the connection (for example an encrypted
//! one), this module confines it.
//!
//! Denied are ATTACH and DETACH, extension loading, virtual tables other than full-text indexes and R-trees, every
//! PRAGMA outside a short list, and writes to the engine's own tables. A statement may run for a bounded time and take
//! a bounded amount of memory, a query may return a bounded amount, and the file may grow to a bounded size.
//! `VACUUM` is allowed, `VACUUM INTO` is not.

mod confine;
mod functions;
#[expect(unsafe_code, reason = "one function of SQLite that rusqlite does not wrap")]
mod heap;
mod memory;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::rusqlite::fallible_iterator::FallibleIterator as _;
use ::rusqlite::types::{ToSql, ToSqlOutput, Value as SqlValue, ValueRef};
use ::rusqlite::{Batch, Connection, Error as SqlError, ErrorCode, Statement};

use self::confine::{Over, Watch, confine};
pub use self::memory::MemoryDbOpener;
use crate::{Database, DbError, DbOptions, DbRows, DbValue};

/// The limits of one skill's database.
#[derive(Clone, Copy, Debug)]
pub struct DbQuota {
    /// The size of the file in bytes. Default 256 MB.
    pub max_bytes: u64,
    /// The bytes one query may return. Default 16 MB.
    pub max_result_bytes: usize,
    /// How long one statement may run, without what others ran in between. Default 5 s.
    pub statement_time: Duration,
}

impl Default for DbQuota {
    fn default() -> Self {
        Self {
            max_bytes: 256 * 1024 * 1024,
            max_result_bytes: 16 * 1024 * 1024,
            statement_time: Duration::from_secs(5),
        }
    }
}

impl DbQuota {
    /// The same, with a file no larger than the skill may have.
    #[must_use]
    pub fn within(self, options: &DbOptions) -> Self {
        Self {
            max_bytes: self.max_bytes.min(options.max_bytes),
            ..self
        }
    }
}

/// A confined `rusqlite` connection.
pub struct SqliteDatabase {
    connection: Connection,
    quota: DbQuota,
    watch: Arc<Watch>,
}

impl SqliteDatabase {
    /// Confines a connection as [`SqliteDatabase::try_new`] does. When that fails, the database that is
    /// returned refuses every statement with the reason.
    #[expect(
        clippy::new_ret_no_self,
        reason = "callers need the port's type, not this one"
    )]
    #[must_use]
    pub fn new(connection: Connection, quota: DbQuota) -> Box<dyn Database> {
        Self::try_new(connection, quota).unwrap_or_else(|error| Box::new(Refused(error)))
    }

    /// Confines a connection: installs the authorizer, the progress handler and the limits.
    ///
    /// # Errors
    /// [`DbError::Open`] when the connection refuses one of them.
    pub fn try_new(connection: Connection, quota: DbQuota) -> Result<Box<dyn Database>, DbError> {
        Ok(Box::new(Self::confined(connection, quota)?))
    }

    fn confined(mut connection: Connection, quota: DbQuota) -> Result<Self, DbError> {
        let watch = Arc::new(Watch::default());
        confine(&mut connection, quota, &watch).map_err(|error| DbError::Open(error.to_string()))?;
        Ok(Self {
            connection,
            quota,
            watch,
        })
    }

    /// Runs `work` under the limits of a statement.
    fn timed<T>(
        &mut self,
        sql: &str,
        work: impl FnOnce(&mut Connection, DbQuota, bool) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        self.watch.start(self.quota.statement_time);
        self.watch.vacuum.store(is_vacuum(sql), Ordering::Relaxed);
        // A statement is checked when it is prepared: what the engine prepared is not for the skill.
        let cached = !self.watch.trusted.load(Ordering::Relaxed);
        let result = work(&mut self.connection, self.quota, cached);
        self.watch.vacuum.store(false, Ordering::Relaxed);
        let seconds = self.quota.statement_time.as_secs_f64();
        match (self.watch.end(), result) {
            (Some(Over::Time), Err(_)) => {
                Err(DbError::Interrupted(format!("it ran for more than {seconds} s")))
            }
            (Some(Over::Memory), Err(_)) => {
                Err(DbError::Quota("the statement needs too much memory".to_owned()))
            }
            (_, result) => result,
        }
    }
}

/// A database that could not be confined, and so is not used at all.
struct Refused(DbError);

impl Database for Refused {
    fn execute(&mut self, _sql: &str, _params: &[DbValue]) -> Result<u64, DbError> {
        Err(self.0.clone())
    }
    fn query(&mut self, _sql: &str, _params: &[DbValue], _max_rows: usize) -> Result<DbRows, DbError> {
        Err(self.0.clone())
    }
}

impl fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteDatabase")
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

fn is_vacuum(sql: &str) -> bool {
    let sql = sql.trim().trim_end_matches(';').trim_end();
    sql.eq_ignore_ascii_case("vacuum") || sql.eq_ignore_ascii_case("vacuum main")
}

impl Database for SqliteDatabase {
    fn execute(&mut self, sql: &str, params: &[DbValue]) -> Result<u64, DbError> {
        self.timed(sql, |connection, _, _| {
            let before = connection.total_changes();
            let mut batch = Batch::new(connection, sql);
            let mut statements = 0_usize;
            while let Some(mut statement) = batch.next().map_err(db_error)? {
                statements += 1;
                if statements > 1 && !params.is_empty() {
                    return Err(DbError::Sql("parameters need exactly one statement".to_owned()));
                }
                bind(&mut statement, params)?;
                let mut rows = statement.raw_query();
                while rows.next().map_err(db_error)?.is_some() {}
            }
            Ok(connection.total_changes().saturating_sub(before))
        })
    }

    fn query(&mut self, sql: &str, params: &[DbValue], max_rows: usize) -> Result<DbRows, DbError> {
        self.timed(sql, |connection, quota, cached| match cached {
            true => rows(
                &mut *connection.prepare_cached(sql).map_err(db_error)?,
                params,
                max_rows,
                quota,
            ),
            false => rows(
                &mut connection.prepare(sql).map_err(db_error)?,
                params,
                max_rows,
                quota,
            ),
        })
    }

    fn set_trusted(&mut self, trusted: bool) {
        self.watch.trusted.store(trusted, Ordering::Relaxed);
    }

    fn can_close(&self) -> bool {
        let nothing_temporary = || {
            let count = "SELECT count(*) FROM sqlite_temp_schema";
            self.connection
                .query_row(count, [], |row| row.get::<_, i64>(0))
                .is_ok_and(|count| count == 0)
        };
        self.connection.is_autocommit() && nothing_temporary()
    }

    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        let handle = self.connection.get_interrupt_handle();
        Some(Arc::new(move || handle.interrupt()))
    }
}

fn rows(
    statement: &mut Statement<'_>,
    params: &[DbValue],
    max_rows: usize,
    quota: DbQuota,
) -> Result<DbRows, DbError> {
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    bind(statement, params)?;
    let mut found = DbRows {
        columns,
        ..DbRows::default()
    };
    let mut bytes = 0_usize;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(db_error)? {
        if found.rows.len() == max_rows {
            found.truncated = true;
            break;
        }
        let mut values = Vec::with_capacity(found.columns.len());
        for index in 0..found.columns.len() {
            let value = value_of(row.get_ref(index).map_err(db_error)?);
            bytes += match &value {
                DbValue::Text(text) => text.len(),
                DbValue::Blob(blob) => blob.len(),
                _ => 8,
            };
            values.push(value);
        }
        if bytes > quota.max_result_bytes {
            return Err(DbError::Quota(format!(
                "the query returns more than {} bytes; ask for less at once",
                quota.max_result_bytes
            )));
        }
        found.rows.push(values);
    }
    Ok(found)
}

struct Param<'a>(&'a DbValue);

impl ToSql for Param<'_> {
    fn to_sql(&self) -> ::rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            DbValue::Null => ToSqlOutput::Owned(SqlValue::Null),
            DbValue::Integer(value) => ToSqlOutput::Owned(SqlValue::Integer(*value)),
            DbValue::Real(value) => ToSqlOutput::Owned(SqlValue::Real(*value)),
            DbValue::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            DbValue::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

fn bind(statement: &mut Statement<'_>, params: &[DbValue]) -> Result<(), DbError> {
    let wanted = statement.parameter_count();
    if wanted != params.len() {
        return Err(DbError::Sql(format!(
            "the statement has {wanted} parameters, but {} were given",
            params.len()
        )));
    }
    for (index, value) in params.iter().enumerate() {
        statement
            .raw_bind_parameter(index + 1, Param(value))
            .map_err(db_error)?;
    }
    Ok(())
}

fn value_of(value: ValueRef<'_>) -> DbValue {
    match value {
        ValueRef::Null => DbValue::Null,
        ValueRef::Integer(value) => DbValue::Integer(value),
        ValueRef::Real(value) => DbValue::Real(value),
        ValueRef::Text(bytes) => DbValue::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => DbValue::Blob(bytes.to_vec()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn db_error(error: SqlError) -> DbError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::AuthorizationForStatementDenied) => DbError::Denied(text),
        Some(ErrorCode::DiskFull | ErrorCode::TooBig | ErrorCode::OutOfMemory) => DbError::Quota(text),
        Some(ErrorCode::OperationInterrupted) => DbError::Interrupted(text),
        _ => DbError::Sql(text),
    }
}

#[cfg(test)]
mod tests;
