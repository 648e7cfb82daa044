//! What a skill may do on its connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::rusqlite::config::DbConfig;
use ::rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use ::rusqlite::limits::Limit;
use ::rusqlite::{Connection, Error as SqlError};

use super::heap::Heap;
use super::{DbQuota, functions};
use crate::let_others_run;

/// PRAGMAs that read. They take a table or index name, or nothing.
const PRAGMAS: [&str; 15] = [
    // Asked by the full-text index itself.
    "data_version",
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
    "foreign_key_check",
    "collation_list",
    "integrity_check",
    "quick_check",
    // Without a value, these read; with one they would set something.
    "foreign_keys",
    "page_count",
    "encoding",
];
const WITHOUT_VALUE: [&str; 3] = ["foreign_keys", "page_count", "encoding"];
/// PRAGMAs that may also be set.
const VERSION_PRAGMAS: [&str; 2] = ["user_version", "application_id"];
/// Virtual tables that stay inside the database.
const VIRTUAL_TABLES: [&str; 3] = ["fts5", "fts5vocab", "rtree"];
/// The longest text, blob or row: a body of 8 MB and its name. What quadratic functions of SQLite are given decides
/// how long they take.
const MAX_VALUE: i32 = 9 * 1024 * 1024;
/// How often, in virtual machine instructions, a running statement looks at the clock and at its memory. One
/// instruction can take milliseconds, on values of megabytes.
const PROGRESS_STEPS: i32 = 100;
/// How long a statement runs before others run in between.
const TURN: Duration = Duration::from_millis(2);

/// What the authorizer and the progress handler look at.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) vacuum: AtomicBool,
    pub(super) trusted: AtomicBool,
    /// The statement that runs.
    running: Mutex<Option<Running>>,
}

struct Running {
    ends: Instant,
    turn: Instant,
    heap: Heap,
    over: Option<Over>,
}

/// Why a statement was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Time,
    Memory,
}

impl Watch {
    pub(super) fn start(&self, limit: Duration) {
        let now = Instant::now();
        let mut heap = Heap::default();
        heap.start();
        *self.running() = Some(Running {
            ends: now + limit,
            turn: now,
            heap,
            over: None,
        });
    }

    /// Ends the watch; why the statement had to end, if it had.
    pub(super) fn end(&self) -> Option<Over> {
        self.running().take().and_then(|running| running.over)
    }

    /// Whether the statement has to end.
    fn look(&self) -> bool {
        let mut guard = self.running();
        let Some(running) = guard.as_mut() else {
            return false;
        };
        if running.heap.is_over() {
            running.over = Some(Over::Memory);
            return true;
        }
        let now = Instant::now();
        if now >= running.ends {
            running.over = Some(Over::Time);
            return true;
        }
        if now.duration_since(running.turn) >= TURN && !running.heap.holds() {
            // Time that others take is not this statement's.
            let own = running.heap.own();
            running.ends += let_others_run();
            running.heap.resume(own);
            running.turn = Instant::now();
        }
        false
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn confine(
    connection: &mut Connection,
    quota: DbQuota,
    watch: &Arc<Watch>,
) -> Result<(), SqlError> {
    let page_size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let pages = (quota.max_bytes / page_size.unsigned_abs().max(512)).max(16);
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -256; PRAGMA foreign_keys = ON; PRAGMA temp.max_page_count = 8192;",
    )?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_prepared_statement_cache_capacity(8);
    let length = i32::try_from(quota.max_result_bytes)
        .unwrap_or(i32::MAX)
        .min(MAX_VALUE);
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, length),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 1024 * 1024),
        (Limit::SQLITE_LIMIT_COLUMN, 500),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 100),
        // One, not zero: VACUUM attaches a file of its own.
        (Limit::SQLITE_LIMIT_ATTACHED, 1),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 2100),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 50),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 128),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 100),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value)?;
    }
    functions::install(connection, usize::try_from(length).unwrap_or(0))?;
    let seen = Arc::clone(watch);
    connection.progress_handler(PROGRESS_STEPS, Some(move || seen.look()))?;
    let seen = Arc::clone(watch);
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        match is_allowed(&context.action, &seen) {
            true => Authorization::Allow,
            false => Authorization::Deny,
        }
    }))
}

fn is_allowed(action: &AuthAction<'_>, watch: &Watch) -> bool {
    let vacuum = watch.vacuum.load(Ordering::Relaxed);
    let trusted = watch.trusted.load(Ordering::Relaxed);
    match action {
        // VACUUM attaches and detaches an unnamed temporary database.
        AuthAction::Attach { filename } => vacuum && filename.is_empty(),
        AuthAction::Detach { database_name } => vacuum && database_name.starts_with("vacuum"),
        AuthAction::Pragma {
            pragma_name,
            pragma_value,
        } => {
            let name = pragma_name.to_ascii_lowercase();
            let sets = pragma_value.is_some() && WITHOUT_VALUE.contains(&name.as_str());
            // They are on: asking for it is fine.
            let on = name == "foreign_keys"
                && pragma_value.is_some_and(|value| {
                    matches!(value.to_ascii_lowercase().as_str(), "on" | "1" | "true" | "yes")
                });
            (PRAGMAS.contains(&name.as_str()) && (!sets || on)) || VERSION_PRAGMAS.contains(&name.as_str())
        }
        AuthAction::Function { function_name } => !functions::DENIED
            .iter()
            .any(|denied| function_name.eq_ignore_ascii_case(denied)),
        AuthAction::CreateVtable { module_name, .. } | AuthAction::DropVtable { module_name, .. } => {
            VIRTUAL_TABLES
                .iter()
                .any(|allowed| module_name.eq_ignore_ascii_case(allowed))
        }
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. } => trusted || !is_engines(table_name),
        AuthAction::CreateTable { table_name }
        | AuthAction::CreateTempTable { table_name }
        | AuthAction::CreateView {
            view_name: table_name,
        }
        | AuthAction::CreateTempView {
            view_name: table_name,
        }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::CreateTrigger { table_name, .. }
        | AuthAction::CreateTempTrigger { table_name, .. } => {
            trusted || !(is_engines(table_name) || table_name.eq_ignore_ascii_case("_kv"))
        }
        AuthAction::Unknown { .. } => false,
        _ => true,
    }
}

/// Tables a skill may read, but not write.
fn is_engines(table: &str) -> bool {
    table.eq_ignore_ascii_case("_cron")
}
