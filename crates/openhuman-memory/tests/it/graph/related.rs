use openhuman_memory::graph::{
    Assertion, Change, Expansion, FactQuery, GraphStore, Object, Provenance, RuleExtractor, Speaker,
};
use openhuman_memory::{Conversation, Query, Turn};

use crate::Fixture;

fn mention(entity: &str, chunk: i64) -> Change {
    Change::Mention {
        entity: entity.to_owned(),
        source: Provenance::chunk("d", chunk),
    }
}

fn related(fixture: &Fixture, question: &str, seeds: &[(i64, f32)]) -> Vec<i64> {
    let expansion = Expansion {
        namespace: "n",
        question,
        seeds,
        limit: 10,
    };
    let found = fixture.memory.graph().related_chunks(&expansion).unwrap();
    assert!(
        found
            .iter()
            .all(|chunk| chunk.score > 0.0 && chunk.score <= 1.0 && !chunk.via.is_empty()),
        "{found:?}"
    );
    found.iter().map(|chunk| chunk.chunk_id).collect()
}

#[test]
fn a_second_hop_is_found_through_what_both_texts_speak_of() {
    let fixture = Fixture::new();
    let mut changes = vec![
        mention("Acme Corp", 1),
        mention("Bob", 1),
        mention("Acme Corp", 2),
        mention("Zurich", 2),
    ];
    // Everybody speaks of Bob.
    changes.extend((100..200).map(|chunk| mention("Bob", chunk)));
    changes.push(mention("Oslo", 3));
    fixture.memory.graph().apply("n", &changes, 1).unwrap();
    assert_eq!(related(&fixture, "Where is Bob's office?", &[(1, 2.0)]), [1, 2]);
    assert_eq!(related(&fixture, "What of acme corp?", &[]), [1, 2]);
    assert_eq!(related(&fixture, "What of the weather?", &[]), [0i64; 0]);
    assert_eq!(related(&fixture, "", &[(77, 1.0)]), [0i64; 0]);
}

#[test]
fn facts_lead_from_one_entity_to_the_texts_of_another() {
    let fixture = Fixture::new();
    let works = Assertion::one("Ada", "works at", Object::entity("Acme"), 0);
    let changes = [
        Change::Assert(works),
        mention("Ada", 1),
        mention("Acme", 2),
        mention("Rome", 3),
    ];
    fixture.memory.graph().apply("n", &changes, 1).unwrap();
    assert_eq!(related(&fixture, "Tell me about Ada", &[]), [1, 2]);
}

#[test]
fn what_was_learned_of_a_document_connects_its_chunks_and_goes_with_it() {
    let fixture = Fixture::new();
    let memory = &fixture.memory;
    let turns = vec![
        Turn::new("Ada", "I work at Acme since 2019."),
        Turn::new("Bob", "We sail on Sundays."),
        Turn::new("Bob", "They sold the Acme tower in Zurich."),
    ];
    let report = memory
        .ingest_conversation(&Conversation::new("chat", turns))
        .unwrap();
    let learned = memory
        .learn(&report.document_id, &RuleExtractor, Speaker::Turns)
        .unwrap();
    assert!(learned >= 6, "{learned}");
    let graph = memory.graph();
    let facts = graph.facts(&FactQuery::about("default", "ada")).unwrap();
    assert_eq!(facts[0].text, "I work at Acme since 2019.");
    assert_eq!(facts[0].sources[0].document, report.document_id);
    let hits = memory
        .search(&Query::new("sail Sundays Acme tower work"))
        .unwrap();
    let id = |text: &str| {
        hits.iter()
            .find(|hit| hit.text.contains(text))
            .map(|hit| hit.chunk_id)
            .unwrap()
    };
    let (work, zurich) = (id("work at"), id("Zurich"));
    let expansion = Expansion {
        namespace: "default",
        question: "Where is Ada's employer?",
        seeds: &[(work, 1.0)],
        limit: 9,
    };
    let related: Vec<i64> = graph
        .related_chunks(&expansion)
        .unwrap()
        .iter()
        .map(|chunk| chunk.chunk_id)
        .collect();
    assert!(related.contains(&zurich), "{related:?}");

    assert_eq!(
        memory
            .learn(&report.document_id, &RuleExtractor, Speaker::Turns)
            .unwrap(),
        learned
    );
    assert_eq!(
        graph.facts(&FactQuery::about("default", "ada")).unwrap().len(),
        facts.len(),
        "nothing twice"
    );
    assert_eq!(
        memory
            .learn("no such document", &RuleExtractor, Speaker::Nobody)
            .unwrap(),
        0
    );
    memory.forget(&report.document_id).unwrap();
    assert_eq!(graph.stats("default").unwrap().mentions, 0, "the chunks are gone");
}
