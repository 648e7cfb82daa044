//! What an assistant knows: chunked, embedded, indexed and searched by meaning and by words, encrypted at rest.
#![cfg_attr(feature = "static-model", doc = "", doc = include_str!("../README.md"))]
#![deny(unsafe_code)]

mod check;
pub mod chunk;
mod clock;
mod context;
mod conversation;
mod database;
mod document;
mod embed;
mod error;
mod fuse;
pub mod graph;
mod ingest;
mod knowledge;
mod memory;
mod query;
mod reembed;
mod rerank;
mod search;
mod session;
mod shape;
mod terms;
mod text;
mod vectors;

pub use openhuman_vault::Key;

pub use clock::{Clock, ManualClock, SystemClock};
pub use context::{Citation, Context};
pub use conversation::{Conversation, Turn};
pub use document::{
    DEFAULT_NAMESPACE, Document, DocumentInfo, IngestReport, MAX_DOCUMENT_BYTES, MAX_KEY_BYTES,
    MAX_LABEL_BYTES, MAX_NAMESPACE_BYTES, Stats,
};
#[cfg(feature = "static-model")]
pub use embed::StaticEmbedder;
#[cfg(feature = "openai")]
pub use embed::{OpenAiEmbedder, OpenAiOptions};
pub use embed::{EmbedError, Embedder, HashingEmbedder, Space, UnavailableEmbedder};
pub use error::MemoryError;
pub use fuse::{Structure, Weights};
pub use memory::{Memory, MemoryOptions, Passage, Sealing};
pub use query::{Hit, MAX_HITS, MAX_QUERY_BYTES, Query, Signals};
pub use reembed::{Progress, Reembedded};
pub use rerank::{RERANKED, Reranker};
pub use session::{
    MAX_SESSION_ID_BYTES, MAX_SESSION_RECORD_BYTES, Session, SessionBlock, SessionMessage, SessionRecord,
    SessionRole, SessionUsage,
};
