//! The demo script through the whole crate: agent, adapter, HTTP, server.

use std::sync::Arc;

use openhuman_agent::mock::{DEMO_MODEL, MockServer, Script};
use openhuman_agent::{Agent, ToolOutcome, TurnEvent, TurnInput};
use serde_json::json;

use crate::support::{FakeTools, answer, open_ai, prompt, recalled, run};

const QUESTION: &str = "What is ETH at, and what did I note about my staking plan?";
const PRICE: &str = "3127.4419";
const NOTE: &str = "Stake 17 ETH with the quiet validator on 3 May";

/// The two tools; those named in `broken` fail.
fn tools(broken: &[&'static str]) -> Arc<FakeTools> {
    let broken = broken.to_vec();
    FakeTools::new(
        &[("prices__get_price", true), ("notes__find_notes", true)],
        move |call| {
            if broken.contains(&call.name.as_str()) {
                return ToolOutcome::error(format!("{{\"price\":{PRICE},\"text\":\"{NOTE}\"}}"));
            }
            ToolOutcome::success(if call.name == "prices__get_price" {
                assert_eq!(call.arguments, json!({"symbol": "ETH"}));
                let price: f64 = PRICE.parse().unwrap();
                json!({"symbol": "ETH", "price": price, "currency": "USD", "source": "recorded", "as_of": "2026-11-20"})
                .to_string()
            } else {
                assert_eq!(call.arguments, json!({"query": "staking plan"}));
                json!({"notes": [{"title": "Plan", "text": NOTE, "created": "2026-11-01"}]}).to_string()
            })
        },
    )
}

async fn ask(tools: Arc<FakeTools>, input: TurnInput) -> (String, Vec<TurnEvent>) {
    let server = MockServer::start(Script::demo()).await;
    let agent = Agent::builder(open_ai(server.base_url(), DEMO_MODEL))
        .tools(tools)
        .build();
    let events = run(&agent, input).await;
    assert!(
        server.requests().iter().all(|request| request.status == 200),
        "{:?}",
        server.requests()
    );
    (answer(&events).0, events)
}

#[tokio::test]
async fn the_answer_is_composed_from_both_tools() {
    // What is recalled must not get in the way of the tools.
    let input = TurnInput {
        context: vec![recalled("doc", "What did you tell me about staking?")],
        ..prompt(QUESTION)
    };
    let (text, events) = ask(tools(&[]), input).await;
    assert_eq!(
        text,
        format!(
            "ETH is at {PRICE} USD (source: recorded, as of 2026-11-20). About your staking plan you noted: “{NOTE}”"
        )
    );
    assert_eq!(
        events
            .iter()
            .filter(|event| matches!(event, TurnEvent::ToolCall { .. }))
            .count(),
        2
    );
    assert!(
        events
            .iter()
            .filter(|event| matches!(event, TurnEvent::TextDelta { .. }))
            .count()
            > 5,
        "it streams"
    );
}

#[tokio::test]
async fn a_broken_tool_never_gives_a_value() {
    let (text, _) = ask(tools(&["prices__get_price"]), prompt(QUESTION)).await;
    assert!(!text.contains(PRICE), "{text}");
    assert!(
        text.contains("the price is missing, because prices__get_price failed") && text.contains(NOTE),
        "{text}"
    );

    let (text, _) = ask(tools(&["notes__find_notes"]), prompt(QUESTION)).await;
    assert!(
        !text.contains(NOTE) && text.contains("the note is missing") && text.contains(PRICE),
        "{text}"
    );

    let (text, _) = ask(
        tools(&["prices__get_price", "notes__find_notes"]),
        prompt(QUESTION),
    )
    .await;
    assert!(!text.contains(NOTE) && !text.contains(PRICE), "{text}");
}

#[tokio::test]
async fn no_note_and_no_price_are_said_plainly() {
    let empty = FakeTools::new(
        &[("prices__get_price", true), ("notes__find_notes", true)],
        |call| {
            ToolOutcome::success(if call.name == "prices__get_price" {
                "{\"price\": null}"
            } else {
                "{\"notes\": []}"
            })
        },
    );
    let (text, _) = ask(empty, prompt(QUESTION)).await;
    assert!(
        text.contains("has no `price`") && text.contains("the note is missing"),
        "{text}"
    );
}

#[tokio::test]
async fn without_tools_the_demo_says_what_it_needs() {
    let (text, _) = ask(
        FakeTools::new(&[], |_| ToolOutcome::success("")),
        prompt(QUESTION),
    )
    .await;
    assert!(
        text.contains("prices__get_price") && text.contains("not available"),
        "{text}"
    );
}

#[tokio::test]
async fn the_follow_up_is_answered_from_what_was_recalled() {
    let question = "What did you tell me about ETH and my staking plan?";
    let told = format!("ETH is at {PRICE} USD. About your staking plan you noted: “{NOTE}”");
    let context = vec![
        recalled("guide", "How ETH staking works."),
        recalled("exchange", &told),
    ];
    let (text, events) = ask(
        tools(&[]),
        TurnInput {
            context,
            ..prompt(question)
        },
    )
    .await;
    assert_eq!(text, format!("This is what I told you: {told}"));
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, TurnEvent::ToolCall { .. }))
    );

    let (text, _) = ask(tools(&[]), prompt(question)).await;
    assert!(
        text.contains("I cannot say what I told you") && !text.contains(PRICE),
        "{text}"
    );
}

#[tokio::test]
async fn other_questions_are_not_pretended_to() {
    let (text, _) = ask(tools(&[]), prompt("Who won the cup?")).await;
    assert!(
        text.contains("scripted demo model") && text.contains("Who won the cup?"),
        "{text}"
    );
}
