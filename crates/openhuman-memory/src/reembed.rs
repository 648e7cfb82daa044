//! From the vectors of one space to those of another, batch by batch.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use crate::database::{Database, MAX_DIMENSIONS, space_of};
use crate::embed::{self, Embedder, Space};
use crate::error::MemoryError;
use crate::vectors::{Code, segments};

/// Chunks embedded and committed at a time.
const BATCH: usize = 128;

/// How far a re-embedding has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// Chunks with a vector in the new space.
    pub done: u64,
    /// All chunks.
    pub total: u64,
}

/// How a re-embedding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Reembedded {
    /// The memory is in the new space.
    Complete,
    /// It was stopped; the memory is in the old space, and the job can go on later.
    Stopped,
}

/// Runs the job. `switched` is called after the commit that replaces the vectors, before the next writer may start.
pub(crate) fn run(
    database: &Database,
    embedder: &dyn Embedder,
    space: &Space,
    progress: &mut dyn FnMut(Progress) -> bool,
    switched: impl Fn(),
) -> Result<Reembedded, MemoryError> {
    if !(1..=MAX_DIMENSIONS).contains(&space.dimensions) {
        return Err(MemoryError::UnusableSpace {
            given: space.clone(),
            limit: MAX_DIMENSIONS,
        });
    }
    database.write(|transaction| begin(transaction, space), |()| ())?;
    loop {
        let texts = database.read(|connection| missing(connection))?;
        if texts.is_empty() {
            let complete = database.write(
                |transaction| switch(transaction, space),
                |done| {
                    if *done {
                        switched();
                    }
                },
            )?;
            if complete {
                return Ok(Reembedded::Complete);
            }
            continue;
        }
        let words: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
        let vectors = embed::checked(embedder, space.dimensions, &words)?;
        let now = database.write(
            |transaction| {
                // A chunk that was removed meanwhile needs no vector.
                let mut insert = transaction.prepare_cached(
                    "INSERT OR REPLACE INTO next_vectors (chunk_id, code)
                     SELECT id, ?2 FROM chunks WHERE id = ?1",
                )?;
                for ((id, _), vector) in texts.iter().zip(&vectors) {
                    insert.execute(params![id, Code::to_blob(Code::new(vector).as_ref())])?;
                }
                Ok(transaction.query_row(
                    "SELECT (SELECT count(*) FROM next_vectors), (SELECT count(*) FROM places)",
                    [],
                    |row| {
                        Ok(Progress {
                            done: row.get(0)?,
                            total: row.get(1)?,
                        })
                    },
                )?)
            },
            |_| (),
        )?;
        if !progress(now) {
            return Ok(Reembedded::Stopped);
        }
    }
}

/// Goes on with a job for the same space; what an earlier one for another space has left is removed.
fn begin(connection: &Connection, space: &Space) -> Result<(), MemoryError> {
    let next = connection
        .query_row(
            "SELECT provider, model, dimensions, version FROM next_store",
            [],
            space_of,
        )
        .optional()?;
    if next.as_ref() != Some(space) {
        connection.execute("DELETE FROM next_vectors", [])?;
        connection.execute(
            "REPLACE INTO next_store (id, provider, model, dimensions, version) VALUES (1, ?1, ?2, ?3, ?4)",
            params![space.provider, space.model, space.dimensions, space.version],
        )?;
    }
    Ok(())
}

/// The next chunks without a vector in the new space.
fn missing(connection: &Connection) -> Result<Vec<(i64, String)>, MemoryError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, text FROM chunks WHERE id NOT IN (SELECT chunk_id FROM next_vectors) ORDER BY id LIMIT ?1",
    )?;
    let rows = statement.query_map([BATCH], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Puts the new vectors in the place of the old ones, if no chunk has come in meanwhile.
fn switch(connection: &Connection, space: &Space) -> Result<bool, MemoryError> {
    let late: bool = connection.query_row(
        "SELECT EXISTS (SELECT id FROM chunks EXCEPT SELECT chunk_id FROM next_vectors)",
        [],
        |row| row.get(0),
    )?;
    if late {
        return Ok(false);
    }
    connection.execute_batch(
        "DELETE FROM vectors; DELETE FROM segments; DELETE FROM vector_mean; DELETE FROM parked;
         INSERT INTO vectors (chunk_id, code) SELECT chunk_id, code FROM next_vectors ORDER BY chunk_id;
         DELETE FROM next_vectors; DELETE FROM next_store;",
    )?;
    connection.execute(
        "REPLACE INTO store (id, provider, model, dimensions, version) VALUES (1, ?1, ?2, ?3, ?4)",
        params![space.provider, space.model, space.dimensions, space.version],
    )?;
    segments::restart(connection, space.dimensions, segments::EXACT_LIMIT)?;
    Ok(true)
}
