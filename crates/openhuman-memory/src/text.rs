//! The text signal: BM25 over the occurrences of the query's words.
//!
//! FTS5 keeps the index; the scores are computed here. Its own `bm25()` looks up the length of every row it scores,
//! which is most of its cost, and gives no score to a row that it was not asked about.

use rusqlite::{Connection, params};

use crate::error::MemoryError;
use crate::terms::Term;
use crate::vectors::{Catalog, Slots};

/// Up to this many chunks, every occurrence of every word counts.
const EVERY_WORD: usize = 20_000;

/// Beyond that the rarest words count, until they have this many occurrences in all. A word in a tenth of a large
/// memory says little about any of it.
const OCCURRENCES: usize = 10_000;

/// Occurrences read of one word at most, when it is the only one.
const ONE_WORD: usize = 60_000;

/// A title or heading counts half as much as the text below it.
const CONTEXT_WEIGHT: f32 = 0.5;

/// Words of a query whose matches are told apart, one bit each.
pub(crate) const MAX_TERMS: usize = 64;

/// A word that is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Sought {
    pub(crate) term: Term,
    /// Stems of words that mean about the same, with weights below 1.
    pub(crate) related: Vec<(String, f32)>,
}

/// How a word's frequency counts: the parameters of BM25.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Saturation {
    pub(crate) k1: f32,
    pub(crate) b: f32,
}

/// What the words of a query say about each slot.
#[derive(Debug, Default)]
pub(crate) struct TextSignal {
    /// The BM25 score, 0 when no word occurs.
    pub(crate) scores: Vec<f32>,
    /// Bit `n`: word `n` itself occurs.
    pub(crate) matched: Vec<u64>,
    /// Bit `n`: the chunk begins with word `n`, as a turn begins with its speaker.
    pub(crate) leading: Vec<u64>,
    /// The inverse document frequency of each word; 0 for a word that occurs nowhere or was left out.
    pub(crate) idf: Vec<f32>,
    /// In how many chunks each word occurs, and how many of them begin with it.
    pub(crate) found: Vec<(usize, usize)>,
}

pub(crate) fn signal(
    connection: &Connection,
    catalog: &Catalog,
    allowed: &Slots,
    sought: &[Sought],
    saturation: Saturation,
) -> Result<TextSignal, MemoryError> {
    let slots = catalog.slots();
    let mut signal = TextSignal {
        scores: vec![0.0; slots],
        matched: vec![0; slots],
        leading: vec![0; slots],
        idf: vec![0.0; sought.len()],
        found: vec![(0, 0); sought.len()],
    };
    let chunks = allowed.count();
    if chunks == 0 {
        return Ok(signal);
    }
    let lengths: u64 = allowed.iter().map(|slot| u64::from(catalog.tokens(slot))).sum();
    let average = (lengths as f32 / chunks as f32).max(1.0);
    let mut best: Vec<f32> = Vec::new();
    for (at, limit) in worth_reading(connection, catalog, sought)? {
        let word = &sought[at];
        let own = occurrences(connection, catalog, allowed, &word.term.stem, limit)?;
        let leading = own.iter().filter(|one| one.leads).count();
        signal.found[at] = (own.len(), leading);
        signal.idf[at] = idf(own.len(), chunks);
        for one in &own {
            signal.matched[one.slot] |= 1 << at;
            signal.leading[one.slot] |= u64::from(one.leads) << at;
        }
        let part = |one: &Occurrence| {
            let length = f32::from(catalog.tokens(one.slot)) / average;
            let Saturation { k1, b } = saturation;
            one.count * (k1 + 1.0) / (one.count + k1 * (1.0 - b + b * length))
        };
        if word.related.is_empty() {
            own.iter()
                .for_each(|one| signal.scores[one.slot] += signal.idf[at] * part(one));
            continue;
        }
        best.resize(slots, 0.0);
        let mut lists = vec![(1.0, own)];
        for (stem, weight) in &word.related {
            lists.push((*weight, occurrences(connection, catalog, allowed, stem, limit)?));
        }
        // A word and those that mean the same count once: as the best of them.
        let mut touched = Vec::new();
        for (weight, list) in &lists {
            let idf = idf(list.len(), chunks);
            for one in list {
                let score = weight * idf * part(one);
                if best[one.slot] == 0.0 {
                    touched.push(one.slot);
                }
                best[one.slot] = best[one.slot].max(score);
            }
        }
        for slot in touched {
            signal.scores[slot] += std::mem::take(&mut best[slot]);
        }
    }
    Ok(signal)
}

/// Rare words say more. Never 0, so that a word of every chunk still tells it from one without words.
fn idf(found: usize, chunks: usize) -> f32 {
    let (found, chunks) = (found as f32, chunks as f32);
    ((chunks - found + 0.5) / (found + 0.5)).ln().max(1e-6)
}

/// Which words to read, and how many occurrences of each at most.
fn worth_reading(
    connection: &Connection,
    catalog: &Catalog,
    sought: &[Sought],
) -> Result<Vec<(usize, usize)>, MemoryError> {
    let all = sought.len().min(MAX_TERMS);
    if catalog.len() <= EVERY_WORD {
        return Ok((0..all).map(|at| (at, usize::MAX)).collect());
    }
    let mut statement = connection.prepare_cached("SELECT cnt FROM temp.word_counts WHERE term = ?1")?;
    let mut counts = Vec::with_capacity(all);
    for (at, word) in sought.iter().enumerate().take(all) {
        let mut rows = statement.query([&word.term.stem])?;
        let count: usize = rows.next()?.map_or(Ok(0), |row| row.get(0))?;
        if count > 0 {
            counts.push((count, at));
        }
    }
    counts.sort_unstable();
    let mut total = 0;
    let mut chosen = Vec::new();
    for (count, at) in counts {
        if !chosen.is_empty() && total + count > OCCURRENCES {
            break;
        }
        total += count;
        chosen.push((at, ONE_WORD));
    }
    Ok(chosen)
}

struct Occurrence {
    slot: usize,
    count: f32,
    leads: bool,
}

/// The chunks that hold a word, in the order of their slots.
fn occurrences(
    connection: &Connection,
    catalog: &Catalog,
    allowed: &Slots,
    stem: &str,
    limit: usize,
) -> Result<Vec<Occurrence>, MemoryError> {
    let mut statement = connection
        .prepare_cached("SELECT doc, col, offset FROM temp.occurrences WHERE term = ?1 LIMIT ?2")?;
    let mut rows = statement.query(params![stem, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let ids = catalog.ids();
    let mut found: Vec<Occurrence> = Vec::new();
    let (mut at, mut id_at) = (0, i64::MIN);
    let mut known = false;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if id != id_at || !known {
            id_at = id;
            at = advance(ids, at, id);
            known = ids.get(at) == Some(&id) && allowed.contains(at);
            if !known {
                continue;
            }
        }
        let in_context = row
            .get_ref(1)?
            .as_bytes()
            .is_ok_and(|column| column == b"context");
        let weight = if in_context { CONTEXT_WEIGHT } else { 1.0 };
        match found.last_mut().filter(|last| last.slot == at) {
            Some(last) => last.count += weight,
            // Occurrences come in order, those in the text before those in the context.
            None => found.push(Occurrence {
                slot: at,
                count: weight,
                leads: !in_context && row.get::<_, i64>(2)? == 0,
            }),
        }
    }
    Ok(found)
}

/// The first position from `at` on whose identifier is not below `id`; the list is sorted and the way usually short.
fn advance(ids: &[i64], at: usize, id: i64) -> usize {
    let mut step = 1;
    let mut low = at;
    while ids.get(low + step).is_some_and(|known| *known < id) {
        low += step;
        step *= 2;
    }
    let high = (low + step + 1).min(ids.len());
    low + ids[low..high].partition_point(|known| *known < id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn advancing_is_a_search(ids in prop::collection::btree_set(0i64..500, 0..200), from in 0usize..200, id in 0i64..520) {
            let ids: Vec<i64> = ids.into_iter().collect();
            let expected = ids.partition_point(|known| *known < id);
            prop_assert_eq!(advance(&ids, from.min(expected), id), expected);
        }
    }

    #[test]
    fn rare_words_weigh_more_and_none_weighs_nothing() {
        assert!(idf(1, 1000) > idf(10, 1000) && idf(10, 1000) > idf(400, 1000));
        assert!(idf(1000, 1000) > 0.0);
    }
}
