//! The port to models that read a query and a text together.

use crate::embed::EmbedError;
use crate::error::MemoryError;
use crate::query::Hit;

/// How many hits a reranker is shown at least.
pub const RERANKED: usize = 50;

/// Says how well texts answer a query, better than their vectors can and more slowly.
pub trait Reranker: Send + Sync {
    /// One number per text, in order; a higher one is a better answer. They are compared with each other only.
    fn scores(&self, query: &str, texts: &[&str]) -> Result<Vec<f32>, EmbedError>;
}

/// The hits in the order of their new scores; [`Hit::score`] stays what the search computed.
pub(crate) fn reranked(
    query: &str,
    hits: Vec<Hit>,
    reranker: &dyn Reranker,
) -> Result<Vec<Hit>, MemoryError> {
    let texts: Vec<&str> = hits.iter().map(|hit| hit.text.as_str()).collect();
    let scores = reranker.scores(query, &texts)?;
    if scores.len() != hits.len() || scores.iter().any(|score| score.is_nan()) {
        return Err(MemoryError::Embedding(EmbedError::Malformed {
            expected: format!("{} scores", hits.len()),
            got: format!("{} scores, or one that is not a number", scores.len()),
        }));
    }
    let mut scored: Vec<(f32, Hit)> = scores.into_iter().zip(hits).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    Ok(scored.into_iter().map(|(_, hit)| hit).collect())
}
