//! From one vector space to another.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use openhuman_memory::{
    Document, EmbedError, Embedder, HashingEmbedder, Memory, MemoryError, MemoryOptions, Query, Reembedded,
    Sealing, Space, UnavailableEmbedder,
};

use crate::{Fixture, Probe, key};

/// The hashing embedder under another name, with a count and a switch.
#[derive(Default)]
struct Other(Probe);

impl Embedder for Other {
    fn space(&self) -> Space {
        Space {
            model: "other".into(),
            dimensions: 128,
            ..self.0.space()
        }
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.0.embed(texts)?;
        HashingEmbedder::new(128).embed(texts)
    }
}

fn filled() -> Fixture {
    let fixture = Fixture::new();
    let documents: Vec<Document> = (0..500)
        .map(|n| Document::new(format!("{n}"), "", format!("Note number{n} about the river.")))
        .collect();
    fixture.memory.ingest_all(&documents).unwrap();
    fixture
}

fn reopened(
    fixture: Fixture,
    embedder: impl Embedder + 'static,
) -> Result<(tempfile::TempDir, Memory), MemoryError> {
    let Fixture { dir, memory, .. } = fixture;
    drop(memory);
    let memory = Memory::open(dir.path(), &key(), MemoryOptions::new(embedder))?;
    Ok((dir, memory))
}

#[test]
fn a_job_that_was_interrupted_goes_on_and_then_switches() {
    let fixture = filled();
    let memory = fixture.memory.clone();
    let other = Arc::new(Other::default());
    // Stopped by the caller after the first batch, then by the embedder in the third.
    let mut seen = Vec::new();
    let stopped = memory.reembed(other.clone(), &mut |progress| {
        seen.push((progress.done, progress.total));
        false
    });
    assert_eq!(
        (stopped.unwrap(), seen.as_slice()),
        (Reembedded::Stopped, &[(128, 500)][..])
    );
    other.0.fail_after.store(300, Ordering::SeqCst);
    let error = memory.reembed(other.clone(), &mut |_| true).unwrap_err();
    assert!(error.is_transient());
    // Meanwhile everything goes on in the old space.
    assert_eq!(memory.space().model, "hashing");
    assert_eq!(memory.search(&Query::new("number77")).unwrap()[0].key, "77");
    memory
        .ingest(&Document::new("late", "", "A late note about the river."))
        .unwrap();
    assert!(memory.forget(&memory.documents(None).unwrap()[0].id).unwrap());
    other.0.fail_after.store(0, Ordering::SeqCst);
    other.0.texts();
    assert_eq!(
        memory.reembed(other.clone(), &mut |_| true).unwrap(),
        Reembedded::Complete
    );
    // 500 and one new, one removed that had a vector already; 256 were done.
    assert_eq!(other.0.texts(), 501 - 256);
    assert_eq!(memory.space(), other.space());
    assert_eq!(memory.search(&Query::new("number77")).unwrap()[0].key, "77");
    assert_eq!(memory.check().unwrap(), 500);
    fixture.probe.texts();
    memory
        .ingest(&Document::new("after", "", "After the move."))
        .unwrap();
    assert_eq!(fixture.probe.texts(), 0, "the old embedder is not asked any more");
    assert_eq!(memory.check().unwrap(), 501);
    drop(memory);
    let (_dir, memory) = reopened(fixture, Other::default()).unwrap();
    assert_eq!(
        memory.search(&Query::new("after the move")).unwrap()[0].key,
        "after"
    );
}

/// Row 18 of the known failures, the part about a provider that is not there.
#[test]
fn row_18_a_missing_provider_is_an_error_and_no_vector_of_zeros() {
    let fixture = filled();
    let space = fixture.memory.space();
    let sealing = Sealing {
        database_key: &Memory::database_key(&key()),
        key: &key(),
        anchor: None,
    };
    assert_eq!(
        Memory::stored_space(tempfile::tempdir().unwrap().path(), &sealing).unwrap(),
        None
    );
    let gone = UnavailableEmbedder::new(space.clone(), "no key is set for this provider");
    let (dir, memory) = reopened(fixture, gone).unwrap();
    let error = memory.search(&Query::new("river")).unwrap_err();
    assert!(error.to_string().contains("no key is set") && error.is_transient());
    let before = memory.stats().unwrap();
    memory
        .ingest(&Document::new("new", "", "A new text."))
        .unwrap_err();
    assert_eq!(memory.stats().unwrap(), before);
    // The way out: to a model that is there.
    let other = Arc::new(Other::default());
    assert_eq!(
        memory.reembed(other, &mut |_| true).unwrap(),
        Reembedded::Complete
    );
    assert_eq!(memory.search(&Query::new("number5")).unwrap()[0].key, "5");
    drop(memory);
    assert_eq!(
        Memory::stored_space(dir.path(), &sealing).unwrap().unwrap().model,
        "other"
    );
}
