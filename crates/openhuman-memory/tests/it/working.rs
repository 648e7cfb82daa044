use std::time::Duration;

use openhuman_memory::working::{Kind, MAX_PER_BUCKET, SyncQueue, is_enabled};
use openhuman_memory::{MemoryError, Query};
use serde_json::json;

use crate::Fixture;

const DAY: Duration = Duration::from_secs(86_400);

fn keys(fixture: &Fixture) -> Vec<String> {
    let documents = fixture.memory.documents(Some("global")).unwrap();
    documents.into_iter().map(|document| document.key).collect()
}

#[test]
fn a_sync_writes_documents_that_a_search_finds() {
    let fixture = Fixture::new();
    let state = json!({
        "preferences": {"theme": "dark"},
        "goals": ["finish the report"],
        "connection_status": "connected",
        "oauth": {"name": "hidden"},
        "workspace": {"name": "Lovelace Lab", "owner": "ada@example.org"},
    });
    let report = fixture.memory.working().sync("notion", &state).unwrap();
    assert_eq!((report.added, report.confirmed, report.closed), (4, 0, 0));
    assert_eq!(
        keys(&fixture),
        [
            "working.user.notion.entities",
            "working.user.notion.goals",
            "working.user.notion.preferences",
            "working.user.notion.summary"
        ]
    );
    let hits = fixture.memory.search(&Query::new("working.user report")).unwrap();
    assert!(hits[0].text.contains("- finish the report (goals)"), "{hits:?}");
    let all = format!("{:?}", fixture.memory.working().items(true).unwrap());
    assert!(
        !all.contains("hidden") && !all.contains("ada@") && all.contains("[redacted-email]"),
        "{all}"
    );

    let again = fixture.memory.working().sync("notion", &state).unwrap();
    assert_eq!(
        (again.added, again.confirmed, again.closed, again.documents),
        (0, 4, 0, 0)
    );
}

#[test]
fn what_is_not_published_any_more_is_closed() {
    let fixture = Fixture::new();
    let working = fixture.memory.working();
    working
        .sync(
            "notion",
            &json!({"goals": ["one goal", "two goals"], "theme": "dark"}),
        )
        .unwrap();
    let report = working
        .sync("notion", &json!({"goals": ["two goals"], "theme": "light"}))
        .unwrap();
    assert_eq!((report.added, report.closed), (1, 2));
    let texts: Vec<String> = working
        .items(false)
        .unwrap()
        .into_iter()
        .map(|item| item.text)
        .collect();
    assert_eq!(texts, ["light (theme)", "two goals (goals)"]);
    assert_eq!(working.items(true).unwrap().len(), 4, "closed, not deleted");
    // Another skill's items are its own.
    working.sync("gmail", &json!({"theme": "blue"})).unwrap();
    assert_eq!(working.items(false).unwrap().len(), 3);
}

#[test]
fn the_user_says_something_new() {
    let fixture = Fixture::new();
    let working = fixture.memory.working();
    let first = working
        .remember(Kind::Preference, "editor", "uses Helix", 0.5)
        .unwrap();
    fixture.clock.advance(DAY);
    let again = working
        .remember(Kind::Preference, "editor", "uses Helix", 0.9)
        .unwrap();
    assert_eq!((again.id, again.evidence, again.confidence), (first.id, 2, 0.9));
    assert!(working.pin(first.id, true).unwrap());
    let second = working
        .remember(Kind::Preference, "editor", "uses Zed", 0.5)
        .unwrap();
    assert!(second.pinned, "the pin is on the slot");
    assert_eq!(working.items(false).unwrap().len(), 1);
    assert!(working.close(second.id).unwrap() && !working.close(second.id).unwrap());
    assert!(!working.pin(second.id, true).unwrap(), "it is closed");
    assert!(working.items(false).unwrap().is_empty());
    assert!(matches!(
        working.remember(Kind::Goal, " ", "x", 1.0),
        Err(MemoryError::Empty { .. })
    ));
    assert!(matches!(
        working.remember(Kind::Goal, "g", &"x".repeat(281), 1.0),
        Err(MemoryError::TooLong { .. })
    ));
}

#[test]
fn pins_stay_whatever_a_skill_publishes() {
    let fixture = Fixture::new();
    let working = fixture.memory.working();
    working.sync("notion", &json!({"theme": "dark"})).unwrap();
    let item = working.items(false).unwrap().remove(0);
    working.pin(item.id, true).unwrap();
    working.sync("notion", &json!({"theme": "light"})).unwrap();
    working.sync("notion", &json!({})).unwrap();
    let items = working.items(false).unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].text, "dark (theme)");
}

#[test]
fn the_rendering_is_stable_and_within_its_tokens() {
    let fixture = Fixture::new();
    let working = fixture.memory.working();
    for n in 0..40 {
        working
            .remember(
                Kind::Goal,
                &format!("goal {n:02}"),
                &format!("wants to reach goal number {n}"),
                0.5,
            )
            .unwrap();
    }
    let pinned = working
        .remember(Kind::Entity, "sister", "has a sister called Anna", 0.1)
        .unwrap();
    working.pin(pinned.id, true).unwrap();
    let text = working.render(10_000).unwrap();
    assert_eq!(text.matches("\n- wants").count(), 24, "at most 24 of a kind");
    fixture.clock.advance(DAY);
    assert_eq!(
        working.render(10_000).unwrap(),
        text,
        "nothing changed but the time"
    );
    for limit in [0, 5, 20, 60, 100, 300] {
        let short = working.render(limit).unwrap();
        assert!(
            openhuman_memory::chunk::count_tokens(&short) <= limit,
            "{limit}: {short}"
        );
        assert!(
            limit < 60 || short.contains("Anna"),
            "what is pinned comes first: {short}"
        );
    }
}

#[test]
fn markdown_goes_out_and_comes_back() {
    let fixture = Fixture::new();
    let working = fixture.memory.working();
    working
        .sync(
            "notion",
            &json!({"goals": ["ship --> it <!-- now", "rest"], "theme": "dark"}),
        )
        .unwrap();
    let item = working
        .remember(Kind::Constraint, "food", "no peanuts", 1.0)
        .unwrap();
    working.pin(item.id, true).unwrap();
    let markdown = working.export_markdown().unwrap();
    assert!(markdown.contains("- **pinned** no peanuts"), "{markdown}");
    assert_eq!(working.import_markdown(&markdown).unwrap(), 0, "nothing new");

    let other = Fixture::new();
    let count = other.memory.working().import_markdown(&markdown).unwrap();
    assert_eq!(count, 4);
    let strip = |fixture: &Fixture| {
        let items = fixture.memory.working().items(false).unwrap();
        items
            .into_iter()
            .map(|item| (item.origin, item.kind, item.slot, item.pinned, item.evidence))
            .collect::<Vec<_>>()
    };
    assert_eq!(strip(&fixture), strip(&other));
    assert_eq!(
        other
            .memory
            .working()
            .import_markdown("## goals\n\n- learn Danish\n")
            .unwrap(),
        1
    );
    for (text, line) in [
        ("- x", 1),
        ("## wishes", 1),
        ("## goals\n- a <!-- { -->", 2),
        ("## goals\n\n- **pinned**", 3),
    ] {
        let error = other.memory.working().import_markdown(text).unwrap_err();
        assert!(
            matches!(error, MemoryError::Markdown { line: found, .. } if found == line),
            "{text}: {error}"
        );
    }
}

#[test]
fn snapshots_wait_in_a_short_queue() {
    let mut queue = SyncQueue::default();
    for n in 0..16 {
        assert!(queue.push(&format!("skill {n}"), json!(n)));
    }
    assert!(!queue.push("one more", json!(0)));
    assert!(queue.push("skill 3", json!("newer")), "the newest of a skill");
    assert_eq!(queue.dropped(), 1);
    assert_eq!(queue.pop(), Some(("skill 0".to_owned(), json!(0))));
    assert_eq!(queue.pop().map(|(skill, _)| skill).as_deref(), Some("skill 1"));
    assert!(queue.push("one more", json!(0)));
}

#[test]
fn the_setting_can_turn_it_off() {
    for off in ["0", "false", "OFF", " no "] {
        assert!(!is_enabled(Some(off)), "{off}");
    }
    assert!(is_enabled(None) && is_enabled(Some("1")) && is_enabled(Some("")));
}

#[test]
fn a_bucket_keeps_the_newest() {
    let fixture = Fixture::new();
    let working = fixture.memory.working();
    let goals: Vec<String> = (0..20).map(|n| format!("z goal {:02}", 99 - n)).collect();
    working.sync("notion", &json!({"goals": goals})).unwrap();
    assert_eq!(working.items(false).unwrap().len(), MAX_PER_BUCKET);
    fixture.clock.advance(DAY);
    let mut more = goals;
    more.push("a goal of today".to_owned());
    working.sync("notion", &json!({"goals": more})).unwrap();
    let items = working.items(false).unwrap();
    assert_eq!(items.len(), MAX_PER_BUCKET);
    assert!(
        items.iter().any(|item| item.text.starts_with("a goal of today")),
        "{items:#?}"
    );
}
