//! Measures retrieval on a file of LongMemEval: one memory per question, one document per session, turns as chunks.
//!
//! ```sh
//! cargo run --release -p openhuman-memory --example longmemeval -- longmemeval_s.json
//! ```
//!
//! The file is a JSON list; of each item `question_id`, `question`, `haystack_sessions` (lists of `{role, content}`),
//! `haystack_session_ids` and `answer_session_ids` are read. The data is not part of this repository. Questions whose
//! identifier ends with `_abs` have no answer and are skipped. A session is as good as its best turn: recall_any@k
//! says whether any session with the answer is among the first k, recall_all@k whether all are, nDCG_any@10 weighs
//! their places.

use std::error::Error;

use openhuman_memory::{Conversation, Key, Memory, MemoryOptions, Query, Turn};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("usage: longmemeval FILE, a JSON list of questions")?;
    let items: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let (mut questions, mut any, mut all, mut gain) = (0u32, [0u32; 2], [0u32; 2], 0.0);
    for item in &items {
        if item["question_id"]
            .as_str()
            .is_some_and(|id| id.ends_with("_abs"))
        {
            continue;
        }
        let (Some(question), Some(answers)) =
            (item["question"].as_str(), item["answer_session_ids"].as_array())
        else {
            return Err("an item without question or answer_session_ids".into());
        };
        let answers: Vec<&str> = answers.iter().filter_map(Value::as_str).collect();
        let ranked = ranked(item, question)?;
        let found = |k: usize| {
            answers
                .iter()
                .filter(|id| ranked.iter().take(k).any(|known| known == *id))
                .count()
        };
        for (at, k) in [5, 10].into_iter().enumerate() {
            any[at] += u32::from(found(k) > 0);
            all[at] += u32::from(found(k) == answers.len());
        }
        let discount = |rank: usize| 1.0 / (rank as f64 + 2.0).log2();
        let gained = ranked
            .iter()
            .take(10)
            .enumerate()
            .filter(|(_, id)| answers.contains(&id.as_str()));
        let ideal: f64 = (0..answers.len().min(10)).map(discount).sum();
        gain += gained.map(|(rank, _)| discount(rank)).sum::<f64>() / ideal.max(f64::MIN_POSITIVE);
        questions += 1;
    }
    let share = |count: u32| f64::from(count) / f64::from(questions.max(1));
    println!("questions       {questions}");
    println!("recall_any@5    {:.3}", share(any[0]));
    println!("recall_any@10   {:.3}", share(any[1]));
    println!("recall_all@5    {:.3}", share(all[0]));
    println!("recall_all@10   {:.3}", share(all[1]));
    println!("nDCG_any@10     {:.3}", gain / f64::from(questions.max(1)));
    Ok(())
}

/// The identifiers of the sessions, the one with the best turn first.
fn ranked(item: &Value, question: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let memory = Memory::open(dir.path(), &Key::from_bytes([1; 32]), MemoryOptions::default())?;
    let sessions = item["haystack_sessions"].as_array().into_iter().flatten();
    let ids = item["haystack_session_ids"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    for (session, id) in sessions.zip(ids) {
        let turns = session.as_array().into_iter().flatten().map(|turn| {
            let field = |name: &str| turn[name].as_str().unwrap_or_default();
            Turn::new(field("role"), field("content"))
        });
        memory.ingest_conversation(&Conversation::new(id, turns.collect()))?;
    }
    let hits = memory.search(&Query {
        limit: 500,
        ..Query::new(question)
    })?;
    let mut ranked: Vec<String> = Vec::new();
    for hit in hits {
        if !ranked.contains(&hit.key) {
            ranked.push(hit.key);
        }
    }
    Ok(ranked)
}
