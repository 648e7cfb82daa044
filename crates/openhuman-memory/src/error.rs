use std::io;
use std::path::PathBuf;

use openhuman_vault::records::RecordError;

use crate::embed::{EmbedError, Space};

/// Why a memory could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The directory was written with another key.
    #[error("{} was sealed with another key; open it with the key it was created with", path.display())]
    WrongKey {
        /// The file that did not open.
        path: PathBuf,
    },
    /// The store holds vectors of another embedding model. Nothing was changed.
    #[error(
        "this memory was built with the embedding model {stored}, and vectors of {given} cannot be compared with it; \
         open it with {stored}, or open it with an unavailable embedder of that space and compute its vectors anew \
         (`reembed`) with {given}"
    )]
    SpaceMismatch {
        /// The space the store was built in.
        stored: Box<Space>,
        /// The space of the embedder given.
        given: Box<Space>,
    },
    /// The embedder's space cannot be stored.
    #[error("an embedding model must have 1 to {limit} dimensions, and {given} has not; use another model")]
    UnusableSpace {
        /// The space of the embedder given.
        given: Space,
        /// The most dimensions a store takes.
        limit: usize,
    },
    /// A newer program wrote this store.
    #[error(
        "this memory has format {found}, and this program knows formats up to {known}; update the program"
    )]
    UnknownFormat {
        /// The format found.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// A text is longer than the store takes.
    #[error("the {field} has {bytes} bytes, and at most {limit} are taken; shorten or split it")]
    TooLong {
        /// What is too long: `document`, `query`, `key` and so on.
        field: &'static str,
        /// How long it is, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A name that identifies something is empty.
    #[error("the {field} is empty; give it a name")]
    Empty {
        /// What is empty: `key`, `namespace` or `session id`.
        field: &'static str,
    },
    /// The bytes are not a text.
    #[error("{key} is not a text: {reason}")]
    NotText {
        /// The key of the document.
        key: String,
        /// Why not, where, and what to do.
        reason: String,
    },
    /// The text could not be embedded. The index is as it was before.
    #[error(transparent)]
    Embedding(#[from] EmbedError),
    /// The sealed database failed.
    #[error("the memory database failed: {0}")]
    Database(#[source] openhuman_sqlite::Error),
    /// The database holds something this program never writes.
    #[error("the memory database is damaged: {what}; restore it from a backup")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// A session file failed.
    #[error("the session could not be read or written: {source}")]
    SessionFile {
        /// The file.
        path: PathBuf,
        /// What the file said.
        #[source]
        source: RecordError,
    },
    /// A session holds a record this program cannot read.
    #[error("record {index} of session {session:?} cannot be read ({source}); update the program")]
    SessionRecord {
        /// The session's identifier.
        session: String,
        /// Which record, from 0.
        index: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A conversation could not be summed up. It is as it was before.
    #[error(transparent)]
    Summary(crate::session::SummaryError),
    /// The extractor of entities and facts failed.
    #[error(transparent)]
    Extraction(crate::graph::ExtractError),
    /// The graph could not be read or changed.
    #[error(transparent)]
    Graph(Box<crate::graph::GraphError>),
    /// A text that was written by `export_markdown` cannot be read.
    #[error("line {line} of the working memory cannot be read: {reason}; compare it with an export")]
    Markdown {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A directory or file could not be reached.
    #[error("{} cannot be used ({source}); check that it is a directory you may write to", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl MemoryError {
    /// Whether the same call may succeed later without any change.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Embedding(error) if error.is_transient())
    }
}

impl From<openhuman_sqlite::Error> for MemoryError {
    fn from(error: openhuman_sqlite::Error) -> Self {
        match error {
            openhuman_sqlite::Error::WrongKey { path, .. } => Self::WrongKey { path },
            other => Self::Database(other),
        }
    }
}

impl From<crate::graph::GraphError> for MemoryError {
    fn from(error: crate::graph::GraphError) -> Self {
        match error {
            crate::graph::GraphError::Store(error) => *error,
            other => Self::Graph(Box::new(other)),
        }
    }
}

impl From<rusqlite::Error> for MemoryError {
    fn from(error: rusqlite::Error) -> Self {
        openhuman_sqlite::Error::Sqlite(error).into()
    }
}
