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
mod tests {
    use std::sync::Barrier;

    use super::super::{LoginTokens, contract};
    use super::*;
    use crate::Key;

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
                let won = |token: &super::super::LoginToken| {
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

    #[test]
    fn the_latest_time_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.db");
        let key = Key::from_bytes([3; 32]);
        let open = || LoginTokens::new(SqliteTokenStore::open(&path).unwrap(), &key);
        let token = open().issue("ada", "desktop", 0).unwrap();
        let later = open().issue("bob", "desktop", 301_000).unwrap();
        // The clock goes back while the server is down.
        assert!(open().redeem(token.expose(), "desktop", 1_000).is_err());
        assert!(open().redeem(later.expose(), "desktop", 1_000).is_err());
        let fresh = open().issue("ada", "desktop", 1_000).unwrap();
        assert_eq!(open().redeem(fresh.expose(), "desktop", 1_000).unwrap(), "ada");
    }

    #[test]
    fn a_file_without_challenges_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(
            "CREATE TABLE login_tokens (
                hash BLOB NOT NULL PRIMARY KEY, subject TEXT NOT NULL, audience TEXT NOT NULL,
                issued_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, consumed_ms INTEGER
             ) STRICT, WITHOUT ROWID;
             INSERT INTO login_tokens VALUES (zeroblob(32), 'ada', 'desktop', 0, 300000, NULL);",
        )
        .unwrap();
        drop(old);
        let redemption = Redemption {
            hash: [0; 32],
            audience: "desktop",
            challenge: None,
            now_ms: 1,
        };
        for expected in [Some("ada".to_owned()), None] {
            let store = SqliteTokenStore::open(&path).unwrap();
            let redeemed = store.redeem(&redemption).unwrap();
            assert_eq!(redeemed.map(|record| record.subject), expected);
        }
    }
}
