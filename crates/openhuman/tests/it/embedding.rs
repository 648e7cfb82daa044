//! A server for the vectors: chosen, moved to, missing.

use openhuman::memory::{Document, Query, Reembedded};
use openhuman::vault::VaultOptions;
use openhuman::{Core, EmbeddingServer, Home};

use crate::password;
use crate::strict_embeddings::{DIMENSIONS, KEY, Strict};

fn server(strict: &Strict) -> EmbeddingServer {
    EmbeddingServer {
        base_url: strict.url.clone(),
        model: "tiny-embed".into(),
        dimensions: DIMENSIONS,
        with_key: true,
    }
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

    let refused = choose(&core, Some(server(&strict)), Some("sk-another"))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("Incorrect API key")
            && refused.to_string().contains("nothing was changed"),
        "{refused}"
    );
    let status_before = status(&core).await;
    assert_eq!(status_before.stored, status_before.chosen);

    let chosen = choose(&core, Some(server(&strict)), Some(KEY)).await.unwrap();
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
    choose(&core, Some(server(&strict)), Some(KEY)).await.unwrap();
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
    choose(&core, Some(server(&strict)), Some(KEY)).await.unwrap();
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
