//! What left the machine for skills, kept sealed: the engine's own ledger lives only as long as the engine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openhuman_skills::{Database, DbError, DbValue, EgressOutcome, EgressRecord, SkillId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::SealedDatabases;
use crate::CoreError;

/// Records that wait to be written, and those of requests under way; then skills wait.
const WAITING: usize = 65_536;
/// Records that are kept of what left, and of what was refused; the oldest go first.
const MOST: i64 = 100_000;
const MOST_REFUSED: i64 = 20_000;
/// Records written together.
const BATCH: usize = 256;
/// Batches between two looks for records that are too many.
const PRUNE: u32 = 16;
/// After a write that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// How long closing waits for the last ones.
const LAST_WRITE: Duration = Duration::from_secs(5);

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS egress (
    id INTEGER PRIMARY KEY, skill TEXT NOT NULL, refused INTEGER NOT NULL, record TEXT NOT NULL)";
const INDEX: &str = "CREATE INDEX IF NOT EXISTS egress_skill ON egress (skill, id)";
const KINDS: &str = "CREATE INDEX IF NOT EXISTS egress_refused ON egress (refused, id)";
// What is refused has a number of its own: it must not push out what left.
const OLDEST: &str = "DELETE FROM egress WHERE refused = ?1 AND id <= (
    SELECT id FROM egress WHERE refused = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
const NEWEST: &str = "SELECT record FROM egress WHERE (?1 IS NULL OR skill = ?1) AND refused >= ?2
    ORDER BY id DESC LIMIT ?3";

/// The sealed log, and the task that fills it.
pub(crate) struct EgressLog {
    log: Arc<Log>,
    stop: CancellationToken,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Where the engine puts its records, and where the log finds them.
pub(crate) fn egress_channel() -> (mpsc::Sender<Arc<EgressRecord>>, mpsc::Receiver<Arc<EgressRecord>>) {
    mpsc::channel(WAITING)
}

impl EgressLog {
    /// Writes every one of `records` into `skills_data/egress.db` until the log is closed. The database is opened when
    /// the first record comes. While it cannot be written, records wait, and in the end the skills.
    pub(crate) fn start(databases: Arc<SealedDatabases>, records: mpsc::Receiver<Arc<EgressRecord>>) -> Self {
        let log = Arc::new(Log {
            databases,
            open: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let writer = tokio::spawn(write_all(Arc::clone(&log), records, stop.clone()));
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
                database.execute(KINDS, &[])?;
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

    /// Forgets the oldest records where there are too many.
    fn prune(&self) -> Result<(), DbError> {
        self.with(|database| {
            for (refused, most) in [(0, MOST), (1, MOST_REFUSED)] {
                database.execute(OLDEST, &[DbValue::Integer(refused), DbValue::Integer(most)])?;
            }
            Ok(())
        })
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
    Ok(())
}

async fn write_all(log: Arc<Log>, mut records: mpsc::Receiver<Arc<EgressRecord>>, stop: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    for turn in 0_u32.. {
        tokio::select! {
            biased;
            count = records.recv_many(&mut batch, BATCH) => if count == 0 {
                return;
            },
            // Those under way still come, then the channel is at its end.
            () = stop.cancelled(), if !records.is_closed() => records.close(),
        }
        while !batch.is_empty() {
            let (log, written) = (Arc::clone(&log), std::mem::take(&mut batch));
            let work = tokio::task::spawn_blocking(move || {
                let outcome = log.write(&written);
                if outcome.is_ok() && turn.is_multiple_of(PRUNE) {
                    log.prune()
                        .unwrap_or_else(|error| tracing::warn!(%error, "the egress log cannot be pruned"));
                }
                (written, outcome)
            });
            match work.await {
                Ok((_, Ok(()))) => {}
                Ok((unwritten, Err(error))) => {
                    tracing::error!(%error, "the egress log cannot be written: what skills send will wait for it");
                    batch = unwritten;
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => {
                    tracing::error!(%error, "the egress log has a gap");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use openhuman_vault::{Password, Vault, VaultOptions};

    use super::*;
    use crate::owners::Places;

    fn record(path: usize, refused: bool) -> Arc<EgressRecord> {
        let outcome = if refused {
            serde_json::json!({ "type": "refused", "reason": "no" })
        } else {
            serde_json::json!({ "type": "answered", "status": 200 })
        };
        let json = serde_json::json!({
            "time_ms": 1, "duration_ms": 1, "skill_id": "a", "cause": { "type": "timer" }, "scheme": "https",
            "method": "GET", "host": "a.org", "port": 443, "path": format!("/{path}"), "outcome": outcome,
            "bytes_out": 0, "bytes_in": 0,
        });
        Arc::new(serde_json::from_value(json).unwrap())
    }

    fn databases(dir: &std::path::Path) -> Arc<SealedDatabases> {
        let password = Password::from("a password for tests".to_owned());
        let mut vault =
            Vault::create(&dir.join("vault"), &password, &VaultOptions::fast_for_tests()).unwrap();
        let sealed = crate::databases::Databases::open(crate::Home::at(dir), &mut vault).unwrap();
        Arc::new(SealedDatabases::new(Arc::new(sealed), Places::default()))
    }

    #[tokio::test]
    async fn everything_that_was_sent_is_kept_also_when_the_disk_fails_for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("vault")).unwrap();
        let databases = databases(dir.path());
        // A file where the directory should be.
        std::fs::write(dir.path().join("skills_data"), b"").unwrap();
        let (sender, receiver) = egress_channel();
        let log = EgressLog::start(databases, receiver);
        for number in 0..3000 {
            sender.send(record(number, false)).await.unwrap();
        }
        std::fs::remove_file(dir.path().join("skills_data")).unwrap();
        log.close().await;
        assert!(
            sender.send(record(0, false)).await.is_err(),
            "nothing comes after the end"
        );
        let all = log.newest(None, false, 10_000).await.unwrap();
        assert_eq!(all.len(), 3000);
        assert_eq!((all[0].path.as_str(), all[2999].path.as_str()), ("/2999", "/0"));
    }

    #[tokio::test]
    async fn what_is_refused_does_not_push_out_what_left() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("vault")).unwrap();
        let (sender, receiver) = egress_channel();
        let log = EgressLog::start(databases(dir.path()), receiver);
        sender.send(record(1, false)).await.unwrap();
        let insert = |number: i64| {
            format!(
                "INSERT INTO egress (skill, refused, record) WITH RECURSIVE n(i) AS
            (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < {number}) SELECT 'a', 1, '' FROM n"
            )
        };
        log.close().await;
        log.log
            .with(|database| database.execute(&insert(MOST + 10), &[]))
            .unwrap();
        log.log.prune().unwrap();
        let count = |refused: i64| {
            let sql = "SELECT count(*) FROM egress WHERE refused = ?";
            let rows = log
                .log
                .with(|database| database.query(sql, &[DbValue::Integer(refused)], 1));
            rows.unwrap().rows[0][0].clone()
        };
        assert_eq!(count(0), DbValue::Integer(1));
        assert_eq!(count(1), DbValue::Integer(MOST_REFUSED));
    }
}
