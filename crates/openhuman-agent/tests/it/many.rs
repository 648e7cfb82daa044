//! Large results and many tools.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use openhuman_agent::search::FIND_TOOLS;
use openhuman_agent::{Agent, MemoryResults, ModelRequest, READ_RESULT, ToolOutcome, TurnEvent};
use serde_json::json;

use crate::support::{FakeModel, FakeTools, answer, calls, prompt, results, run, says};

#[tokio::test]
async fn a_large_result_is_kept_and_read_in_parts() {
    let text = format!(
        "BEGIN {} the needle {} END",
        "a".repeat(60_000),
        "b".repeat(60_000)
    );
    let tools = FakeTools::new(&[("s__log", true)], move |_| ToolOutcome::success(text.clone()));
    let model = FakeModel(|request: &ModelRequest| {
        let last = request.messages.last().unwrap().content.clone();
        match results(request) {
            0 => calls(&[("s__log", json!({}))]),
            1 => {
                assert!(
                    last.len() < 16 * 1024 && last.contains("kept as result r1"),
                    "{}",
                    last.len()
                );
                calls(&[
                    (READ_RESULT, json!({"id": "r1", "find": "needle"})),
                    (READ_RESULT, json!({"id": "r1", "from": 8192})),
                    (READ_RESULT, json!({"id": "r9"})),
                ])
            }
            _ => {
                let texts: Vec<&str> = request
                    .messages
                    .iter()
                    .rev()
                    .take(3)
                    .map(|m| m.content.as_str())
                    .collect();
                assert!(texts[0].contains("no result is kept as `r9`"), "{}", texts[0]);
                assert!(texts[1].contains("[bytes 8192 to 20480 of"), "{}", texts[1].len());
                assert!(texts[2].contains("the needle bbb"), "{}", texts[2]);
                says("found")
            }
        }
    });
    let agent = Agent::builder(Arc::new(model))
        .tools(tools.clone())
        .results(Arc::new(MemoryResults::new(1 << 20)))
        .build();
    assert_eq!(answer(&run(&agent, prompt("look")).await).0, "found");
    assert_eq!(tools.count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn of_many_tools_the_model_gets_those_it_looks_for() {
    let mut names: Vec<(String, bool)> = (0..400).map(|n| (format!("misc__tool_{n}"), true)).collect();
    names.push(("mail__send_message".to_owned(), false));
    let borrowed: Vec<(&str, bool)> = names.iter().map(|(name, read)| (name.as_str(), *read)).collect();
    let tools = FakeTools::new(&borrowed, |call| {
        ToolOutcome::success(format!("ran {}", call.name))
    });
    let model = FakeModel(|request: &ModelRequest| {
        let offered = |name: &str| request.tools.iter().any(|tool| tool.name == name);
        match results(request) {
            0 => {
                assert_eq!(request.tools.len(), 1);
                assert!(offered(FIND_TOOLS));
                calls(&[
                    (FIND_TOOLS, json!({"query": "send a message"})),
                    ("mail__send_message", json!({"early": true})),
                ])
            }
            2 => {
                assert!(offered("mail__send_message"), "{:?}", request.tools);
                assert_eq!(
                    request.tools[0].name, FIND_TOOLS,
                    "what was offered stays in front"
                );
                calls(&[("mail__send_message", json!({"to": "x"}))])
            }
            _ => says(&request.messages.last().unwrap().content),
        }
    });
    let agent = Agent::builder(Arc::new(model))
        .tools(tools.clone())
        .context_window(32_768)
        .build();
    let events = run(&agent, prompt("write")).await;
    assert_eq!(answer(&events).0, "ran mail__send_message");
    assert_eq!(
        tools.count.load(Ordering::SeqCst),
        1,
        "a tool that was not offered yet does not run"
    );
    let unknown = |event: &TurnEvent| matches!(event, TurnEvent::ToolResult { is_error: true, text, .. } if text.contains("no tool named"));
    assert!(events.iter().any(unknown), "{events:?}");

    let agent = Agent::builder(Arc::new(FakeModel(|request: &ModelRequest| {
        says(&request.tools.len().to_string())
    })))
    .tools(tools)
    .build();
    assert_eq!(
        answer(&run(&agent, prompt("how many")).await).0,
        "401",
        "without a window all are on offer"
    );
}
