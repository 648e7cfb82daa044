//! Login tokens in SQLite.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{Clock, MAX_OUTSTANDING, Redemption, TokenRecord, TokenStore, TokenStoreError};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS login_tokens (
        hash        BLOB    NOT NULL PRIMARY KEY,
        subject     TEXT    NOT NULL,
        audience    TEXT    NOT NULL,
        issued_ms   INTEGER NOT NULL,
        expires_ms  INTEGER NOT NULL,
        consumed_ms INTEGER,
        challenge   BLOB
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS login_tokens_subject ON login_tokens (subject, expires_ms);
    CREATE TABLE IF NOT EXISTS login_clock (
        id        INTEGER NOT NULL PRIMARY KEY CHECK (id = 0),
        latest_ms INTEGER NOT NULL
    ) STRICT;
";

/// Files of a time before tokens were bound to a device.
const HAS_CHALLENGE: &str = "SELECT count(*) FROM pragma_table_info('login_tokens') WHERE name = 'challenge'";

const REDEEM: &str = "
    UPDATE login_tokens SET consumed_ms = ?1
    WHERE hash = ?2 AND audience = ?3 AND challenge IS ?4 AND consumed_ms IS NULL AND expires_ms >= ?1
    RETURNING subject, issued_ms, expires_ms
";

/// Asked first, without the lock for writing: a token that is used or unknown costs the others nothing.
const REDEEMABLE: &str = "
    SELECT 1 FROM login_tokens
    WHERE hash = ?2 AND audience = ?3 AND challenge IS ?4 AND consumed_ms IS NULL AND expires_ms >= ?1
";

const LATEST: &str = "SELECT latest_ms FROM login_clock WHERE id = 0";
/// How far the time on disk may be behind the time seen: writing each millisecond would make every attempt wait
/// for the disk.
const CLOCK_STEP_MS: i64 = 1_000;

/// How long a connection waits for another process that writes.
const BUSY: Duration = Duration::from_secs(30);

/// A token store in an SQLite file, for backends whose login links must survive a restart.
///
/// It holds message authentication codes and user names, never a token. Several processes may share one
/// file. A redeemed token is on disk before the caller hears of it (`synchronous=FULL`).
pub struct SqliteTokenStore {
    connection: Mutex<Connection>,
}

/// Why the token file could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteTokenStoreError {
    /// The file could not be created.
    #[error("the token store {} could not be created: {source}; check that its folder exists and can be written", path.display())]
    Create {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite refused it.
    #[error("the token store {} could not be opened: {source}; check that it is a token store and not another file", path.display())]
    Open {
        /// Where it is.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl SqliteTokenStore {
    /// Opens the file, or creates it readable by this user only.
    ///
    /// # Errors
    ///
    /// When the file cannot be created or is no SQLite database.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SqliteTokenStoreError> {
        let path = path.as_ref();
        create_private(path).map_err(|source| SqliteTokenStoreError::Create {
            path: path.into(),
            source,
        })?;
        Connection::open(path)
            .and_then(Self::prepare)
            .map_err(|source| SqliteTokenStoreError::Open {
                path: path.into(),
                source,
            })
    }

    /// A store that ends with the process.
    ///
    /// # Errors
    ///
    /// When SQLite has no memory for it.
    pub fn in_memory() -> Result<Self, SqliteTokenStoreError> {
        Connection::open_in_memory()
            .and_then(Self::prepare)
            .map_err(|source| SqliteTokenStoreError::Open {
                path: ":memory:".into(),
                source,
            })
    }

    fn prepare(connection: Connection) -> rusqlite::Result<Self> {
        connection.busy_timeout(BUSY)?;
        // `journal_mode` answers with a row; a database in memory has a mode of its own.
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;")?;
        let mut connection = connection;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(SCHEMA)?;
        if tx.query_row(HAS_CHALLENGE, [], |row| row.get::<_, i64>(0))? == 0 {
            tx.execute_batch("ALTER TABLE login_tokens ADD COLUMN challenge BLOB")?;
        }
        tx.commit()?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A transaction that was interrupted by a panic is rolled back when it is dropped.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One transaction that has the lock for writing from its start, on disk when it returns.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, TokenStoreError> {
        let mut connection = self.connection();
        connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|tx| {
                let done = work(&tx)?;
                tx.commit()?;
                Ok(done)
            })
            .map_err(TokenStoreError::failed)
    }
}

impl std::fmt::Debug for SqliteTokenStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteTokenStore(..)")
    }
}

impl TokenStore for SqliteTokenStore {
    fn insert(&self, record: &TokenRecord) -> Result<(), TokenStoreError> {
        self.write(|tx| {
            let outstanding: i64 = tx.query_row(
                "SELECT count(*) FROM login_tokens
                 WHERE subject = ?1 AND consumed_ms IS NULL AND expires_ms >= ?2",
                params![record.subject, record.issued_ms],
                |row| row.get(0),
            )?;
            if usize::try_from(outstanding).is_ok_and(|count| count >= MAX_OUTSTANDING) {
                return Ok(Err(TokenStoreError::TooManyOutstanding {
                    subject: record.subject.clone(),
                }));
            }
            tx.execute(
                "INSERT INTO login_tokens (hash, subject, audience, challenge, issued_ms, expires_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    record.hash.as_slice(),
                    record.subject,
                    record.audience,
                    record.challenge.as_ref().map(<[u8; 32]>::as_slice),
                    record.issued_ms,
                    record.expires_ms
                ],
            )?;
            Ok(Ok(()))
        })?
    }

    fn redeem(&self, redemption: &Redemption<'_>) -> Result<Option<TokenRecord>, TokenStoreError> {
        let named = params![
            redemption.now_ms,
            redemption.hash.as_slice(),
            redemption.audience,
            redemption.challenge.as_ref().map(<[u8; 32]>::as_slice)
        ];
        let redeemable = self
            .connection()
            .prepare_cached(REDEEMABLE)
            .and_then(|mut asked| asked.exists(named))
            .map_err(TokenStoreError::failed)?;
        if !redeemable {
            return Ok(None);
        }
        self.write(|tx| {
            tx.query_row(REDEEM, named, |row| {
                Ok(TokenRecord {
                    hash: redemption.hash,
                    subject: row.get(0)?,
                    audience: redemption.audience.to_owned(),
                    challenge: redemption.challenge,
                    issued_ms: row.get(1)?,
                    expires_ms: row.get(2)?,
                })
            })
            .optional()
        })
    }

    fn observe(&self, now_ms: i64) -> Result<i64, TokenStoreError> {
        let latest = latest(&self.connection()).map_err(TokenStoreError::failed)?;
        match (Clock::advance(latest, now_ms), latest) {
            (Clock::Behind(time), _) => return Ok(time),
            (Clock::Ahead(time), Some(latest)) if time.saturating_sub(latest) < CLOCK_STEP_MS => {
                return Ok(time);
            }
            _ => {}
        }
        // Again, now that nobody else writes.
        self.write(|tx| {
            let time = match Clock::advance(self::latest(tx)?, now_ms) {
                Clock::Behind(time) => return Ok(time),
                Clock::Ahead(time) => time,
                Clock::SetBack(time) => {
                    tracing::warn!("the clock was set back; unused login tokens are void");
                    tx.execute("DELETE FROM login_tokens", [])?;
                    time
                }
            };
            tx.execute(
                "INSERT INTO login_clock (id, latest_ms) VALUES (0, ?1)
                 ON CONFLICT (id) DO UPDATE SET latest_ms = excluded.latest_ms",
                params![time],
            )?;
            Ok(time)
        })
    }

    fn purge(&self, now_ms: i64) -> Result<usize, TokenStoreError> {
        self.connection()
            .execute("DELETE FROM login_tokens WHERE expires_ms < ?1", params![now_ms])
            .map_err(TokenStoreError::failed)
    }
}

fn latest(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(LATEST)?
        .query_row([], |row| row.get(0))
        .optional()
}

#[cfg(unix)]
fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> std::io::Result<()> {
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map(drop)
}

#[cfg(test)]
mod tests;
