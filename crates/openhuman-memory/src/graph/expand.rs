//! From what a search found to what is connected with it: texts that speak of the same rare things.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::error::GraphError;
use super::names::canonical;
use super::rank::personalised_pagerank;
use super::sqlite::{SqliteGraph, namespace_id, resolve};
use crate::error::MemoryError;
use crate::terms;

/// Something that more texts speak of connects everything with everything.
const COMMON: usize = 64;

/// Neighbours followed from one entity along facts.
const FAN_OUT: usize = 12;

/// Longest name looked for in a question, in words.
const LONGEST_NAME: usize = 3;

/// How to expand.
#[derive(Debug, Clone, PartialEq)]
pub struct Expansion<'a> {
    /// The namespace of the graph, which is that of the documents.
    pub namespace: &'a str,
    /// The question. Entities that it names are starting points.
    pub question: &'a str,
    /// Chunks found so far with their weights above 0, best first. A handful is enough.
    pub seeds: &'a [(i64, f32)],
    /// How many chunks to return.
    pub limit: usize,
}

/// A chunk that the graph connects with the question.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RelatedChunk {
    /// The chunk.
    pub chunk_id: i64,
    /// How well it is connected, above 0 and up to 1 for the best.
    pub score: f32,
    /// The entity that contributed most, to explain the hit.
    pub via: String,
}

impl SqliteGraph {
    /// Chunks connected with a question: personalised PageRank over the entities of the question and of the seeds,
    /// the facts between entities, and the chunks that speak of them. The seeds are among the results when something
    /// connects them. Reads a few hundred rows, whatever the size of the graph.
    ///
    /// # Errors
    ///
    /// [`GraphError::Store`].
    pub fn related_chunks(&self, expansion: &Expansion<'_>) -> Result<Vec<RelatedChunk>, GraphError> {
        let related = self.database().read(|connection| {
            let transaction = connection.transaction()?;
            related(&transaction, expansion)
        });
        Ok(related?)
    }
}

fn related(connection: &Connection, expansion: &Expansion<'_>) -> Result<Vec<RelatedChunk>, MemoryError> {
    let Some(namespace) = namespace_id(connection, expansion.namespace)? else {
        return Ok(Vec::new());
    };
    let mut web = Web::default();
    for entity in entities_named(connection, namespace, expansion.question)? {
        let place = web.place(Thing::Entity(entity));
        web.restart.push((place, 1.0));
    }
    let best = expansion
        .seeds
        .first()
        .map_or(1.0, |(_, weight)| weight.max(f32::MIN_POSITIVE));
    let mut of_chunk =
        connection.prepare_cached("SELECT DISTINCT entity FROM graph_mentions WHERE chunk = ?1 LIMIT 64")?;
    for (chunk, weight) in expansion.seeds {
        let place = web.place(Thing::Chunk(*chunk));
        web.restart.push((place, (weight / best).clamp(0.0, 1.0)));
        for entity in of_chunk.query_map([chunk], |row| row.get(0))? {
            web.place(Thing::Entity(entity?));
        }
    }
    web.follow_facts(connection)?;
    web.add_mentions(connection)?;
    web.ranked(connection, expansion.limit)
}

/// Entities whose names occur in a text, the longest names first.
fn entities_named(connection: &Connection, namespace: i64, text: &str) -> Result<Vec<i64>, MemoryError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut taken = vec![false; words.len()];
    let mut found = Vec::new();
    for length in (1..=LONGEST_NAME).rev() {
        for (first, window) in words.windows(length).enumerate() {
            let name = canonical(&window.join(" "));
            if taken[first..first + length].contains(&true) || (length == 1 && terms::is_stop_word(&name)) {
                continue;
            }
            if let Some(id) = resolve(connection, namespace, &name)? {
                taken[first..first + length].fill(true);
                if !found.contains(&id) {
                    found.push(id);
                }
            }
        }
    }
    Ok(found)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Thing {
    Entity(i64),
    Chunk(i64),
}

/// The part of the graph around a question.
#[derive(Default)]
struct Web {
    things: Vec<Thing>,
    places: HashMap<Thing, usize>,
    edges: Vec<(usize, usize, f32)>,
    restart: Vec<(usize, f32)>,
}

impl Web {
    fn place(&mut self, thing: Thing) -> usize {
        let next = self.things.len();
        let place = *self.places.entry(thing).or_insert(next);
        if place == next {
            self.things.push(thing);
        }
        place
    }

    fn entities(&self) -> Vec<(usize, i64)> {
        let entity = |(place, thing): (usize, &Thing)| match thing {
            Thing::Entity(id) => Some((place, *id)),
            Thing::Chunk(_) => None,
        };
        self.things.iter().enumerate().filter_map(entity).collect()
    }

    fn follow_facts(&mut self, connection: &Connection) -> Result<(), MemoryError> {
        let mut links = connection.prepare_cached(
            "SELECT other, rank >> 53 FROM graph_links WHERE node = ?1 ORDER BY rank LIMIT ?2",
        )?;
        for (place, id) in self.entities() {
            let mut rows = links.query(params![id, FAN_OUT])?;
            while let Some(row) = rows.next()? {
                let doubt: f32 = row.get(1)?;
                let other = self.place(Thing::Entity(row.get(0)?));
                self.edges.push((place, other, 1.0 - doubt / 1000.0));
            }
        }
        Ok(())
    }

    /// A rare entity says more about a text than one that is everywhere.
    fn add_mentions(&mut self, connection: &Connection) -> Result<(), MemoryError> {
        let mut statement = connection.prepare_cached(
            "SELECT DISTINCT chunk FROM graph_mentions WHERE entity = ?1 AND chunk >= 0 LIMIT ?2",
        )?;
        for (place, id) in self.entities() {
            let chunks: Vec<i64> = statement
                .query_map(params![id, COMMON + 1], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            if chunks.len() > COMMON {
                continue;
            }
            let weight = 1.0 / (chunks.len() as f32).sqrt();
            for chunk in chunks {
                let chunk = self.place(Thing::Chunk(chunk));
                self.edges.push((place, chunk, weight));
            }
        }
        Ok(())
    }

    fn ranked(&self, connection: &Connection, limit: usize) -> Result<Vec<RelatedChunk>, MemoryError> {
        let rank = personalised_pagerank(self.things.len(), &self.edges, &self.restart, 0.5, 15);
        let mut best_neighbour: HashMap<usize, (f32, i64)> = HashMap::new();
        for (a, b, weight) in &self.edges {
            for (from, to) in [(a, b), (b, a)] {
                if let (Thing::Entity(id), Thing::Chunk(_)) = (self.things[*from], self.things[*to]) {
                    let flow = rank[*from] * weight;
                    let best = best_neighbour.entry(*to).or_insert((flow, id));
                    if flow > best.0 {
                        *best = (flow, id);
                    }
                }
            }
        }
        let mut chunks: Vec<(i64, f32, i64)> = best_neighbour
            .iter()
            .filter_map(|(place, (_, entity))| match self.things[*place] {
                Thing::Chunk(id) => Some((id, rank[*place], *entity)),
                Thing::Entity(_) => None,
            })
            .collect();
        chunks.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        chunks.truncate(limit);
        let best = chunks.first().map_or(1.0, |chunk| chunk.1.max(f32::MIN_POSITIVE));
        let mut name = connection.prepare_cached("SELECT name FROM graph_entities WHERE id = ?1")?;
        let related = chunks.into_iter().map(|(chunk_id, score, entity)| {
            let via = name
                .query_row([entity], |row| row.get(0))
                .optional()?
                .unwrap_or_default();
            Ok(RelatedChunk {
                chunk_id,
                score: score / best,
                via,
            })
        });
        related.collect()
    }
}
