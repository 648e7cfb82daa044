//! What of the recalled snippets fits into a turn.

use super::types::{Origin, Provenance};
use crate::budget::cap;
use crate::message::Recalled;

/// Bytes of recalled text in one turn, and of one snippet.
const MAX_CONTEXT_BYTES: usize = 32 * 1024;
const MAX_SNIPPET_BYTES: usize = 8 * 1024;
/// Snippets in one turn: each costs a title and tags as well, also an empty one.
const MAX_SNIPPETS: usize = 64;

/// The snippets that fit, best first, and where each came from.
pub(super) fn fit_context(context: Vec<Recalled>, trusted: bool) -> (Vec<Recalled>, Vec<Provenance>) {
    let mut left = MAX_CONTEXT_BYTES;
    let mut kept = Vec::new();
    let mut provenance = Vec::new();
    for mut snippet in context.into_iter().take(MAX_SNIPPETS) {
        let bytes = snippet.text.len();
        let limit = left.min(MAX_SNIPPET_BYTES);
        let capped = cap(&snippet.text, limit);
        if capped.is_some() && limit < 200 {
            break;
        }
        let shortened = capped.is_some();
        if let Some(text) = capped {
            snippet.text = text;
        }
        left = left.saturating_sub(snippet.text.len());
        let origin = Origin::Memory {
            title: snippet.title.clone(),
            source: snippet.source.clone(),
        };
        provenance.push(Provenance {
            origin,
            bytes,
            shortened,
            trusted,
        });
        kept.push(snippet);
    }
    (kept, provenance)
}
