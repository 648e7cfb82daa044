//! From a query to hits: both signals, fusion, rows.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::database::Database;
use crate::embed::{self, Embedder};
use crate::error::MemoryError;
use crate::fuse::{self, Ranked};
use crate::query::{Hit, MAX_HITS, Query, Signals};
use crate::shape;
use crate::terms::{self, Term};
use crate::text::{self, Saturation, Sought, TextSignal};
use crate::vectors::{Catalog, Slots, VectorCache, VectorQuery, highest, segments};
use crate::weights::Weights;

/// Candidates whose cosine is computed from their bytes when only bits are in memory: the best by estimate, and the
/// best by words. Among the best 150 by estimate are 99 of 100 of the ten nearest, also with 256 dimensions.
const RESCORED: usize = 150;
const RESCORED_WORDS: usize = 50;

/// Hits that the query's vector moves towards.
const FEEDBACK: usize = 3;

/// Words whose relatives are remembered.
const KNOWN_WORDS: usize = 4096;

/// Fits a word or phrase of the query to others with the same meaning. Asked once for each word.
#[derive(Debug, Default)]
pub(crate) struct Relatives(Mutex<HashMap<String, Vec<(String, f32)>>>);

impl Relatives {
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What searching needs of a memory.
pub(crate) struct Search<'a> {
    pub(crate) database: &'a Database,
    pub(crate) vectors: &'a VectorCache,
    pub(crate) relatives: &'a Relatives,
    pub(crate) embedder: &'a dyn Embedder,
    pub(crate) dimensions: usize,
}

impl Search<'_> {
    pub(crate) fn run(&self, query: &Query) -> Result<Vec<Hit>, MemoryError> {
        query.check()?;
        if query.limit == 0 || query.text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let vector = embed::checked(self.embedder, self.dimensions, &[&query.text])?;
        let vector = vector.into_iter().next();
        let terms = terms::terms(&query.text);
        let sought = self.sought(&terms, &query.weights);
        self.database.read(|connection| {
            let connection = &*connection;
            self.vectors.read(
                || segments::load(connection, self.dimensions),
                |catalog| {
                    let transaction = connection.unchecked_transaction()?;
                    let place = Place {
                        connection: &transaction,
                        catalog,
                        query,
                    };
                    let (ranked, text) = place.rank(vector.as_deref(), &sought)?;
                    place.hits(&ranked, &text)
                },
            )
        })
    }

    fn sought(&self, terms: &[Term], weights: &Weights) -> Vec<Sought> {
        let mut known = self.relatives.0.lock().unwrap_or_else(PoisonError::into_inner);
        let related = |term: &Term| {
            if weights.related <= 0.0 {
                return Vec::new();
            }
            if known.len() >= KNOWN_WORDS {
                known.clear();
            }
            let words = known
                .entry(term.word.clone())
                .or_insert_with(|| self.embedder.related(&term.word));
            let mut stems: Vec<(String, f32)> = Vec::new();
            for (word, weight) in words {
                let stem = terms::stemmed(word);
                let taken = stem == term.stem || stems.iter().any(|(known, _)| *known == stem);
                if !taken && !terms::is_stop_word(word) {
                    stems.push((stem, weight.clamp(0.0, 1.0) * weights.related));
                }
            }
            stems
        };
        let mut related = related;
        terms
            .iter()
            .map(|term| Sought {
                related: related(term),
                term: term.clone(),
            })
            .collect()
    }
}

/// A query at one state of the memory.
struct Place<'a> {
    connection: &'a Connection,
    catalog: &'a Catalog,
    query: &'a Query,
}

impl Place<'_> {
    fn rank(
        &self,
        vector: Option<&[f32]>,
        sought: &[Sought],
    ) -> Result<(Vec<Ranked>, TextSignal), MemoryError> {
        let weights = &self.query.weights;
        let allowed = self.allowed()?;
        let saturation = Saturation {
            k1: weights.saturation.max(0.0),
            b: weights.length_penalty.clamp(0.0, 1.0),
        };
        let text = text::signal(self.connection, self.catalog, &allowed, sought, saturation)?;
        let mut ranked = self.fuse(vector, &allowed, &text)?;
        if weights.feedback > 0.0
            && let Some(vector) = vector
            && let Some(moved) = self.moved(vector, &ranked)?
        {
            ranked = self.fuse(Some(moved.as_slice()), &allowed, &text)?;
        }
        Ok((ranked, text))
    }

    fn fuse(
        &self,
        vector: Option<&[f32]>,
        allowed: &Slots,
        text: &TextSignal,
    ) -> Result<Vec<Ranked>, MemoryError> {
        let query = vector.and_then(|vector| self.catalog.vectors.query(vector));
        let cosines = match query {
            Some(query) => self.cosines(&query, allowed, text)?,
            None => vec![f32::NEG_INFINITY; self.catalog.slots()],
        };
        let signals = fuse::Signals {
            catalog: self.catalog,
            allowed,
            cosines: &cosines,
            text,
            asked: shape::asked(&self.query.text),
        };
        Ok(fuse::rank(&signals, &self.query.weights))
    }

    /// The chunks that the query's filters let through.
    fn allowed(&self) -> Result<Slots, MemoryError> {
        let Query {
            namespace,
            source,
            since_ms,
            until_ms,
            ..
        } = self.query;
        let mut allowed = match namespace {
            None => self.catalog.live().clone(),
            Some(name) => {
                let mut statement = self
                    .connection
                    .prepare_cached("SELECT id FROM namespaces WHERE name = ?1")?;
                let ids: Vec<i64> = statement
                    .query_map([name], |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                self.catalog.of_namespaces(&ids)
            }
        };
        if source.is_some() || since_ms.is_some() || until_ms.is_some() {
            let mut statement = self.connection.prepare_cached(
                "SELECT c.id FROM documents d CROSS JOIN chunks c ON c.document_id = d.id
                 WHERE (?1 IS NULL OR d.source = ?1) AND d.created_ms >= ?2 AND d.created_ms < ?3",
            )?;
            let since = since_ms.unwrap_or(i64::MIN);
            let until = until_ms.unwrap_or(i64::MAX);
            let ids: Vec<i64> = statement
                .query_map(params![source, since, until], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            allowed.intersect(&self.catalog.of_chunks(&ids));
        }
        Ok(allowed)
    }

    /// The cosine of every allowed chunk, of the best ones exactly.
    fn cosines(
        &self,
        query: &VectorQuery,
        allowed: &Slots,
        text: &TextSignal,
    ) -> Result<Vec<f32>, MemoryError> {
        let vectors = &self.catalog.vectors;
        let mut cosines = vectors.scan(query, allowed, self.catalog.slots());
        if vectors.is_exact() {
            return Ok(cosines);
        }
        let mut best = highest(&cosines, RESCORED);
        best.extend(
            highest(&text.scores, RESCORED_WORDS)
                .into_iter()
                .filter(|(_, score)| *score > 0.0),
        );
        let mut ids: Vec<i64> = best.iter().map(|(slot, _)| self.catalog.ids()[*slot]).collect();
        ids.sort_unstable();
        ids.dedup();
        for (id, cosine) in segments::rescore(self.connection, query, vectors.dimensions(), ids.into_iter())?
        {
            if let Some(slot) = self.catalog.slot(id) {
                cosines[slot] = cosine;
            }
        }
        Ok(cosines)
    }

    /// The query's vector, moved towards those of the best hits.
    fn moved(&self, vector: &[f32], ranked: &[Ranked]) -> Result<Option<Vec<f32>>, MemoryError> {
        let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt();
        let mut sum: Vec<f32> = vec![0.0; vector.len()];
        let mut count = 0.0f32;
        for one in ranked.iter().take(FEEDBACK) {
            let id = self.catalog.ids()[one.slot];
            if let Some(code) = segments::code(self.connection, id, vector.len())? {
                sum.iter_mut()
                    .zip(code.numbers())
                    .for_each(|(sum, number)| *sum += number);
                count += 1.0;
            }
        }
        if count == 0.0 {
            return Ok(None);
        }
        let share = length * self.query.weights.feedback / count;
        Ok(Some(
            vector
                .iter()
                .zip(sum)
                .map(|(own, sum)| own + share * sum)
                .collect(),
        ))
    }

    fn hits(&self, ranked: &[Ranked], text: &TextSignal) -> Result<Vec<Hit>, MemoryError> {
        let mut hits = Vec::new();
        let mut statement = self.connection.prepare_cached(
            "SELECT c.document_id, n.name, d.key, d.title, d.source, c.text, c.first, c.last, c.heading, c.ordinal,
                    d.created_ms, c.tokens
             FROM chunks c JOIN documents d ON d.id = c.document_id JOIN namespaces n ON n.id = d.namespace_id
             WHERE c.id = ?1",
        )?;
        for one in ranked {
            let score = fuse::logistic(one.z);
            if hits.len() == self.query.limit.min(MAX_HITS) || score < self.query.min_score {
                break;
            }
            let id = self.catalog.ids()[one.slot];
            let matched = text.matched[one.slot].count_ones();
            // A chunk can be gone in this snapshot while another thread writes.
            if let Some(hit) = statement
                .query_row([id], |row| hit(row, id, score, one, matched))
                .optional()?
            {
                hits.push(hit);
            }
        }
        Ok(hits)
    }
}

fn hit(
    row: &Row<'_>,
    chunk_id: i64,
    score: f32,
    ranked: &Ranked,
    matched_terms: u32,
) -> rusqlite::Result<Hit> {
    let heading: String = row.get(8)?;
    Ok(Hit {
        document_id: row.get(0)?,
        chunk_id,
        namespace: row.get(1)?,
        key: row.get(2)?,
        title: row.get(3)?,
        source: row.get(4)?,
        text: row.get(5)?,
        range: row.get(6)?..row.get(7)?,
        heading: serde_json::from_str(&heading).unwrap_or_default(),
        ordinal: row.get(9)?,
        created_ms: row.get(10)?,
        tokens: row.get(11)?,
        score,
        signals: Signals {
            vector: ranked.cosine.unwrap_or(0.0),
            text: ranked.text,
            vector_z: ranked.vector_z,
            text_z: ranked.text_z,
            matched_terms,
            structure: ranked.structure,
        },
    })
}
