//! What the memory knows about a prompt, with where it comes from and why it was found.

use openhuman_agent::Recalled;
use openhuman_memory::{Context, Hit, MAX_QUERY_BYTES, Memory, MemoryError, Query};
use serde::Serialize;

use crate::{Core, CoreError};

/// How much of the working memory a model sees, in tokens.
pub(crate) const AT_HAND: usize = 2_048;

/// How much recalled text a prompt gets, in tokens.
pub(crate) const RECALLED: usize = 1_500;

/// How many passages a prompt recalls before they are cut to size.
const LIMIT: usize = 10;

/// A passage without any word of the prompt counts only when its meaning is at least this near (cosine). The search
/// ranks what there is, and in a small memory something unrelated is always nearest.
const NEAR: f32 = 0.3;

/// What a prompt recalls.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Recollection {
    /// The text for a model, with the numbers of its citations; empty when nothing fits.
    pub text: String,
    /// Its tokens, by `cl100k_base`.
    pub tokens: usize,
    /// What the text is made of, one for each document, in the order of their numbers.
    pub passages: Vec<Passage>,
    /// What the search found, best first, with the reasons.
    pub found: Vec<Found>,
}

/// What one document says about a prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Passage {
    /// Its number in the text, from 1.
    pub number: usize,
    /// The document.
    pub document_id: String,
    /// The document's title, else its key.
    pub title: String,
    /// Where the document came from, else its key.
    pub source: String,
    /// When it was written, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// The passage.
    pub text: String,
    /// The score of its best hit.
    pub score: f32,
}

/// A hit of the search for a prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Found {
    /// The hit, with its signals.
    pub hit: Hit,
    /// Whether it has to do with the prompt: a word of it occurs, or the meaning is near. Others are left out.
    pub related: bool,
}

impl From<Passage> for Recalled {
    fn from(passage: Passage) -> Self {
        Self {
            title: passage.title,
            source: passage.source,
            text: passage.text,
            score: passage.score,
        }
    }
}

impl Core {
    /// What the memory knows about a prompt, within a number of tokens; a turn uses 1,500.
    ///
    /// # Errors
    /// When the memory cannot be searched.
    pub async fn recall(&self, prompt: &str, max_tokens: usize) -> Result<Recollection, CoreError> {
        let prompt = prompt.to_owned();
        self.with_memory(move |memory| recall(memory, &prompt, max_tokens))
            .await
    }
}

/// What the memory knows about a prompt. Blocks.
pub(crate) fn recall(memory: &Memory, prompt: &str, max_tokens: usize) -> Result<Recollection, MemoryError> {
    // The beginning of a long text tells what it is about.
    let words = &prompt[..prompt.floor_char_boundary(MAX_QUERY_BYTES)];
    let mut query = Query {
        limit: LIMIT,
        ..Query::new(words)
    };
    let hits = memory.search(&query)?;
    // The best ones, up to the first that has nothing to do with the prompt.
    let related = hits.iter().position(|hit| !is_related(hit)).unwrap_or(hits.len());
    let mut recollection = Recollection::default();
    if related > 0 {
        query.limit = related;
        let context = memory.context(&query, max_tokens)?;
        recollection.passages = passages(&context, &hits);
        recollection.text = context.text;
        recollection.tokens = context.tokens;
    }
    let found = hits.into_iter().enumerate().map(|(rank, hit)| Found {
        related: rank < related,
        hit,
    });
    recollection.found = found.collect();
    Ok(recollection)
}

fn is_related(hit: &Hit) -> bool {
    hit.signals.matched_terms > 0 || hit.signals.vector >= NEAR
}

/// The passages of a context, one for each citation.
fn passages(context: &Context, hits: &[Hit]) -> Vec<Passage> {
    let or_key = |text: &str, key: &str| {
        if text.is_empty() {
            key.to_owned()
        } else {
            text.to_owned()
        }
    };
    let texts = texts(context);
    let passages = context
        .citations
        .iter()
        .zip(texts)
        .map(|(citation, text)| Passage {
            number: citation.number,
            document_id: citation.document_id.clone(),
            title: or_key(&citation.title, &citation.key),
            source: or_key(&citation.source, &citation.key),
            created_ms: citation.created_ms,
            text,
            score: hits
                .iter()
                .filter(|hit| hit.document_id == citation.document_id)
                .map(|hit| hit.score)
                .fold(0.0, f32::max),
        });
    passages.collect()
}

/// The text below the heading line of each citation. The headings come in the order of the numbers, each at the start
/// of a line.
fn texts(context: &Context) -> Vec<String> {
    let inner = context.text.split_once('\n').map_or("", |(_, inner)| inner);
    let inner = inner.rsplit_once('\n').map_or(inner, |(inner, _)| inner);
    let mut starts = Vec::new();
    let mut from = 0;
    for citation in &context.citations {
        let heading = format!("[{}] ", citation.number);
        let rest = &inner[from..];
        let at = if rest.starts_with(&heading) {
            Some(0)
        } else {
            rest.find(&format!("\n{heading}")).map(|at| at + 1)
        };
        // A heading that is not there leaves its citation without a text.
        let start = at.map_or(inner.len(), |at| from + at);
        starts.push(start);
        from = start;
    }
    let ends = starts.iter().skip(1).copied().chain([inner.len()]);
    let below = |(start, end): (&usize, usize)| {
        let block = inner.get(*start..end).unwrap_or_default();
        block
            .split_once('\n')
            .map_or("", |(_, text)| text)
            .trim_end()
            .to_owned()
    };
    starts.iter().zip(ends).map(below).collect()
}

/// What is at hand in every turn: the user's working memory; empty when there is none. Blocks.
pub(crate) fn at_hand(memory: &Memory) -> Result<String, MemoryError> {
    memory.working().render(AT_HAND)
}
