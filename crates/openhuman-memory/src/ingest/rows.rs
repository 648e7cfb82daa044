//! The rows of a document, the names of documents, and what is done to many of them at a time.

use std::borrow::Cow;
use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sha2::{Digest, Sha256};

use super::{Hash, Prepared};
use crate::chunk;
use crate::context::without_recalled;
use crate::database::Database;
use crate::document::Document;
use crate::embed;
use crate::error::MemoryError;
use crate::vectors::{Change, VectorCache, segments};

/// Writes the row of a document and returns the number of its namespace.
pub(super) fn put_document(
    transaction: &Transaction<'_>,
    document: &Document,
    id: &str,
    digest: &Hash,
    now_ms: i64,
) -> Result<i64, MemoryError> {
    transaction
        .prepare_cached("INSERT INTO namespaces (name) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([&document.namespace])?;
    let namespace_id: i64 = transaction
        .prepare_cached("SELECT id FROM namespaces WHERE name = ?1")?
        .query_row([&document.namespace], |row| row.get(0))?;
    transaction
        .prepare_cached(
            "INSERT INTO documents
                 (id, namespace_id, key, title, source, created_ms, updated_ms, bytes, digest)
             VALUES (?1, ?2, ?3, ?4, ?5, coalesce(?6, ?7), ?7, ?8, ?9)
             ON CONFLICT (id) DO UPDATE SET
                 title = excluded.title, source = excluded.source,
                 created_ms = coalesce(?6, created_ms), updated_ms = excluded.updated_ms,
                 bytes = excluded.bytes, digest = excluded.digest",
        )?
        .execute(params![
            id,
            namespace_id,
            document.key,
            document.title,
            document.source,
            document.created_ms,
            now_ms,
            document.text.len(),
            digest
        ])?;
    Ok(namespace_id)
}

/// Removes a document with everything derived from it. Returns whether it was there.
pub(crate) fn forget(database: &Database, vectors: &VectorCache, id: &str) -> Result<bool, MemoryError> {
    let change = database.write(
        |transaction| {
            let namespace_id: Option<i64> = transaction
                .query_row("SELECT namespace_id FROM documents WHERE id = ?1", [id], |row| {
                    row.get(0)
                })
                .optional()?;
            let Some(namespace_id) = namespace_id else {
                return Ok(None);
            };
            let removed: Vec<i64> = transaction
                .prepare_cached("SELECT id FROM chunks WHERE document_id = ?1")?
                .query_map([id], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let dimensions = transaction.query_row("SELECT dimensions FROM store", [], |row| row.get(0))?;
            remove_chunks(transaction, dimensions, &removed)?;
            transaction.execute("DELETE FROM documents WHERE id = ?1", [id])?;
            transaction.execute(
                "DELETE FROM namespaces WHERE id = ?1
                 AND NOT EXISTS (SELECT 1 FROM documents WHERE namespace_id = ?1)",
                [namespace_id],
            )?;
            Ok(Some(Change {
                removed,
                ..Change::default()
            }))
        },
        |change| {
            if let Some(change) = change {
                vectors.apply(std::slice::from_ref(change));
            }
        },
    )?;
    Ok(change.is_some())
}

pub(super) fn remove_chunks(
    connection: &Connection,
    dimensions: usize,
    ids: &[i64],
) -> Result<(), MemoryError> {
    if ids.is_empty() {
        return Ok(());
    }
    for table in ["vectors", "places", "next_vectors"] {
        let mut statement = connection.prepare_cached(&format!("DELETE FROM {table} WHERE chunk_id = ?1"))?;
        for id in ids {
            statement.execute([id])?;
        }
    }
    let mut chunk = connection.prepare_cached("DELETE FROM chunks WHERE id = ?1")?;
    for id in ids {
        chunk.execute([id])?;
    }
    segments::remove(connection, dimensions, ids)
}

/// Bytes of text from which on several threads cut them.
const MUCH_TEXT: usize = 1 << 16;

/// Cuts the documents that are new or changed.
pub(super) fn split_new(prepared: &mut [Prepared<'_>]) {
    let texts: Vec<&str> = prepared
        .iter()
        .filter(|document| document.whole)
        .map(|document| document.document.text.as_str())
        .collect();
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let least = if bytes < MUCH_TEXT { usize::MAX } else { 2 };
    let chunks = embed::in_parallel(&texts, least, |text| chunk::split(text));
    let documents = prepared.iter_mut().filter(|document| document.whole);
    for (document, chunks) in documents.zip(chunks) {
        document.report.chunks = chunks.len();
        document.chunks = Some(chunks);
    }
}

/// A document without what was recalled into it; conversations do that for each turn.
pub(super) fn remembered(document: Cow<'_, Document>) -> Cow<'_, Document> {
    match without_recalled(&document.text) {
        Cow::Borrowed(_) => document,
        Cow::Owned(text) => Cow::Owned(Document {
            text,
            ..document.into_owned()
        }),
    }
}

/// Lets go of the parked vectors of documents that are stored now.
pub(super) fn unpark(connection: &Connection, prepared: &[Prepared<'_>]) -> Result<(), MemoryError> {
    let parked: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM parked)")?
        .query_row([], |row| row.get(0))?;
    if parked {
        let mut statement = connection.prepare_cached("DELETE FROM parked WHERE hash = ?1")?;
        for chunk in prepared
            .iter()
            .flat_map(|document| document.chunks.iter().flatten())
        {
            statement.execute([chunk.hash])?;
        }
    }
    Ok(())
}

/// The chunks of the earlier text by their hash, as identifier and context, the first one last.
pub(super) fn old_chunks(
    transaction: &Transaction<'_>,
    id: &str,
) -> Result<HashMap<Hash, Vec<(i64, String)>>, MemoryError> {
    let mut old: HashMap<Hash, Vec<(i64, String)>> = HashMap::new();
    let mut statement = transaction.prepare_cached(
        "SELECT hash, id, context FROM chunks WHERE document_id = ?1 ORDER BY ordinal DESC",
    )?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        old.entry(row.get(0)?)
            .or_default()
            .push((row.get(1)?, row.get(2)?));
    }
    Ok(old)
}

/// Names a document by its namespace and key.
pub(crate) fn document_id(namespace: &str, key: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update((namespace.len() as u64).to_le_bytes());
    hasher.update(namespace);
    hasher.update(key);
    hex(&hasher.finalize()[..16])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Tells whether a document would be stored as it is already.
pub(super) fn digest(document: &Document, by_turn: bool) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([chunk::VERSION]);
    if by_turn {
        hasher.update(b"turns");
    }
    for field in [&document.title, &document.source, &document.text] {
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    if let Some(created_ms) = document.created_ms {
        hasher.update(created_ms.to_le_bytes());
    }
    hasher.finalize().into()
}

/// The words around a chunk that are searched together with it.
pub(super) fn context(title: &str, day: Option<&str>, heading: &[String]) -> String {
    let mut parts = vec![title, day.unwrap_or_default()];
    parts.extend(heading.iter().map(String::as_str));
    parts.retain(|part| !part.is_empty());
    parts.join(" > ")
}

pub(super) fn heading_json(heading: &[String]) -> Result<String, MemoryError> {
    serde_json::to_string(heading).map_err(|error| MemoryError::Damaged {
        what: error.to_string(),
    })
}
