//! What is known about people, places and things: entities, and facts that hold for a time and come from somewhere.
//!
//! A [`Fact`] says that a subject stands in a relation to an object, from a date on and perhaps until one. It is
//! *bi-temporal*: it carries when it held in the world, and when this memory believed it. So there are two
//! questions about the past, and both can be asked at once: where did Ada live in March
//! ([`FactQuery::valid_at`]), and what did we think of that in April ([`FactQuery::known_at`]).
//!
//! A fact that contradicts an earlier one closes it with a date. Nothing is deleted, except by
//! [`GraphStore::forget`].
//!
//! ```
//! use openhuman_memory::graph::{Assertion, Change, FactQuery, GraphStore, Object};
//! use openhuman_memory::{HashingEmbedder, Key, Memory, MemoryOptions};
//!
//! # let dir = tempfile::tempdir()?;
//! let memory = Memory::open(dir.path(), &Key::from_bytes([7; 32]), MemoryOptions::new(HashingEmbedder::default()))?;
//! let graph = memory.graph();
//! let lives_in = |place: &str, from| {
//!     Change::Assert(Assertion::one("Ada", "lives in", Object::entity(place), from))
//! };
//! graph.apply("default", &[lives_in("London", 100)], 1_000)?;
//! graph.apply("default", &[lives_in("Paris", 200)], 1_001)?;
//!
//! let at = |time| FactQuery { valid_at: Some(time), ..FactQuery::about("default", "Ada") };
//! assert_eq!(graph.facts(&at(150))?[0].object.name(), "London");
//! assert_eq!(graph.facts(&at(250))?[0].object.name(), "Paris");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod conformance;
mod error;
mod expand;
mod extract;
mod learn;
mod model;
mod names;
#[cfg(feature = "neo4j")]
pub mod neo4j;
mod rank;
mod sqlite;
mod store;
mod timeline;

pub use error::GraphError;
pub use expand::{Expansion, RelatedChunk};
pub use extract::{ExtractError, Extraction, Extractor, Mention, Passage, RuleExtractor, Statement};
pub use learn::Speaker;
pub use model::{
    Assertion, Change, ChunkMention, Edge, Entity, Fact, FactId, FactQuery, Forgotten, GraphStats, Node,
    Object, Oblivion, Provenance, Subgraph, Walk,
};
pub use names::{MAX_NAME_BYTES, canonical, predicate};
pub use rank::personalised_pagerank;
pub use sqlite::SqliteGraph;
pub use store::GraphStore;
