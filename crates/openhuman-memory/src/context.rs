//! From hits to one text for a language model, with citations.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use serde::Serialize;

use crate::chunk;
use crate::conversation::day;
use crate::error::MemoryError;
use crate::query::Hit;

/// The marks around a context. What stands between them is not remembered again when a conversation that quotes it
/// is ingested.
const START: &str = "<recalled-memory>";
const END: &str = "</recalled-memory>";

/// A chunk with fewer tokens than this is a turn of a conversation or a note, and comes with what stands around it.
const SHORT: usize = 96;

/// Chunks before and after a short one.
const WINDOW: usize = 1;

/// What a memory knows about a query, as a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Context {
    /// The passages, best first, between two marks. Each begins with the number of its citation in brackets. Empty
    /// when nothing was found or nothing fits.
    pub text: String,
    /// Where the passages come from, in the order of their numbers.
    pub citations: Vec<Citation>,
    /// The exact number of `cl100k_base` tokens of `text`.
    pub tokens: usize,
}

/// Where a passage comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Citation {
    /// The number in the text, from 1.
    pub number: usize,
    /// The document.
    pub document_id: String,
    /// The document's key.
    pub key: String,
    /// The document's title.
    pub title: String,
    /// The document's source.
    pub source: String,
    /// When the document was written, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// The chunks of the document in the passage, as ordinals; those that were hits and those around them.
    pub ordinals: Vec<usize>,
}

/// The chunks of one document that go into the text.
struct Passages {
    citation: Citation,
    texts: BTreeMap<usize, String>,
}

pub(crate) fn build(
    connection: &Connection,
    hits: &[Hit],
    max_tokens: usize,
) -> Result<Context, MemoryError> {
    let mut documents: Vec<Passages> = Vec::new();
    let mut best = String::new();
    // First the hits alone, then what stands around them, as far as the budget goes.
    for window in [0, WINDOW] {
        for hit in hits {
            let before = hit.ordinal.saturating_sub(window);
            let after = if hit.tokens < SHORT {
                hit.ordinal + window
            } else {
                hit.ordinal
            };
            let before = if hit.tokens < SHORT { before } else { hit.ordinal };
            let added = add(connection, &mut documents, hit, before, after)?;
            if added.is_empty() {
                continue;
            }
            let text = render(&documents);
            if chunk::count_tokens(&text) <= max_tokens {
                best = text;
            } else {
                take_back(&mut documents, hit, &added);
            }
        }
    }
    let citations = documents
        .into_iter()
        .map(|document| Citation {
            ordinals: document.texts.into_keys().collect(),
            ..document.citation
        })
        .collect();
    Ok(Context {
        tokens: chunk::count_tokens(&best),
        text: best,
        citations,
    })
}

/// Adds the chunks of a hit's document that are not there yet; returns their ordinals.
fn add(
    connection: &Connection,
    documents: &mut Vec<Passages>,
    hit: &Hit,
    first: usize,
    last: usize,
) -> Result<Vec<usize>, MemoryError> {
    let known = documents
        .iter()
        .position(|known| known.citation.document_id == hit.document_id);
    let at = known.unwrap_or_else(|| {
        documents.push(Passages {
            citation: Citation {
                number: documents.len() + 1,
                document_id: hit.document_id.clone(),
                key: hit.key.clone(),
                title: hit.title.clone(),
                source: hit.source.clone(),
                created_ms: hit.created_ms,
                ordinals: Vec::new(),
            },
            texts: BTreeMap::new(),
        });
        documents.len() - 1
    });
    let texts = &mut documents[at].texts;
    let mut added = Vec::new();
    if texts.insert(hit.ordinal, hit.text.clone()).is_none() {
        added.push(hit.ordinal);
    }
    if first < last {
        let mut statement = connection.prepare_cached(
            "SELECT ordinal, text FROM chunks WHERE document_id = ?1 AND ordinal BETWEEN ?2 AND ?3 AND tokens < ?4",
        )?;
        let mut rows = statement.query(params![hit.document_id, first, last, SHORT])?;
        while let Some(row) = rows.next()? {
            let ordinal = row.get(0)?;
            if let std::collections::btree_map::Entry::Vacant(free) = texts.entry(ordinal) {
                free.insert(row.get(1)?);
                added.push(ordinal);
            }
        }
    }
    Ok(added)
}

fn take_back(documents: &mut Vec<Passages>, hit: &Hit, added: &[usize]) {
    if let Some(document) = documents
        .iter_mut()
        .find(|known| known.citation.document_id == hit.document_id)
    {
        added.iter().for_each(|ordinal| {
            document.texts.remove(ordinal);
        });
    }
    // Only the newest document can be without a passage: the others have one that was kept.
    if documents.last().is_some_and(|document| document.texts.is_empty()) {
        documents.pop();
    }
}

fn render(documents: &[Passages]) -> String {
    let mut text = format!("{START}\n");
    for Passages { citation, texts } in documents {
        let title = if citation.title.is_empty() {
            &citation.key
        } else {
            &citation.title
        };
        text.push_str(&format!(
            "[{}] {}, {}\n",
            citation.number,
            harmless(title),
            day(citation.created_ms)
        ));
        let mut expected = None;
        for (ordinal, passage) in texts {
            if expected.is_some_and(|expected| expected != *ordinal) {
                text.push_str("...\n");
            }
            text.push_str(harmless(passage).trim_end());
            text.push('\n');
            expected = Some(ordinal + 1);
        }
    }
    text.push_str(END);
    text
}

/// A remembered text cannot end the context that it stands in.
fn harmless(text: &str) -> Cow<'_, str> {
    if text.contains(START) || text.contains(END) {
        Cow::Owned(text.replace(START, "").replace(END, ""))
    } else {
        Cow::Borrowed(text)
    }
}

/// A text without the contexts that it quotes.
pub(crate) fn without_recalled(text: &str) -> Cow<'_, str> {
    if !text.contains(START) {
        return Cow::Borrowed(text);
    }
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while let Some((before, after)) = rest.split_once(START) {
        kept.push_str(before);
        rest = after.split_once(END).map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recalled_is_cut_out() {
        assert_eq!(without_recalled("a plain text"), "a plain text");
        let quoted = format!("before {START}\n[1] x\n{END} after {START} open");
        assert_eq!(without_recalled(&quoted), "before  after ");
        assert_eq!(harmless(&quoted), "before \n[1] x\n after  open");
    }
}
