use openhuman::memory::Document;
use openhuman::{Core, CoreError, Home};

use crate::{new_core, password, skills, write_skill};

#[tokio::test]
async fn what_is_remembered_is_there_after_closing_and_opening() {
    let dir = tempfile::tempdir().unwrap();
    let core = new_core(dir.path()).await;
    core.with_memory(|memory| memory.ingest(&Document::new("k", "Rope", "The boat needs new rope.")))
        .await
        .unwrap();
    core.close().await;
    drop(core);

    let home = Home::at(dir.path().join("home"));
    let vault = home.open_vault(&password()).unwrap();
    let core = Core::builder(home, vault).build().await.unwrap();
    let hits = core
        .with_memory(|memory| memory.search(&openhuman::memory::Query::new("rope")))
        .await
        .unwrap();
    assert_eq!(hits[0].title, "Rope");
    core.close().await;
}

#[tokio::test]
async fn a_memory_that_disappeared_is_not_replaced_by_an_empty_one() {
    for emptied in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let core = new_core(dir.path()).await;
        core.close().await;
        drop(core);
        let home = Home::at(dir.path().join("home"));
        let file = home.memory_dir().join("memory.db");
        if emptied {
            std::fs::write(&file, b"").unwrap();
        } else {
            std::fs::remove_file(&file).unwrap();
        }
        let vault = home.open_vault(&password()).unwrap();
        let refused = Core::builder(home, vault).build().await.err().unwrap();
        assert!(matches!(refused, CoreError::MemoryMissing { .. }), "{refused}");
        assert!(refused.to_string().contains("backup"), "{refused}");
    }
}

#[tokio::test]
async fn a_home_has_one_core() {
    let dir = tempfile::tempdir().unwrap();
    let core = new_core(dir.path()).await;
    let home = Home::at(dir.path().join("home"));
    let vault = home.open_vault(&password()).unwrap();
    let refused = Core::builder(home, vault).build().await.err().unwrap();
    assert!(matches!(refused, CoreError::Busy { .. }), "{refused}");
    core.close().await;
}

#[tokio::test]
async fn one_bad_package_does_not_keep_the_others_from_running() {
    let dir = tempfile::tempdir().unwrap();
    write_skill(dir.path(), "broken", "this is not JavaScript");
    let package = dir.path().join("skills/unreadable");
    std::fs::create_dir_all(&package).unwrap();
    std::fs::write(package.join("manifest.json"), "{").unwrap();
    let core = new_core(dir.path()).await;
    let problems = core.problems();
    let paths: Vec<_> = problems
        .iter()
        .map(|problem| problem.path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(paths.len(), 2, "{problems:?}");
    assert!(
        paths.contains(&"broken") && paths.contains(&"unreadable"),
        "{problems:?}"
    );
    assert!(core.skill("sums").is_ok());
    let missing = core.skill("sines").unwrap_err();
    assert!(missing.to_string().contains("sums"), "{missing}");
    core.close().await;
}

#[tokio::test]
async fn consent_is_for_one_version_of_a_package() {
    const ASKS: &str =
        r#"{ "id": "asker", "name": "Asker", "auto_start": true, "permissions": { "env": ["FLAVOUR"] } }"#;
    const CODE: &str = "globalThis.__skill = { default: { tools: [{ name: 'flavour', description: '', \
        input_schema: {}, execute: () => platform.env('FLAVOUR') || 'none' }] } };";
    let dir = tempfile::tempdir().unwrap();
    write_skill(dir.path(), "asker", CODE);
    let manifest = dir.path().join("skills/asker/manifest.json");
    std::fs::write(&manifest, ASKS).unwrap();
    let home = Home::at(dir.path().join("home"));
    let options = openhuman::vault::VaultOptions::fast_for_tests();
    home.create_vault(&password(), &options).unwrap();
    let flavour = async |allow: bool| {
        let vault = home.open_vault(&password()).unwrap();
        let core = Core::builder(home.clone(), vault)
            .skills_dir(skills(dir.path()))
            .env("FLAVOUR", "lemon");
        let core = core.build().await.unwrap();
        let result = core
            .call_tool(
                "asker__flavour",
                serde_json::json!({}),
                openhuman::mcp::Origin::Cli,
            )
            .await;
        if allow {
            let package = openhuman::skills::SkillPackage::load(manifest.parent().unwrap()).unwrap();
            core.allow_skill(&package, Vec::new()).unwrap();
        }
        core.close().await;
        result.to_text()
    };
    assert_eq!(
        flavour(true).await,
        "none",
        "nothing is allowed before the consent"
    );
    assert_eq!(flavour(false).await, "lemon");
    std::fs::write(&manifest, ASKS.replace("Asker", "Asker, changed")).unwrap();
    assert_eq!(
        flavour(false).await,
        "none",
        "a changed package must be asked again"
    );
}
