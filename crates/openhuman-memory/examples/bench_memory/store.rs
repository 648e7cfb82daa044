//! A memory of many chunks in its sealed database: in, open, query, memory in use.

use std::error::Error;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use openhuman_memory::{Document, Embedder, Key, Memory, MemoryOptions, Query, StaticEmbedder, chunk};
use serde_json::{Value, json};

use crate::texts::Words;
use crate::{Report, all_processor_time, millis, processor_time, put, shortest};

/// Documents of about twenty chunks that are committed together.
const TOGETHER: usize = 50;

const QUERIES: usize = 400;

/// Markdown as people write it: the documents of this repository.
const MARKDOWN: [&str; 8] = [
    include_str!("../../../../docs/ARCHITECTURE.md"),
    include_str!("../../../../docs/measurements.md"),
    include_str!("../../../../docs/writing-skills.md"),
    include_str!("../../../../docs/backend-protocol.md"),
    include_str!("../../../../docs/format-vault.md"),
    include_str!("../../../../docs/format-sqlite.md"),
    include_str!("../../../../docs/format-skill-package.md"),
    include_str!("../../../../README.md"),
];

fn key() -> Key {
    Key::from_bytes([1; 32])
}

pub(crate) fn measure(report: &mut Report, chunks: usize) -> Result<(), Box<dyn Error>> {
    let mut words = Words::new(0x9e37_79b9_7f4a_7c15);
    text(report, &mut words)?;
    let dir = tempfile::tempdir()?;
    let memory = Memory::open(dir.path(), &key(), MemoryOptions::default())?;
    let (mut number, mut stored, mut took, mut computed) = (0, 0, Duration::ZERO, Duration::ZERO);
    while stored < chunks {
        let documents: Vec<Document> = (0..TOGETHER)
            .map(|_| {
                number += 1;
                Document::new(format!("document {number}"), "", words.document())
            })
            .collect();
        let (started, before) = (Instant::now(), all_processor_time());
        stored += memory
            .ingest_all(&documents)?
            .iter()
            .map(|report| report.chunks)
            .sum::<usize>();
        took += started.elapsed();
        computed += all_processor_time() - before;
    }
    put(report, "ingest_chunks_s", stored as f64 / took.as_secs_f64());
    put(
        report,
        "ingest_chunks_cpu_s",
        stored as f64 / computed.as_secs_f64(),
    );
    let stats = memory.stats()?;
    put(
        report,
        "tokens_per_chunk",
        stats.tokens as f64 / stats.chunks as f64,
    );
    put(report, "chunks", stats.chunks as f64);
    put(report, "database_mb", stats.database_bytes as f64 / 1e6);
    drop(memory);
    let printed = Command::new(std::env::current_exe()?)
        .arg("--open")
        .arg(dir.path())
        .output()?;
    if !printed.status.success() {
        return Err(String::from_utf8_lossy(&printed.stderr).into_owned().into());
    }
    let opened: Report = serde_json::from_slice(&printed.stdout)?;
    for (key, value) in opened {
        match value.as_f64() {
            Some(number) => put(report, &key, number),
            None => drop(report.insert(key, value)),
        }
    }
    Ok(())
}

/// The work on texts that needs no database.
fn text(report: &mut Report, words: &mut Words) -> Result<(), Box<dyn Error>> {
    chunk::count_tokens("loads the vocabulary");
    let bytes: usize = MARKDOWN.iter().map(|text| text.len()).sum();
    let took = shortest(9, || {
        MARKDOWN
            .iter()
            .for_each(|text| drop(black_box(chunk::split(text))));
    });
    put(report, "chunk_mb_s", bytes as f64 / 1e6 / took.as_secs_f64());
    // Words that no vocabulary holds have to be pieced together.
    let texts: Vec<String> = (0..60).map(|_| words.document()).collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    let took = shortest(5, || {
        texts.iter().for_each(|text| drop(black_box(chunk::split(text))));
    });
    put(
        report,
        "chunk_invented_words_mb_s",
        bytes as f64 / 1e6 / took.as_secs_f64(),
    );
    let tokens: usize = texts
        .iter()
        .map(|text| openhuman_memory_model::StaticModel::bundled().tokens(text).len())
        .sum();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    // One thread: few texts at a time.
    let took = shortest(5, || {
        texts
            .chunks(8)
            .for_each(|texts| drop(black_box(StaticEmbedder.embed(texts))));
    });
    put(report, "static_tok_s", tokens as f64 / took.as_secs_f64());
    Ok(())
}

/// In a new process: how long it takes to open the memory and to ask it, and what that needs.
pub(crate) fn open(dir: &str) -> Result<(), Box<dyn Error>> {
    let mut report = Report::new();
    // The model's own start, a hash table of the vocabulary, belongs to a program, not to a memory.
    StaticEmbedder.embed(&["start"])?;
    let (started, before) = (Instant::now(), processor_time());
    let memory = Memory::open(dir.as_ref(), &key(), MemoryOptions::default())?;
    memory.search(&Query::new("first"))?;
    report.insert("open_100k_ms".into(), json!(millis(started.elapsed())));
    report.insert(
        "open_100k_cpu_ms".into(),
        json!(millis(processor_time() - before)),
    );
    let mut words = Words::new(99);
    let (mut times, mut computed) = (Vec::new(), Vec::new());
    for _ in 0..QUERIES {
        let query = Query::new(words.question());
        let (started, before) = (Instant::now(), processor_time());
        let hits = memory.search(&query)?;
        times.push(started.elapsed());
        computed.push(processor_time() - before);
        assert!(!hits.is_empty(), "every question shares words with some chunk");
    }
    times.sort_unstable();
    computed.sort_unstable();
    report.insert(
        "hybrid_100k_p50_cpu_ms".into(),
        json!(millis(computed[QUERIES / 2])),
    );
    report.insert(
        "hybrid_100k_p99_cpu_ms".into(),
        json!(millis(computed[QUERIES * 99 / 100])),
    );
    report.insert("hybrid_100k_p50_ms".into(), json!(millis(times[QUERIES / 2])));
    report.insert(
        "hybrid_100k_p99_ms".into(),
        json!(millis(times[QUERIES * 99 / 100])),
    );
    let spread: Vec<f64> = (0..=20)
        .map(|part| millis(times[(QUERIES - 1) * part / 20]))
        .collect();
    report.insert("hybrid_100k_ms_by_5_percent".into(), json!(spread));
    report.insert(
        "rss_100k_mb".into(),
        resident().map_or(Value::Null, |mb| json!(mb)),
    );
    println!("{}", Value::Object(report));
    Ok(())
}

/// What the kernel counts as this process's memory, in megabytes; Linux only.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1e3)
}
