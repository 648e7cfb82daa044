use std::ops::Range;

use serde::Serialize;

use crate::document::{MAX_LABEL_BYTES, MAX_NAMESPACE_BYTES, at_most};
use crate::error::MemoryError;
use crate::fuse::Structure;
use crate::weights::Weights;

/// The longest query, in bytes: 64 KiB.
pub const MAX_QUERY_BYTES: usize = 64 * 1024;

/// The most hits one search returns, whatever [`Query::limit`] asks for.
pub const MAX_HITS: usize = 1000;

/// What to look for. Any text is a valid query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// A question or some words, up to 64 KiB. A blank text finds nothing.
    pub text: String,
    /// Only documents of this namespace; `None` searches all.
    pub namespace: Option<String>,
    /// How many hits to return at most; capped at 1000.
    pub limit: usize,
    /// The least [`Hit::score`], from 0 (every hit, the default) to 1. The score compares a hit with the other
    /// candidates of the same query: 0.5 is as good as their average. It does not say whether the best of them
    /// answers the question; look at [`Signals::vector`] and [`Signals::matched_terms`] for that.
    pub min_score: f32,
    /// Only documents with exactly this source.
    pub source: Option<String>,
    /// Only documents written at this time or later, in milliseconds since the Unix epoch.
    pub since_ms: Option<i64>,
    /// Only documents written before this time, in milliseconds since the Unix epoch.
    pub until_ms: Option<i64>,
    /// How the signals are weighed.
    pub weights: Weights,
}

impl Query {
    /// Looks in all namespaces for the 8 best hits.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            namespace: None,
            limit: 8,
            min_score: 0.0,
            source: None,
            since_ms: None,
            until_ms: None,
            weights: Weights::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), MemoryError> {
        at_most("query", &self.text, MAX_QUERY_BYTES)?;
        at_most(
            "namespace",
            self.namespace.as_deref().unwrap_or_default(),
            MAX_NAMESPACE_BYTES,
        )?;
        at_most(
            "source",
            self.source.as_deref().unwrap_or_default(),
            MAX_LABEL_BYTES,
        )
    }
}

/// A chunk that answers a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Hit {
    /// The document the chunk belongs to.
    pub document_id: String,
    /// The chunk. Identifiers are never used again for another chunk.
    pub chunk_id: i64,
    /// The document's namespace.
    pub namespace: String,
    /// The document's key.
    pub key: String,
    /// The document's title.
    pub title: String,
    /// The document's source.
    pub source: String,
    /// The chunk's text.
    pub text: String,
    /// The bytes of the document that the chunk covers.
    pub range: Range<usize>,
    /// The headings above the chunk, outermost first.
    pub heading: Vec<String>,
    /// Which chunk of the document it is, from 0; in a conversation, which turn.
    pub ordinal: usize,
    /// When the document was written, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// The number of `cl100k_base` tokens of the text.
    pub tokens: usize,
    /// How good the hit is among the candidates of this query, between 0 and 1, best first. It is
    /// `1 / (1 + exp(-z))` with `z = 0.7 vector_z + 0.3 text_z + structure`; when the query gave only one of the two
    /// signals, that one has the whole weight.
    pub score: f32,
    /// How the score came about.
    pub signals: Signals,
}

/// Both signals of a hit, computed for every candidate, whichever of the two proposed it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Signals {
    /// The cosine between query and chunk, -1 to 1; 0 when one of them has no vector.
    pub vector: f32,
    /// The BM25 score of the query's words, 0 or more; 0 when none occurs.
    pub text: f32,
    /// How many standard deviations `vector`, together with the chunks before and after, lies above the mean of the
    /// candidates.
    pub vector_z: f32,
    /// How many standard deviations `text`, together with the chunks before and after, lies above the mean of the
    /// candidates.
    pub text_z: f32,
    /// How many different words of the query, apart from stop words, occur in the chunk in some inflection.
    pub matched_terms: u32,
    /// What the structure around the chunk added.
    pub structure: Structure,
}
