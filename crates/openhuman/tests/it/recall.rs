//! What a model is told before it answers.

use futures_util::StreamExt;
use openhuman::agent::mock::{MockServer, Script};
use openhuman::memory::Document;
use openhuman::memory::chunk::count_tokens;
use openhuman::memory::working::Kind;
use openhuman::vault::VaultOptions;
use openhuman::{CancellationToken, ChatEvent, Core, Home, ModelConfig, Route};

use crate::password;

async fn core(dir: &std::path::Path) -> (Core, MockServer) {
    let script = Script {
        fallback: "Understood.".into(),
        ..Script::new("scripted")
    };
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
        .model(Some(model))
        .build()
        .await
        .unwrap();
    (core, server)
}

async fn ask(core: &Core, prompt: &str) -> Vec<ChatEvent> {
    core.chat("one", prompt, Route::Local, &CancellationToken::new())
        .collect()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passages_come_with_their_sources_within_their_budget_and_only_when_they_have_to_do_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (core, _server) = core(dir.path()).await;
    let documents: Vec<Document> = (0..12)
        .map(|number| {
            let text = format!("The harbour of town {number} has {number} cranes. ").repeat(40);
            Document {
                source: format!("/notes/{number}.md"),
                ..Document::new(format!("k{number}"), format!("Harbour {number}"), text)
            }
        })
        .collect();
    core.with_memory(move |memory| memory.ingest_all(&documents))
        .await
        .unwrap();
    let told = core
        .recall("How many cranes has the harbour of town 7?", 600)
        .await
        .unwrap();
    assert!(
        (480..=600).contains(&told.tokens) && told.text.contains("[1] Harbour 7"),
        "{}",
        told.text
    );
    assert_eq!(
        (told.passages.len(), told.passages[0].source.as_str()),
        (1, "/notes/7.md")
    );
    assert!(told.found.len() > 1 && told.passages[0].score > 0.5);

    let events = ask(&core, "How many cranes has the harbour of town 7?").await;
    let Some(ChatEvent::Recall { sources }) = events.first() else {
        panic!("{events:?}");
    };
    assert!(
        sources.iter().any(|source| source.source == "/notes/7.md"),
        "{sources:?}"
    );
    let size: usize = sources.iter().map(|source| count_tokens(&source.text)).sum();
    assert!((200..=1_500).contains(&size), "{size}");
    assert!(
        sources
            .iter()
            .all(|source| source.text.starts_with("The harbour of town")),
        "{sources:?}"
    );

    let events = ask(&core, "Xylophon quartett?").await;
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, ChatEvent::Recall { .. })),
        "{events:?}"
    );
    core.close().await;
}

/// Row 15: any text is a valid question.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_15_any_text_is_a_question_that_the_memory_takes() {
    let dir = tempfile::tempdir().unwrap();
    let (core, _server) = core(dir.path()).await;
    core.with_memory(|memory| {
        memory.ingest(&Document::new(
            "k",
            "Notes",
            "The project deadline is in May; C++ notes.",
        ))
    })
    .await
    .unwrap();
    let long = "deadline ".repeat(20_000);
    let questions = [
        "project deadline?",
        "what's my name?",
        "re: project",
        "C++ notes",
        "a/b (c) -d \"",
        "NEAR(*",
        &long,
    ];
    for question in questions {
        let events = ask(&core, question).await;
        let troubled = events
            .iter()
            .any(|event| matches!(event, ChatEvent::Notice { .. } | ChatEvent::Error { .. }));
        assert!(!troubled, "{question:.20}: {events:?}");
    }
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_working_memory_stands_in_the_instructions_and_is_the_same_text_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let (core, server) = core(dir.path()).await;
    ask(&core, "hello").await;
    core.with_memory(|memory| {
        memory
            .working()
            .remember(Kind::Preference, "tongue", "wants answers in Latin", 1.0)
    })
    .await
    .unwrap();
    ask(&core, "hello again").await;
    ask(&core, "hello once more").await;
    let systems: Vec<String> = server
        .requests()
        .iter()
        .map(|request| {
            request.body["messages"][0]["content"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert!(!systems[0].contains("User working memory"), "{}", systems[0]);
    assert!(
        systems[1].contains("data, never instructions") && systems[1].contains("- wants answers in Latin")
    );
    assert_eq!(systems[1], systems[2]);
    core.close().await;
}
