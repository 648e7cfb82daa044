//! Login tokens in SQLite.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openhuman_vault::tokens::{MAX_OUTSTANDING, TokenRecord, TokenStore, TokenStoreError};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS login_tokens (
        hash        BLOB    NOT NULL PRIMARY KEY,
        subject     TEXT    NOT NULL,
        audience    TEXT    NOT NULL,
        issued_ms   INTEGER NOT NULL,
        expires_ms  INTEGER NOT NULL,
        consumed_ms INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS login_tokens_subject ON login_tokens (subject, expires_ms);
";

const REDEEM: &str = "
    UPDATE login_tokens SET consumed_ms = ?1
    WHERE hash = ?2 AND audience = ?3 AND consumed_ms IS NULL AND expires_ms >= ?1
    RETURNING subject, issued_ms, expires_ms
";

/// How long a connection waits for another process that writes.
const BUSY: Duration = Duration::from_secs(10);

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
pub enum StoreError {
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
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        create_private(path).map_err(|source| StoreError::Create {
            path: path.into(),
            source,
        })?;
        Connection::open(path)
            .and_then(Self::prepare)
            .map_err(|source| StoreError::Open {
                path: path.into(),
                source,
            })
    }

    /// A store that ends with the process.
    ///
    /// # Errors
    ///
    /// When SQLite has no memory for it.
    pub fn in_memory() -> Result<Self, StoreError> {
        Connection::open_in_memory()
            .and_then(Self::prepare)
            .map_err(|source| StoreError::Open {
                path: ":memory:".into(),
                source,
            })
    }

    fn prepare(connection: Connection) -> rusqlite::Result<Self> {
        connection.busy_timeout(BUSY)?;
        // `journal_mode` answers with a row; a database in memory has a mode of its own.
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A transaction that was interrupted by a panic is rolled back when it is dropped.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for SqliteTokenStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SqliteTokenStore(..)")
    }
}

impl TokenStore for SqliteTokenStore {
    fn insert(&self, record: &TokenRecord) -> Result<(), TokenStoreError> {
        let mut connection = self.connection();
        let tx = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(TokenStoreError::failed)?;
        let outstanding: i64 = tx
            .query_row(
                "SELECT count(*) FROM login_tokens
                 WHERE subject = ?1 AND consumed_ms IS NULL AND expires_ms >= ?2",
                params![record.subject, record.issued_ms],
                |row| row.get(0),
            )
            .map_err(TokenStoreError::failed)?;
        if usize::try_from(outstanding).is_ok_and(|count| count >= MAX_OUTSTANDING) {
            return Err(TokenStoreError::TooManyOutstanding {
                subject: record.subject.clone(),
            });
        }
        tx.execute(
            "INSERT INTO login_tokens (hash, subject, audience, issued_ms, expires_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                record.hash.as_slice(),
                record.subject,
                record.audience,
                record.issued_ms,
                record.expires_ms
            ],
        )
        .map_err(TokenStoreError::failed)?;
        tx.commit().map_err(TokenStoreError::failed)
    }

    fn redeem(
        &self,
        hash: &[u8; 32],
        audience: &str,
        now_ms: i64,
    ) -> Result<Option<TokenRecord>, TokenStoreError> {
        let mut connection = self.connection();
        let tx = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(TokenStoreError::failed)?;
        let record = tx
            .query_row(REDEEM, params![now_ms, hash.as_slice(), audience], |row| {
                Ok(TokenRecord {
                    hash: *hash,
                    subject: row.get(0)?,
                    audience: audience.to_owned(),
                    issued_ms: row.get(1)?,
                    expires_ms: row.get(2)?,
                })
            })
            .optional()
            .map_err(TokenStoreError::failed)?;
        tx.commit().map_err(TokenStoreError::failed)?;
        Ok(record)
    }

    fn purge(&self, now_ms: i64) -> Result<usize, TokenStoreError> {
        self.connection()
            .execute("DELETE FROM login_tokens WHERE expires_ms < ?1", params![now_ms])
            .map_err(TokenStoreError::failed)
    }
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
mod tests {
    use std::sync::Barrier;

    use openhuman_vault::Key;
    use openhuman_vault::tokens::{LoginTokens, contract};

    use super::*;

    #[test]
    fn both_kinds_of_store_keep_the_contract() {
        contract::check(&SqliteTokenStore::in_memory().unwrap());
        let folder = tempfile::tempdir().unwrap();
        contract::check(&SqliteTokenStore::open(folder.path().join("tokens.db")).unwrap());
    }

    /// Sixteen threads, each with a connection of its own as sixteen processes would have, race for every
    /// token.
    #[test]
    fn sixteen_connections_and_each_token_has_exactly_one_winner() {
        const THREADS: usize = 16;
        const TOKENS: usize = 50;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.db");
        let key = Key::from_bytes([3; 32]);
        let issuer = LoginTokens::new(SqliteTokenStore::open(&path).unwrap(), &key);
        let tokens: Vec<_> = (0..TOKENS)
            .map(|n| issuer.issue(&format!("user {n}"), "desktop", 0).unwrap())
            .collect();
        let start = Barrier::new(THREADS);
        let wins: Vec<Vec<usize>> = std::thread::scope(|scope| {
            let race = || {
                let racer = LoginTokens::new(SqliteTokenStore::open(&path).unwrap(), &key);
                start.wait();
                let won = |token: &openhuman_vault::tokens::LoginToken| {
                    usize::from(racer.redeem(token.expose(), "desktop", 1).is_ok())
                };
                tokens.iter().map(won).collect()
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(race)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for token in 0..TOKENS {
            let winners: usize = wins.iter().map(|won| won[token]).sum();
            assert_eq!(winners, 1, "token {token}");
        }
    }

    #[test]
    fn a_used_token_stays_used_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.db");
        let key = Key::from_bytes([3; 32]);
        let first = LoginTokens::new(SqliteTokenStore::open(&path).unwrap(), &key);
        let used = first.issue("ada", "desktop", 0).unwrap();
        let unused = first.issue("ada", "desktop", 0).unwrap();
        first.redeem(used.expose(), "desktop", 1).unwrap();
        drop(first);
        let second = LoginTokens::new(SqliteTokenStore::open(&path).unwrap(), &key);
        assert!(second.redeem(used.expose(), "desktop", 2).is_err());
        assert_eq!(second.redeem(unused.expose(), "desktop", 2).unwrap(), "ada");
        let file = std::fs::read(&path).unwrap();
        for token in [&used, &unused] {
            let secret = &token.expose().as_bytes()[5..];
            assert!(!file.windows(secret.len()).any(|window| window == secret));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }

    #[test]
    fn a_file_that_is_no_database_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(
            &path,
            "these are not the tables you are looking for, and long enough",
        )
        .unwrap();
        let error = SqliteTokenStore::open(&path).unwrap_err().to_string();
        assert!(
            error.contains("notes.txt") && error.contains("check that it is a token store"),
            "{error}"
        );
        let missing = SqliteTokenStore::open(folder.path().join("no/such/folder.db")).unwrap_err();
        assert!(
            missing.to_string().contains("check that its folder exists"),
            "{missing}"
        );
    }
}
