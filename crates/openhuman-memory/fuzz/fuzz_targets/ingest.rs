#![no_main]
//! Any bytes are a document or a clear error; a document comes back as it was, and index and rows are equal.

use openhuman_memory::{Document, HashingEmbedder, Key, Memory, MemoryOptions};

thread_local! {
    static MEMORY: (tempfile::TempDir, Memory) = {
        let dir = tempfile::tempdir().unwrap();
        let options = MemoryOptions::new(HashingEmbedder::new(64));
        let memory = Memory::open(dir.path(), &Key::from_bytes([1; 32]), options).unwrap();
        (dir, memory)
    };
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(document) = Document::from_bytes("fuzzed", "", data) else { return };
    if document.text.contains("<recalled-memory>") {
        return;
    }
    MEMORY.with(|(_, memory)| {
        let report = memory.ingest(&document).unwrap();
        assert_eq!(memory.text(&report.document_id).unwrap().unwrap(), document.text);
        assert_eq!(memory.check().unwrap(), report.chunks);
    });
});
