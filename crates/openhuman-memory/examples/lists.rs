//! How many of the nearest vectors a search among lists finds, and how long it takes, on text of yours:
//! `cargo run --release -p openhuman-memory --example lists -- COUNT FILE...`. Every line of the files that is long enough
//! is a text; every thousandth is a question instead. Prints JSON.

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use openhuman_memory::{Embedder, StaticEmbedder, VectorIndex};
use serde_json::json;

/// Bytes of a line that says something.
const LEAST: usize = 40;

/// Candidates compared exactly, as in every search of a memory.
const CANDIDATES: usize = 150;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().ok_or("COUNT FILE...")?.parse()?;
    let mut seen = HashSet::new();
    let mut texts: Vec<String> = Vec::new();
    for file in arguments {
        let bytes = std::fs::read(file)?;
        for line in String::from_utf8_lossy(&bytes).lines() {
            let line = line.trim_matches(|letter: char| !letter.is_alphanumeric());
            if line.len() >= LEAST && texts.len() < count && seen.insert(line.to_owned()) {
                texts.push(line.to_owned());
            }
        }
    }
    let (mut vectors, mut questions) = (Vec::new(), Vec::new());
    for (part, texts) in texts.chunks(10_000).enumerate() {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for (at, vector) in StaticEmbedder.embed(&texts)?.into_iter().enumerate() {
            if (part * 10_000 + at) % 1000 == 500 {
                questions.push(vector);
            } else {
                vectors.push(vector);
            }
        }
    }
    let mut mean = vec![0.0; StaticEmbedder.space().dimensions];
    for vector in &vectors {
        mean.iter_mut()
            .zip(vector)
            .for_each(|(sum, number)| *sum += number / vectors.len() as f32);
    }
    let mut index = VectorIndex::new(mean);
    for (id, vector) in (0..).zip(&vectors) {
        index.add(id, vector);
    }
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let least: Vec<f32> = questions
        .iter()
        .map(|question| {
            let mut exact: Vec<f32> = vectors.iter().map(|vector| cosine(vector, question)).collect();
            let (_, tenth, _) = exact.select_nth_unstable_by(9, |a, b| b.total_cmp(a));
            // The same words in another order have the same vector: any of those equally near is right.
            *tenth - 1e-6
        })
        .collect();
    let measure = |index: &VectorIndex| {
        let (mut found, mut shortest) = (0, Duration::MAX);
        for (question, least) in questions.iter().zip(&least) {
            let started = processor_time();
            let near = index.nearest(question, 10, CANDIDATES);
            shortest = shortest.min(processor_time() - started);
            found += near
                .iter()
                .filter(|(id, _)| cosine(&vectors[*id as usize], question) >= *least)
                .count();
        }
        let recall = found as f64 / (10 * questions.len()) as f64;
        (recall, shortest.as_secs_f64() * 1e3)
    };
    let (recall, took) = measure(&index);
    let mut rows = vec![json!({"probed": "all", "recall10": recall, "ms": took})];
    let started = processor_time();
    index.set_lists(1, 1.0);
    let built = processor_time() - started;
    for probed in [0.05, 0.125, 0.25, 0.4, 0.5, 0.6, 0.8] {
        index.set_lists(1, probed);
        let (recall, took) = measure(&index);
        rows.push(json!({"probed": probed, "recall10": recall, "ms": took}));
    }
    let report = json!({
        "vectors": vectors.len(),
        "questions": questions.len(),
        "lists": index.lists(),
        "build_ms": built.as_secs_f64() * 1e3,
        "rows": rows,
    });
    println!("{report:#}");
    Ok(())
}

/// What this thread has computed so far.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or_default(),
        time.tv_nsec.try_into().unwrap_or_default(),
    )
}
