//! What an assistant knows: chunked, embedded, indexed and searched by meaning and by words, encrypted at rest.
#![cfg_attr(feature = "static-model", doc = "", doc = include_str!("../README.md"))]
#![deny(unsafe_code)]

mod check;
pub mod chunk;
mod clock;
pub mod compress;
mod context;
mod conversation;
mod database;
mod document;
mod embed;
mod error;
pub mod forget;
mod fuse;
#[doc(hidden)]
pub mod fuzzing;
pub mod graph;
mod ingest;
mod knowledge;
mod memory;
mod originals;
mod query;
mod reembed;
mod rerank;
mod search;
mod session;
mod shape;
mod terms;
mod text;
mod vectors;
mod weights;
pub mod working;

pub use openhuman_vault::Key;

pub use clock::{Clock, ManualClock, SystemClock};
pub use context::{Citation, Context};
pub use conversation::{Conversation, Turn};
pub use document::{
    DEFAULT_NAMESPACE, Document, DocumentInfo, IngestReport, MAX_DOCUMENT_BYTES, MAX_KEY_BYTES,
    MAX_LABEL_BYTES, MAX_NAMESPACE_BYTES, Stats,
};
#[cfg(feature = "minilm-download")]
pub use embed::MINILM_URL;
#[cfg(feature = "static-model")]
pub use embed::StaticEmbedder;
pub use embed::{EmbedError, Embedder, HashingEmbedder, Space, UnavailableEmbedder};
#[cfg(feature = "minilm")]
pub use embed::{MINILM_BYTES, MINILM_SHA256, MiniLmEmbedder};
#[cfg(feature = "openai")]
pub use embed::{OpenAiEmbedder, OpenAiOptions};
pub use error::MemoryError;
pub use fuse::Structure;
pub use memory::{Memory, MemoryOptions, Passage, Sealing};
pub use originals::Shortened;
pub use query::{Hit, MAX_HITS, MAX_QUERY_BYTES, Query, Signals};
pub use reembed::{Progress, Reembedded};
pub use rerank::{RERANKED, Reranker};
pub use session::{
    Budget, Compacted, CompactionPlan, ExtractiveSummarizer, MAX_SESSION_ID_BYTES, MAX_SESSION_RECORD_BYTES,
    Pin, PinKind, Pressure, SESSIONS_NAMESPACE, Session, SessionBlock, SessionMessage, SessionRecord,
    SessionRole, SessionUsage, SessionView, Summarizer, SummaryError, message_tokens, pins,
    plan as plan_compaction,
};
pub use vectors::VectorIndex;
pub use weights::Weights;
