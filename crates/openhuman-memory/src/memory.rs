mod options;
mod reading;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use openhuman_vault::Key;

pub use self::options::{MemoryOptions, Sealing};
pub use self::reading::Passage;
use crate::clock::Clock;
use crate::context::{self, Context};
use crate::conversation::Conversation;
use crate::database::Database;
use crate::document::{Document, IngestReport};
use crate::embed::{Embedder, Space};
use crate::error::MemoryError;
use crate::graph::SqliteGraph;
use crate::ingest::{self, Incoming, Ingest};
use crate::knowledge;
use crate::query::{Hit, Query};
use crate::reembed::{self, Progress, Reembedded};
use crate::rerank::{self, RERANKED, Reranker};
use crate::search::{Relatives, Search};
use crate::session::{Session, Sessions, create_private_dir};
use crate::vectors::{VectorCache, segments};

/// A memory in one directory: the sealed database `memory.db` and the sealed files in `sessions`.
///
/// Clones share everything and may be used from several threads: one of them writes at a time, up to three search
/// at the same time without waiting for the writer, and embedding happens outside any lock. All calls block; an
/// async program runs them on a thread for blocking work. A call cannot be cancelled half-way: it either returns
/// or leaves the memory as it was.
///
/// Open a directory once per process and share the clones: a second `Memory` on the same directory does not see
/// in its searches what the first one writes. A second process is refused while the first one runs.
#[derive(Clone)]
pub struct Memory {
    inner: Arc<Inner>,
}

struct Inner {
    database: Arc<Database>,
    vectors: VectorCache,
    relatives: Relatives,
    sessions: Sessions,
    active: RwLock<Active>,
    clock: Arc<dyn Clock>,
    exact_limit: AtomicUsize,
}

/// The embedder in use. It changes when a re-embedding is complete.
#[derive(Clone)]
struct Active {
    embedder: Arc<dyn Embedder>,
    space: Space,
}

impl Memory {
    /// Opens the memory in a directory, or creates both. Everything is encrypted with keys derived from `key`.
    ///
    /// # Errors
    ///
    /// [`MemoryError::WrongKey`] for another key, [`MemoryError::SpaceMismatch`] for an embedder of another space
    /// once there are documents, [`MemoryError::UnknownFormat`] for a store of a newer program.
    pub fn open(dir: &Path, key: &Key, options: MemoryOptions) -> Result<Self, MemoryError> {
        let database_key = Self::database_key(key);
        let sealing = Sealing {
            database_key: &database_key,
            key,
            anchor: None,
        };
        Self::open_sealed(dir, &sealing, options)
    }

    /// The key of the database `memory.db` that [`Memory::open`] uses.
    pub fn database_key(key: &Key) -> Key {
        key.derive(b"", "openhuman-memory database")
    }

    /// As [`Memory::open`], with a key of its own for the database, and an anchor by which an older copy of it is
    /// noticed. Opening then reads the whole database once.
    ///
    /// # Errors
    ///
    /// As [`Memory::open`], and [`openhuman_sqlite::Error::RolledBack`] in [`MemoryError::Database`].
    pub fn open_sealed(
        dir: &Path,
        sealing: &Sealing<'_>,
        options: MemoryOptions,
    ) -> Result<Self, MemoryError> {
        let MemoryOptions { embedder, clock } = options;
        let space = embedder.space();
        create_private_dir(dir)?;
        let database = Arc::new(Database::open(
            dir,
            sealing.database_key,
            &space,
            sealing.anchor.clone(),
        )?);
        knowledge::prepare(&database)?;
        let session_key = sealing.key.derive(b"", "openhuman-memory sessions");
        let sessions = Sessions::open(
            dir.join("sessions"),
            session_key,
            Arc::clone(&database),
            Arc::clone(&clock),
        )?;
        Ok(Self {
            inner: Arc::new(Inner {
                database,
                vectors: VectorCache::default(),
                relatives: Relatives::default(),
                sessions,
                active: RwLock::new(Active { embedder, space }),
                clock,
                exact_limit: AtomicUsize::new(segments::EXACT_LIMIT),
            }),
        })
    }

    /// The vector space of this memory.
    pub fn space(&self) -> Space {
        self.active().space
    }

    /// The vector space of the memory in a directory, without opening it with an embedder: `None` when there is no
    /// memory yet. For a program whose usual embedder is missing, see
    /// [`UnavailableEmbedder`](crate::UnavailableEmbedder).
    ///
    /// # Errors
    ///
    /// As [`Memory::open_sealed`].
    pub fn stored_space(dir: &Path, sealing: &Sealing<'_>) -> Result<Option<Space>, MemoryError> {
        Database::stored_space(dir, sealing.database_key, sealing.anchor.clone())
    }

    fn active(&self) -> Active {
        self.inner
            .active
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Stores a document, replacing an earlier one with the same namespace and key.
    ///
    /// The change is one transaction: until it is complete, and whenever it fails, searches see the earlier text.
    /// Chunks whose text did not change are not embedded again, and ingesting the very same document does nothing.
    ///
    /// # Errors
    ///
    /// [`MemoryError::TooLong`] and [`MemoryError::Empty`] for a document outside the limits,
    /// [`MemoryError::Embedding`] when the embedder failed.
    pub fn ingest(&self, document: &Document) -> Result<IngestReport, MemoryError> {
        one(self.ingest_incoming(&[Incoming::Document(document)])?)
    }

    /// Stores a conversation by its turns, replacing an earlier version of it. As [`Memory::ingest`] in all else.
    ///
    /// # Errors
    ///
    /// As [`Memory::ingest`].
    pub fn ingest_conversation(&self, conversation: &Conversation) -> Result<IngestReport, MemoryError> {
        one(self.ingest_incoming(&[Incoming::Conversation(conversation)])?)
    }

    /// Stores many documents in one transaction: all of them or, when one fails, none. One commit costs less than
    /// many, and the embedder gets full batches. Everything is held in memory until it is stored: a few thousand
    /// chunks at a time are a good measure.
    ///
    /// # Errors
    ///
    /// As [`Memory::ingest`]. What was embedded before the embedder failed is kept, and not embedded again by the
    /// next attempt.
    pub fn ingest_all(&self, documents: &[Document]) -> Result<Vec<IngestReport>, MemoryError> {
        let incoming: Vec<Incoming<'_>> = documents.iter().map(Incoming::Document).collect();
        self.ingest_incoming(&incoming)
    }

    fn ingest_incoming(&self, incoming: &[Incoming<'_>]) -> Result<Vec<IngestReport>, MemoryError> {
        let inner = &*self.inner;
        let active = self.active();
        Ingest {
            database: &inner.database,
            vectors: &inner.vectors,
            embedder: &*active.embedder,
            space: &active.space,
            clock: &*inner.clock,
            exact_limit: inner.exact_limit.load(Ordering::Relaxed),
        }
        .run(incoming)
    }

    /// Finds the chunks that answer a query best, by meaning and by words, best first.
    ///
    /// Up to 20,000 chunks every vector is compared exactly. Above that, one bit per dimension is compared, a
    /// millisecond for 100,000 chunks, and the best 150 exactly. The first search also reads what is compared into
    /// memory, which core dumps leave out and which is overwritten when the last clone of the memory is dropped.
    ///
    /// # Errors
    ///
    /// [`MemoryError::TooLong`] for a query above 64 KiB, [`MemoryError::Embedding`] when the embedder failed.
    /// No text is an invalid query.
    pub fn search(&self, query: &Query) -> Result<Vec<Hit>, MemoryError> {
        let inner = &*self.inner;
        let active = self.active();
        Search {
            database: &inner.database,
            vectors: &inner.vectors,
            relatives: &inner.relatives,
            embedder: &*active.embedder,
            dimensions: active.space.dimensions,
        }
        .run(query)
    }

    /// As [`Memory::search`], with the best hits put in a new order by a model that reads query and text together.
    /// It sees [`RERANKED`](crate::RERANKED) hits, or `query.limit` if that is more.
    ///
    /// # Errors
    ///
    /// As [`Memory::search`], and [`MemoryError::Embedding`] when the reranker failed.
    pub fn search_reranked(&self, query: &Query, reranker: &dyn Reranker) -> Result<Vec<Hit>, MemoryError> {
        let wide = Query {
            limit: query.limit.max(RERANKED),
            ..query.clone()
        };
        let hits = rerank::reranked(&query.text, self.search(&wide)?, reranker)?;
        Ok(hits.into_iter().take(query.limit).collect())
    }

    /// What the memory knows about a query as one text for a language model, within a number of `cl100k_base`
    /// tokens, with a citation for each passage. Turns of a conversation come with those around them.
    ///
    /// # Errors
    ///
    /// As [`Memory::search`].
    pub fn context(&self, query: &Query, max_tokens: usize) -> Result<Context, MemoryError> {
        let hits = self.search(query)?;
        self.inner
            .database
            .read(|connection| context::build(connection, &hits, max_tokens))
    }

    /// Computes all vectors anew in the space of another embedder, then uses that one. Searches go on in the old
    /// space until all vectors are there; then one transaction replaces them.
    ///
    /// Every batch is committed, so a call that was interrupted, by an error or by the end of the process, goes on
    /// where it stopped when it is made again with an embedder of the same space. `progress` is called after each
    /// batch and stops the job when it returns `false`, also to be gone on with later.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Embedding`] when the new embedder failed, [`MemoryError::UnusableSpace`].
    pub fn reembed(
        &self,
        embedder: Arc<dyn Embedder>,
        progress: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Reembedded, MemoryError> {
        let inner = &*self.inner;
        let space = embedder.space();
        let next = Active { embedder, space };
        reembed::run(&inner.database, &*next.embedder, &next.space, progress, || {
            *inner.active.write().unwrap_or_else(PoisonError::into_inner) = next.clone();
            inner.vectors.clear();
            inner.relatives.clear();
        })
    }

    /// From how many chunks on bits are kept in memory instead of bytes, for tests and measurements. Default: 20,000.
    #[doc(hidden)]
    pub fn keep_bits_above(&self, chunks: usize) {
        self.inner.exact_limit.store(chunks, Ordering::Relaxed);
    }

    /// Overwrites the vectors in memory and gives them back; the next search reads them again. For a program that
    /// locks itself but keeps the memory open.
    pub fn unload(&self) {
        self.inner.vectors.clear();
    }

    /// Removes a document, its chunks, its words in the index and its vectors. Returns whether it was there.
    pub fn forget(&self, id: &str) -> Result<bool, MemoryError> {
        ingest::forget(&self.inner.database, &self.inner.vectors, id)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.inner.database
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    /// What is known about people, places and things, in the same sealed database.
    pub fn graph(&self) -> SqliteGraph {
        SqliteGraph::new(Arc::clone(&self.inner.database))
    }

    /// A session by its identifier, 1 to 256 bytes. A new one is listed from its first record on.
    pub fn session(&self, id: &str) -> Result<Session, MemoryError> {
        self.inner.sessions.session(id)
    }

    /// The identifiers of all sessions, oldest first.
    pub fn session_ids(&self) -> Result<Vec<String>, MemoryError> {
        self.inner.sessions.ids()
    }

    /// Removes a session and its file. Returns whether it was there.
    pub fn forget_session(&self, id: &str) -> Result<bool, MemoryError> {
        self.inner.sessions.forget(id)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("space", &self.active().space)
            .finish_non_exhaustive()
    }
}

fn one(reports: Vec<IngestReport>) -> Result<IngestReport, MemoryError> {
    reports.into_iter().next().ok_or_else(|| MemoryError::Damaged {
        what: "no report of a document".to_owned(),
    })
}
