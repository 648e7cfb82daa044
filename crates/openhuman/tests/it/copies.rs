//! Copies of a home, keys that are replaced while the process is killed, and what an earlier program left.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use openhuman::mcp::Origin;
use openhuman::memory::{Document, Query};
use openhuman::{Core, CoreError, DatabaseName, Home};
use serde_json::json;

use crate::{new_core, password, skills, write_skill};

const KEEPS: &str = "globalThis.__skill = { default: { tools: [ \
    { name: 'put', description: '', input_schema: { type: 'object' }, execute(args) { state.set('word', args.word); data.write('a.txt', args.word); return 'kept'; } }, \
    { name: 'get', description: '', input_schema: { type: 'object' }, execute() { return String(state.get('word')) + ' ' + data.read('a.txt'); } } ] } };";

async fn open(home: &Home, dir: &Path) -> Core {
    let vault = home.open_vault(&password()).unwrap();
    Core::builder(home.clone(), vault)
        .skills_dir(skills(dir))
        .build()
        .await
        .unwrap()
}

async fn call(core: &Core, name: &str, args: serde_json::Value) -> String {
    core.call_tool(name, args, Origin::Cli).await.to_text()
}

async fn fill(dir: &Path) -> Home {
    write_skill(dir, "keeper", KEEPS);
    let core = new_core(dir).await;
    core.with_memory(|memory| {
        for number in 0..40 {
            let text = format!(
                "Note {number} about the rope of the boat. {}",
                "word ".repeat(200)
            );
            memory.ingest(&Document::new(
                format!("k{number}"),
                format!("Rope {number}"),
                text,
            ))?;
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(call(&core, "keeper__put", json!({ "word": "one" })).await, "kept");
    core.close().await;
    core.home().clone()
}

/// Everything is there that [`fill`] put in.
async fn is_whole(home: &Home, dir: &Path) {
    let core = open(home, dir).await;
    assert!(core.problems().is_empty());
    assert_eq!(call(&core, "keeper__get", json!({})).await, "one one");
    let stats = core.with_memory(openhuman::memory::Memory::stats).await.unwrap();
    assert_eq!(stats.documents, 40);
    let hits = core
        .with_memory(|memory| memory.search(&Query::new("rope")))
        .await;
    assert!(!hits.unwrap().is_empty());
    core.close().await;
}

#[tokio::test]
async fn a_backup_is_a_home_that_opens_with_the_same_password() {
    let dir = tempfile::tempdir().unwrap();
    let home = fill(dir.path()).await;
    let target = dir.path().join("copy");
    let mut vault = home.open_vault(&password()).unwrap();
    {
        let databases = home.databases(&mut vault).unwrap();
        let mut other = home.open_vault(&password()).unwrap();
        let inside = databases
            .backup(&mut other, &home.path().join("copy"))
            .unwrap_err();
        assert!(inside.to_string().contains("inside the home"), "{inside}");
        let report = databases.backup(&mut other, &target).unwrap();
        let names: Vec<String> = report.databases.iter().map(ToString::to_string).collect();
        assert!(
            names.contains(&"memory".to_owned()) && names.contains(&"files/keeper".to_owned()),
            "{names:?}"
        );
        assert!(report.bytes > 10_000, "{report:?}");
        let again = databases.backup(&mut other, &target).unwrap_err();
        assert!(again.to_string().contains("already"), "{again}");
    }
    // The home goes on, and may go.
    is_whole(&home, dir.path()).await;
    std::fs::remove_dir_all(home.path()).unwrap();
    is_whole(&Home::at(&target), dir.path()).await;
    is_whole(&Home::at(&target), dir.path()).await;
    assert!(!dir.path().join("copy.partial").exists());
}

#[tokio::test]
async fn a_backup_finds_damage_and_leaves_nothing_half_done() {
    let dir = tempfile::tempdir().unwrap();
    let home = fill(dir.path()).await;
    let file = home.memory_dir().join("memory.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let mut vault = home.open_vault(&password()).unwrap();
    let databases = home.databases(&mut vault).unwrap();
    let mut other = home.open_vault(&password()).unwrap();
    let target = dir.path().join("copy");
    let refused = databases.backup(&mut other, &target).unwrap_err();
    assert!(
        matches!(
            refused,
            CoreError::RolledBack { .. } | CoreError::PageDamaged { .. }
        ),
        "{refused}"
    );
    assert!(!target.exists() && !dir.path().join("copy.partial").exists());
}

/// Set for the process that is killed: the home whose keys it replaces, over and over.
const VICTIM: &str = "OPENHUMAN_TEST_REKEY_HOME";

/// Not a test of its own: the process that [`a_kill_in_the_middle_of_rekey_loses_nothing`] kills.
#[test]
fn rekeys_until_it_is_killed() {
    let Some(home) = std::env::var_os(VICTIM) else {
        return;
    };
    let home = Home::at(home);
    let mut vault = home.open_vault(&password()).unwrap();
    let databases = home.databases(&mut vault).unwrap();
    println!("begun");
    loop {
        let rekeyed = databases.rekey(|_| {}).unwrap();
        assert!(rekeyed.failed.is_empty(), "{rekeyed:?}");
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_rekey_loses_nothing() {
    const KILLS: u64 = 12;
    let dir = tempfile::tempdir().unwrap();
    let home = fill(dir.path()).await;
    let mut unfinished = 0;
    for kill in 0..KILLS {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "copies::rekeys_until_it_is_killed", "--nocapture"])
            .env(VICTIM, home.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = std::io::BufReader::new(victim.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("begun") {
            line.clear();
            let read = std::io::BufRead::read_line(&mut output, &mut line).unwrap();
            assert!(read > 0, "the victim ended by itself");
        }
        // A moment that is another one each time.
        std::thread::sleep(Duration::from_millis(kill * 17 % 97));
        victim.kill().unwrap();
        victim.wait().unwrap();
        let mut vault = home.open_vault(&password()).unwrap();
        let databases = home.databases(&mut vault).unwrap();
        unfinished += u64::from(databases.is_rekeying());
        for name in databases.names().unwrap() {
            databases.check(&name).unwrap();
        }
        drop(databases);
        if kill % 4 == 3 {
            is_whole(&home, dir.path()).await;
        }
    }
    assert!(
        unfinished > 0,
        "no kill came in the middle, so nothing was tested"
    );
    let mut vault = home.open_vault(&password()).unwrap();
    let databases = home.databases(&mut vault).unwrap();
    let rekeyed = databases.rekey(|_| {}).unwrap();
    assert!(
        rekeyed.failed.is_empty() && rekeyed.done.contains(&DatabaseName::Memory),
        "{rekeyed:?}"
    );
    assert!(!databases.is_rekeying());
    drop(databases);
    is_whole(&home, dir.path()).await;
}

#[tokio::test]
async fn accounts_of_an_earlier_program_are_taken_over_once_and_only_for_skills_that_are_here() {
    let dir = tempfile::tempdir().unwrap();
    write_skill(dir.path(), "mail", "globalThis.__skill = { default: { tools: [
        { name: 'who', description: '', input_schema: {}, execute: () => JSON.stringify(auth.getCredential()) }] } };");
    let old = dir.path().join("old");
    let write = |skill: &str, name: &str, json: serde_json::Value| {
        let folder = old.join("skills_data").join(skill);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), json.to_string()).unwrap();
    };
    write(
        "mail",
        "auth_credential.json",
        json!({ "mode": "text", "credentials": { "content": "t0p-secret" } }),
    );
    write("mail", "oauth_credential.json", json!({}));
    write(
        "gone",
        "auth_credential.json",
        json!({ "mode": "text", "credentials": { "content": "x" } }),
    );
    let core = new_core(dir.path()).await;
    let report = core.import_legacy_accounts(&old).unwrap();
    assert_eq!(report.taken, ["mail".parse().unwrap()]);
    assert_eq!(report.unknown, ["gone"]);
    assert_eq!(report.files.len(), 1, "{report:?}");
    let again = core.import_legacy_accounts(&old).unwrap();
    assert_eq!((again.taken.len(), again.kept.len()), (0, 1));
    assert_eq!(
        core.import_legacy_accounts(dir.path()).unwrap(),
        openhuman::LegacyAccounts::default()
    );
    // It is in use from the next start, as a placeholder.
    let mail = core.skill("mail").unwrap();
    core.skills().stop(&mail).await.unwrap();
    core.skills().start(&mail).await.unwrap();
    let who = call(&core, "mail__who", json!({})).await;
    assert!(who.contains("text") && !who.contains("t0p-secret"), "{who}");
    core.close().await;
}
