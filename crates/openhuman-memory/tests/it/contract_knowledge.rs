//! Rows of the contract's list of known failures that concern sessions, working memory and the graph.

use openhuman_memory::graph::{FactQuery, GraphStore};
use openhuman_memory::working::is_private_key;
use openhuman_memory::working::redacted;
use serde_json::json;

use crate::Fixture;

/// Any user text must be a valid search.
#[test]
fn row_15_any_text_can_be_asked_of_the_graph() {
    let fixture = Fixture::new();
    for text in [
        "project deadline?",
        "what's my name?",
        "re: project",
        "C++ notes",
        "a/b (c) -d",
        "\"",
        "NEAR(",
        "*",
    ] {
        let query = FactQuery {
            text: Some(text.to_owned()),
            ..FactQuery::all("n")
        };
        fixture.memory.graph().facts(&query).unwrap();
    }
}

/// Working memory must keep the newest items, delete a document when its bucket empties, match whole words.
#[test]
fn row_24_working_memory_keeps_the_newest_and_matches_whole_words() {
    let fixture = Fixture::new();
    let working = fixture.memory.working();
    // The newest, not the twelve that come first in the alphabet.
    let old: Vec<String> = (0..12).map(|n| format!("a goal {n:02}")).collect();
    working.sync("s", &json!({"goals": old})).unwrap();
    fixture.clock.advance(std::time::Duration::from_secs(60));
    let mut all = old;
    all.push("z the newest goal".to_owned());
    working.sync("s", &json!({"goals": all})).unwrap();
    let items = working.items(false).unwrap();
    assert!(
        items.len() == 12 && items.iter().any(|item| item.text.starts_with("z the newest")),
        "{items:#?}"
    );

    // An empty bucket has no document.
    working.sync("s", &json!({"theme": "dark"})).unwrap();
    let keys: Vec<String> = fixture
        .memory
        .documents(Some("global"))
        .unwrap()
        .into_iter()
        .map(|d| d.key)
        .collect();
    assert_eq!(keys, ["working.user.s.preferences", "working.user.s.summary"]);
    working.sync("s", &json!({})).unwrap();
    assert!(fixture.memory.documents(Some("global")).unwrap().is_empty());

    // Whole words.
    assert!(is_private_key("auth") && !is_private_key("author"));
    working
        .sync(
            "s",
            &json!({"author": "Ada Lovelace", "explanation": "not a plan"}),
        )
        .unwrap();
    let texts: Vec<String> = working
        .items(false)
        .unwrap()
        .into_iter()
        .map(|item| item.text)
        .collect();
    assert_eq!(texts, ["Ada Lovelace (author)"]);
    assert_eq!(redacted("order 1234567890").as_deref(), Some("order 1234567890"));
    assert_eq!(
        redacted("call +1 555 123 4567").as_deref(),
        Some("call [redacted-phone]")
    );
}
