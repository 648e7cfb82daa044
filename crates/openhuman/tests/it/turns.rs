use futures_util::StreamExt;
use openhuman::agent::mock::{Fault, MockServer, Rule, Script};
use openhuman::vault::VaultOptions;
use openhuman::{CancellationToken, ChatEvent, Core, Home, ModelConfig, Route};
use serde_json::json;

use crate::{password, skills};

async fn core_with(dir: &std::path::Path, script: Script) -> (Core, MockServer) {
    let server = MockServer::start(script).await;
    let model = ModelConfig {
        base_url: server.base_url(),
        model: "scripted".into(),
        ..ModelConfig::default()
    };
    let home = Home::at(dir.join("home"));
    let vault = home
        .create_vault(&password(), &VaultOptions::fast_for_tests())
        .unwrap();
    let core = Core::builder(home, vault)
        .skills_dir(skills(dir))
        .model(Some(model))
        .build()
        .await
        .unwrap();
    (core, server)
}

async fn ask(core: &Core, thread: &str, prompt: &str) -> Vec<ChatEvent> {
    core.chat(thread, prompt, Route::Local, &CancellationToken::new())
        .collect()
        .await
}

fn answer(events: &[ChatEvent]) -> &str {
    match events.last() {
        Some(ChatEvent::Done { answer }) => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_model_uses_a_skill_and_the_exchange_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new("scripted")
        .rule(
            Rule::when_user_says(["sum"])
                .before_tools()
                .call("sums__add", json!({ "a": 20, "b": 22 })),
        )
        .rule(
            Rule::when_user_says(["sum"])
                .after_tools()
                .answer("The sum is {{tool:sums__add}}."),
        );
    let (core, server) = core_with(dir.path(), script).await;
    let events = ask(&core, "one", "What is the sum?").await;
    assert_eq!(answer(&events), "The sum is 42.");
    let called = events.iter().any(|event| {
        matches!(event, ChatEvent::ToolResult { name, output, success: true, .. } if name == "sums__add" && output == "42")
    });
    assert!(called, "{events:?}");

    let hits = core
        .with_memory(|memory| memory.search(&openhuman::memory::Query::new("sum")))
        .await
        .unwrap();
    assert!(hits[0].text.contains("The sum is 42."), "{hits:?}");
    // The next turn of the thread shows the model what was said before.
    ask(&core, "one", "And the sum again?").await;
    let last = server.requests().pop().unwrap();
    assert!(last.body.to_string().contains("What is the sum?"), "{last:?}");
    core.close().await;
}

#[tokio::test]
async fn a_turn_that_fails_keeps_the_prompt_and_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new("scripted")
        .rule(Rule::when_user_says(["rope"]).fault(Fault::Garbage).times(99))
        .rule(Rule::when_user_says(["hello"]).answer("Hello."));
    let (core, server) = core_with(dir.path(), script).await;
    let events = ask(&core, "one", "Which rope?").await;
    match events.last() {
        Some(ChatEvent::Error { message, error_type }) => {
            assert!(message.contains(&server.base_url()), "{message}");
            assert_eq!(error_type, "inference");
        }
        other => panic!("{other:?}"),
    }
    let records = core
        .with_memory(|memory| memory.session("one")?.read())
        .await
        .unwrap();
    assert!(format!("{records:?}").contains("Which rope?"), "{records:?}");
    assert_eq!(answer(&ask(&core, "one", "hello").await), "Hello.");
    core.close().await;
}

#[tokio::test]
async fn a_cancelled_turn_ends_with_one_event() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new("scripted").rule(
        Rule::when_user_says(["slow"])
            .answer("a b c d e f g h")
            .fault(Fault::SlowDrip { millis: 60_000 }),
    );
    let (core, _server) = core_with(dir.path(), script).await;
    // The recalled passage is the sign that the turn is under way.
    let known = openhuman::memory::Document::new("k", "Slow food", "Slow food takes its time.");
    core.with_memory(move |memory| memory.ingest(&known))
        .await
        .unwrap();
    let cancel = CancellationToken::new();
    let mut events = core.chat("one", "slow", Route::Local, &cancel);
    assert!(matches!(events.next().await, Some(ChatEvent::Recall { .. })));
    cancel.cancel();
    let rest: Vec<ChatEvent> = events.collect().await;
    let ends = rest.iter().filter(|event| event.is_last()).count();
    assert_eq!(ends, 1, "{rest:?}");
    assert!(
        matches!(rest.last(), Some(ChatEvent::Error { error_type, .. }) if error_type == "cancelled"),
        "{rest:?}"
    );
    core.close().await;
}
