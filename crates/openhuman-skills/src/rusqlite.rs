//! Skill databases over a `rusqlite` connection: the caller brings the connection (for example an encrypted
//! one), this module confines it.
//!
//! Denied are ATTACH and DETACH, extension loading and every PRAGMA outside a short list. A statement may run
//! for a bounded time, a query may return a bounded amount, and the file may grow to a bounded size. `VACUUM` is allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::rusqlite::config::DbConfig;
use ::rusqlite::fallible_iterator::FallibleIterator as _;
use ::rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use ::rusqlite::limits::Limit;
use ::rusqlite::types::{ToSql, ToSqlOutput, Value as SqlValue, ValueRef};
use ::rusqlite::{Batch, Connection, Error as SqlError, ErrorCode, Statement};

use crate::{Database, DbError, DbOpener, DbRows, DbValue, SkillId};

/// PRAGMAs that read the schema. They take a table or index name, or nothing.
const PRAGMAS: [&str; 9] = [
    // Asked by the full-text index itself.
    "data_version",
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "foreign_key_list",
    "foreign_key_check",
    "foreign_keys",
];
/// PRAGMAs that may also be set.
const VERSION_PRAGMAS: [&str; 2] = ["user_version", "application_id"];
/// How often, in virtual machine instructions, a running statement looks at the clock.
const PROGRESS_STEPS: i32 = 20_000;

/// The limits of one skill's database.
#[derive(Clone, Copy, Debug)]
pub struct DbQuota {
    /// The size of the file in MB. Default 256.
    pub max_mb: u64,
    /// The bytes one query may return. Default 16 MB.
    pub max_result_bytes: usize,
    /// How long one statement may run. Default 5 s.
    pub statement_time: Duration,
}

impl Default for DbQuota {
    fn default() -> Self {
        Self {
            max_mb: 256,
            max_result_bytes: 16 * 1024 * 1024,
            statement_time: Duration::from_secs(5),
        }
    }
}

/// A confined `rusqlite` connection.
pub struct SqliteDatabase {
    connection: Connection,
    quota: DbQuota,
    watch: Arc<Watch>,
}

/// What the authorizer and the progress handler look at.
struct Watch {
    started: Instant,
    /// When the running statement must end, in milliseconds since `started`; 0 when none runs.
    deadline_ms: AtomicU64,
    vacuum: AtomicBool,
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
        let mut connection = connection;
        let watch = Arc::new(Watch {
            started: Instant::now(),
            deadline_ms: AtomicU64::new(0),
            vacuum: AtomicBool::new(false),
        });
        confine(&mut connection, quota, &watch).map_err(|error| DbError::Open(error.to_string()))?;
        Ok(Box::new(Self {
            connection,
            quota,
            watch,
        }))
    }

    /// Runs `work` with the statement clock running.
    fn timed<T>(
        &mut self,
        sql: &str,
        work: impl FnOnce(&mut Connection, DbQuota) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let elapsed = self.watch.started.elapsed() + self.quota.statement_time;
        let deadline = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        self.watch.deadline_ms.store(deadline, Ordering::Relaxed);
        self.watch.vacuum.store(is_vacuum(sql), Ordering::Relaxed);
        let result = work(&mut self.connection, self.quota);
        self.watch.deadline_ms.store(0, Ordering::Relaxed);
        self.watch.vacuum.store(false, Ordering::Relaxed);
        result
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

fn confine(connection: &mut Connection, quota: DbQuota, watch: &Arc<Watch>) -> Result<(), SqlError> {
    let page_size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let bytes = quota.max_mb.saturating_mul(1024 * 1024);
    let pages = (bytes / page_size.unsigned_abs().max(512)).max(16);
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    let length = i32::try_from(quota.max_result_bytes).unwrap_or(i32::MAX);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, length)?;
    connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, 1024 * 1024)?;
    // One, not zero: VACUUM attaches a file of its own.
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
    connection.set_limit(Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 1000)?;
    connection.set_limit(Limit::SQLITE_LIMIT_EXPR_DEPTH, 200)?;
    connection.set_limit(Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 50)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000)?;
    let seen = Arc::clone(watch);
    connection.progress_handler(
        PROGRESS_STEPS,
        Some(move || {
            let deadline = seen.deadline_ms.load(Ordering::Relaxed);
            deadline != 0 && seen.started.elapsed().as_millis() >= u128::from(deadline)
        }),
    )?;
    let seen = Arc::clone(watch);
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        if is_allowed(&context.action, seen.vacuum.load(Ordering::Relaxed)) {
            Authorization::Allow
        } else {
            Authorization::Deny
        }
    }))
}

fn is_allowed(action: &AuthAction<'_>, vacuum: bool) -> bool {
    match action {
        // VACUUM attaches and detaches an unnamed temporary database.
        AuthAction::Attach { filename } => vacuum && filename.is_empty(),
        AuthAction::Detach { database_name } => vacuum && database_name.starts_with("vacuum"),
        AuthAction::Pragma {
            pragma_name,
            pragma_value,
        } => {
            let name = pragma_name.to_ascii_lowercase();
            let reads =
                PRAGMAS.contains(&name.as_str()) && (name != "foreign_keys" || pragma_value.is_none());
            reads || VERSION_PRAGMAS.contains(&name.as_str())
        }
        AuthAction::Function { function_name } => !matches!(
            function_name.to_ascii_lowercase().as_str(),
            "load_extension" | "fts3_tokenizer" | "readfile" | "writefile" | "edit"
        ),
        AuthAction::CreateVtable { module_name, .. } | AuthAction::DropVtable { module_name, .. } => {
            module_name.to_ascii_lowercase().starts_with("fts5") || module_name.eq_ignore_ascii_case("rtree")
        }
        AuthAction::Unknown { .. } => false,
        _ => true,
    }
}

fn is_vacuum(sql: &str) -> bool {
    let sql = sql.trim().trim_end_matches(';').trim_end();
    sql.eq_ignore_ascii_case("vacuum") || sql.eq_ignore_ascii_case("vacuum main")
}

impl Database for SqliteDatabase {
    fn execute(&mut self, sql: &str, params: &[DbValue]) -> Result<u64, DbError> {
        self.timed(sql, |connection, _| {
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
        self.timed(sql, |connection, quota| {
            let mut statement = connection.prepare(sql).map_err(db_error)?;
            let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
            bind(&mut statement, params)?;
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
                        "the query returns more than {} bytes",
                        quota.max_result_bytes
                    )));
                }
                found.rows.push(values);
            }
            Ok(found)
        })
    }

    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        let handle = self.connection.get_interrupt_handle();
        Some(Arc::new(move || handle.interrupt()))
    }
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
        Some(ErrorCode::DiskFull | ErrorCode::TooBig) => DbError::Quota(text),
        Some(ErrorCode::OperationInterrupted) => DbError::Interrupted(text),
        _ => DbError::Sql(text),
    }
}

/// Databases that live in memory as long as the opener does, also across restarts of a skill. For tests and
/// for hosts without storage.
#[derive(Default)]
pub struct MemoryDbOpener {
    quota: DbQuota,
    databases: Mutex<BTreeMap<SkillId, Kept>>,
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
}

impl fmt::Debug for MemoryDbOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDbOpener")
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}

impl DbOpener for MemoryDbOpener {
    fn open(&self, skill: &SkillId) -> Result<Box<dyn Database>, DbError> {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = databases.get(skill) {
            return Ok(Box::new(kept.clone()));
        }
        let connection = Connection::open_in_memory().map_err(|error| DbError::Open(error.to_string()))?;
        let database = SqliteDatabase::try_new(connection, self.quota)?;
        let kept = Kept {
            interrupt: database.interrupter(),
            database: Arc::new(Mutex::new(database)),
        };
        databases.insert(skill.clone(), kept.clone());
        Ok(Box::new(kept))
    }
}

/// A database that outlives the skill's use of it.
#[derive(Clone)]
struct Kept {
    database: Arc<Mutex<Box<dyn Database>>>,
    interrupt: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Database for Kept {
    fn execute(&mut self, sql: &str, params: &[DbValue]) -> Result<u64, DbError> {
        self.database
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .execute(sql, params)
    }
    fn query(&mut self, sql: &str, params: &[DbValue], max_rows: usize) -> Result<DbRows, DbError> {
        self.database
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .query(sql, params, max_rows)
    }
    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        self.interrupt.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(quota: DbQuota) -> Box<dyn Database> {
        SqliteDatabase::new(Connection::open_in_memory().unwrap(), quota)
    }

    #[test]
    fn what_could_reach_outside_is_denied() {
        let mut db = open(DbQuota::default());
        for sql in [
            "ATTACH 'other.db' AS other",
            "ATTACH '' AS other",
            "ATTACH ':memory:' AS other",
            "DETACH main",
            "VACUUM INTO 'copy.db'",
            "VACUUM; ATTACH '' AS other",
            "SELECT load_extension('x')",
            "PRAGMA journal_mode = DELETE",
            "PRAGMA max_page_count = 1000000000",
            "PRAGMA writable_schema = ON",
            "PRAGMA temp_store_directory = 'x'",
            "PRAGMA key = 'x'",
            "PRAGMA foreign_keys = OFF",
            "PRAGMA trusted_schema = ON",
            "CREATE VIRTUAL TABLE t USING csv(filename='x')",
        ] {
            assert!(db.execute(sql, &[]).is_err(), "{sql}");
        }
    }

    #[test]
    fn what_published_skills_use_is_allowed() {
        let mut db = open(DbQuota::default());
        db.execute(
            "CREATE TABLE t (id TEXT PRIMARY KEY, n INT); CREATE INDEX i ON t(n);",
            &[],
        )
        .unwrap();
        let rows = db.query("PRAGMA table_info(t)", &[], 10).unwrap();
        assert_eq!(rows.rows.len(), 2);
        let upsert = "INSERT INTO t VALUES (?, ?) ON CONFLICT(id) DO UPDATE SET n = excluded.n";
        assert_eq!(
            db.execute(upsert, &[DbValue::Text("a".into()), DbValue::Integer(1)])
                .unwrap(),
            1
        );
        db.execute("PRAGMA user_version = 3", &[]).unwrap();
        db.execute("VACUUM", &[]).unwrap();
        db.execute("CREATE VIRTUAL TABLE f USING fts5(body)", &[])
            .unwrap();
        db.execute("BEGIN; INSERT INTO f VALUES ('hello'); COMMIT;", &[])
            .unwrap();
        assert_eq!(
            db.query("SELECT body FROM f WHERE f MATCH 'hello'", &[], 10)
                .unwrap()
                .rows
                .len(),
            1
        );
    }

    #[test]
    fn time_rows_and_size_are_bounded() {
        let quota = DbQuota {
            max_mb: 1,
            max_result_bytes: 100_000,
            statement_time: Duration::from_millis(50),
        };
        let mut db = open(quota);
        let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c";
        assert!(matches!(db.query(endless, &[], 1), Err(DbError::Interrupted(_))));
        let many =
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x < 100) SELECT x FROM c";
        assert!(db.query(many, &[], 10).unwrap().truncated);
        let wide = "SELECT zeroblob(60000), zeroblob(60000)";
        assert!(matches!(db.query(wide, &[], 10), Err(DbError::Quota(_))));
        db.execute("CREATE TABLE t (b BLOB)", &[]).unwrap();
        let full = (0..40)
            .map(|_| db.execute("INSERT INTO t VALUES (zeroblob(50000))", &[]))
            .find(Result::is_err);
        assert!(matches!(full, Some(Err(DbError::Quota(_)))), "{full:?}");
        db.execute("DELETE FROM t", &[]).unwrap();
    }

    #[test]
    fn values_round_trip() {
        let mut db = open(DbQuota::default());
        let values = [
            DbValue::Null,
            DbValue::Integer(i64::MIN),
            DbValue::Real(1.5),
            DbValue::Text("\"123\" ü".into()),
            DbValue::Blob(vec![0, 255]),
        ];
        let rows = db.query("SELECT ?, ?, ?, ?, ?", &values, 1).unwrap();
        assert_eq!(rows.rows[0], values);
        assert!(db.query("SELECT ?", &[], 1).is_err());
    }

    #[test]
    fn memory_databases_survive_a_restart_and_are_separate() {
        let opener = MemoryDbOpener::default();
        let (a, b) = (SkillId::new("a").unwrap(), SkillId::new("b").unwrap());
        opener
            .open(&a)
            .unwrap()
            .execute("CREATE TABLE t (x)", &[])
            .unwrap();
        assert!(opener.open(&a).unwrap().query("SELECT * FROM t", &[], 1).is_ok());
        assert!(opener.open(&b).unwrap().query("SELECT * FROM t", &[], 1).is_err());
    }
}
