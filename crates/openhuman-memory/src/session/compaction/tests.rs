use serde_json::json;

use super::super::summary::ExtractiveSummarizer;
use super::super::view::text;
use super::*;

fn said(role: SessionRole, words: &str) -> SessionMessage {
    text(role, words.to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "called with json!")]
fn block(role: SessionRole, value: serde_json::Value) -> SessionMessage {
    serde_json::from_value(json!({"role": role, "content": [value]})).unwrap()
}

fn view(messages: Vec<SessionMessage>) -> SessionView {
    SessionView {
        messages,
        ..SessionView::default()
    }
}

#[test]
fn pressure_has_two_thresholds() {
    let budget = Budget::of_window(1000);
    for (tokens, expected) in [
        (0, Pressure::None),
        (699, Pressure::None),
        (700, Pressure::Soft),
        (849, Pressure::Soft),
        (850, Pressure::Hard),
    ] {
        assert_eq!(budget.pressure(tokens), expected, "{tokens}");
    }
}

#[test]
fn the_newest_exchange_stays_even_when_it_is_too_long() {
    let long = "word ".repeat(900);
    let one = view(vec![said(SessionRole::User, &long)]);
    assert_eq!(
        plan(&one, &Budget::of_window(1000), &ExtractiveSummarizer).unwrap(),
        None
    );
    let two = view(vec![
        said(SessionRole::User, "first things first"),
        said(SessionRole::User, &long),
    ]);
    let plan = plan(&two, &Budget::of_window(1000), &ExtractiveSummarizer)
        .unwrap()
        .unwrap();
    assert_eq!((plan.dropped.len(), plan.preserved), (1, 1));
    assert_eq!(plan.summary, "User: first things first");
}

#[test]
fn the_result_is_below_the_target() {
    let messages = (0..200)
        .map(|n| {
            said(
                SessionRole::User,
                &format!("Something about the number {n} and then some more words."),
            )
        })
        .collect();
    let before = view(messages);
    let budget = Budget::of_window(3000);
    let plan = plan(&before, &budget, &ExtractiveSummarizer).unwrap().unwrap();
    let after = SessionView {
        compactions: 1,
        summary: plan.summary,
        pinned: plan.pinned,
        references: vec!["0123456789abcdef0123".to_owned()],
        messages: before.messages[before.messages.len() - plan.preserved..].to_vec(),
    };
    assert!(
        before.tokens() > 3000 && after.tokens() <= 1200 + 40,
        "{}",
        after.tokens()
    );
    assert!(!plan.overflow.is_empty(), "there is no room for 200 numbers");
}

#[test]
fn calls_stay_with_their_results() {
    let filler = "words and words ".repeat(20);
    let call = |id: &str| {
        block(
            SessionRole::Assistant,
            json!({"type": "tool_use", "id": id, "name": "ls", "input": {}}),
        )
    };
    let result = |id: &str| {
        block(
            SessionRole::Tool,
            json!({"type": "tool_result", "tool_use_id": id, "text": "words ".repeat(120)}),
        )
    };
    let messages = vec![
        said(SessionRole::User, &filler),
        said(SessionRole::Assistant, &filler),
        call("a"),
        result("a"),
        said(SessionRole::Assistant, "done"),
        said(SessionRole::User, "again please"),
        call("b"),
        call("c"),
        result("c"),
        result("b"),
        said(SessionRole::Assistant, "done too"),
    ];
    assert_eq!(exchanges(&messages), [0, 1, 2, 4, 5, 6, 10]);
    for window in (200..3000).step_by(50) {
        let Some(plan) = plan(
            &view(messages.clone()),
            &Budget::of_window(window),
            &ExtractiveSummarizer,
        )
        .unwrap() else {
            continue;
        };
        let cut = messages.len() - plan.preserved;
        assert!(
            [1, 2, 4, 5, 6, 10].contains(&cut),
            "window {window} cuts at {cut}"
        );
    }
    // A result that never comes does not hold everything together for ever.
    let lost = [
        call("x"),
        said(SessionRole::User, "hello?"),
        said(SessionRole::Assistant, "yes"),
    ];
    assert_eq!(exchanges(&lost), [0, 1, 2]);
}

#[test]
fn instructions_are_carried_on_first_and_pins_once() {
    let mut messages = vec![said(SessionRole::User, "Always answer in French.")];
    messages.extend((0..60).map(|n| {
        said(
            SessionRole::User,
            &format!("It was number {n} in the long list of things."),
        )
    }));
    messages.push(said(SessionRole::User, "Always answer in French."));
    messages.push(said(SessionRole::User, "and then"));
    let plan = plan(&view(messages), &Budget::of_window(600), &ExtractiveSummarizer)
        .unwrap()
        .unwrap();
    let french = plan
        .pinned
        .iter()
        .filter(|pin| pin.text.contains("French"))
        .count();
    assert_eq!(french, 1);
    assert!(
        plan.overflow
            .iter()
            .all(|pin| pin.kind != super::super::PinKind::Instruction)
    );
}
