//! Long conversations, results of tools, and what a search finds of a talk.

use futures_util::StreamExt;
use openhuman::agent::mock::{MockServer, Rule, Script};
use openhuman::mcp::Origin;
use openhuman::memory::chunk::count_tokens;
use openhuman::memory::{Document, Query};
use openhuman::vault::VaultOptions;
use openhuman::{CancellationToken, ChatEvent, Core, Home, ModelConfig, Route};
use serde_json::{Value, json};

use crate::{password, skills, write_skill};

async fn core_with(dir: &std::path::Path, script: Script, window: usize) -> (Core, MockServer) {
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
        .context_window(window)
        .build()
        .await
        .unwrap();
    (core, server)
}

async fn ask(core: &Core, thread: &str, prompt: &str) -> Vec<ChatEvent> {
    let events: Vec<ChatEvent> = core
        .chat(thread, prompt, Route::Local, &CancellationToken::new())
        .collect()
        .await;
    assert!(
        matches!(events.last(), Some(ChatEvent::Done { .. })),
        "{events:?}"
    );
    events
}

/// The messages of the request that a prompt led to.
fn sent(server: &MockServer, prompt: &str) -> Vec<Value> {
    let requests = server.requests();
    let request = requests
        .iter()
        .rfind(|request| request.body["messages"].to_string().contains(prompt))
        .unwrap();
    request.body["messages"].as_array().unwrap().clone()
}

fn content(message: &Value) -> &str {
    message["content"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_outgrows_the_window_is_summed_up_and_what_matters_stays_word_for_word() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script {
        fallback: "Understood.".into(),
        ..Script::new("scripted")
    };
    let (core, server) = core_with(dir.path(), script, 8_192).await;
    ask(
        &core,
        "long",
        "Remember that the order is A-4711-XK and the server is 10.11.12.13.",
    )
    .await;
    let story = "The river went on through the valley and nobody counted the days. ".repeat(60);
    for part in 0..8 {
        ask(&core, "long", &format!("Part {part} of the story. {story}")).await;
    }
    ask(&core, "long", "Which order was it?").await;
    let messages = sent(&server, "Which order was it?");
    let size: usize = messages
        .iter()
        .map(|message| count_tokens(content(message)))
        .sum();
    assert!(size < 8_192, "{size}");
    let system = content(&messages[0]);
    assert!(system.contains("[Context from previous conversation"), "{system}");
    assert!(
        system.contains("A-4711-XK") && system.contains("10.11.12.13"),
        "{system}"
    );
    assert_eq!(messages[1]["role"], "user", "{messages:?}");

    let threads = core.threads().unwrap();
    assert!(threads[0].compactions > 0, "{threads:?}");
    assert_eq!(threads[0].messages, 20, "nothing is taken out of the thread");
    // What left the context is one call away.
    let id = system
        .rsplit_once("expand(")
        .unwrap()
        .1
        .split(')')
        .next()
        .unwrap();
    let whole = core
        .call_tool(
            "memory__expand",
            json!({ "id": format!("expand({id})") }),
            Origin::Agent,
        )
        .await;
    assert!(
        !whole.is_error && whole.to_text().contains("of the story."),
        "{whole:?}"
    );
    let gone = core
        .call_tool("memory__expand", json!({ "id": "0123" }), Origin::Agent)
        .await;
    assert!(gone.is_error && gone.to_text().contains("0123"), "{gone:?}");

    let mut lines = Vec::new();
    assert!(core.export_thread("long", &mut lines).unwrap());
    let lines: Vec<Value> = String::from_utf8(lines)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["type"], "session");
    assert!(lines.iter().any(|line| line["type"] == "compaction"));
    assert!(!core.export_thread("no such thread", &mut Vec::new()).unwrap());

    assert!(core.forget_thread("long").unwrap());
    let left = core
        .with_memory(|memory| memory.search(&Query::new("order A-4711-XK")))
        .await
        .unwrap();
    assert!(left.iter().all(|hit| !hit.text.contains("A-4711-XK")), "{left:?}");
    assert!(!core.forget_thread("long").unwrap());
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_result_is_shortened_for_the_model_and_kept_whole() {
    let dir = tempfile::tempdir().unwrap();
    let code = "globalThis.tools = [{ name: 'log', description: 'The log.', input_schema: { type: 'object' }, execute() {
        let text = '';
        for (let n = 0; n < 900; n++) text += `2024-05-01 10:00:${String(n % 60).padStart(2, '0')} INFO request ${n} served\\n`;
        return text + '2024-05-01 10:20:00 ERROR disk /dev/sda1 is full\\n';
    } }];";
    write_skill(dir.path(), "logs", code);
    let script = Script::new("scripted")
        .rule(
            Rule::when_user_says(["the log"])
                .before_tools()
                .call("logs__log", json!({})),
        )
        .rule(
            Rule::when_user_says(["the log"])
                .after_tools()
                .answer("The disk is full."),
        )
        .rule(Rule::when_user_says(["again"]).answer("As I said."));
    let (core, server) = core_with(dir.path(), script, 32_768).await;
    ask(&core, "one", "Look at the log").await;
    let messages = sent(&server, "Look at the log");
    let result = messages.iter().find(|message| message["role"] == "tool").unwrap();
    let short = content(result);
    assert!(short.contains("/dev/sda1 is full"), "{short}");
    assert!(count_tokens(short) < 2_000, "{}", count_tokens(short));
    let id = short
        .split("\"id\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();

    let mut whole = String::new();
    loop {
        let args = json!({ "id": id, "offset": whole.len() });
        let page = core
            .call_tool("memory__expand", args, Origin::Agent)
            .await
            .to_text();
        match page.rsplit_once("\n[bytes ") {
            Some((part, _)) => whole.push_str(part),
            None => {
                whole.push_str(&page);
                break;
            }
        }
    }
    assert_eq!(whole.lines().count(), 901, "the last page ends the text");

    // The next question of the thread comes with the call and its result.
    ask(&core, "one", "And again?").await;
    let messages = sent(&server, "And again?");
    assert_eq!(messages[2]["tool_calls"][0]["function"]["name"], "logs__log");
    assert_eq!(content(&messages[3]), short);
    let question = content(messages.last().unwrap());
    assert!(
        !question.contains("recalled_context"),
        "the thread is not recalled beside itself: {question}"
    );
    assert_eq!(messages[3]["tool_call_id"], messages[2]["tool_calls"][0]["id"]);
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_talk_is_one_conversation_that_is_found_by_turn_and_learned_from() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script {
        fallback: "Noted.".into(),
        ..Script::new("scripted")
    };
    let (core, server) = core_with(dir.path(), script, 32_768).await;
    ask(&core, "talk", "I live in Lisbon.").await;
    ask(&core, "talk", "My sister Anna works at Siemens.").await;
    let documents = core
        .with_memory(|memory| memory.documents(Some("conversations")))
        .await
        .unwrap();
    assert_eq!(documents.len(), 1, "{documents:?}");
    assert_eq!(documents[0].chunks, 4, "a chunk for each turn");
    let hits = core
        .with_memory(|memory| memory.search(&Query::new("Where does the user live?")))
        .await
        .unwrap();
    assert_eq!(hits[0].text.trim(), "User: I live in Lisbon.");
    let facts = core
        .facts(&openhuman::FactFilter {
            subject: Some("User".into()),
            ..openhuman::FactFilter::default()
        })
        .unwrap();
    assert!(
        facts.iter().any(|known| known.fact.object.name() == "Lisbon"),
        "{facts:?}"
    );

    // What was recalled is not remembered a second time.
    ask(&core, "other", "Where do I live, in Lisbon?").await;
    let asked = sent(&server, "Where do I live, in Lisbon?");
    assert!(
        asked
            .iter()
            .any(|message| content(message).contains("I live in Lisbon.")),
        "{asked:?}"
    );
    let other = core
        .with_memory(|memory| {
            memory.search(&Query {
                namespace: Some("conversations".into()),
                ..Query::new("I live in Lisbon")
            })
        })
        .await
        .unwrap();
    let copies = other
        .iter()
        .filter(|hit| hit.text.contains("I live in Lisbon."))
        .count();
    assert_eq!(copies, 1, "{other:?}");
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_only_quotes_is_not_remembered_as_something_new() {
    let dir = tempfile::tempdir().unwrap();
    let core = crate::new_core(dir.path()).await;
    core.with_memory(|memory| {
        memory.ingest(&Document::new(
            "k",
            "Rope",
            "The boat needs new rope before August.",
        ))
    })
    .await
    .unwrap();
    ask(&core, "one", "What does the boat need?").await;
    let documents = core.with_memory(|memory| memory.documents(None)).await.unwrap();
    assert_eq!(documents.len(), 1, "{documents:?}");
    core.close().await;
}
