//! The memory as its users see it.

mod compaction;
mod compress;
mod contract_knowledge;
mod conversations;
mod documents;
mod files;
mod forget;
mod formats;
mod graph;
mod kill;
mod known_failures;
#[cfg(feature = "openai")]
mod openai;
mod reembed;
mod sealed;
mod search;
mod sessions;
mod working;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use openhuman_memory::{
    Document, EmbedError, Embedder, HashingEmbedder, Key, ManualClock, Memory, MemoryError, MemoryOptions,
    Space,
};

const NOW: i64 = 1_750_000_000_000;

fn key() -> Key {
    Key::from_bytes([42; 32])
}

/// Counts the texts it embeds and fails on demand.
#[derive(Default)]
struct Probe {
    inner: HashingEmbedder,
    texts: AtomicUsize,
    failing: AtomicBool,
    /// Fails after this many more texts, when not zero.
    fail_after: AtomicUsize,
}

impl Probe {
    fn texts(&self) -> usize {
        self.texts.swap(0, Ordering::SeqCst)
    }
}

impl Embedder for Probe {
    fn space(&self) -> Space {
        self.inner.space()
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let limit = self.fail_after.load(Ordering::SeqCst);
        let before = self.texts.fetch_add(texts.len(), Ordering::SeqCst);
        if self.failing.load(Ordering::SeqCst) || (limit > 0 && before + texts.len() > limit) {
            return Err(EmbedError::Unavailable {
                reason: "unplugged".to_owned(),
                source: None,
            });
        }
        self.inner.embed(texts)
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    probe: Arc<Probe>,
    clock: Arc<ManualClock>,
    memory: Memory,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (probe, clock) = (Arc::new(Probe::default()), Arc::new(ManualClock::new(NOW)));
        let options = MemoryOptions {
            embedder: probe.clone(),
            clock: clock.clone(),
        };
        let memory = Memory::open(dir.path(), &key(), options).unwrap();
        Self {
            dir,
            probe,
            clock,
            memory,
        }
    }

    fn ingest(&self, key: &str, text: &str) -> openhuman_memory::IngestReport {
        self.memory.ingest(&Document::new(key, "", text)).unwrap()
    }
}

fn open(dir: &Path, key: &Key) -> Result<Memory, MemoryError> {
    Memory::open(dir, key, MemoryOptions::new(HashingEmbedder::default()))
}

fn paragraphs(topics: &[&str]) -> String {
    topics
        .iter()
        .map(|topic| {
            format!(
                "# About {topic}\n\n{}\n\n",
                format!("The {topic} is worth a note. ").repeat(40)
            )
        })
        .collect()
}
