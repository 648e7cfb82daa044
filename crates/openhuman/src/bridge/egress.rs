//! What left the machine for skills, kept sealed: the engine's own ledger lives only as long as the engine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openhuman_skills::{Database, DbError, DbValue, EgressOutcome, EgressRecord, SkillEvent, SkillId};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::SealedDatabases;
use crate::CoreError;

/// Records that are kept; the oldest go first.
const MOST: i64 = 100_000;
/// Records written together.
const BATCH: usize = 256;
/// How long closing waits for the last ones.
const LAST_WRITE: Duration = Duration::from_secs(5);

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS egress (
    id INTEGER PRIMARY KEY, skill TEXT NOT NULL, refused INTEGER NOT NULL, record TEXT NOT NULL)";
const INDEX: &str = "CREATE INDEX IF NOT EXISTS egress_skill ON egress (skill, id)";
const NEWEST: &str = "SELECT record FROM egress WHERE (?1 IS NULL OR skill = ?1) AND refused >= ?2
    ORDER BY id DESC LIMIT ?3";

/// The sealed log, and the task that fills it from the engine's events.
pub(crate) struct EgressLog {
    log: Arc<Log>,
    stop: CancellationToken,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl EgressLog {
    /// Writes every record of `events` into `skills_data/egress.db` until the log is closed. The database is opened when
    /// the first record comes.
    pub(crate) fn start(databases: Arc<SealedDatabases>, events: Receiver<SkillEvent>) -> Self {
        let log = Arc::new(Log {
            databases,
            open: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let writer = tokio::spawn(write_all(Arc::clone(&log), events, stop.clone()));
        Self {
            log,
            stop,
            writer: Mutex::new(Some(writer)),
        }
    }

    /// The newest records first, of one skill or of all.
    pub(crate) async fn newest(
        &self,
        skill: Option<SkillId>,
        refused: bool,
        limit: usize,
    ) -> Result<Vec<EgressRecord>, CoreError> {
        let log = Arc::clone(&self.log);
        let rows = tokio::task::spawn_blocking(move || {
            let limit = limit.min(10_000);
            let skill = skill.map_or(DbValue::Null, |skill| DbValue::Text(skill.to_string()));
            let params = [
                skill,
                DbValue::Integer(refused.into()),
                DbValue::Integer(limit as i64),
            ];
            log.with(|database| database.query(NEWEST, &params, limit))
        })
        .await?
        .map_err(|error| CoreError::Egress(error.to_string()))?;
        let texts = rows.rows.into_iter().filter_map(|row| row.into_iter().next());
        let records = texts.filter_map(|text| match text {
            DbValue::Text(text) => serde_json::from_str(&text).ok(),
            _ => None,
        });
        Ok(records.collect())
    }

    /// Writes what came until now, and ends.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = tokio::time::timeout(LAST_WRITE, writer).await;
        }
    }
}

struct Log {
    databases: Arc<SealedDatabases>,
    open: Mutex<Option<Box<dyn Database>>>,
}

impl Log {
    fn with<T>(&self, act: impl FnOnce(&mut dyn Database) -> Result<T, DbError>) -> Result<T, DbError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match open.take() {
            Some(database) => open.insert(database),
            None => {
                let mut database = self.databases.open_egress()?;
                database.execute(SCHEMA, &[])?;
                database.execute(INDEX, &[])?;
                open.insert(database)
            }
        };
        let outcome = act(database.as_mut());
        if outcome.is_err() {
            // Closing it ends a transaction that may still be open.
            *open = None;
        }
        outcome
    }

    fn write(&self, batch: &[Arc<EgressRecord>]) -> Result<(), DbError> {
        self.with(|database| {
            database.execute("BEGIN", &[])?;
            let written = insert(database, batch);
            let end = if written.is_ok() { "COMMIT" } else { "ROLLBACK" };
            database.execute(end, &[])?;
            written
        })
    }
}

fn insert(database: &mut dyn Database, batch: &[Arc<EgressRecord>]) -> Result<(), DbError> {
    for record in batch {
        let text = serde_json::to_string(record.as_ref()).map_err(|error| DbError::Sql(error.to_string()))?;
        let refused = matches!(record.outcome, EgressOutcome::Refused { .. });
        let params = [
            DbValue::Text(record.skill_id.to_string()),
            DbValue::Integer(refused.into()),
            DbValue::Text(text),
        ];
        database.execute(
            "INSERT INTO egress (skill, refused, record) VALUES (?, ?, ?)",
            &params,
        )?;
    }
    let oldest = "DELETE FROM egress WHERE id <= (SELECT max(id) FROM egress) - ?";
    database.execute(oldest, &[DbValue::Integer(MOST)]).map(drop)
}

async fn write_all(log: Arc<Log>, mut events: Receiver<SkillEvent>, stop: CancellationToken) {
    loop {
        let mut batch = Vec::new();
        // What is there is taken before the end is looked at, so nothing that came before the end is lost.
        let ended = tokio::select! {
            biased;
            event = events.recv() => match event {
                Ok(event) => {
                    batch.extend(record(event));
                    false
                }
                Err(RecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "events of skills came faster than they were written: the egress log has a gap");
                    false
                }
                Err(RecvError::Closed) => true,
            },
            () = stop.cancelled() => true,
        };
        if ended {
            return;
        }
        while batch.len() < BATCH {
            match events.try_recv() {
                Ok(event) => batch.extend(record(event)),
                Err(TryRecvError::Lagged(lost)) => {
                    tracing::warn!(
                        lost,
                        "events of skills came faster than they were written: the egress log has a gap"
                    );
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if batch.is_empty() {
            continue;
        }
        let log = Arc::clone(&log);
        match tokio::task::spawn_blocking(move || log.write(&batch)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the egress log cannot be written"),
            Err(error) => tracing::warn!(%error, "the egress log cannot be written"),
        }
    }
}

fn record(event: SkillEvent) -> Option<Arc<EgressRecord>> {
    match event {
        SkillEvent::Egress { record } => Some(record),
        _ => None,
    }
}
