//! From documents to chunks, vectors and index entries, in one transaction.

mod rows;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use rusqlite::{OptionalExtension, Transaction, params};

use self::rows::{
    context, digest, heading_json, old_chunks, put_document, remembered, remove_chunks, split_new, unpark,
};
pub(crate) use self::rows::{document_id, forget, hex};
use crate::chunk::Chunk;
use crate::clock::Clock;
use crate::conversation::{self, Conversation};
use crate::database::{Database, STORED_SPACE, space_of};
use crate::document::{Document, IngestReport};
use crate::embed::{self, Embedder, Space};
use crate::error::MemoryError;
use crate::shape;
use crate::vectors::{Change, Code, Place, VectorCache, document_handle, segments};

/// Texts handed to the embedder at a time.
const BATCH: usize = 128;

type Hash = [u8; 32];

/// What ingesting needs of a memory.
pub(crate) struct Ingest<'a> {
    pub(crate) database: &'a Database,
    pub(crate) vectors: &'a VectorCache,
    pub(crate) embedder: &'a dyn Embedder,
    /// The space of the embedder, which the memory had when the call began.
    pub(crate) space: &'a Space,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) exact_limit: usize,
}

/// A document as it comes in.
pub(crate) enum Incoming<'a> {
    Document(&'a Document),
    Conversation(&'a Conversation),
}

/// A document on its way into the tables.
struct Prepared<'a> {
    document: Cow<'a, Document>,
    id: String,
    digest: Hash,
    /// Whether it is a conversation, and the day of it.
    by_turn: bool,
    day: Option<String>,
    /// `None` when the very same document is there already.
    chunks: Option<Vec<Chunk>>,
    /// Whether the chunks are yet to be made.
    whole: bool,
    report: IngestReport,
}

/// What is known about a document before it is ingested again.
struct Stored {
    digest: Hash,
    chunks: usize,
    without_vector: usize,
}

/// What the transaction did.
struct Written {
    changes: Vec<Change>,
    /// Whether all vectors have to be read again.
    reload: bool,
}

impl Ingest<'_> {
    /// Ingests all documents or none.
    pub(crate) fn run(&self, incoming: &[Incoming<'_>]) -> Result<Vec<IngestReport>, MemoryError> {
        let mut codes = HashMap::new();
        let mut prepared = incoming
            .iter()
            .map(|incoming| self.prepare(incoming, &mut codes))
            .collect::<Result<Vec<_>, _>>()?;
        split_new(&mut prepared);
        if prepared.iter().any(|document| document.chunks.is_some()) {
            self.embed_new(&mut prepared, &mut codes)?;
            let written = self.database.write(
                |transaction| self.store_all(transaction, &prepared, &codes),
                |written| {
                    if written.reload {
                        self.vectors.clear();
                    } else {
                        self.vectors.apply(&written.changes);
                    }
                },
            )?;
            let changed = prepared.iter_mut().filter(|document| document.chunks.is_some());
            for (document, change) in changed.zip(&written.changes) {
                document.report.removed = change.removed.len();
                document.report.reused = document.report.chunks - change.added.len();
            }
        }
        Ok(prepared.into_iter().map(|document| document.report).collect())
    }

    fn prepare<'a>(
        &self,
        incoming: &Incoming<'a>,
        codes: &mut HashMap<Hash, Option<Code>>,
    ) -> Result<Prepared<'a>, MemoryError> {
        let (document, given, day) = match incoming {
            Incoming::Document(document) => (Cow::Borrowed(*document), None, None),
            Incoming::Conversation(conversation) => {
                let (document, chunks) = conversation.document()?;
                let day = conversation.created_ms.map(conversation::day);
                (Cow::Owned(document), Some(chunks), day)
            }
        };
        document.check()?;
        let document = if given.is_none() {
            remembered(document)
        } else {
            document
        };
        let id = document_id(&document.namespace, &document.key);
        let by_turn = given.is_some();
        let digest = digest(&document, by_turn);
        let stored = self.stored(&id, &digest, codes)?;
        let same = stored.filter(|stored| stored.digest == digest);
        let whole = same.is_none() && given.is_none();
        let chunks = match &same {
            Some(_) => None,
            None => Some(given.unwrap_or_default()),
        };
        let count = chunks.as_ref().map_or(0, Vec::len);
        let report = IngestReport {
            document_id: id.clone(),
            chunks: same.as_ref().map_or(count, |stored| stored.chunks),
            embedded: 0,
            reused: same.as_ref().map_or(0, |stored| stored.chunks),
            removed: 0,
            without_vector: same.as_ref().map_or(0, |stored| stored.without_vector),
            unchanged: same.is_some(),
        };
        Ok(Prepared {
            document,
            id,
            digest,
            by_turn,
            day,
            chunks,
            whole,
            report,
        })
    }

    /// Looks a document up. When it will change, the codes of its chunks are added to `codes`.
    fn stored(
        &self,
        id: &str,
        digest: &Hash,
        codes: &mut HashMap<Hash, Option<Code>>,
    ) -> Result<Option<Stored>, MemoryError> {
        self.database.read(|connection| {
            let transaction = connection.transaction()?;
            let found: Option<Hash> = transaction
                .prepare_cached("SELECT digest FROM documents WHERE id = ?1")?
                .query_row([id], |row| row.get(0))
                .optional()?;
            let Some(found) = found else { return Ok(None) };
            let mut stored = Stored {
                digest: found,
                chunks: 0,
                without_vector: 0,
            };
            let mut statement = transaction.prepare_cached(
                "SELECT c.hash, v.code FROM chunks c JOIN vectors v ON v.chunk_id = c.id WHERE c.document_id = ?1",
            )?;
            let mut rows = statement.query([id])?;
            while let Some(row) = rows.next()? {
                let blob = row.get_ref(1)?.as_blob().map_err(|_| MemoryError::Damaged {
                    what: "a vector that is not a blob".to_owned(),
                })?;
                stored.chunks += 1;
                stored.without_vector += usize::from(blob.is_empty());
                if found != *digest {
                    codes.insert(row.get(0)?, Code::from_blob(blob, self.space.dimensions)?);
                }
            }
            Ok(Some(stored))
        })
    }

    /// Embeds every text that has no code yet, once, and adds the codes. When the embedder fails, the codes of the
    /// batches before it are parked, so that the next attempt goes on behind them.
    fn embed_new(
        &self,
        prepared: &mut [Prepared<'_>],
        codes: &mut HashMap<Hash, Option<Code>>,
    ) -> Result<(), MemoryError> {
        self.take_parked(codes)?;
        let mut texts: Vec<(Hash, &str)> = Vec::new();
        let mut seen: HashSet<Hash> = codes.keys().copied().collect();
        for document in prepared.iter_mut() {
            let before = texts.len();
            for chunk in document.chunks.iter().flatten() {
                if seen.insert(chunk.hash) {
                    texts.push((chunk.hash, &document.document.text[chunk.range.clone()]));
                }
            }
            document.report.embedded = texts.len() - before;
        }
        for (at, batch) in texts.chunks(BATCH).enumerate() {
            let words: Vec<&str> = batch.iter().map(|(_, text)| *text).collect();
            match embed::checked(self.embedder, self.space.dimensions, &words) {
                Ok(vectors) => codes.extend(
                    batch
                        .iter()
                        .zip(&vectors)
                        .map(|((hash, _), vector)| (*hash, Code::new(vector))),
                ),
                Err(error) => {
                    self.park(&texts[..at * BATCH], codes)?;
                    return Err(error.into());
                }
            }
        }
        for document in prepared {
            let chunks = document.chunks.iter().flatten();
            let without = chunks.filter(|chunk| matches!(codes.get(&chunk.hash), Some(None)));
            if !document.report.unchanged {
                document.report.without_vector = without.count();
            }
        }
        Ok(())
    }

    fn take_parked(&self, codes: &mut HashMap<Hash, Option<Code>>) -> Result<(), MemoryError> {
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT hash, code FROM parked")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let blob = row.get_ref(1)?.as_blob().unwrap_or_default();
                codes.insert(row.get(0)?, Code::from_blob(blob, self.space.dimensions)?);
            }
            Ok(())
        })
    }

    fn park(&self, done: &[(Hash, &str)], codes: &HashMap<Hash, Option<Code>>) -> Result<(), MemoryError> {
        if done.is_empty() {
            return Ok(());
        }
        self.database.write(
            |transaction| {
                let mut insert =
                    transaction.prepare_cached("REPLACE INTO parked (hash, code) VALUES (?1, ?2)")?;
                for (hash, _) in done {
                    let code = codes.get(hash).and_then(Option::as_ref);
                    insert.execute(params![hash, Code::to_blob(code)])?;
                }
                Ok(())
            },
            |()| (),
        )
    }

    fn store_all(
        &self,
        transaction: &Transaction<'_>,
        prepared: &[Prepared<'_>],
        codes: &HashMap<Hash, Option<Code>>,
    ) -> Result<Written, MemoryError> {
        // A re-embedding can have ended meanwhile; vectors of the old space must not come behind it.
        let stored = transaction.query_row(STORED_SPACE, [], space_of)?;
        if stored != *self.space {
            return Err(MemoryError::SpaceMismatch {
                stored: Box::new(stored),
                given: Box::new(self.space.clone()),
            });
        }
        let mut changes = Vec::new();
        for document in prepared {
            if let Some(chunks) = &document.chunks {
                changes.push(self.store(transaction, document, chunks, codes)?);
            }
        }
        unpark(transaction, prepared)?;
        let added = || {
            changes
                .iter()
                .flat_map(|change| &change.added)
                .map(|(place, _)| place.chunk_id)
        };
        let reload = match (added().min(), added().max()) {
            (Some(first), Some(last)) => {
                segments::seal(transaction, self.space.dimensions, first, last, self.exact_limit)?
            }
            _ => false,
        };
        Ok(Written { changes, reload })
    }

    /// Brings the tables to the new text. Chunks whose text is the same keep their row, their vector and their
    /// place in the full-text index.
    fn store(
        &self,
        transaction: &Transaction<'_>,
        prepared: &Prepared<'_>,
        chunks: &[Chunk],
        codes: &HashMap<Hash, Option<Code>>,
    ) -> Result<Change, MemoryError> {
        let (document, id) = (&*prepared.document, prepared.id.as_str());
        let namespace = put_document(transaction, document, id, &prepared.digest, self.clock.now_ms())?;
        let mut old = old_chunks(transaction, id)?;
        let mut change = Change::default();
        let mut place = transaction.prepare_cached(
            "UPDATE chunks SET ordinal = ?2, first = ?3, fresh = ?4, last = ?5, heading = ?6 WHERE id = ?1",
        )?;
        let mut move_place =
            transaction.prepare_cached("UPDATE places SET ordinal = ?2 WHERE chunk_id = ?1")?;
        let mut rename = transaction.prepare_cached("UPDATE chunks SET context = ?2 WHERE id = ?1")?;
        let mut insert = transaction.prepare_cached(
            "INSERT INTO chunks (document_id, ordinal, first, fresh, last, heading, tokens, hash, context, text)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let mut insert_vector =
            transaction.prepare_cached("INSERT INTO vectors (chunk_id, code) VALUES (?1, ?2)")?;
        let mut insert_place = transaction.prepare_cached(
            "INSERT INTO places (chunk_id, namespace_id, document, ordinal, tokens, shape)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for (ordinal, chunk) in (0u32..).zip(chunks) {
            let heading = heading_json(&chunk.heading)?;
            let context = context(&document.title, prepared.day.as_deref(), &chunk.heading);
            let (first, fresh, last) = (chunk.range.start, chunk.fresh().start, chunk.range.end);
            if let Some((chunk_id, old_context)) = old.get_mut(&chunk.hash).and_then(Vec::pop) {
                place.execute(params![chunk_id, ordinal, first, fresh, last, heading])?;
                move_place.execute(params![chunk_id, ordinal])?;
                if old_context != context {
                    rename.execute(params![chunk_id, context])?;
                }
                change.order.push(chunk_id);
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
            insert_vector.execute(params![chunk_id, Code::to_blob(code.as_ref())])?;
            let added = Place {
                chunk_id,
                namespace,
                document: document_handle(id),
                ordinal,
                tokens: u16::try_from(chunk.tokens).unwrap_or(u16::MAX),
                shape: shape::of(text) | if prepared.by_turn { shape::TURN } else { 0 },
            };
            insert_place.execute(params![
                chunk_id,
                namespace,
                added.document,
                ordinal,
                added.tokens,
                added.shape
            ])?;
            change.order.push(chunk_id);
            change.added.push((added, code));
        }
        change.removed = old
            .into_values()
            .flatten()
            .map(|(chunk_id, _)| chunk_id)
            .collect();
        remove_chunks(transaction, self.space.dimensions, &change.removed)?;
        Ok(change)
    }
}
