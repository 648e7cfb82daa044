//! The sealed database: its schema, one writer and a few readers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use openhuman_sqlite::{Anchor, Options};
use openhuman_vault::Key;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::embed::Space;
use crate::error::MemoryError;
use crate::vectors::{document_handle, segments};
use crate::{shape, terms};

/// The file inside the memory's directory.
pub(crate) const FILE_NAME: &str = "memory.db";

/// The format of the tables below, kept in `PRAGMA user_version`.
const FORMAT: u32 = 2;

/// The most dimensions of a vector.
pub(crate) const MAX_DIMENSIONS: usize = 4096;

/// Searches that can run at the same time; more of them wait for a free connection.
const READERS: usize = 3;

/// Pages kept decrypted by a connection, at most, as SQLite wants it: minus so many KiB. With SQLite's own 2 MiB a large
/// memory decrypts the upper pages of its trees in every search, and merges of the index of words read what was just
/// written.
const READER_CACHE: i64 = -8_192;
const WRITER_CACHE: i64 = -16_384;

/// The space of the vectors, for [`space_of`].
pub(crate) const STORED_SPACE: &str = "SELECT provider, model, dimensions, version FROM store";

/// What a reading connection sees of the index of words: each occurrence, and how many chunks hold a word.
const WORD_LISTS: &str = "
    CREATE VIRTUAL TABLE temp.occurrences USING fts5vocab ('main', 'chunks_fts', 'instance');
    CREATE VIRTUAL TABLE temp.word_counts USING fts5vocab ('main', 'chunks_fts', 'row');
";

const SCHEMA: &str = "
    CREATE TABLE store (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        provider TEXT NOT NULL, model TEXT NOT NULL, dimensions INTEGER NOT NULL, version INTEGER NOT NULL
    );
    CREATE TABLE namespaces (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE documents (
        id TEXT PRIMARY KEY,
        namespace_id INTEGER NOT NULL REFERENCES namespaces (id),
        key TEXT NOT NULL, title TEXT NOT NULL, source TEXT NOT NULL,
        created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
        bytes INTEGER NOT NULL, digest BLOB NOT NULL,
        UNIQUE (namespace_id, key)
    );
    CREATE TABLE chunks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        document_id TEXT NOT NULL REFERENCES documents (id),
        ordinal INTEGER NOT NULL,
        first INTEGER NOT NULL, fresh INTEGER NOT NULL, last INTEGER NOT NULL,
        tokens INTEGER NOT NULL, heading TEXT NOT NULL, hash BLOB NOT NULL,
        context TEXT NOT NULL, text TEXT NOT NULL
    );
    CREATE INDEX chunks_by_document ON chunks (document_id, ordinal);
    CREATE TABLE sessions (id TEXT PRIMARY KEY, created_ms INTEGER NOT NULL);
";

/// `chunks_fts` holds the words of the chunks as [`terms::indexed`] makes them, and no copy of the text. The triggers
/// keep it in step inside the same transaction, and its `secure-delete` option takes the words of a deleted chunk out
/// of the index at once.
const TEXT_SCHEMA: &str = "
    CREATE VIRTUAL TABLE chunks_fts USING fts5 (text, context, content = '', tokenize = 'ascii');
    INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('secure-delete', 1);
    CREATE TRIGGER chunk_added AFTER INSERT ON chunks BEGIN
        INSERT INTO chunks_fts (rowid, text, context)
        VALUES (new.id, indexed_words(new.text), indexed_words(new.context));
    END;
    CREATE TRIGGER chunk_removed AFTER DELETE ON chunks BEGIN
        INSERT INTO chunks_fts (chunks_fts, rowid, text, context)
        VALUES ('delete', old.id, indexed_words(old.text), indexed_words(old.context));
    END;
    CREATE TRIGGER chunk_changed AFTER UPDATE OF text, context ON chunks BEGIN
        INSERT INTO chunks_fts (chunks_fts, rowid, text, context)
        VALUES ('delete', old.id, indexed_words(old.text), indexed_words(old.context));
        INSERT INTO chunks_fts (rowid, text, context)
        VALUES (new.id, indexed_words(new.text), indexed_words(new.context));
    END;
";

/// Vectors of chunks whose document could not be stored yet, by the hash of their text, and vectors of another space
/// on the way there.
const WAITING_SCHEMA: &str = "
    CREATE TABLE parked (hash BLOB PRIMARY KEY, code BLOB NOT NULL);
    CREATE TABLE next_store (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        provider TEXT NOT NULL, model TEXT NOT NULL, dimensions INTEGER NOT NULL, version INTEGER NOT NULL
    );
    CREATE TABLE next_vectors (chunk_id INTEGER PRIMARY KEY, code BLOB NOT NULL);
";

/// From format 1, which kept the vectors by namespace and left the words to FTS5's own tokenizer.
const FROM_FORMAT_1: &str = "
    DROP TRIGGER chunk_added; DROP TRIGGER chunk_removed; DROP TRIGGER chunk_changed;
    DROP TABLE chunks_fts;
    ALTER TABLE vectors RENAME TO old_vectors;
";

const FILL_FROM_FORMAT_1: &str = "
    INSERT INTO vectors (chunk_id, code) SELECT chunk_id, code FROM old_vectors ORDER BY chunk_id;
    DROP TABLE old_vectors;
    INSERT INTO places (chunk_id, namespace_id, document, ordinal, tokens, shape)
        SELECT c.id, d.namespace_id, document_handle(d.id), c.ordinal, min(c.tokens, 65535), text_shape(c.text)
        FROM chunks c JOIN documents d ON d.id = c.document_id ORDER BY c.id;
    INSERT INTO chunks_fts (rowid, text, context)
        SELECT id, indexed_words(text), indexed_words(context) FROM chunks ORDER BY id;
";

/// One connection writes, behind a mutex; up to [`READERS`] others read, each from its own snapshot, and do not
/// wait for the writer.
pub(crate) struct Database {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    reader_returned: Condvar,
}

impl Database {
    /// Opens or creates the database in an existing directory, for vectors of one space.
    pub(crate) fn open(
        dir: &Path,
        key: &Key,
        space: &Space,
        anchor: Option<Arc<dyn Anchor>>,
    ) -> Result<Self, MemoryError> {
        if !(1..=MAX_DIMENSIONS).contains(&space.dimensions) {
            return Err(MemoryError::UnusableSpace {
                given: space.clone(),
                limit: MAX_DIMENSIONS,
            });
        }
        let path = dir.join(FILE_NAME);
        let options = Options {
            anchor,
            ..Options::default()
        };
        let mut writer = connect(&path, key, &options)?;
        writer.pragma_update(None, "cache_size", WRITER_CACHE)?;
        prepare(&mut writer, space).map_err(|error| diagnosed(&writer, error))?;
        let readers = (0..READERS)
            .map(|_| {
                let reader = connect(&path, key, &options)?;
                reader.pragma_update(None, "cache_size", READER_CACHE)?;
                reader.execute_batch(WORD_LISTS)?;
                Ok(reader)
            })
            .collect::<Result<_, MemoryError>>()?;
        Ok(Self {
            path,
            writer: Mutex::new(writer),
            readers: Mutex::new(readers),
            reader_returned: Condvar::new(),
        })
    }

    /// The space of the vectors in a directory, if there is a database with tables.
    pub(crate) fn stored_space(
        dir: &Path,
        key: &Key,
        anchor: Option<Arc<dyn Anchor>>,
    ) -> Result<Option<Space>, MemoryError> {
        let path = dir.join(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        let options = Options {
            anchor,
            ..Options::default()
        };
        let connection = connect(&path, key, &options)?;
        let format: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if format == 0 {
            return Ok(None);
        }
        Ok(connection.query_row(STORED_SPACE, [], space_of).optional()?)
    }

    /// Lends out a reading connection, outside any transaction.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, MemoryError>,
    ) -> Result<T, MemoryError> {
        let mut reader = Reader::take(self);
        match &mut reader.connection {
            Some(connection) => read(connection).map_err(|error| diagnosed(connection, error)),
            None => Err(MemoryError::Damaged {
                what: "no reading connection".to_owned(),
            }),
        }
    }

    /// Runs a transaction, commits it, and calls `committed` before the next writer may start.
    pub(crate) fn write<T>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, MemoryError>,
        committed: impl FnOnce(&T),
    ) -> Result<T, MemoryError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let written = in_transaction(&mut writer, write);
        let result = written.map_err(|error| diagnosed(&writer, error))?;
        committed(&result);
        Ok(result)
    }

    /// The bytes of the database file.
    pub(crate) fn size(&self) -> Result<u64, MemoryError> {
        let metadata = fs::metadata(&self.path);
        Ok(metadata
            .map_err(|source| MemoryError::Io {
                path: self.path.clone(),
                source,
            })?
            .len())
    }
}

fn in_transaction<T>(
    writer: &mut Connection,
    write: impl FnOnce(&Transaction<'_>) -> Result<T, MemoryError>,
) -> Result<T, MemoryError> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let result = write(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

/// Names the damaged page or log frame where SQLite only reports a failed read.
fn diagnosed(connection: &Connection, error: MemoryError) -> MemoryError {
    match error {
        MemoryError::Database(openhuman_sqlite::Error::Sqlite(error)) => {
            openhuman_sqlite::diagnose(connection, error).into()
        }
        other => other,
    }
}

/// A borrowed connection that goes back to the pool, also when its user panics.
struct Reader<'a> {
    database: &'a Database,
    connection: Option<Connection>,
}

impl<'a> Reader<'a> {
    fn take(database: &'a Database) -> Self {
        let idle = |pool: &mut Vec<Connection>| pool.is_empty();
        let pool: MutexGuard<'_, _> = database.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pool = database
            .reader_returned
            .wait_while(pool, idle)
            .unwrap_or_else(PoisonError::into_inner);
        let connection = pool.pop();
        Self { database, connection }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.database
                .readers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            self.database.reader_returned.notify_one();
        }
    }
}

/// The only place that knows how a sealed database is opened.
fn connect(path: &Path, key: &Key, options: &Options) -> Result<Connection, MemoryError> {
    let connection = openhuman_sqlite::open(path, key, options)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection
        .execute_batch("PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;")?;
    add_functions(&connection)?;
    Ok(connection)
}

/// The functions that triggers and the change of formats call. They only compute.
fn add_functions(connection: &Connection) -> Result<(), MemoryError> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    let text = |context: &rusqlite::functions::Context<'_>| -> rusqlite::Result<String> { context.get(0) };
    connection.create_scalar_function("indexed_words", 1, flags, move |context| {
        Ok(terms::indexed(&text(context)?))
    })?;
    connection.create_scalar_function("text_shape", 1, flags, move |context| {
        Ok(shape::of(&text(context)?))
    })?;
    connection.create_scalar_function("document_handle", 1, flags, move |context| {
        Ok(document_handle(&text(context)?))
    })?;
    Ok(())
}

/// Creates the tables, or checks that they are the ones this program and this embedder can use.
fn prepare(connection: &mut Connection, space: &Space) -> Result<(), MemoryError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match found {
        0 => {
            for tables in [SCHEMA, segments::SCHEMA, TEXT_SCHEMA, WAITING_SCHEMA] {
                transaction.execute_batch(tables)?;
            }
            transaction.pragma_update(None, "user_version", FORMAT)?;
        }
        1 => {
            for change in [
                FROM_FORMAT_1,
                segments::SCHEMA,
                TEXT_SCHEMA,
                WAITING_SCHEMA,
                FILL_FROM_FORMAT_1,
            ] {
                transaction.execute_batch(change)?;
            }
            transaction.pragma_update(None, "user_version", FORMAT)?;
        }
        FORMAT => {}
        _ => return Err(MemoryError::UnknownFormat { found, known: FORMAT }),
    }
    let stored = transaction.query_row(STORED_SPACE, [], space_of);
    match stored.optional()? {
        Some(stored) if stored == *space => {}
        Some(stored)
            if transaction.query_row("SELECT EXISTS (SELECT 1 FROM chunks)", [], |row| row.get(0))? =>
        {
            return Err(MemoryError::SpaceMismatch {
                stored: Box::new(stored),
                given: Box::new(space.clone()),
            });
        }
        _ => {
            transaction.execute(
                "REPLACE INTO store (id, provider, model, dimensions, version) VALUES (1, ?1, ?2, ?3, ?4)",
                params![space.provider, space.model, space.dimensions, space.version],
            )?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// A space from the columns provider, model, dimensions and version.
pub(crate) fn space_of(row: &Row<'_>) -> rusqlite::Result<Space> {
    Ok(Space {
        provider: row.get(0)?,
        model: row.get(1)?,
        dimensions: row.get(2)?,
        version: row.get(3)?,
    })
}
