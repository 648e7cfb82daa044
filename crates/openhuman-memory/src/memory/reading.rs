//! What a memory tells without searching: its documents and their text, what it holds, whether it is whole.

use std::ops::{Range, RangeInclusive};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::Memory;
use crate::check;
use crate::document::{DocumentInfo, Stats};
use crate::error::MemoryError;

impl Memory {
    /// Reads the whole memory and checks that documents, words and vectors belong together. Returns the number of
    /// chunks.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Damaged`] says what does not fit.
    pub fn check(&self) -> Result<usize, MemoryError> {
        self.inner
            .database
            .read(|connection| check::run(connection, self.active().space.dimensions))
    }

    /// The text around a chunk: the chunk itself, `before` chunks before it and `after` chunks after it, without
    /// repetitions. `None` when the chunk is gone.
    pub fn passage(
        &self,
        chunk_id: i64,
        before: usize,
        after: usize,
    ) -> Result<Option<Passage>, MemoryError> {
        self.inner.database.read(|connection| {
            let place: Option<(String, usize)> = connection
                .prepare_cached("SELECT document_id, ordinal FROM chunks WHERE id = ?1")?
                .query_row([chunk_id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((document_id, ordinal)) = place else {
                return Ok(None);
            };
            joined(
                connection,
                &document_id,
                ordinal.saturating_sub(before)..=ordinal.saturating_add(after),
            )
        })
    }

    /// The text of a document as it was ingested; `None` when there is no such document.
    pub fn text(&self, document_id: &str) -> Result<Option<String>, MemoryError> {
        self.inner.database.read(|connection| {
            let known: bool = connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM documents WHERE id = ?1)")?
                .query_row([document_id], |row| row.get(0))?;
            if !known {
                return Ok(None);
            }
            let passage = joined(connection, document_id, 0..=usize::MAX)?;
            Ok(Some(passage.map(|passage| passage.text).unwrap_or_default()))
        })
    }

    /// All documents, or those of one namespace, by namespace and key.
    pub fn documents(&self, namespace: Option<&str>) -> Result<Vec<DocumentInfo>, MemoryError> {
        self.inner.database.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT d.id, n.name, d.key, d.title, d.source, d.created_ms, d.updated_ms, d.bytes,
                        (SELECT count(*) FROM chunks c WHERE c.document_id = d.id)
                 FROM documents d JOIN namespaces n ON n.id = d.namespace_id
                 WHERE ?1 IS NULL OR n.name = ?1
                 ORDER BY n.name, d.key",
            )?;
            let documents = statement.query_map([namespace], |row| {
                Ok(DocumentInfo {
                    id: row.get(0)?,
                    namespace: row.get(1)?,
                    key: row.get(2)?,
                    title: row.get(3)?,
                    source: row.get(4)?,
                    created_ms: row.get(5)?,
                    updated_ms: row.get(6)?,
                    bytes: row.get(7)?,
                    chunks: row.get(8)?,
                })
            })?;
            Ok(documents.collect::<Result<_, _>>()?)
        })
    }

    /// Counts what is stored.
    pub fn stats(&self) -> Result<Stats, MemoryError> {
        let mut stats = self.inner.database.read(|connection| {
            let sql = "SELECT (SELECT count(*) FROM namespaces), (SELECT count(*) FROM documents),
                              (SELECT count(*) FROM chunks), (SELECT count(*) FROM vectors WHERE length(code) > 0),
                              (SELECT coalesce(sum(tokens), 0) FROM chunks), (SELECT count(*) FROM sessions)";
            let stats = connection.prepare_cached(sql)?.query_row([], |row| {
                Ok(Stats {
                    namespaces: row.get(0)?,
                    documents: row.get(1)?,
                    chunks: row.get(2)?,
                    vectors: row.get(3)?,
                    tokens: row.get(4)?,
                    sessions: row.get(5)?,
                    database_bytes: 0,
                })
            })?;
            Ok(stats)
        })?;
        stats.database_bytes = self.inner.database.size()?;
        Ok(stats)
    }

    /// Writes the database to `path` as a plain SQLite file that anyone can read. The sessions are not part of it.
    pub fn export_plain(&self, path: &Path) -> Result<(), MemoryError> {
        self.inner
            .database
            .read(|connection| Ok(openhuman_sqlite::export_plain(connection, path)?))
    }
}

/// A stretch of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passage {
    /// The document it belongs to.
    pub document_id: String,
    /// The text.
    pub text: String,
    /// The bytes of the document that the text covers.
    pub range: Range<usize>,
}

/// Joins chunks of a document by what each of them adds.
fn joined(
    connection: &Connection,
    document_id: &str,
    ordinals: RangeInclusive<usize>,
) -> Result<Option<Passage>, MemoryError> {
    let mut statement = connection.prepare_cached(
        "SELECT text, first, fresh, last FROM chunks
         WHERE document_id = ?1 AND ordinal BETWEEN ?2 AND ?3 ORDER BY ordinal",
    )?;
    let end = i64::try_from(*ordinals.end()).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![document_id, ordinals.start(), end])?;
    let mut passage: Option<Passage> = None;
    while let Some(row) = rows.next()? {
        let (text, first, fresh): (String, usize, usize) = (row.get(0)?, row.get(1)?, row.get(2)?);
        match &mut passage {
            None => {
                let range = first..row.get(3)?;
                passage = Some(Passage {
                    document_id: document_id.to_owned(),
                    text,
                    range,
                });
            }
            Some(passage) => {
                let added = fresh
                    .checked_sub(first)
                    .and_then(|from| text.get(from..))
                    .ok_or_else(|| MemoryError::Damaged {
                        what: format!("a chunk of document {document_id} with a wrong range"),
                    })?;
                passage.text.push_str(added);
                passage.range.end = row.get(3)?;
            }
        }
    }
    Ok(passage)
}
