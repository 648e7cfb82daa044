use openhuman_memory::graph::{Assertion, Change, Expansion, GraphStore, Object, Provenance};

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
