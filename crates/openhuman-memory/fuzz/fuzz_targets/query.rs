#![no_main]
//! Any text is a valid query: no error, no panic, scores in order, a context within its budget.

use openhuman_memory::{Conversation, Document, HashingEmbedder, Key, Memory, MemoryOptions, Query, Turn, chunk};

thread_local! {
    static MEMORY: (tempfile::TempDir, Memory) = {
        let dir = tempfile::tempdir().unwrap();
        let options = MemoryOptions::new(HashingEmbedder::new(64));
        let memory = Memory::open(dir.path(), &Key::from_bytes([1; 32]), options).unwrap();
        for n in 0..40 {
            memory.ingest(&Document::new(format!("{n}"), "Note", format!("Project number{n} AND \"plans\" (for) 東京."))).unwrap();
        }
        let turns = (0..20).map(|n| Turn::new("Ann", format!("Turn {n} of the talk?"))).collect();
        memory.ingest_conversation(&Conversation::new("talk", turns)).unwrap();
        (dir, memory)
    };
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    MEMORY.with(|(_, memory)| {
        let query = Query::new(text);
        let hits = memory.search(&query).unwrap();
        assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
        assert!(hits.iter().all(|hit| hit.score.is_finite()));
        let context = memory.context(&query, 60).unwrap();
        assert!(context.tokens <= 60 && context.tokens == chunk::count_tokens(&context.text));
    });
});
