//! From the texts of documents into the graph.

use rusqlite::Transaction;

use super::extract::{Extraction, Extractor, Passage};
use super::model::{Change, Provenance};
use super::sqlite::Writer;
use super::timeline::check;
use crate::error::MemoryError;
use crate::memory::Memory;

/// Who says `I` in the chunks of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker<'a> {
    /// Nobody: what the text says about its author is left out.
    Nobody,
    /// One person.
    Named(&'a str),
    /// Whoever is named before the first colon of a chunk, as in a conversation.
    Turns,
}

impl Memory {
    /// Reads a document that was ingested into the graph of its namespace: what it speaks of, and what it says. Doing
    /// it again adds what is new. Returns how many mentions and facts there were; 0 when there is no such document.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Extraction`] when the extractor failed, and nothing was written then.
    pub fn learn(
        &self,
        id: &str,
        extractor: &dyn Extractor,
        speaker: Speaker<'_>,
    ) -> Result<usize, MemoryError> {
        let (namespace, at_ms, chunks) = self.database().read(|connection| {
            let mut place = connection.prepare_cached(
                "SELECT n.name, d.created_ms FROM documents d JOIN namespaces n ON n.id = d.namespace_id
                 WHERE d.id = ?1",
            )?;
            let mut place = place.query_map([id], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
            let (namespace, at_ms) = place.next().transpose()?.unwrap_or((String::new(), 0));
            let mut chunks = connection
                .prepare_cached("SELECT id, text FROM chunks WHERE document_id = ?1 ORDER BY ordinal")?;
            let chunks = chunks.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let chunks: Vec<(i64, String)> = chunks.collect::<Result<_, _>>()?;
            Ok((namespace, at_ms, chunks))
        })?;
        let mut changes = Vec::new();
        for (chunk, text) in &chunks {
            let (speaker, text) = match (speaker, text.split_once(": ")) {
                (Speaker::Turns, Some((speaker, text))) => (Some(speaker), text),
                (Speaker::Named(name), _) => (Some(name), text.as_str()),
                _ => (None, text.as_str()),
            };
            let passage = Passage { text, speaker, at_ms };
            let mut found: Extraction = extractor.extract(&passage).map_err(MemoryError::Extraction)?;
            // Whoever speaks is spoken of.
            found.mentions.extend(speaker.map(|name| super::extract::Mention {
                name: name.to_owned(),
            }));
            changes.extend(found.changes(&Provenance::chunk(id, *chunk)));
        }
        // A name that is too long is no name.
        changes.retain(|change| check(std::slice::from_ref(change)).is_ok());
        if changes.is_empty() {
            return Ok(0);
        }
        let now_ms = self.clock().now_ms();
        self.database().write(
            |transaction| write(transaction, &namespace, &changes, now_ms),
            |()| (),
        )?;
        Ok(changes.len())
    }
}

fn write(
    transaction: &Transaction<'_>,
    namespace: &str,
    changes: &[Change],
    now_ms: i64,
) -> Result<(), MemoryError> {
    let writer = Writer::new(transaction, namespace, now_ms)?;
    for change in changes {
        writer.apply(change)?;
    }
    Ok(())
}
