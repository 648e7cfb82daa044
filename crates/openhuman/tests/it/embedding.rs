//! A server for the vectors: chosen, moved to, missing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use openhuman::memory::{Document, Query, Reembedded};
use openhuman::vault::VaultOptions;
use openhuman::{Core, EmbeddingServer, Home};
use serde_json::{Value, json};

use crate::password;

const KEY: &str = "sk-of-a-test";
const DIMENSIONS: usize = 24;

/// Takes what OpenAI would take, and refuses everything else.
struct Strict {
    url: String,
    inputs: Arc<Mutex<Vec<String>>>,
}

impl Strict {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let inputs = Arc::new(Mutex::new(Vec::new()));
        let seen = inputs.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = seen.clone();
                std::thread::spawn(move || while serve(stream.as_ref().unwrap(), &seen).is_some() {});
            }
        });
        Self { url, inputs }
    }

    fn seen(&self) -> Vec<String> {
        self.inputs.lock().unwrap().clone()
    }

    fn server(&self) -> EmbeddingServer {
        EmbeddingServer {
            base_url: self.url.clone(),
            model: "tiny-embed".into(),
            dimensions: DIMENSIONS,
            with_key: true,
        }
    }
}

fn serve(mut stream: &TcpStream, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim() {
            "" => break,
            line => head.push(line.to_ascii_lowercase()),
        }
    }
    let header = |name: &str| {
        let found = head
            .iter()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_default().to_owned()
    };
    let mut body = vec![0; header("content-length").parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    let fields = body
        .as_object()?
        .keys()
        .all(|name| ["model", "input", "encoding_format"].contains(&name.as_str()));
    let (status, answer) = if header("authorization") != format!("bearer {KEY}") {
        (
            401,
            json!({ "error": { "message": "Incorrect API key provided", "code": "invalid_api_key" } }),
        )
    } else if !fields || body["model"] != "tiny-embed" || head[0] != "post /v1/embeddings http/1.1" {
        (
            400,
            json!({ "error": { "message": format!("not taken: {body}"), "code": null } }),
        )
    } else {
        let inputs: Vec<String> = serde_json::from_value(body["input"].clone()).ok()?;
        let data: Vec<Value> = inputs
            .iter()
            .enumerate()
            .map(
                |(index, input)| json!({ "object": "embedding", "index": index, "embedding": vector(input) }),
            )
            .collect();
        seen.lock().unwrap().extend(inputs);
        (
            200,
            json!({ "object": "list", "data": data, "model": "tiny-embed", "usage": {} }),
        )
    };
    let text = answer.to_string();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )
    .ok()
}

fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.01; DIMENSIONS];
    for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()) {
        let slot = word.bytes().fold(7usize, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(byte.into())
        });
        vector[slot % DIMENSIONS] += 1.0;
    }
    vector
}

async fn open(dir: &std::path::Path) -> Core {
    let home = Home::at(dir.join("home"));
    let vault = match home.has_vault() {
        true => home.open_vault(&password()).unwrap(),
        false => home
            .create_vault(&password(), &VaultOptions::fast_for_tests())
            .unwrap(),
    };
    Core::builder(home, vault)
        .start_skills(false)
        .build()
        .await
        .unwrap()
}

async fn choose(
    core: &Core,
    server: Option<EmbeddingServer>,
    key: Option<&str>,
) -> Result<openhuman::EmbeddingStatus, openhuman::CoreError> {
    let (core, key) = (core.clone(), key.map(str::to_owned));
    tokio::task::spawn_blocking(move || core.choose_embedding(server.as_ref(), key.as_deref()))
        .await
        .unwrap()
}

async fn status(core: &Core) -> openhuman::EmbeddingStatus {
    let core = core.clone();
    tokio::task::spawn_blocking(move || core.embedding())
        .await
        .unwrap()
        .unwrap()
}

async fn found(core: &Core, words: &str) -> Result<Vec<String>, openhuman::CoreError> {
    let query = Query::new(words);
    let hits = core.with_memory(move |memory| memory.search(&query)).await?;
    Ok(hits.into_iter().map(|hit| hit.key).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_moves_to_a_server_and_goes_on_where_it_was_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let strict = Strict::start();
    let core = open(dir.path()).await;
    let documents: Vec<Document> = (0..300)
        .map(|n| Document::new(format!("k{n}"), "", format!("Note {n} speaks of thing{n}.")))
        .collect();
    core.with_memory(move |memory| memory.ingest_all(&documents))
        .await
        .unwrap();

    let refused = choose(&core, Some(strict.server()), Some("sk-another"))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("Incorrect API key")
            && refused.to_string().contains("nothing was changed"),
        "{refused}"
    );
    let status_before = status(&core).await;
    assert_eq!(status_before.stored, status_before.chosen);

    let chosen = choose(&core, Some(strict.server()), Some(KEY)).await.unwrap();
    assert_eq!(
        (chosen.chosen.model.as_str(), chosen.chosen.dimensions),
        ("tiny-embed", DIMENSIONS)
    );
    assert_ne!(chosen.stored, chosen.chosen);
    assert_eq!(chosen.problem, None);
    // Searches go on in the old space, also in another process.
    core.close().await;
    drop(core);
    let core = open(dir.path()).await;
    assert_eq!(found(&core, "thing7").await.unwrap()[0], "k7");
    assert_eq!(strict.seen().len(), 1, "only the probe was sent");

    let stopped = core
        .reembed(|progress| {
            assert!(progress.done <= progress.total);
            false
        })
        .await
        .unwrap();
    assert_eq!(stopped, Reembedded::Stopped);
    let sent = strict.seen().len();
    assert!((2..301).contains(&sent), "{sent}");
    core.close().await;
    drop(core);
    let core = open(dir.path()).await;
    assert_eq!(core.reembed(|_| true).await.unwrap(), Reembedded::Complete);
    let notes = strict
        .seen()
        .iter()
        .filter(|input| input.starts_with("Note"))
        .count();
    assert_eq!(notes, 300, "each passage is sent once, over the interruption");
    let now = status(&core).await;
    assert_eq!(now.stored, now.chosen);
    assert_eq!(found(&core, "thing7").await.unwrap()[0], "k7");
    assert_eq!(strict.seen().last().unwrap(), "thing7");
    assert!(core.check_memory().await.unwrap().is_sound());
    core.close().await;
    drop(core);

    let core = open(dir.path()).await;
    assert_eq!(found(&core, "thing9").await.unwrap()[0], "k9");
    // Nothing of the key is readable in the home.
    core.close().await;
    drop(core);
    let mut folders = vec![dir.path().join("home")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let bytes = std::fs::read(entry.path()).unwrap();
                    assert!(
                        !bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes()),
                        "{:?}",
                        entry.path()
                    );
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_key_a_memory_lists_and_forgets_and_says_why_it_cannot_search() {
    let dir = tempfile::tempdir().unwrap();
    let strict = Strict::start();
    let core = open(dir.path()).await;
    choose(&core, Some(strict.server()), Some(KEY)).await.unwrap();
    core.reembed(|_| true).await.unwrap();
    core.with_memory(|memory| memory.ingest(&Document::new("k", "Rope", "The boat needs new rope.")))
        .await
        .unwrap();
    core.close().await;
    drop(core);
    let home = Home::at(dir.path().join("home"));
    let vault = home.open_vault(&password()).unwrap();
    assert!(vault.remove_secret("memory-embedding-key").unwrap());
    drop(vault);

    let core = open(dir.path()).await;
    let refused = found(&core, "rope").await.unwrap_err().to_string();
    assert!(
        refused.contains("no key for http://127.0.0.1") && refused.contains("memory embedder"),
        "{refused}"
    );
    let health = core.check_memory().await.unwrap();
    assert!(!health.is_sound() && health.damage.is_none());
    assert!(health.embedding.problem.unwrap().contains("no key"));
    let documents = core.with_memory(|memory| memory.documents(None)).await.unwrap();
    let id = documents[0].id.clone();
    assert!(core.with_memory(move |memory| memory.forget(&id)).await.unwrap());

    // Back to the table that needs nobody.
    choose(&core, None, None).await.unwrap();
    assert_eq!(core.reembed(|_| true).await.unwrap(), Reembedded::Complete);
    core.with_memory(|memory| memory.ingest(&Document::new("k", "Rope", "The boat needs new rope.")))
        .await
        .unwrap();
    assert_eq!(found(&core, "rope").await.unwrap(), ["k"]);
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_not_lost_when_the_server_of_the_vectors_is() {
    use futures_util::StreamExt;
    use openhuman::agent::mock::{MockServer, Script};
    use openhuman::{CancellationToken, ChatEvent, ModelConfig, Route};

    let dir = tempfile::tempdir().unwrap();
    let strict = Strict::start();
    let core = open(dir.path()).await;
    choose(&core, Some(strict.server()), Some(KEY)).await.unwrap();
    core.reembed(|_| true).await.unwrap();
    core.close().await;
    drop(core);
    let home = Home::at(dir.path().join("home"));
    let vault = home.open_vault(&password()).unwrap();
    vault.remove_secret("memory-embedding-key").unwrap();
    let model = MockServer::start(Script {
        fallback: "Still here.".into(),
        ..Script::new("scripted")
    })
    .await;
    let model = ModelConfig {
        base_url: model.base_url(),
        model: "scripted".into(),
        ..ModelConfig::default()
    };
    let core = Core::builder(home, vault)
        .model(Some(model))
        .build()
        .await
        .unwrap();
    let events: Vec<ChatEvent> = core
        .chat("one", "hello", Route::Local, &CancellationToken::new())
        .collect()
        .await;
    let notices: Vec<&String> = events
        .iter()
        .filter_map(|event| match event {
            ChatEvent::Notice { message } => Some(message),
            _ => None,
        })
        .collect();
    assert!(
        notices.len() == 2 && notices.iter().all(|notice| notice.contains("no key for")),
        "{events:?}"
    );
    assert!(
        matches!(events.last(), Some(ChatEvent::Done { answer }) if answer == "Still here."),
        "{events:?}"
    );
    core.close().await;
}
