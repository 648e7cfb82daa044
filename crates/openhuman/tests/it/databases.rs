//! Older copies of databases are noticed, and keys are replaced, at any point of an interruption.

use std::path::{Path, PathBuf};

use openhuman::memory::{Document, Query};
use openhuman::sqlite::Freshness;
use openhuman::vault::Vault;
use openhuman::{Core, CoreError, DatabaseName, Home};

use crate::{new_core, password, skills, write_skill};

const KEEPS: &str = "globalThis.__skill = { default: { tools: [ \
    { name: 'put', description: '', input_schema: { type: 'object' }, execute(args) { state.set('word', args.word); return 'kept'; } }, \
    { name: 'get', description: '', input_schema: { type: 'object' }, execute() { return String(state.get('word')); } } ] } };";

fn home(dir: &Path) -> Home {
    Home::at(dir.join("home"))
}

fn vault(dir: &Path) -> Vault {
    home(dir).open_vault(&password()).unwrap()
}

async fn core(dir: &Path) -> Result<Core, CoreError> {
    Core::builder(home(dir), vault(dir))
        .skills_dir(skills(dir))
        .build()
        .await
}

async fn close(core: Core) {
    core.close().await;
    drop(core);
}

async fn remember(core: &Core, key: &'static str, text: &'static str) {
    core.with_memory(move |memory| memory.ingest(&Document::new(key, key, text)))
        .await
        .unwrap();
}

async fn titles(core: &Core, word: &'static str) -> Vec<String> {
    let hits = core
        .with_memory(move |memory| memory.search(&Query::new(word)))
        .await;
    hits.unwrap().into_iter().map(|hit| hit.title).collect()
}

/// The files of a database, with what SQLite leaves beside it.
fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

fn memory_file(dir: &Path) -> PathBuf {
    home(dir).memory_dir().join("memory.db")
}

#[tokio::test]
async fn an_older_memory_is_refused_until_the_user_accepts_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = new_core(dir.path()).await;
    remember(&first, "Rope", "The boat needs new rope.").await;
    close(first).await;
    let older = dir.path().join("older.db");
    copy(&memory_file(dir.path()), &older);
    let second = core(dir.path()).await.unwrap();
    remember(&second, "Paint", "The boat needs new paint.").await;
    close(second).await;
    let newest = dir.path().join("newest.db");
    copy(&memory_file(dir.path()), &newest);

    copy(&older, &memory_file(dir.path()));
    let refused = core(dir.path()).await.err().unwrap();
    assert!(matches!(refused, CoreError::RolledBack { .. }), "{refused}");
    assert!(
        refused.to_string().contains("openhuman vault accept memory"),
        "{refused}"
    );
    // The newest one is taken without a word.
    copy(&newest, &memory_file(dir.path()));
    close(core(dir.path()).await.unwrap()).await;

    copy(&older, &memory_file(dir.path()));
    {
        let databases = home(dir.path()).databases(&mut vault(dir.path())).unwrap();
        databases.check(&DatabaseName::Memory).unwrap_err();
        databases.accept(&DatabaseName::Memory).unwrap();
    }
    let third = core(dir.path()).await.unwrap();
    assert_eq!(titles(&third, "rope").await, ["Rope"]);
    assert!(titles(&third, "paint").await.iter().all(|title| title != "Paint"));
    close(third).await;
}

#[tokio::test]
async fn an_older_database_of_a_skill_is_refused_and_the_skill_says_so() {
    let dir = tempfile::tempdir().unwrap();
    write_skill(dir.path(), "keeper", KEEPS);
    close(new_core(dir.path()).await).await;
    let put = async |word: &str| {
        let core = core(dir.path()).await.unwrap();
        let args = serde_json::json!({ "word": word });
        let result = core
            .call_tool("keeper__put", args, openhuman::mcp::Origin::Cli)
            .await;
        let text = result.to_text();
        close(core).await;
        text
    };
    assert_eq!(put("one").await, "kept");
    let file = home(dir.path()).skills_data_dir().join("keeper/skill.db");
    let older = dir.path().join("older.db");
    copy(&file, &older);
    assert_eq!(put("two").await, "kept");
    copy(&older, &file);
    let refused = core(dir.path()).await.unwrap();
    let args = serde_json::json!({});
    let told = refused
        .call_tool("keeper__get", args, openhuman::mcp::Origin::Cli)
        .await
        .to_text();
    let problems: Vec<String> = refused
        .problems()
        .iter()
        .map(|problem| problem.error.to_string())
        .collect();
    let all = format!("{told} {problems:?}");
    assert!(all.contains("openhuman vault accept skill/keeper"), "{all}");
    assert!(!told.contains("one"), "{told}");
    close(refused).await;
}

#[tokio::test]
async fn notes_about_databases_that_are_lost_are_told_and_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let first = new_core(dir.path()).await;
    remember(&first, "Rope", "The boat needs new rope.").await;
    close(first).await;
    // Under the keys of the third generation, which only the notes name.
    for _ in 0..2 {
        let databases = home(dir.path()).databases(&mut vault(dir.path())).unwrap();
        let rekeyed = databases.rekey(|_| {}).unwrap();
        assert!(rekeyed.failed.is_empty(), "{rekeyed:?}");
    }
    std::fs::remove_file(home(dir.path()).vault_dir().join("databases.ohv")).unwrap();
    let refused = core(dir.path()).await.err().unwrap();
    assert!(
        matches!(refused, CoreError::Ledger { missing: true, .. }),
        "{refused}"
    );
    home(dir.path())
        .accept_databases(&mut vault(dir.path()), None)
        .unwrap();
    let second = core(dir.path()).await.unwrap();
    assert_eq!(titles(&second, "rope").await, ["Rope"]);
    close(second).await;
}

#[tokio::test]
async fn databases_get_new_keys_and_what_fails_keeps_the_old_one_for_now() {
    let dir = tempfile::tempdir().unwrap();
    write_skill(dir.path(), "keeper", KEEPS);
    let first = new_core(dir.path()).await;
    remember(&first, "Rope", "The boat needs new rope.").await;
    let args = serde_json::json!({ "word": "one" });
    first
        .call_tool("keeper__put", args, openhuman::mcp::Origin::Cli)
        .await;
    let busy = home(dir.path()).databases(&mut vault(dir.path())).err().unwrap();
    assert!(matches!(busy, CoreError::Busy { .. }), "{busy}");
    close(first).await;

    let memory = std::fs::read(memory_file(dir.path())).unwrap();
    // One database cannot be sealed anew: it was damaged.
    let file = home(dir.path()).skills_data_dir().join("keeper/skill.db");
    let good = std::fs::read(&file).unwrap();
    let mut bad = good.clone();
    bad[5000] ^= 1;
    std::fs::write(&file, bad).unwrap();
    {
        let databases = home(dir.path()).databases(&mut vault(dir.path())).unwrap();
        let rekeyed = databases.rekey(|_| {}).unwrap();
        assert!(rekeyed.done.contains(&DatabaseName::Memory), "{rekeyed:?}");
        assert_eq!(rekeyed.failed[0].0.to_string(), "skill/keeper", "{rekeyed:?}");
    }
    assert_ne!(
        std::fs::read(memory_file(dir.path())).unwrap()[..16],
        memory[..16]
    );
    std::fs::write(&file, good).unwrap();
    // Half of the way, everything works.
    let second = core(dir.path()).await.unwrap();
    assert_eq!(titles(&second, "rope").await, ["Rope"]);
    let args = serde_json::json!({});
    let kept = second
        .call_tool("keeper__get", args, openhuman::mcp::Origin::Cli)
        .await;
    assert_eq!(kept.to_text(), "one");
    close(second).await;
    {
        let databases = home(dir.path()).databases(&mut vault(dir.path())).unwrap();
        let rekeyed = databases.rekey(|_| {}).unwrap();
        assert!(rekeyed.failed.is_empty(), "{rekeyed:?}");
        let fresh = databases.check(&DatabaseName::Memory).unwrap();
        assert!(matches!(fresh, Freshness::Fresh { .. }), "{fresh:?}");
    }
    // The old file is not the memory any more, with whatever key.
    let third = core(dir.path()).await.unwrap();
    assert_eq!(titles(&third, "rope").await, ["Rope"]);
    close(third).await;
    std::fs::write(memory_file(dir.path()), memory).unwrap();
    assert!(core(dir.path()).await.is_err());
}

#[tokio::test]
async fn an_older_copy_of_the_whole_home_is_refused_until_the_user_accepts_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(openhuman::vault::MemoryKeyStore::new());
    close(new_core(dir.path()).await).await;
    let open = async || {
        Core::builder(home(dir.path()), vault(dir.path()))
            .key_store(Some(store.clone()))
            .build()
            .await
    };
    let first = open().await.unwrap();
    remember(&first, "Rope", "The boat needs new rope.").await;
    close(first).await;
    let copy = dir.path().join("copy");
    copy_all(home(dir.path()).path(), &copy);
    for title in ["Paint", "Oars"] {
        let next = open().await.unwrap();
        remember(&next, title, "The boat needs more.").await;
        close(next).await;
    }
    let newest = dir.path().join("newest");
    std::fs::rename(home(dir.path()).path(), &newest).unwrap();
    copy_all(&copy, home(dir.path()).path());
    let refused = open().await.err().unwrap();
    assert!(matches!(refused, CoreError::OlderHome), "{refused}");
    // All but the header of the vault is older: the header of the newest home with the rest of the copy.
    for name in ["vault.ohv", "vault.ohv.bak"] {
        let from = newest.join("vault").join(name);
        if from.exists() {
            std::fs::copy(from, home(dir.path()).vault_dir().join(name)).unwrap();
        }
    }
    let refused = open().await.err().unwrap();
    assert!(matches!(refused, CoreError::OlderHome), "{refused}");
    home(dir.path())
        .accept_databases(&mut vault(dir.path()), Some(store.as_ref()))
        .unwrap();
    for _ in 0..2 {
        let accepted = open().await.unwrap();
        assert_eq!(titles(&accepted, "rope").await, ["Rope"]);
        close(accepted).await;
    }
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
