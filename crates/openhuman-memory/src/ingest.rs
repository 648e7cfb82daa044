//! From a document to chunks, vectors and index entries, in one transaction.

use std::collections::{HashMap, HashSet};

use rusqlite::{OptionalExtension, Transaction, params};
use sha2::{Digest, Sha256};

use crate::chunk::{self, Chunk};
use crate::clock::Clock;
use crate::database::Database;
use crate::document::{Document, IngestReport};
use crate::embed::{self, Embedder};
use crate::error::MemoryError;
use crate::vectors::{Code, VectorCache};

/// Texts handed to the embedder at a time.
const BATCH: usize = 128;

type Hash = [u8; 32];

/// What ingesting needs of a memory.
pub(crate) struct Ingest<'a> {
    pub(crate) database: &'a Database,
    pub(crate) vectors: &'a VectorCache,
    pub(crate) embedder: &'a dyn Embedder,
    pub(crate) dimensions: usize,
    pub(crate) clock: &'a dyn Clock,
}

/// What is known about a document before it is ingested again.
struct Stored {
    digest: Hash,
    /// The code of every chunk, by the hash of its text.
    codes: HashMap<Hash, Option<Code>>,
    chunks: usize,
    without_vector: usize,
}

/// What the transaction changed, for the cache of vectors and the report.
struct Change {
    namespace_id: i64,
    added: Vec<(i64, Option<Code>)>,
    removed: Vec<i64>,
}

impl Ingest<'_> {
    pub(crate) fn run(&self, document: &Document) -> Result<IngestReport, MemoryError> {
        document.check()?;
        let id = document_id(&document.namespace, &document.key);
        let digest = digest(document);
        let stored = self.stored(&id)?;
        if let Some(stored) = stored.as_ref().filter(|stored| stored.digest == digest) {
            return Ok(IngestReport {
                document_id: id,
                chunks: stored.chunks,
                embedded: 0,
                reused: stored.chunks,
                removed: 0,
                without_vector: stored.without_vector,
                unchanged: true,
            });
        }
        let chunks = chunk::split(&document.text);
        let mut codes = stored.map(|stored| stored.codes).unwrap_or_default();
        let embedded = self.embed_new(document, &chunks, &mut codes)?;
        let change = self.database.write(
            |transaction| self.store(transaction, document, &id, &digest, &chunks, &codes),
            |change| {
                self.vectors
                    .apply(change.namespace_id, &change.removed, &change.added);
            },
        )?;
        let without_vector = chunks
            .iter()
            .filter(|chunk| matches!(codes.get(&chunk.hash), Some(None)))
            .count();
        Ok(IngestReport {
            document_id: id,
            chunks: chunks.len(),
            embedded,
            reused: chunks.len() - change.added.len(),
            removed: change.removed.len(),
            without_vector,
            unchanged: false,
        })
    }

    fn stored(&self, id: &str) -> Result<Option<Stored>, MemoryError> {
        self.database.read(|connection| {
            let transaction = connection.transaction()?;
            let digest: Option<Hash> = transaction
                .prepare_cached("SELECT digest FROM documents WHERE id = ?1")?
                .query_row([id], |row| row.get(0))
                .optional()?;
            let Some(digest) = digest else { return Ok(None) };
            let mut stored = Stored { digest, codes: HashMap::new(), chunks: 0, without_vector: 0 };
            let mut statement = transaction.prepare_cached(
                "SELECT c.hash, v.code FROM chunks c JOIN vectors v ON v.chunk_id = c.id WHERE c.document_id = ?1",
            )?;
            let mut rows = statement.query([id])?;
            while let Some(row) = rows.next()? {
                let blob = row.get_ref(1)?.as_blob().map_err(|_| MemoryError::Damaged {
                    what: "a vector that is not a blob".to_owned(),
                })?;
                let code = Code::from_blob(blob, self.dimensions)?;
                stored.chunks += 1;
                stored.without_vector += usize::from(code.is_none());
                stored.codes.insert(row.get(0)?, code);
            }
            Ok(Some(stored))
        })
    }

    /// Embeds every text that has no code yet, once, and adds the codes. Returns how many there were.
    fn embed_new(
        &self,
        document: &Document,
        chunks: &[Chunk],
        codes: &mut HashMap<Hash, Option<Code>>,
    ) -> Result<usize, MemoryError> {
        let mut seen: HashSet<Hash> = codes.keys().copied().collect();
        let new: Vec<&Chunk> = chunks.iter().filter(|chunk| seen.insert(chunk.hash)).collect();
        for batch in new.chunks(BATCH) {
            let texts: Vec<&str> = batch
                .iter()
                .map(|chunk| &document.text[chunk.range.clone()])
                .collect();
            let vectors = embed::checked(self.embedder, self.dimensions, &texts)?;
            codes.extend(
                batch
                    .iter()
                    .zip(&vectors)
                    .map(|(chunk, vector)| (chunk.hash, Code::new(vector))),
            );
        }
        Ok(new.len())
    }

    /// Brings the tables to the new text. Chunks whose text is the same keep their row, their vector and their
    /// place in the full-text index.
    fn store(
        &self,
        transaction: &Transaction<'_>,
        document: &Document,
        id: &str,
        digest: &Hash,
        chunks: &[Chunk],
        codes: &HashMap<Hash, Option<Code>>,
    ) -> Result<Change, MemoryError> {
        let namespace_id = self.put_document(transaction, document, id, digest)?;
        let mut old = old_chunks(transaction, id)?;
        let mut change = Change {
            namespace_id,
            added: Vec::new(),
            removed: Vec::new(),
        };
        let mut place = transaction.prepare_cached(
            "UPDATE chunks SET ordinal = ?2, first = ?3, fresh = ?4, last = ?5, heading = ?6 WHERE id = ?1",
        )?;
        let mut rename = transaction.prepare_cached("UPDATE chunks SET context = ?2 WHERE id = ?1")?;
        let mut insert = transaction.prepare_cached(
            "INSERT INTO chunks (document_id, ordinal, first, fresh, last, heading, tokens, hash, context, text)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let mut insert_vector = transaction
            .prepare_cached("INSERT INTO vectors (namespace_id, chunk_id, code) VALUES (?1, ?2, ?3)")?;
        for (ordinal, chunk) in chunks.iter().enumerate() {
            let heading = heading_json(&chunk.heading)?;
            let context = context(&document.title, &chunk.heading);
            let (first, fresh, last) = (chunk.range.start, chunk.fresh().start, chunk.range.end);
            if let Some((chunk_id, old_context)) = old.get_mut(&chunk.hash).and_then(Vec::pop) {
                place.execute(params![chunk_id, ordinal, first, fresh, last, heading])?;
                if old_context != context {
                    rename.execute(params![chunk_id, context])?;
                }
                continue;
            }
            let text = &document.text[chunk.range.clone()];
            insert.execute(params![
                id,
                ordinal,
                first,
                fresh,
                last,
                heading,
                chunk.tokens,
                chunk.hash,
                context,
                text
            ])?;
            let chunk_id = transaction.last_insert_rowid();
            let code = codes.get(&chunk.hash).cloned().flatten();
            insert_vector.execute(params![namespace_id, chunk_id, Code::to_blob(code.as_ref())])?;
            change.added.push((chunk_id, code));
        }
        change.removed = old
            .into_values()
            .flatten()
            .map(|(chunk_id, _)| chunk_id)
            .collect();
        remove_chunks(transaction, namespace_id, &change.removed)?;
        Ok(change)
    }

    fn put_document(
        &self,
        transaction: &Transaction<'_>,
        document: &Document,
        id: &str,
        digest: &Hash,
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
                self.clock.now_ms(),
                document.text.len(),
                digest
            ])?;
        Ok(namespace_id)
    }
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
            remove_chunks(transaction, namespace_id, &removed)?;
            transaction.execute("DELETE FROM documents WHERE id = ?1", [id])?;
            transaction.execute(
                "DELETE FROM namespaces WHERE id = ?1
                 AND NOT EXISTS (SELECT 1 FROM documents WHERE namespace_id = ?1)",
                [namespace_id],
            )?;
            Ok(Some(Change {
                namespace_id,
                added: Vec::new(),
                removed,
            }))
        },
        |change| {
            if let Some(change) = change {
                vectors.apply(change.namespace_id, &change.removed, &change.added);
            }
        },
    )?;
    Ok(change.is_some())
}

fn remove_chunks(transaction: &Transaction<'_>, namespace_id: i64, ids: &[i64]) -> Result<(), MemoryError> {
    let mut vector =
        transaction.prepare_cached("DELETE FROM vectors WHERE namespace_id = ?1 AND chunk_id = ?2")?;
    let mut chunk = transaction.prepare_cached("DELETE FROM chunks WHERE id = ?1")?;
    for id in ids {
        vector.execute(params![namespace_id, id])?;
        chunk.execute([id])?;
    }
    Ok(())
}

/// The chunks of the earlier text by their hash, as identifier and context, the first one last.
fn old_chunks(
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
fn digest(document: &Document) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([chunk::VERSION]);
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
fn context(title: &str, heading: &[String]) -> String {
    let mut parts = vec![title];
    parts.extend(heading.iter().map(String::as_str));
    parts.retain(|part| !part.is_empty());
    parts.join(" > ")
}

fn heading_json(heading: &[String]) -> Result<String, MemoryError> {
    serde_json::to_string(heading).map_err(|error| MemoryError::Damaged {
        what: error.to_string(),
    })
}
