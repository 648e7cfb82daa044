//! Forgetting from the core on, facts, and what is imported.

use openhuman::memory::forget::Forget;
use openhuman::memory::{Document, Query};
use openhuman::rpc::{Dispatcher, DispatcherOptions};
use openhuman::vault::VaultOptions;
use openhuman::{FactFilter, Home};
use serde_json::{Value, json};

use crate::{new_core, password};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_forgotten_everywhere_and_copies_from_before_are_named_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let core = new_core(dir.path()).await;
    let notes = dir.path().join("notes");
    std::fs::create_dir(&notes).unwrap();
    std::fs::write(
        notes.join("a.md"),
        "# People\n\nBertram Quill works at Siemens. The weather was fine.\n",
    )
    .unwrap();
    core.import(&notes).await.unwrap();
    core.with_memory(|memory| {
        memory
            .session("talk")?
            .append(&openhuman::memory::SessionRecord::text(
                1,
                openhuman::memory::SessionRole::User,
                "I met Bertram Quill. It rained.",
            ))
    })
    .await
    .unwrap();
    let filter = FactFilter {
        subject: Some("Bertram Quill".into()),
        ..FactFilter::default()
    };
    assert!(!core.facts(&filter).unwrap().is_empty(), "the file taught a fact");
    let export = dir.path().join("export");
    let written = core.export_plain(&export).await.unwrap();
    assert!(
        written.iter().any(|file| file.ends_with("sessions.jsonl")),
        "{written:?}"
    );
    let plain = std::fs::read_to_string(export.join("sessions.jsonl")).unwrap();
    assert!(
        plain.contains("Bertram Quill"),
        "the control: a copy from before holds it"
    );
    assert!(core.outdated_backups().unwrap().is_empty());

    let forgotten = core.forget(Forget::Person("Bertram Quill".into())).await.unwrap();
    assert_eq!(forgotten.report.left, Vec::<String>::new());
    assert!(
        forgotten.report.documents_changed == 1
            && forgotten.report.session_lines == 1
            && forgotten.report.facts > 0,
        "{forgotten:?}"
    );
    assert!(core.facts(&filter).unwrap().is_empty());
    let hits = core
        .with_memory(|memory| memory.search(&Query::new("Bertram Quill")))
        .await
        .unwrap();
    assert!(hits.iter().all(|hit| !hit.text.contains("Quill")), "{hits:?}");
    assert!(
        hits.iter().any(|hit| hit.text.contains("weather")),
        "the rest of the file is still there"
    );

    let outdated = core.outdated_backups().unwrap();
    assert_eq!(outdated.len(), written.len(), "{outdated:?}");
    let stranger = dir.path().join("notes/a.md");
    assert!(core.delete_backup(&stranger).is_err() && stranger.exists());
    for file in &outdated {
        core.delete_backup(file).unwrap();
        assert!(!file.exists());
    }
    assert!(core.outdated_backups().unwrap().is_empty());
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_the_home_is_named_when_something_is_forgotten_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let core = new_core(dir.path()).await;
    core.with_memory(|memory| memory.ingest(&Document::new("k", "", "The safe opens with seven turns.")))
        .await
        .unwrap();
    core.close().await;
    drop(core);
    let home = Home::at(dir.path().join("home"));
    let copy = dir.path().join("copy");
    let mut vault = home.open_vault(&password()).unwrap();
    home.databases(&mut vault)
        .unwrap()
        .backup(&mut vault, &copy)
        .unwrap();

    let core = openhuman::Core::builder(home, vault).build().await.unwrap();
    let forgotten = core.forget(Forget::Phrase("seven turns".into())).await.unwrap();
    assert_eq!(forgotten.report.backups, std::slice::from_ref(&copy));
    // What is no backup any more is not deleted.
    std::fs::rename(copy.join("vault"), copy.join("vault.away")).unwrap();
    assert!(
        core.delete_backup(&copy)
            .unwrap_err()
            .to_string()
            .contains("delete it yourself")
    );
    std::fs::rename(copy.join("vault.away"), copy.join("vault")).unwrap();
    core.delete_backup(&copy).unwrap();
    assert!(!copy.exists());
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_taken_as_far_as_it_can_be_and_each_other_file_says_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let core = new_core(dir.path()).await;
    let notes = dir.path().join("notes");
    std::fs::create_dir(&notes).unwrap();
    for number in 0..130 {
        std::fs::write(
            notes.join(format!("n{number}.md")),
            format!("Note {number} is about thing{number}."),
        )
        .unwrap();
    }
    std::fs::write(notes.join("latin1.txt"), b"na\xefve").unwrap();
    std::fs::write(notes.join("picture.txt"), b"GIF89a\0\0\0").unwrap();
    std::fs::write(notes.join("empty.txt"), "  \n").unwrap();
    std::fs::write(
        notes.join("wide.txt"),
        "\u{feff}Übergröße"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>(),
    )
    .unwrap();
    let report = core.import(&notes).await.unwrap();
    assert_eq!((report.files, report.embedded), (131, 131));
    let mut skipped: Vec<(String, String)> = report
        .skipped
        .iter()
        .map(|(path, reason)| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                reason.clone(),
            )
        })
        .collect();
    skipped.sort();
    let names: Vec<&str> = skipped.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["empty.txt", "latin1.txt", "picture.txt"]);
    assert!(
        skipped[1].1.contains("byte 2") && skipped[2].1.contains("binary"),
        "{skipped:?}"
    );
    let again = core.import(&notes).await.unwrap();
    assert_eq!((again.files, again.embedded), (131, 0));
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn front_ends_reach_facts_working_memory_and_forgetting() {
    let dir = tempfile::tempdir().unwrap();
    let rpc = Dispatcher::new(DispatcherOptions {
        model: None,
        vault: VaultOptions::fast_for_tests(),
        ..DispatcherOptions::new(Home::at(dir.path().join("home")))
    });
    rpc.call("openhuman.vault_create", json!({ "password": "long enough" }))
        .await
        .unwrap();
    let call =
        async |method: &str, params: Value| rpc.call(&format!("openhuman.memory_{method}"), params).await;

    let fact = json!({ "subject": "Ada", "predicate": "works with", "object": "Charles" });
    let told = call("graph_upsert", fact.clone()).await.unwrap();
    assert_eq!(
        call("graph_upsert", fact).await.unwrap(),
        told,
        "the same fact twice is one"
    );
    let facts = call("graph_query", json!({ "subject": "ada" })).await.unwrap();
    assert_eq!(facts["facts"][0]["predicate"], "WORKS_WITH", "{facts}");
    assert_eq!(facts["facts"].as_array().unwrap().len(), 1);
    assert_eq!(
        call("graph_query", json!({ "predicate": "hates" }))
            .await
            .unwrap()["facts"],
        json!([])
    );
    let refused = call(
        "graph_upsert",
        json!({ "subject": "", "predicate": "p", "object": "o" }),
    )
    .await
    .unwrap_err();
    assert!(refused.message.contains("subject"), "{refused}");
    let walked = call("graph_walk", json!({ "start": "Charles", "depth": 1 }))
        .await
        .unwrap();
    assert_eq!(walked["nodes"].as_array().unwrap().len(), 2, "{walked}");

    let item = call(
        "profile_remember",
        json!({ "kind": "goal", "text": "Learn the cello with Ada" }),
    )
    .await
    .unwrap();
    let id = item["id"].as_i64().unwrap();
    assert_eq!(
        call("profile_pin", json!({ "id": id, "pinned": true }))
            .await
            .unwrap()["changed"],
        true
    );
    let text = call("profile_text", Value::Null).await.unwrap();
    assert!(text["text"].as_str().unwrap().contains("cello"), "{text}");
    let export = call("profile_export", Value::Null).await.unwrap()["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        call("profile_close", json!({ "id": id })).await.unwrap()["changed"],
        true
    );
    assert_eq!(call("profile_list", json!({})).await.unwrap()["items"], json!([]));
    assert_eq!(
        call("profile_import", json!({ "text": export })).await.unwrap()["changed"],
        1
    );

    let document =
        json!({ "namespace": "team", "key": "k", "title": "T", "content": "Ada plays chess on Mondays." });
    let put = call("doc_put", document).await.unwrap();
    assert_eq!(
        call("list_namespaces", Value::Null).await.unwrap()["namespaces"],
        json!(["team"])
    );
    let context = call("context", json!({ "query": "Who plays chess?", "explain": true }))
        .await
        .unwrap();
    assert!(
        context["text"].as_str().unwrap().contains("chess") && context["found"][0]["related"] == true,
        "{context}"
    );
    let elsewhere = json!({ "namespace": "other", "document_id": put["document_id"] });
    assert_eq!(
        call("delete_document", elsewhere).await.unwrap()["deleted"],
        false
    );

    let refused = call("forget", json!({ "person": "Ada", "phrase": "x" }))
        .await
        .unwrap_err();
    assert_eq!(refused.code, -32602);
    let forgotten = call("forget", json!({ "person": "Ada" })).await.unwrap();
    assert_eq!(forgotten["left"], json!([]), "{forgotten}");
    assert_eq!(
        call("graph_query", json!({ "subject": "Ada" })).await.unwrap()["facts"],
        json!([])
    );
    assert_eq!(call("profile_list", json!({})).await.unwrap()["items"], json!([]));
    assert_eq!(
        call("doc_list", json!({ "namespace": "team" })).await.unwrap()["count"],
        0
    );
    let unknown = call(
        "doc_put",
        json!({ "key": "k", "content": "c", "priority": "high" }),
    )
    .await
    .unwrap_err();
    assert!(
        unknown.message.contains("priority"),
        "a setting without a reader is refused: {unknown}"
    );
    rpc.close().await;
}
