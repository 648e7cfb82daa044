//! What an assistant knows: chunked, embedded, indexed and searched by meaning and by words, encrypted at rest.
#![cfg_attr(feature = "static-model", doc = "", doc = include_str!("../README.md"))]
#![forbid(unsafe_code)]

pub mod chunk;
mod clock;
mod database;
mod document;
mod embed;
mod error;
mod fuse;
mod ingest;
mod memory;
mod query;
mod search;
mod session;
mod terms;
mod vectors;

pub use openhuman_vault::Key;

pub use clock::{Clock, ManualClock, SystemClock};
pub use document::{
    DEFAULT_NAMESPACE, Document, DocumentInfo, IngestReport, MAX_DOCUMENT_BYTES, MAX_KEY_BYTES,
    MAX_LABEL_BYTES, MAX_NAMESPACE_BYTES, Stats,
};
#[cfg(feature = "static-model")]
pub use embed::StaticEmbedder;
pub use embed::{EmbedError, Embedder, HashingEmbedder, Space};
pub use error::MemoryError;
pub use memory::{Memory, MemoryOptions, Passage, Sealing};
pub use query::{Hit, MAX_HITS, MAX_QUERY_BYTES, Query, Signals};
pub use session::{
    MAX_SESSION_ID_BYTES, MAX_SESSION_RECORD_BYTES, Session, SessionBlock, SessionMessage, SessionRecord,
    SessionRole, SessionUsage,
};
