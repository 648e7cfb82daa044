//! Conversations by turn, contexts, filters, rerankers, languages without spaces.

use openhuman_memory::{
    Conversation, Document, EmbedError, MemoryError, Query, Reranker, Turn, Weights, chunk,
};

use crate::{Fixture, NOW};

fn talk() -> Conversation {
    let mut talk = Conversation::new(
        "monday",
        vec![
            Turn::new("Ann", "Hi Bob! How was your weekend?"),
            Turn::new("Bob", "We went sailing on the lake with the kids."),
            Turn::new("Ann", "Lovely! Did you see the new lighthouse?"),
            Turn::new("Bob", "Yes, it opened last Friday, and the view is great."),
        ],
    );
    talk.title = "Chat".to_owned();
    talk.source = "messenger".to_owned();
    talk.created_ms = Some(1_683_554_160_000);
    talk
}

#[test]
fn a_turn_is_found_and_comes_with_those_around_it() {
    let fixture = Fixture::new();
    let report = fixture.memory.ingest_conversation(&talk()).unwrap();
    assert_eq!(report.chunks, 4);
    fixture.ingest("other", "The bicycle has a flat tyre.");
    let hits = fixture.memory.search(&Query::new("sailing on the lake")).unwrap();
    assert_eq!((hits[0].key.as_str(), hits[0].ordinal), ("monday", 1));
    assert_eq!(hits[0].text, "Bob: We went sailing on the lake with the kids.\n");
    let passage = fixture.memory.passage(hits[0].chunk_id, 1, 1).unwrap().unwrap();
    assert_eq!(passage.text.lines().count(), 3);
    // The day is searched too.
    let hits = fixture.memory.search(&Query::new("May 2023")).unwrap();
    assert!(hits[0].key == "monday" && hits[0].signals.matched_terms == 2);
}

#[test]
fn a_longer_version_embeds_the_new_turns_only() {
    let fixture = Fixture::new();
    let mut talk = talk();
    fixture.memory.ingest_conversation(&talk).unwrap();
    fixture.probe.texts();
    assert!(fixture.memory.ingest_conversation(&talk).unwrap().unchanged);
    talk.turns.push(Turn::new("Ann", "Then I will go there too."));
    let report = fixture.memory.ingest_conversation(&talk).unwrap();
    assert_eq!((report.embedded, report.reused, report.removed), (1, 4, 0));
    assert_eq!(fixture.probe.texts(), 1);
    assert_eq!(fixture.memory.check().unwrap(), 5);
}

#[test]
fn a_context_keeps_its_budget_cites_and_is_not_remembered_again() {
    let fixture = Fixture::new();
    fixture.memory.ingest_conversation(&talk()).unwrap();
    for n in 0..30 {
        fixture.ingest(
            &format!("note {n}"),
            &format!("Lighthouse number {n}. {}", "It stands at the sea. ".repeat(12)),
        );
    }
    let query = Query::new("When did the lighthouse at the lake open?");
    let mut sizes = Vec::new();
    for budget in [0, 30, 120, 400, 1500] {
        let context = fixture.memory.context(&query, budget).unwrap();
        assert!(context.tokens <= budget && context.tokens == chunk::count_tokens(&context.text));
        assert_eq!(context.citations.is_empty(), context.text.is_empty());
        for citation in &context.citations {
            assert!(
                context.text.contains(&format!("[{}] ", citation.number)),
                "{}",
                context.text
            );
            assert!(!citation.ordinals.is_empty());
        }
        sizes.push(context.citations.len());
    }
    assert!(sizes.is_sorted() && sizes[0] == 0 && sizes[4] > 2, "{sizes:?}");
    let context = fixture.memory.context(&query, 1500).unwrap();
    let chats = context
        .citations
        .iter()
        .filter(|citation| citation.key == "monday");
    assert!(chats.clone().count() <= 1, "one citation a document");
    let mut quoting = Conversation::new(
        "quoting",
        vec![Turn::new("User", format!("{} So when?", context.text))],
    );
    quoting.created_ms = Some(NOW);
    fixture.memory.ingest_conversation(&quoting).unwrap();
    fixture.ingest("copy", &format!("Before. {} After.", context.text));
    for document in fixture.memory.documents(None).unwrap() {
        if ["quoting", "copy"].contains(&document.key.as_str()) {
            let text = fixture.memory.text(&document.id).unwrap().unwrap();
            assert!(
                !text.contains("sea") && !text.contains("recalled-memory"),
                "{text}"
            );
        }
    }
}

#[test]
fn sources_and_times_filter_inside_the_search() {
    let fixture = Fixture::new();
    for n in 0..40i64 {
        let mut document = Document::new(format!("{n}"), "", format!("Plan number{n} for the garden."));
        document.source = if n % 4 == 0 { "mail".into() } else { "notes".into() };
        document.created_ms = Some(n * 1000);
        fixture.memory.ingest(&document).unwrap();
    }
    let found = |change: &dyn Fn(&mut Query)| {
        let mut query = Query::new("plan for the garden");
        query.limit = 100;
        change(&mut query);
        fixture
            .memory
            .search(&query)
            .unwrap()
            .into_iter()
            .map(|hit| hit.created_ms / 1000)
            .collect::<Vec<_>>()
    };
    assert_eq!(found(&|_| ()).len(), 40);
    let mail = found(&|query| query.source = Some("mail".into()));
    assert!(mail.len() == 10 && mail.iter().all(|n| n % 4 == 0));
    let mut between = found(&|query| (query.since_ms, query.until_ms) = (Some(10_000), Some(13_000)));
    between.sort_unstable();
    assert_eq!(between, [10, 11, 12]);
    assert!(found(&|query| query.source = Some("nobody".into())).is_empty());
}

struct Backwards;

impl Reranker for Backwards {
    fn scores(&self, _: &str, texts: &[&str]) -> Result<Vec<f32>, EmbedError> {
        Ok((0..texts.len()).map(|at| at as f32).collect())
    }
}

struct Broken;

impl Reranker for Broken {
    fn scores(&self, _: &str, _: &[&str]) -> Result<Vec<f32>, EmbedError> {
        Ok(vec![f32::NAN])
    }
}

#[test]
fn a_reranker_has_the_last_word() {
    let fixture = Fixture::new();
    fixture.memory.ingest_conversation(&talk()).unwrap();
    let query = Query {
        limit: 2,
        ..Query::new("lighthouse")
    };
    let all = fixture
        .memory
        .search(&Query {
            limit: 50,
            ..query.clone()
        })
        .unwrap();
    let hits = fixture.memory.search_reranked(&query, &Backwards).unwrap();
    assert_eq!(hits.len(), 2);
    assert_eq!(hits[0].chunk_id, all.last().unwrap().chunk_id);
    let error = fixture.memory.search_reranked(&query, &Broken).unwrap_err();
    assert!(matches!(
        error,
        MemoryError::Embedding(EmbedError::Malformed { .. })
    ));
}

#[test]
fn words_of_languages_without_spaces_are_found() {
    let fixture = Fixture::new();
    for (key, text) in [
        (
            "tokyo",
            "\u{660e}\u{65e5}\u{3001}\u{6771}\u{4eac}\u{30bf}\u{30ef}\u{30fc}\u{306b}\u{884c}\u{304d}\u{307e}\u{3059}\u{3002}",
        ),
        (
            "beijing",
            "\u{6211}\u{4eec}\u{4e0b}\u{5468}\u{53bb}\u{5317}\u{4eac}\u{51fa}\u{5dee}\u{3002}",
        ),
        (
            "seoul",
            "\u{c11c}\u{c6b8}\u{c5d0}\u{c11c} \u{ce5c}\u{ad6c}\u{b97c} \u{b9cc}\u{b0ac}\u{c5b4}\u{c694}.",
        ),
        (
            "bangkok",
            "\u{e09}\u{e31}\u{e19}\u{e2d}\u{e22}\u{e39}\u{e48}\u{e01}\u{e23}\u{e38}\u{e07}\u{e40}\u{e17}\u{e1e}",
        ),
        (
            "moscow",
            "\u{41c}\u{44b} \u{436}\u{438}\u{432}\u{451}\u{43c} \u{432} \u{41c}\u{43e}\u{441}\u{43a}\u{432}\u{435}.",
        ),
    ] {
        fixture.ingest(key, text);
    }
    for (query, expected) in [
        ("\u{6771}\u{4eac}\u{30bf}\u{30ef}\u{30fc}", "tokyo"),
        ("\u{5317}\u{4eac}", "beijing"),
        ("\u{c11c}\u{c6b8}", "seoul"),
        ("\u{e01}\u{e23}\u{e38}\u{e07}\u{e40}\u{e17}\u{e1e}", "bangkok"),
        ("\u{43c}\u{43e}\u{441}\u{43a}\u{432}\u{435}", "moscow"),
    ] {
        let mut query = Query::new(query);
        // Words only.
        query.weights = Weights::plain();
        query.weights.vector = 0.0;
        let hits = fixture.memory.search(&query).unwrap();
        assert_eq!(hits[0].key, expected, "{}", query.text);
        assert!(hits[0].signals.matched_terms > 0 && hits[0].signals.text > 0.0);
    }
}
