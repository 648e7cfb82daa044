//! The memory as a user has it: where its vectors come from, what is recalled, what is forgotten, the graph.

mod embedding;
mod forgetting;
mod graph;
mod health;
mod opening;
mod recalling;
mod server;
mod threads;

pub use self::embedding::{EmbeddingServer, EmbeddingStatus};
pub use self::forgetting::Forgotten;
pub use self::graph::{FactFilter, KnownFact, Told};
pub use self::health::MemoryHealth;
pub use self::recalling::{Found, Passage, Recollection};
pub use self::server::{GraphServer, Pushed};
pub use self::threads::ThreadInfo;

pub(crate) use self::graph::learn;
pub(crate) use self::opening::{note_backup, open_memory};
pub(crate) use self::recalling::{AT_HAND, RECALLED, at_hand, recall};
