use std::sync::LazyLock;

use openhuman_memory::{Document, MAX_QUERY_BYTES, MemoryError, Query};
use proptest::prelude::*;

use crate::{Fixture, paragraphs};

#[test]
fn meaning_and_words_both_count() {
    let fixture = Fixture::new();
    fixture.ingest("deadline", "The project deadline moved to Friday.");
    fixture.ingest("kettle", "The kettle in the kitchen is red.");
    fixture.ingest("garden", "Tomatoes need water in July.");
    let hits = fixture.memory.search(&Query::new("project deadlines?")).unwrap();
    assert_eq!(hits[0].key, "deadline");
    let signals = hits[0].signals;
    assert_eq!(signals.matched_terms, 2, "the stem of deadlines matches");
    assert!(signals.vector > 0.3 && signals.text > 0.0 && signals.vector_z > 1.0 && signals.text_z > 1.0);
    let z = 0.7 * signals.vector_z + 0.3 * signals.text_z + signals.structure.sum();
    assert!((hits[0].score - 1.0 / (1.0 + (-z).exp())).abs() < 1e-5);
    assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    // Every candidate has both signals, also those that the words did not propose.
    assert_eq!(hits.len(), 3);
    assert!(hits[1..].iter().all(|hit| hit.signals.text == 0.0));
}

#[test]
fn typed_questions_that_used_to_fail_find_their_document() {
    let fixture = Fixture::new();
    fixture.ingest("deadline", "The project deadline is Friday.");
    fixture.ingest("name", "My name is Robin.");
    fixture.ingest("cpp", "Notes on C++ templates.");
    fixture.ingest("path", "The file is src/main and it is long.");
    for (text, expected) in [
        ("project deadline?", "deadline"),
        ("what's my name?", "name"),
        ("re: project", "deadline"),
        ("C++ notes", "cpp"),
        ("src/main", "path"),
        ("(templates", "cpp"),
        ("\"deadline", "deadline"),
        ("deadline AND", "deadline"),
        ("NEAR(name", "name"),
        ("text:name*", "name"),
        ("-project ^deadline", "deadline"),
    ] {
        let hits = fixture.memory.search(&Query::new(text)).unwrap();
        assert_eq!(hits[0].key, expected, "{text}");
        assert!(hits[0].signals.matched_terms > 0, "{text}");
    }
}

#[test]
fn a_name_with_an_apostrophe_is_found_by_its_word() {
    let fixture = Fixture::new();
    fixture.ingest("call", "Mr O\u{2019}Brien called about the boiler.");
    fixture.ingest("garden", "Tomatoes need water in July.");
    for text in ["o'brien", "O\u{2019}Brien's"] {
        let hits = fixture.memory.search(&Query::new(text)).unwrap();
        assert_eq!(
            (hits[0].key.as_str(), hits[0].signals.matched_terms),
            ("call", 1),
            "{text}"
        );
    }
}

#[test]
fn namespaces_limits_and_thresholds_filter() {
    let fixture = Fixture::new();
    for namespace in ["home", "work"] {
        for n in 0..5 {
            let mut document = Document::new(format!("{n}"), "", format!("Plan number{n} for {namespace}."));
            document.namespace = namespace.to_owned();
            fixture.memory.ingest(&document).unwrap();
        }
    }
    let mut query = Query::new("plan number3");
    query.limit = 100;
    assert_eq!(fixture.memory.search(&query).unwrap().len(), 10);
    query.namespace = Some("work".to_owned());
    let hits = fixture.memory.search(&query).unwrap();
    assert_eq!((hits.len(), hits[0].key.as_str()), (5, "3"));
    assert!(hits.iter().all(|hit| hit.namespace == "work"));
    query.min_score = 0.5;
    let good = fixture.memory.search(&query).unwrap();
    assert!(!good.is_empty() && good.len() < 5 && good.iter().all(|hit| hit.score >= 0.5));
    query.min_score = 1.1;
    assert!(fixture.memory.search(&query).unwrap().is_empty());
    query.namespace = Some("nowhere".to_owned());
    assert!(fixture.memory.search(&query).unwrap().is_empty());
    query = Query::new("plan");
    query.limit = 0;
    assert!(fixture.memory.search(&query).unwrap().is_empty());
    assert_eq!(Query::new("plan").limit, 8);
    assert_eq!(fixture.memory.search(&Query::new("plan")).unwrap().len(), 8);
}

#[test]
fn one_document_alone_is_found_with_an_average_score() {
    let fixture = Fixture::new();
    assert!(fixture.memory.search(&Query::new("kettle")).unwrap().is_empty());
    fixture.ingest("a", "The kettle is red.");
    assert_eq!(
        fixture.memory.search(&Query::new("kettle")).unwrap()[0].score,
        0.5
    );
}

#[test]
fn writes_are_visible_to_the_next_search() {
    let fixture = Fixture::new();
    fixture.ingest("a", "Nothing of interest.");
    fixture.memory.search(&Query::new("warm the cache")).unwrap();
    let report = fixture.ingest("b", "The lighthouse keeper sleeps.");
    let hits = fixture.memory.search(&Query::new("lighthouse")).unwrap();
    assert_eq!(hits[0].key, "b");
    assert!(hits[0].signals.vector > 0.0);
    fixture.memory.forget(&report.document_id).unwrap();
    assert!(
        fixture
            .memory
            .search(&Query::new("lighthouse"))
            .unwrap()
            .iter()
            .all(|hit| hit.key == "a")
    );
}

#[test]
fn a_passage_shows_the_chunks_around_a_hit() {
    let fixture = Fixture::new();
    let text = paragraphs(&["alpha", "beta", "gamma", "delta"]);
    fixture.ingest("a", &text);
    let hit = &fixture.memory.search(&Query::new("gamma")).unwrap()[0];
    let alone = fixture.memory.passage(hit.chunk_id, 0, 0).unwrap().unwrap();
    assert_eq!(
        (alone.text.as_str(), alone.range.clone()),
        (hit.text.as_str(), hit.range.clone())
    );
    let wide = fixture.memory.passage(hit.chunk_id, 1, 1).unwrap().unwrap();
    assert_eq!(wide.text, text[wide.range.clone()]);
    assert!(wide.text.starts_with("# About beta") && wide.text.contains("delta"));
    assert_eq!(
        fixture
            .memory
            .passage(hit.chunk_id, 99, usize::MAX)
            .unwrap()
            .unwrap()
            .text,
        text
    );
    assert_eq!(fixture.memory.passage(-1, 1, 1).unwrap(), None);
}

#[test]
fn a_query_beyond_the_limit_is_a_typed_error() {
    let fixture = Fixture::new();
    fixture.ingest("a", "word");
    assert_eq!(
        fixture
            .memory
            .search(&Query::new("word ".repeat(MAX_QUERY_BYTES / 5)))
            .unwrap()
            .len(),
        1
    );
    let error = fixture
        .memory
        .search(&Query::new("x".repeat(MAX_QUERY_BYTES + 1)))
        .unwrap_err();
    assert!(matches!(error, MemoryError::TooLong { field: "query", .. }));
}

static FILLED: LazyLock<Fixture> = LazyLock::new(|| {
    let fixture = Fixture::new();
    for n in 0..20 {
        fixture.ingest(
            &format!("{n}"),
            &format!("Note {n}: caf\u{e9}, \u{65e5}\u{672c}, \"quotes\" and it's fine*."),
        );
    }
    fixture
});

fn query_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,80}",
        "((AND|OR|NOT|NEAR|note|caf\u{e9}|\"|'|\\*|\\^|:|\\(|\\)|-|\\+|\\{|\\}|,|;|\u{0}) ?){0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_a_valid_query(text in query_text()) {
        let hits = FILLED.memory.search(&Query::new(&text)).unwrap();
        prop_assert!(hits.len() <= 8);
        for hit in hits {
            prop_assert!(hit.score.is_finite() && (0.0..=1.0).contains(&hit.score));
        }
    }
}

#[cfg(feature = "static-model")]
#[test]
fn the_default_model_finds_by_meaning_alone() {
    use openhuman_memory::{Memory, MemoryOptions};

    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::open(dir.path(), &crate::key(), MemoryOptions::default()).unwrap();
    for (key, text) in [
        ("doctor", "The physician examined her injured knee."),
        ("car", "The automobile would not start this morning."),
        ("cake", "Mix flour, sugar and eggs, then bake for an hour."),
    ] {
        memory.ingest(&Document::new(key, "", text)).unwrap();
    }
    for (text, expected) in [
        ("doctor", "doctor"),
        ("broken vehicle", "car"),
        ("dessert recipe", "cake"),
    ] {
        let hits = memory.search(&Query::new(text)).unwrap();
        assert_eq!(hits[0].key, expected, "{text}");
        assert_eq!(hits[0].signals.matched_terms, 0, "{text} shares no word");
    }
}
