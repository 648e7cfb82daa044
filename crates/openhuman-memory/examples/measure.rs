//! Measures the speed of chunking, ingesting and searching on generated text.
//!
//! ```sh
//! cargo run --release -p openhuman-memory --example measure -- 10000
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use openhuman_memory::{Document, Key, Memory, MemoryOptions, Query, chunk};

/// Draws words with the skew of natural text: a few are common, most are rare.
struct Words(u64);

impl Words {
    fn number(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A word of at least this rank; rank 1 is the most common one.
    fn word(&mut self, least: f64) -> String {
        const SYLLABLES: [&str; 16] = [
            "ri", "ver", "sto", "ne", "gar", "den", "lam", "p", "win", "dow", "ta", "ble", "cor", "ner",
            "ma", "ple",
        ];
        let mut rank = (least * (20_000.0 / least).powf(self.number())) as usize;
        let mut word = String::new();
        while rank > 0 {
            word.push_str(SYLLABLES[rank % 16]);
            rank /= 16;
        }
        word
    }

    fn sentence(&mut self) -> String {
        let count = 8 + (self.number() * 12.0) as usize;
        let words: Vec<String> = (0..count).map(|_| self.word(1.0)).collect();
        format!("{}. ", words.join(" "))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let wanted: usize = std::env::args().nth(1).as_deref().unwrap_or("10000").parse()?;
    let mut words = Words(0x9e37_79b9_7f4a_7c15);
    let texts: Vec<String> = (0..wanted.div_ceil(20))
        .map(|_| {
            (0..300)
                .map(|n| words.sentence() + if n % 6 == 5 { "\n\n" } else { "" })
                .collect()
        })
        .collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    chunk::count_tokens("loads the vocabulary");

    let (mut chunks, mut took) = (Vec::new(), f64::INFINITY);
    for _ in 0..3 {
        let started = Instant::now();
        chunks = texts.iter().flat_map(|text| chunk::split(text)).collect();
        took = started.elapsed().as_secs_f64().min(took);
    }
    let tokens: usize = chunks.iter().map(|chunk| chunk.tokens).sum();
    println!(
        "chunking: {} chunks, {tokens} tokens, {:.1} MB/s",
        chunks.len(),
        bytes as f64 / 1e6 / took
    );

    let dir = tempfile::tempdir()?;
    let key = Key::from_bytes([1; 32]);
    let memory = Memory::open(dir.path(), &key, MemoryOptions::default())?;
    let started = Instant::now();
    for (n, text) in texts.iter().enumerate() {
        memory.ingest(&Document::new(format!("document {n}"), "", text))?;
    }
    let took = started.elapsed().as_secs_f64();
    println!("ingest: {:.0} chunks/s", chunks.len() as f64 / took);
    drop(memory);

    let started = Instant::now();
    let memory = Memory::open(dir.path(), &key, MemoryOptions::default())?;
    memory.search(&Query::new("first"))?;
    println!("open and first query: {:.1} ms", millis(started.elapsed()));
    let mut times = Vec::new();
    for _ in 0..200 {
        // The most common words of a question are stop words, which are not looked for.
        let text: Vec<String> = (0..5).map(|_| words.word(75.0)).collect();
        let started = Instant::now();
        let hits = memory.search(&Query::new(text.join(" ")))?;
        times.push(started.elapsed());
        assert!(!hits.is_empty(), "every question shares words with some chunk");
    }
    times.sort_unstable();
    let stats = memory.stats()?;
    println!(
        "query over {} chunks: p50 {:.2} ms, p99 {:.2} ms; database {:.1} MB",
        stats.chunks,
        millis(times[times.len() / 2]),
        millis(times[times.len() * 99 / 100]),
        stats.database_bytes as f64 / 1e6
    );
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
