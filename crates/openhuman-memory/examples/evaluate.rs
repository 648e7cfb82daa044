//! Measures retrieval on conversations in the LoCoMo format: one document per turn, one memory per conversation.
//!
//! ```sh
//! cargo run --release -p openhuman-memory --example evaluate -- conversations.json
//! ```
//!
//! The data is not part of this repository. R@k is the share of a question's evidence turns among the first k
//! hits, hit@10 whether any of them is there, MRR the mean reciprocal rank of the first one within 50, and nDCG@10
//! the discounted gain. Questions without resolvable evidence are skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Instant;

use openhuman_memory::{Document, Key, Memory, MemoryOptions, Query};
use serde_json::Value;

const DEPTH: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("usage: evaluate FILE, a JSON list of LoCoMo conversations")?;
    let conversations: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let (mut all, mut by_category) = (Figures::default(), BTreeMap::<&str, Figures>::new());
    let mut turns_total = 0;
    let started = Instant::now();
    for conversation in &conversations {
        let turns = turns(&conversation["conversation"]);
        turns_total += turns.len();
        let dir = tempfile::tempdir()?;
        let memory = Memory::open(dir.path(), &Key::from_bytes([1; 32]), MemoryOptions::default())?;
        for (id, text) in &turns {
            memory.ingest(&Document::new(id, "", text))?;
        }
        let known: BTreeSet<&str> = turns.iter().map(|(id, _)| id.as_str()).collect();
        for question in conversation["qa"].as_array().into_iter().flatten() {
            let evidence: BTreeSet<String> = evidence(question)
                .filter(|id| known.contains(id.as_str()))
                .collect();
            let Some(text) = question["question"].as_str().filter(|_| !evidence.is_empty()) else {
                continue;
            };
            let ranks = ranks(&memory, text, &evidence)?;
            all.add(&ranks, evidence.len());
            by_category
                .entry(category(question))
                .or_default()
                .add(&ranks, evidence.len());
        }
    }
    println!(
        "{} conversations, {turns_total} turns, {:.1} s",
        conversations.len(),
        started.elapsed().as_secs_f32()
    );
    println!("{:<12} {:>5}  R@1   R@10  hit@10 MRR   nDCG@10", "", "n");
    all.print("all");
    for (name, figures) in by_category {
        figures.print(name);
    }
    Ok(())
}

/// The turns of all sessions as identifier and `Name: text [image: caption]`.
fn turns(conversation: &Value) -> Vec<(String, String)> {
    let sessions = conversation
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, value)| value.as_array());
    let turn = |turn: &Value| {
        let field = |name: &str| turn[name].as_str();
        let image = field("blip_caption")
            .map(|caption| format!(" [image: {caption}]"))
            .unwrap_or_default();
        let text = format!(
            "{}: {}{image}",
            field("speaker")?,
            field("text").unwrap_or_default()
        );
        Some((field("dia_id")?.to_owned(), text))
    };
    sessions.flatten().filter_map(turn).collect()
}

/// The identifiers `D1:2` in the evidence strings; one string can hold several, with leading zeros.
fn evidence(question: &Value) -> impl Iterator<Item = String> {
    let strings = question["evidence"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    strings.flat_map(|string| {
        string.split('D').filter_map(|part| {
            let (session, turn) = part.split_once(':')?;
            let turn: String = turn.chars().take_while(char::is_ascii_digit).collect();
            Some(format!(
                "D{}:{}",
                session.parse::<u32>().ok()?,
                turn.parse::<u32>().ok()?
            ))
        })
    })
}

fn category(question: &Value) -> &'static str {
    match question["category"].as_u64() {
        Some(1) => "multi-hop",
        Some(2) => "temporal",
        Some(3) => "open-domain",
        Some(4) => "single-hop",
        Some(5) => "adversarial",
        _ => "other",
    }
}

/// The ranks, from 1, at which evidence was found.
fn ranks(memory: &Memory, question: &str, evidence: &BTreeSet<String>) -> Result<Vec<usize>, Box<dyn Error>> {
    let mut query = Query::new(question);
    query.limit = DEPTH;
    let mut seen = BTreeSet::new();
    let hits = memory.search(&query)?;
    let documents = hits
        .iter()
        .map(|hit| &hit.key)
        .filter(|key| seen.insert((*key).clone()));
    Ok(documents
        .zip(1..)
        .filter(|(key, _)| evidence.contains(*key))
        .map(|(_, rank)| rank)
        .collect())
}

#[derive(Default)]
struct Figures {
    questions: usize,
    recall_1: f64,
    recall_10: f64,
    hit_10: f64,
    reciprocal: f64,
    gain_10: f64,
}

impl Figures {
    fn add(&mut self, ranks: &[usize], evidence: usize) {
        let recall = |k: usize| ranks.iter().filter(|rank| **rank <= k).count() as f64 / evidence as f64;
        let discount = |rank: usize| 1.0 / (rank as f64 + 1.0).log2();
        let gain: f64 = ranks
            .iter()
            .filter(|rank| **rank <= 10)
            .map(|rank| discount(*rank))
            .sum();
        let ideal: f64 = (1..=evidence.min(10)).map(discount).sum();
        self.questions += 1;
        self.recall_1 += recall(1);
        self.recall_10 += recall(10);
        self.hit_10 += f64::from(recall(10) > 0.0);
        self.reciprocal += ranks.first().map_or(0.0, |rank| 1.0 / *rank as f64);
        self.gain_10 += gain / ideal;
    }

    fn print(&self, name: &str) {
        let mean = |sum: f64| sum / self.questions.max(1) as f64;
        println!(
            "{name:<12} {:>5}  {:.3} {:.3} {:.3}  {:.3} {:.3}",
            self.questions,
            mean(self.recall_1),
            mean(self.recall_10),
            mean(self.hit_10),
            mean(self.reciprocal),
            mean(self.gain_10)
        );
    }
}
