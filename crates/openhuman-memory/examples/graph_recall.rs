//! Whether the graph finds what a search alone misses: recall of multi-hop questions on conversations in the LoCoMo
//! format, with and without the chunks that the graph relates, as JSON:
//! `cargo run --release -p openhuman-memory --example graph_recall -- conversations.json`.
//!
//! On the development half of LoCoMo the ranking finds .51 of the evidence of multi-hop questions among the first ten
//! turns by itself, and the graph of the rules does not change that at any weight: the names in such chats are mostly
//! those of the two who speak. So `Memory::search` does not use it; it is for graphs with more in them.

#[path = "locomo/mod.rs"]
#[expect(dead_code, reason = "shared with evaluate.rs, which uses more of it")]
mod locomo;

use std::collections::BTreeMap;
use std::error::Error;

use openhuman_memory::graph::{Expansion, RuleExtractor, Speaker};
use openhuman_memory::{Memory, Query};
use serde_json::json;

use crate::locomo::{DEPTH, Figures, Question, Talk};

const WEIGHTS: [f32; 5] = [0.0, 0.02, 0.05, 0.1, 0.2];

/// Hits that the graph starts from.
const SEEDS: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: graph_recall FILE")?;
    let mut figures: BTreeMap<(&str, usize), Figures> = BTreeMap::new();
    for talk in locomo::read(path.as_ref())? {
        let dir = tempfile::tempdir()?;
        let memory = locomo::remember(&talk, dir.path())?;
        for document in memory.documents(None)? {
            memory.learn(&document.id, &RuleExtractor, Speaker::Turns)?;
        }
        for question in &talk.questions {
            for (place, ranks) in ranks(&memory, &talk, question)?.iter().enumerate() {
                for category in ["all", question.category] {
                    figures
                        .entry((category, place))
                        .or_default()
                        .add(ranks, question.evidence.len());
                }
            }
        }
    }
    let report: BTreeMap<String, _> = figures
        .iter()
        .map(|((category, place), figures)| {
            let r10 = (figures.r10() * 1e4).round() / 1e4;
            (
                format!("{category} r10 at graph weight {}", WEIGHTS[*place]),
                json!(r10),
            )
        })
        .collect();
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

/// The ranks of the evidence for each weight.
fn ranks(memory: &Memory, talk: &Talk, question: &Question) -> Result<Vec<Vec<usize>>, Box<dyn Error>> {
    let query = Query {
        limit: DEPTH,
        ..Query::new(&question.text)
    };
    let hits = memory.search(&query)?;
    let seeds: Vec<(i64, f32)> = hits
        .iter()
        .take(SEEDS)
        .map(|hit| (hit.chunk_id, hit.score))
        .collect();
    let expansion = Expansion {
        namespace: "default",
        question: &question.text,
        seeds: &seeds,
        limit: 200,
    };
    let related: BTreeMap<i64, f32> = memory
        .graph()
        .related_chunks(&expansion)?
        .into_iter()
        .map(|chunk| (chunk.chunk_id, chunk.score))
        .collect();
    let of_weight = |weight: &f32| {
        let mut order: Vec<(f32, usize)> = hits
            .iter()
            .enumerate()
            .map(|(place, hit)| {
                (
                    hit.score + weight * related.get(&hit.chunk_id).unwrap_or(&0.0),
                    place,
                )
            })
            .collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let is_evidence = |(_, place): &(f32, usize)| {
            let hit = &hits[*place];
            let turn = talk.turns.get(&(hit.key.clone(), hit.ordinal));
            turn.is_some_and(|turn| question.evidence.contains(turn))
        };
        let found = order.iter().zip(1..).filter(|(entry, _)| is_evidence(entry));
        found.map(|(_, rank)| rank).collect()
    };
    Ok(WEIGHTS.iter().map(of_weight).collect())
}
