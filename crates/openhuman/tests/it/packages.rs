//! Packages as the core installs, updates and removes them.

use std::path::Path;

use openhuman::skills::registry::Offer;
use openhuman::skills::{SigningKey, SkillPackage};
use openhuman::vault::VaultOptions;
use openhuman::{Core, Home};
use serde_json::json;

use crate::password;

/// A skill that keeps a word in every place there is, and says where it finds one.
const KEEPER: &str = "globalThis.__skill = { default: { tools: [
    { name: 'keep', description: '', input_schema: {}, execute() {
        state.set('word', 'kept'); db.kvSet('word', 'kept'); data.write('word.txt', 'kept'); return VERSION; } },
    { name: 'find', description: '', input_schema: {}, execute: () => JSON.stringify([
        state.get('word'), db.kvGet('word') ?? null, data.read('word.txt'),
        auth.getCredential() && auth.getCredential().mode, platform.env('FLAVOUR') || null]) },
    { name: 'version', description: '', input_schema: {}, execute: () => VERSION },
] } };";

fn keeper(version: &str, key: Option<u8>) -> SkillPackage {
    let manifest = json!({
        "id": "keeper", "name": "Keeper", "version": version, "auto_start": true,
        "permissions": { "env": ["FLAVOUR"] },
        "setup": { "auth": { "modes": [{ "type": "text" }] } },
    });
    let code = KEEPER.replace("VERSION", &format!("'{version}'"));
    let package = SkillPackage::from_parts(&manifest.to_string(), code).unwrap();
    match key {
        Some(seed) => package.signed(&SigningKey::from_seed(&[seed; 32])),
        None => package,
    }
}

async fn core(dir: &Path) -> Core {
    let home = Home::at(dir.join("home"));
    let vault = if home.has_vault() {
        home.open_vault(&password()).unwrap()
    } else {
        home.create_vault(&password(), &VaultOptions::fast_for_tests())
            .unwrap()
    };
    let core = Core::builder(home, vault).env("FLAVOUR", "lemon");
    core.build().await.unwrap()
}

async fn install(core: &Core, package: SkillPackage) -> Result<(), openhuman::CoreError> {
    let plan = core.plan_skill(package, Offer::default()).await.unwrap();
    core.install_skill(plan.approve(), true).await.map(drop)
}

async fn call(core: &Core, tool: &str) -> String {
    let name = format!("keeper__{tool}");
    let result = core.call_tool(&name, json!({}), openhuman::mcp::Origin::Cli);
    result.await.to_text()
}

const NOTHING: &str = r#"[null,null,null,null,"lemon"]"#;
const KEPT: &str = r#"["kept","kept","kept",null,"lemon"]"#;

async fn remove(core: &Core) {
    let id = "keeper".parse().unwrap();
    assert!(
        core.remove_skill(&id, openhuman::Removal::default())
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_skill_of_another_publisher_finds_nothing_of_the_one_that_was_removed() {
    for (first, second) in [(Some(1), Some(2)), (Some(1), None), (None, Some(2))] {
        let dir = tempfile::tempdir().unwrap();
        let core = core(dir.path()).await;
        install(&core, keeper("1.0.0", first)).await.unwrap();
        call(&core, "keep").await;
        let secret = json!({ "mode": "text", "credentials": { "content": "t0p" } });
        let id = "keeper".parse().unwrap();
        core.skills().auth_complete(&id, &secret).await.unwrap();
        assert_eq!(call(&core, "find").await, KEPT.replacen("null", "\"text\"", 1));
        remove(&core).await;

        install(&core, keeper("2.0.0", second)).await.unwrap();
        assert_eq!(call(&core, "find").await, NOTHING, "{first:?} {second:?}");
        remove(&core).await;

        // Nothing was lost: its own publisher's skill finds it again.
        install(&core, keeper("1.0.0", first)).await.unwrap();
        assert_eq!(call(&core, "find").await, KEPT);
        core.close().await;
    }
}

#[tokio::test]
async fn what_an_earlier_version_of_openhuman_left_is_nobodys_for_a_new_skill() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("home/skills_data/keeper");
    let core = core(dir.path()).await;
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("skill.db"), b"not to be opened").unwrap();
    install(&core, keeper("1.0.0", Some(1))).await.unwrap();
    assert_eq!(call(&core, "find").await, NOTHING);
    call(&core, "keep").await;
    assert_eq!(call(&core, "find").await, KEPT);
    core.close().await;
}

#[tokio::test]
async fn an_update_keeps_the_data_whoever_signed_it_if_the_user_agreed() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(dir.path()).await;
    install(&core, keeper("1.0.0", None)).await.unwrap();
    call(&core, "keep").await;
    for (version, key) in [("1.1.0", None), ("1.2.0", Some(1)), ("1.3.0", Some(2))] {
        install(&core, keeper(version, key)).await.unwrap();
        assert_eq!(call(&core, "version").await, version);
        assert_eq!(call(&core, "find").await, KEPT, "{version}");
    }
    core.close().await;
    drop(core);
    let core = self::core(dir.path()).await;
    assert_eq!(call(&core, "find").await, KEPT, "after a restart");
    core.close().await;
}

/// Lets everything succeed but the last step of an installation.
fn break_the_lockfile(dir: &Path) -> std::path::PathBuf {
    let in_the_way = dir.join("home/skills/.packages/skills.lock.json.new");
    std::fs::create_dir_all(in_the_way.join("full")).unwrap();
    in_the_way
}

#[tokio::test]
async fn an_update_that_cannot_be_recorded_leaves_the_old_version_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(dir.path()).await;
    install(&core, keeper("1.0.0", Some(1))).await.unwrap();
    call(&core, "keep").await;
    let in_the_way = break_the_lockfile(dir.path());
    assert!(install(&core, keeper("2.0.0", Some(1))).await.is_err());
    assert_eq!(call(&core, "version").await, "1.0.0");
    assert_eq!(
        call(&core, "find").await,
        KEPT,
        "it still has its consent and its data"
    );
    std::fs::remove_dir_all(in_the_way).unwrap();
    core.close().await;
    drop(core);

    let core = self::core(dir.path()).await;
    assert_eq!(call(&core, "version").await, "1.0.0");
    assert_eq!(call(&core, "find").await, KEPT);
    core.close().await;
}

#[tokio::test]
async fn a_skill_that_cannot_be_recorded_is_not_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(dir.path()).await;
    std::fs::create_dir_all(dir.path().join("home/skills/.packages")).unwrap();
    let in_the_way = break_the_lockfile(dir.path());
    assert!(install(&core, keeper("1.0.0", Some(1))).await.is_err());
    assert!(core.skill("keeper").is_err());
    std::fs::remove_dir_all(in_the_way).unwrap();
    install(&core, keeper("1.0.0", Some(1))).await.unwrap();
    assert_eq!(call(&core, "version").await, "1.0.0");
    core.close().await;
}

#[tokio::test]
async fn skills_start_as_the_user_and_their_manifests_say() {
    let dir = tempfile::tempdir().unwrap();
    let skills = dir.path().join("home/skills");
    for (id, auto) in [("loud", true), ("quiet", false)] {
        std::fs::create_dir_all(skills.join(id)).unwrap();
        let manifest = json!({ "id": id, "name": id, "auto_start": auto });
        std::fs::write(skills.join(id).join("manifest.json"), manifest.to_string()).unwrap();
        std::fs::write(
            skills.join(id).join("index.js"),
            "globalThis.__skill = { default: { tools: [] } };",
        )
        .unwrap();
    }
    let running = |core: &Core| {
        let all = core.skill_snapshots().into_iter();
        all.filter(|skill| skill.status == openhuman::skills::SkillStatus::Running)
            .map(|skill| skill.skill_id)
            .collect::<Vec<_>>()
    };
    let core = core(dir.path()).await;
    assert_eq!(running(&core), ["loud"]);
    core.skills()
        .set_enabled(&"loud".parse().unwrap(), Some(false))
        .unwrap();
    core.skills()
        .set_setup_complete(&"loud".parse().unwrap(), true)
        .unwrap();
    core.skills()
        .set_enabled(&"quiet".parse().unwrap(), Some(true))
        .unwrap();
    core.close().await;
    drop(core);
    let core = self::core(dir.path()).await;
    assert_eq!(running(&core), ["quiet"], "what the user switched off stays off");
    core.close().await;
}
