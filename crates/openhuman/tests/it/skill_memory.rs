//! What skills publish: the working memory, and what becomes of it.

use std::time::Duration;

use openhuman::skills::{SkillId, SkillPackage};
use openhuman::vault::VaultOptions;
use openhuman::{Core, Home};
use serde_json::{Value, json};

use crate::password;

const CODE: &str = "globalThis.__skill = { default: { tools: [
    { name: 'leave', description: '', input_schema: {}, execute() { return 'left'; } } ],
    onSync() { state.set('preferences', ['Prefers green tea']); state.set('author', 'Ana, ana@example.org');
        state.set('accessToken', 'very private'); },
    onTick() { state.set('goals', ['A goal of a tick']); } } };";

async fn core(dir: &std::path::Path, working: bool) -> (Core, SkillId) {
    let manifest = json!({ "id": "habits", "name": "Habits", "version": "1.0.0", "auto_start": true,
        "setup": { "required": false },
        "permissions": { "memory": { "insert": true } } });
    let package = SkillPackage::from_parts(&manifest.to_string(), CODE.into()).unwrap();
    let home = Home::at(dir.join("home"));
    let vault = home
        .create_vault(&password(), &VaultOptions::fast_for_tests())
        .unwrap();
    let core = Core::builder(home, vault)
        .working_memory(working)
        .build()
        .await
        .unwrap();
    let plan = core.plan_skill(package, Default::default()).await.unwrap();
    let skill = core.install_skill(plan.approve(), true).await.unwrap();
    (core, skill)
}

async fn sync(core: &Core, skill: &SkillId) {
    let answer = core.skills().rpc(skill, "skill/sync", Value::Null).await.unwrap();
    assert_ne!(answer["ok"], false, "{answer}");
}

/// Waits until the memory has a document with this key.
async fn until_published(core: &Core, there: bool) {
    let waited = async {
        loop {
            let documents = core
                .with_memory(|memory| memory.documents(Some("skill-habits")))
                .await
                .unwrap();
            if documents.is_empty() != there {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited)
        .await
        .unwrap();
}

async fn items(core: &Core) -> Vec<String> {
    let items = core
        .with_memory(|memory| memory.working().items(false))
        .await
        .unwrap();
    items.into_iter().map(|item| item.text).collect()
}

/// Row 24 from a skill on: words are compared whole, addresses are made unreadable, secrets are not looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_24_what_a_sync_publishes_is_at_hand_without_what_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let (core, skill) = core(dir.path(), true).await;
    sync(&core, &skill).await;
    // Closing waits for what was published before it.
    core.close().await;
    drop(core);
    let home = Home::at(dir.path().join("home"));
    let vault = home.open_vault(&password()).unwrap();
    let core = Core::builder(home, vault)
        .start_skills(false)
        .build()
        .await
        .unwrap();
    let known = items(&core).await;
    assert!(known.iter().any(|text| text.contains("green tea")), "{known:?}");
    let all = core
        .with_memory(|memory| {
            let documents = memory.documents(None)?;
            documents
                .iter()
                .map(|document| Ok(memory.text(&document.id)?.unwrap_or_default()))
                .collect::<Result<Vec<_>, _>>()
        })
        .await
        .unwrap()
        .join("\n");
    assert!(all.contains("- author: Ana, [redacted-email]"), "{all}");
    assert!(
        !all.contains("example.org") && !all.contains("very private"),
        "{all}"
    );
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_switch_keeps_the_working_memory_empty_and_the_document_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (core, skill) = core(dir.path(), false).await;
    sync(&core, &skill).await;
    until_published(&core, true).await;
    assert_eq!(items(&core).await, Vec::<String>::new());
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_account_goes_what_was_known_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let (core, skill) = core(dir.path(), true).await;
    sync(&core, &skill).await;
    until_published(&core, true).await;
    core.with_memory(|memory| {
        memory
            .working()
            .remember(openhuman::memory::working::Kind::Goal, "g", "walks more", 1.0)
    })
    .await
    .unwrap();
    core.skills().disconnect(&skill).await.unwrap();
    // What the user said stays.
    let forgotten = async {
        while items(&core).await != ["walks more"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), forgotten)
        .await
        .expect("it is forgotten");
    until_published(&core, false).await;
    core.close().await;
}
