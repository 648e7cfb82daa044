use std::sync::atomic::Ordering;
use std::time::Duration;

use openhuman_memory::{
    Document, Embedder, HashingEmbedder, MAX_DOCUMENT_BYTES, MAX_KEY_BYTES, Memory, MemoryError,
    MemoryOptions, Query,
};

use crate::{Fixture, NOW, key, open, paragraphs};

#[test]
fn the_same_document_is_stored_once() {
    let fixture = Fixture::new();
    let first = fixture.ingest("a", "The kettle is red.");
    assert_eq!((first.chunks, first.embedded, first.unchanged), (1, 1, false));
    let second = fixture.ingest("a", "The kettle is red.");
    assert_eq!(second.document_id, first.document_id);
    assert_eq!(
        (second.chunks, second.embedded, second.reused, second.unchanged),
        (1, 0, 1, true)
    );
    assert_eq!(fixture.memory.stats().unwrap().documents, 1);
    assert_eq!(fixture.probe.texts(), 1);
}

#[test]
fn only_changed_chunks_are_embedded_again() {
    let fixture = Fixture::new();
    let mut topics: Vec<String> = (0..12).map(|n| format!("topic{n}")).collect();
    let text = |topics: &[String]| paragraphs(&topics.iter().map(String::as_str).collect::<Vec<_>>());
    let first = fixture.ingest("a", &text(&topics));
    assert_eq!((first.chunks, first.embedded), (12, 12));
    fixture.probe.texts();

    topics[5] = "volcano".to_owned();
    let second = fixture.ingest("a", &text(&topics));
    assert_eq!(
        (second.chunks, second.embedded, second.reused, second.removed),
        (12, 1, 11, 1)
    );
    assert_eq!(fixture.probe.texts(), 1);
    assert_eq!(
        fixture.memory.text(&second.document_id).unwrap().unwrap(),
        text(&topics)
    );

    topics.insert(0, "earthquake".to_owned());
    let third = fixture.ingest("a", &text(&topics));
    assert_eq!((third.chunks, third.embedded, third.removed), (13, 1, 0));
    let found = fixture.memory.search(&Query::new("topic5")).unwrap();
    assert!(
        found.iter().all(|hit| hit.signals.matched_terms == 0),
        "the old text is gone"
    );
    let found = fixture.memory.search(&Query::new("volcano")).unwrap();
    assert_eq!(found[0].heading, ["About volcano"]);
    let text = text(&topics);
    assert_eq!(text[found[0].range.clone()], found[0].text);
}

#[test]
fn a_new_title_is_searchable_without_embedding() {
    let fixture = Fixture::new();
    let mut document = Document::new("a", "Dentist", "Tuesday at ten.");
    fixture.memory.ingest(&document).unwrap();
    document.title = "Barber".to_owned();
    let report = fixture.memory.ingest(&document).unwrap();
    assert_eq!((report.embedded, report.reused), (0, 1));
    let matched = |text: &str| {
        fixture.memory.search(&Query::new(text)).unwrap()[0]
            .signals
            .matched_terms
    };
    assert_eq!((matched("barber"), matched("dentist")), (1, 0));
}

#[test]
fn a_failing_embedder_leaves_the_old_index() {
    let fixture = Fixture::new();
    let old = paragraphs(&["kettle", "garden"]);
    let report = fixture.ingest("a", &old);
    fixture.probe.texts();
    // More than one batch, and the failure comes in a later one.
    let new: String = (0..300).map(|n| paragraphs(&[&format!("subject{n}")])).collect();
    fixture.probe.fail_after.store(150, Ordering::SeqCst);
    let error = fixture.memory.ingest(&Document::new("a", "", &new)).unwrap_err();
    assert!(
        matches!(error, MemoryError::Embedding(_)) && error.is_transient(),
        "{error}"
    );
    assert!(fixture.probe.texts() > 150);
    fixture.probe.fail_after.store(0, Ordering::SeqCst);

    assert_eq!(fixture.memory.text(&report.document_id).unwrap().unwrap(), old);
    let hits = fixture.memory.search(&Query::new("kettle")).unwrap();
    assert_eq!((hits.len(), hits[0].heading[0].as_str()), (2, "About kettle"));
    let error = fixture.memory.ingest(&Document::new("b", "", "new"));
    assert!(error.is_ok(), "the memory still works");

    fixture.probe.failing.store(true, Ordering::SeqCst);
    assert!(matches!(
        fixture.memory.search(&Query::new("kettle")),
        Err(MemoryError::Embedding(_))
    ));
}

#[test]
fn forgetting_leaves_nothing_to_find() {
    let fixture = Fixture::new();
    let report = fixture.ingest("a", "The password hint is marmalade.");
    fixture.ingest("b", "Bread and butter.");
    assert_eq!(
        fixture.memory.search(&Query::new("marmalade")).unwrap()[0].key,
        "a"
    );
    assert!(fixture.memory.forget(&report.document_id).unwrap());
    assert!(!fixture.memory.forget(&report.document_id).unwrap());
    let hits = fixture.memory.search(&Query::new("marmalade")).unwrap();
    assert!(
        hits.iter()
            .all(|hit| hit.key == "b" && hit.signals.matched_terms == 0)
    );
    assert_eq!(fixture.memory.text(&report.document_id).unwrap(), None);

    // Not even the words are left in the index.
    let plain = fixture.dir.path().join("plain.db");
    fixture.memory.export_plain(&plain).unwrap();
    let bytes = std::fs::read(&plain).unwrap();
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(bytes.starts_with(b"SQLite format 3\0") && holds(b"Bread"));
    assert!(!holds(b"marmalad"), "the stem is still in the file");
}

#[test]
fn documents_and_stats_tell_what_is_there() {
    let fixture = Fixture::new();
    let mut document = Document::new("b", "Title", "One two three.");
    document.namespace = "work".to_owned();
    document.source = "file.md".to_owned();
    document.created_ms = Some(5);
    let report = fixture.memory.ingest(&document).unwrap();
    fixture.ingest("a", "");
    fixture.clock.advance(Duration::from_secs(1));
    fixture.ingest("a", "Four. \u{1f980}");

    let all = fixture.memory.documents(None).unwrap();
    assert_eq!(
        all.iter().map(|info| info.key.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!((all[0].created_ms, all[0].updated_ms), (NOW, NOW + 1000));
    let work = fixture.memory.documents(Some("work")).unwrap();
    assert_eq!(
        (work.len(), work[0].id.as_str(), work[0].created_ms),
        (1, report.document_id.as_str(), 5)
    );
    assert_eq!(
        (work[0].source.as_str(), work[0].bytes, work[0].chunks),
        ("file.md", 14, 1)
    );
    assert!(fixture.memory.documents(Some("nowhere")).unwrap().is_empty());
    let stats = fixture.memory.stats().unwrap();
    assert_eq!(
        (stats.namespaces, stats.documents, stats.chunks, stats.vectors),
        (2, 2, 2, 2)
    );
    assert!(stats.tokens > 5 && stats.database_bytes > 0);
}

#[test]
fn text_without_words_is_counted_and_kept() {
    let fixture = Fixture::new();
    let report = fixture.ingest("a", "!!! ???");
    assert_eq!((report.chunks, report.without_vector), (1, 1));
    assert_eq!(fixture.memory.stats().unwrap().vectors, 0);
    assert_eq!(
        fixture.memory.text(&report.document_id).unwrap().unwrap(),
        "!!! ???"
    );
}

#[test]
fn limits_are_typed_errors() {
    let fixture = Fixture::new();
    let ingest = |document: &Document| fixture.memory.ingest(document).unwrap_err();
    let document = Document::new("a", "", "x".repeat(MAX_DOCUMENT_BYTES + 1));
    assert!(matches!(
        ingest(&document),
        MemoryError::TooLong {
            field: "document",
            ..
        }
    ));
    let document = Document::new("k".repeat(MAX_KEY_BYTES + 1), "", "x");
    assert!(matches!(
        ingest(&document),
        MemoryError::TooLong { field: "key", .. }
    ));
    assert!(matches!(
        ingest(&Document::new("", "", "x")),
        MemoryError::Empty { field: "key" }
    ));
    let mut document = Document::new("a", "", "x");
    document.namespace.clear();
    assert!(matches!(
        ingest(&document),
        MemoryError::Empty { field: "namespace" }
    ));
    assert_eq!(fixture.memory.stats().unwrap().documents, 0);
}

#[test]
fn another_vector_space_is_refused_once_there_are_vectors() {
    let dir = tempfile::tempdir().unwrap();
    let with = |dimensions| {
        Memory::open(
            dir.path(),
            &key(),
            MemoryOptions::new(HashingEmbedder::new(dimensions)),
        )
    };
    drop(with(64).unwrap());
    // An empty memory takes the new space.
    let memory = with(32).unwrap();
    memory.ingest(&Document::new("a", "", "text")).unwrap();
    drop(memory);
    let error = with(64).unwrap_err();
    let MemoryError::SpaceMismatch { stored, given } = &error else {
        panic!("{error}")
    };
    assert_eq!((stored.dimensions, given.dimensions), (32, 64));
    assert!(error.to_string().contains("compute its vectors anew"), "{error}");
    assert!(matches!(with(5000), Err(MemoryError::UnusableSpace { .. })));
    assert_eq!(with(32).unwrap().space(), HashingEmbedder::new(32).space());
}

#[test]
fn a_memory_survives_being_closed() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path(), &key()).unwrap();
    let report = memory
        .ingest(&Document::new("a", "Kitchen", "The kettle is red."))
        .unwrap();
    let before = memory.search(&Query::new("red kettle")).unwrap();
    drop(memory);
    let memory = open(dir.path(), &key()).unwrap();
    assert_eq!(memory.search(&Query::new("red kettle")).unwrap(), before);
    assert!(
        memory
            .ingest(&Document::new("a", "Kitchen", "The kettle is red."))
            .unwrap()
            .unchanged
    );
    assert!(memory.forget(&report.document_id).unwrap());
}

#[test]
fn many_threads_write_and_search_at_once() {
    let fixture = Fixture::new();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let memory = fixture.memory.clone();
            scope.spawn(move || {
                for n in 0..15 {
                    let key = format!("{writer}-{}", n % 5);
                    let text = format!("Writer {writer} made note number{n} about rivers.");
                    memory.ingest(&Document::new(key, "", text)).unwrap();
                }
            });
        }
        for _ in 0..4 {
            let memory = fixture.memory.clone();
            scope.spawn(move || {
                for _ in 0..25 {
                    for hit in memory.search(&Query::new("note about rivers")).unwrap() {
                        assert!(hit.text.contains("rivers"));
                    }
                }
            });
        }
    });
    // What the searches see in memory equals what is on disk.
    let all = |memory: &Memory| {
        let mut query = Query::new("note about rivers");
        query.limit = 100;
        memory.search(&query).unwrap()
    };
    let hits = all(&fixture.memory);
    assert_eq!(hits.len(), 15);
    let Fixture {
        dir, probe, memory, ..
    } = fixture;
    drop(memory);
    assert_eq!(probe.space(), HashingEmbedder::default().space());
    assert_eq!(all(&open(dir.path(), &key()).unwrap()), hits);
}
