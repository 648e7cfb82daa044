//! The known failures of the earlier system that concern the memory, by their row in the list.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use openhuman_memory::{Document, Query, Weights};
use proptest::prelude::*;

use crate::{Fixture, paragraphs};

/// Row 15: any user text is a valid search, and finds what it should.
#[test]
fn row_15_punctuation_and_operators_are_words_or_nothing() {
    let fixture = Fixture::new();
    fixture.ingest("deadline", "The project deadline is Friday.");
    for text in [
        "project deadline?",
        "what's the deadline",
        "re: project",
        "C++ deadline",
        "deadline - (project",
        "\"deadline",
        "deadline AND OR NOT",
        "NEAR(deadline project",
        "text:deadline",
        "deadline*",
        "^deadline",
        "a:b:c deadline",
        "{deadline}",
        "+deadline",
        "deadline;--",
        "\u{0}deadline",
        "deadline\u{202e}",
    ] {
        let hits = fixture.memory.search(&Query::new(text)).unwrap();
        assert!(hits[0].signals.matched_terms > 0, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn row_15_no_text_is_an_error(text in "(?s).{0,120}|[-+*^:(){}\"'/?a-z AND OR NOT NEAR]{0,60}") {
        thread_local!(static FIXTURE: Fixture = {
            let fixture = Fixture::new();
            fixture.ingest("a", "The project deadline is Friday.");
            fixture
        });
        FIXTURE.with(|fixture| {
            fixture.memory.search(&Query::new(text.as_str())).unwrap();
            fixture.memory.context(&Query::new(text.as_str()), 100).unwrap();
        });
    }
}

/// Row 16: what lies in other namespaces does not change what a search finds, and searches run beside each other and
/// beside a writer.
#[test]
fn row_16_namespaces_are_apart_and_readers_do_not_wait_for_writers() {
    let fixture = Fixture::new();
    let note = |namespace: &str, n: usize| {
        let mut document = Document::new(format!("{n}"), "", format!("Plan number{n} for the garden."));
        document.namespace = namespace.to_owned();
        document
    };
    let own: Vec<Document> = (0..20).map(|n| note("own", n)).collect();
    fixture.memory.ingest_all(&own).unwrap();
    let mut query = Query::new("plan number7");
    query.namespace = Some("own".into());
    let scores = |fixture: &Fixture| {
        let hits = fixture.memory.search(&query).unwrap();
        hits.into_iter()
            .map(|hit| (hit.key, hit.score, hit.signals.text))
            .collect::<Vec<_>>()
    };
    let before = scores(&fixture);
    let others: Vec<Document> = (0..300).map(|n| note("other", n)).collect();
    fixture.memory.ingest_all(&others).unwrap();
    assert_eq!(scores(&fixture), before);
    let written = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..40 {
                fixture.memory.ingest(&note("written", n)).unwrap();
            }
            written.store(true, Ordering::SeqCst);
        });
        for _ in 0..3 {
            scope.spawn(|| {
                while !written.load(Ordering::SeqCst) {
                    assert_eq!(scores(&fixture), before);
                }
            });
        }
    });
}

/// Row 17: documents are in the full-text index, and every weight has a reader.
#[test]
fn row_17_documents_are_found_by_words_and_every_weight_counts() {
    let fixture = Fixture::new();
    let text = paragraphs(&["lighthouse", "harbour", "anchor", "ferry", "buoy"]);
    fixture.ingest("sea", &text);
    for n in 0..20 {
        fixture.ingest(
            &format!("{n}"),
            &format!("Number{n}: is the ferry at the pier today? I saw {n} boats."),
        );
    }
    let words = Query {
        weights: Weights {
            vector: 0.0,
            text: 1.0,
            ..Weights::plain()
        },
        ..Query::new("lighthouse")
    };
    assert_eq!(fixture.memory.search(&words).unwrap()[0].key, "sea");
    let scores = |weights: Weights| {
        let query = Query {
            weights,
            limit: 100,
            ..Query::new("When is the ferry at the harbour pier?")
        };
        let hits = fixture.memory.search(&query).unwrap();
        hits.into_iter()
            .map(|hit| (hit.chunk_id, hit.score.to_bits()))
            .collect::<Vec<_>>()
    };
    let base = Weights {
        around_text: 0.4,
        around_vector: 0.2,
        ..Weights::plain()
    };
    let changed: [fn(&mut Weights); 10] = [
        |weights| weights.vector = 0.5,
        |weights| weights.text = 0.5,
        |weights| weights.around_vector = 0.9,
        |weights| weights.around_text = 0.9,
        |weights| weights.document = 0.5,
        |weights| weights.coverage = 0.5,
        |weights| weights.length = 0.5,
        |weights| weights.answer = 0.5,
        |weights| weights.saturation = 0.2,
        |weights| weights.feedback = 0.9,
    ];
    for (at, change) in changed.iter().enumerate() {
        let mut weights = base;
        change(&mut weights);
        assert_ne!(scores(weights), scores(base), "weight {at} has no effect");
    }
}

/// Row 18: the old text is there until the new one is complete; a failed embedding is seen, and the next attempt
/// repairs it.
#[test]
fn row_18_the_old_index_lives_until_the_new_one_is_complete() {
    let fixture = Fixture::new();
    fixture.ingest("plan", "The picnic is on Sunday.");
    fixture.probe.failing.store(true, Ordering::SeqCst);
    let document = Document::new("plan", "", "The picnic is on Saturday.");
    let error = fixture.memory.ingest(&document).unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("unplugged"));
    fixture.probe.failing.store(false, Ordering::SeqCst);
    let hits = fixture.memory.search(&Query::new("picnic")).unwrap();
    assert_eq!(
        (hits.len(), hits[0].text.as_str()),
        (1, "The picnic is on Sunday.")
    );
    fixture.memory.ingest(&document).unwrap();
    let hits = fixture.memory.search(&Query::new("picnic")).unwrap();
    assert_eq!(
        (hits.len(), hits[0].text.as_str()),
        (1, "The picnic is on Saturday.")
    );
    assert_eq!(fixture.memory.check().unwrap(), 1);
}
