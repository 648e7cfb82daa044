//! The candidates for a quote, best first.

use std::collections::{HashMap, HashSet};

use super::{MAX_QUOTES, SHORTLIST, Source};
use crate::extractive::passage::Unit;
use crate::extractive::words::{StopWords, Word, words};

/// A sentence that may be quoted.
pub(super) struct Candidate<'a> {
    pub(super) score: u32,
    pub(super) source: usize,
    pub(super) position: usize,
    pub(super) unit: &'a Unit,
    /// The words of the question that it or its headings have.
    pub(super) words: u64,
}

/// The best sentences so far, best first; of equal ones the first.
#[derive(Default)]
pub(super) struct Shortlist<'a> {
    best: Vec<Candidate<'a>>,
    rows: Vec<Candidate<'a>>,
}

impl<'a> Shortlist<'a> {
    pub(super) fn offer(&mut self, candidate: Candidate<'a>) {
        let list = if candidate.unit.is_row {
            &mut self.rows
        } else {
            &mut self.best
        };
        if candidate.score == 0 {
            return;
        }
        let at = list.partition_point(|better| better.score >= candidate.score);
        let is_known = |known: &Candidate<'_>| known.unit.text == candidate.unit.text;
        if at >= SHORTLIST || list.iter().take(at).any(is_known) {
            return;
        }
        list.insert(at, candidate);
        list.truncate(SHORTLIST);
    }

    /// Those that are worth at least this share of the best. A row of a table is among them only when it is the best.
    pub(super) fn finish(self, (part, whole): (u32, u32)) -> Vec<Candidate<'a>> {
        let Shortlist { mut best, rows } = self;
        let sentence = best.first().map_or(0, |first| first.score);
        let row = rows.first().map_or(0, |first| first.score);
        if row > sentence {
            best.extend(rows.into_iter().filter(|candidate| candidate.score == row));
            // A stable sort: the order among equals stays.
            best.sort_by_key(|candidate| std::cmp::Reverse(candidate.score));
        }
        let top = sentence.max(row);
        let mut kept: Vec<Candidate<'a>> = Vec::new();
        let enough = |candidate: &Candidate<'_>| {
            u64::from(candidate.score) * u64::from(whole) >= u64::from(top) * u64::from(part)
        };
        for candidate in best.into_iter().filter(enough) {
            // A passage may start in the middle of a sentence that another one has whole.
            let is_part = |known: &Candidate<'_>| known.unit.text.contains(&candidate.unit.text);
            if !kept.iter().any(is_part) {
                kept.retain(|known| !candidate.unit.text.contains(&known.unit.text));
                kept.push(candidate);
            }
        }
        kept
    }
}

/// The sentences of a text that have the most of its frequent words, for its length: what it is about.
pub(super) fn central<'a>(source: &'a Source<'_>, index: usize) -> Vec<Candidate<'a>> {
    let units = &source.passage.units;
    let mut frequency: HashMap<String, u32> = HashMap::new();
    let mut stems: Vec<Vec<String>> = Vec::with_capacity(units.len());
    for unit in units {
        let all = words(&unit.text);
        let stop = StopWords::of(&all);
        let mut seen = HashSet::new();
        let content = all.iter().filter(|word| !stop.contains(word)).map(Word::stem);
        let distinct: Vec<String> = content.filter(|stem| seen.insert(stem.clone())).collect();
        for stem in &distinct {
            *frequency.entry(stem.clone()).or_default() += 1;
        }
        stems.push(distinct);
    }
    let enough = |stems: &Vec<String>| stems.len() >= 3;
    let any_enough = units
        .iter()
        .zip(&stems)
        .any(|(unit, stems)| !unit.is_row && enough(stems));
    let mut best = Shortlist::default();
    for (position, (unit, stems)) in units.iter().zip(&stems).enumerate() {
        if any_enough && (unit.is_row || !enough(stems)) {
            continue;
        }
        let sum: u32 = stems.iter().filter_map(|stem| frequency.get(stem)).sum();
        let length = u32::try_from(stems.len()).unwrap_or(u32::MAX);
        let mut score = sum.min(1_000_000).saturating_mul(1000) / length.saturating_add(8) + 1;
        if position == 0 {
            // A text usually says first what it is about.
            score += score / 4;
        }
        best.offer(Candidate {
            score,
            source: index,
            position,
            unit,
            words: 0,
        });
    }
    let mut best = best.finish((1, 2));
    best.truncate(MAX_QUOTES);
    best
}
