//! What a front end reaches: skills with their switch, their permissions, what they sent, and what they leave behind.

use std::path::Path;

use openhuman::Home;
use openhuman::rpc::{Dispatcher, DispatcherOptions};
use openhuman::vault::VaultOptions;
use serde_json::{Value, json};

const PASSWORD: &str = "long enough";

struct Desk {
    rpc: Dispatcher,
    _dir: tempfile::TempDir,
}

impl Desk {
    async fn call(&self, method: &str, params: Value) -> Result<Value, openhuman::rpc::RpcError> {
        self.rpc.call(&format!("openhuman.{method}"), params).await
    }

    async fn skill(&self, id: &str) -> Value {
        let all = self.call("skills_overview", json!({})).await.unwrap();
        let found = all["skills"].as_array().unwrap().iter();
        found
            .clone()
            .find(|skill| skill["skill_id"] == id)
            .unwrap()
            .clone()
    }
}

/// A folder of skills, and a registry beside it.
async fn desk(skills: &[(Value, &str)]) -> Desk {
    let dir = tempfile::tempdir().unwrap();
    for (manifest, code) in skills {
        write_package(
            &dir.path().join("skills").join(manifest["id"].as_str().unwrap()),
            manifest,
            code,
        );
    }
    let rpc = Dispatcher::new(DispatcherOptions {
        skills_dirs: vec![dir.path().join("skills")],
        registry: Some(dir.path().join("registry.json").to_str().unwrap().to_owned()),
        model: None,
        vault: VaultOptions::fast_for_tests(),
        ..DispatcherOptions::new(Home::at(dir.path().join("home")))
    });
    std::fs::create_dir_all(dir.path().join("skills")).unwrap();
    let desk = Desk { rpc, _dir: dir };
    desk.call("vault_create", json!({ "password": PASSWORD }))
        .await
        .unwrap();
    desk
}

fn write_package(dir: &Path, manifest: &Value, code: &str) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
    std::fs::write(dir.join("index.js"), code).unwrap();
}

const NOTHING: &str = "globalThis.__skill = { default: { tools: [] } };";
const WIZARD: &str = "globalThis.__skill = { default: { tools: [],
    onSetupStart: () => ({ step: { id: 'one', title: 'One', fields: [{ name: 'url', type: 'text', label: 'Address' }] } }),
    onSetupSubmit: ({ values }) => values.url === 'good' ? { status: 'complete', message: 'Set.' }
        : { status: 'error', errors: [{ field: 'url', message: 'not good' }] },
} };";

#[tokio::test]
async fn a_skill_without_auto_start_is_switched_on_and_off_and_stays_so() {
    let desk = desk(&[(json!({ "id": "quiet", "name": "Quiet" }), NOTHING)]).await;
    let quiet = desk.skill("quiet").await;
    assert_eq!(
        (&quiet["condition"], &quiet["enabled"]),
        (&json!("stopped"), &json!(false))
    );
    let switch = |on: bool| json!({ "skill_id": "quiet", "on": on });
    desk.call("skills_switch", switch(true)).await.unwrap();
    let quiet = desk.skill("quiet").await;
    assert_eq!(
        (&quiet["condition"], &quiet["enabled"]),
        (&json!("running"), &json!(true))
    );
    // Twice is the same.
    desk.call("skills_switch", switch(true)).await.unwrap();
    desk.call("skills_switch", switch(false)).await.unwrap();
    let quiet = desk.skill("quiet").await;
    assert_eq!(
        (&quiet["condition"], &quiet["enabled"]),
        (&json!("stopped"), &json!(false))
    );
    desk.rpc.close().await;
}

#[tokio::test]
async fn a_skill_that_fails_says_why_and_stays_switched_on() {
    let desk = desk(&[(
        json!({ "id": "torn", "name": "Torn" }),
        "throw new Error('half a script')",
    )])
    .await;
    let refused = desk
        .call("skills_switch", json!({ "skill_id": "torn", "on": true }))
        .await
        .unwrap_err();
    assert!(refused.message.contains("half a script"), "{refused}");
    let torn = desk.skill("torn").await;
    assert_eq!(
        (&torn["condition"], &torn["enabled"]),
        (&json!("error"), &json!(true))
    );
    assert!(
        torn["reason"].as_str().unwrap().contains("half a script"),
        "{torn}"
    );
    desk.rpc.close().await;
}

#[tokio::test]
async fn a_skill_waits_for_its_set_up_and_runs_after_it() {
    let manifest = json!({ "id": "mail", "name": "Mail", "auto_start": true, "setup": { "required": true, "label": "Connect",
        "auth": { "modes": [{ "type": "text", "label": "Paste", "textDescription": "A token" }] } } });
    let desk = desk(&[(manifest, WIZARD)]).await;
    let mail = desk.skill("mail").await;
    assert_eq!(mail["condition"], "needs_setup", "{mail}");
    assert_eq!(mail["awake"], true);
    assert_eq!(mail["setup"]["modes"][0]["mode"], "text");
    assert_eq!(mail["setup"]["label"], "Connect");
    let rpc = |method: &str, params: Value| json!({ "skill_id": "mail", "method": method, "params": params });
    let started = desk
        .call("skills_rpc", rpc("setup/start", json!({})))
        .await
        .unwrap();
    assert_eq!(started["step"]["fields"][0]["name"], "url");
    let submit = |url: &str| {
        rpc(
            "setup/submit",
            json!({ "stepId": "one", "values": { "url": url } }),
        )
    };
    let refused = desk.call("skills_rpc", submit("bad")).await.unwrap();
    assert_eq!(refused["errors"][0]["field"], "url");
    assert_eq!(desk.skill("mail").await["condition"], "needs_setup");
    desk.call("skills_rpc", submit("good")).await.unwrap();
    let mail = desk.skill("mail").await;
    assert_eq!(
        (&mail["condition"], &mail["setup"]["complete"]),
        (&json!("running"), &json!(true))
    );
    desk.rpc.close().await;
}

#[tokio::test]
async fn permissions_are_given_for_the_package_that_was_shown_and_hold_at_once() {
    let manifest = json!({ "id": "env", "name": "Env", "auto_start": true, "permissions": { "env": ["PLATFORM"], "notify": true } });
    let code = "globalThis.__skill = { default: { tools: [
        { name: 'read', description: '', input_schema: {}, execute: () => String(platform.env('PLATFORM') || 'none') } ] } };";
    let desk = desk(&[(manifest, code)]).await;
    let skill = json!({ "skill_id": "env" });
    let shown = desk.call("skills_permissions", skill.clone()).await.unwrap();
    assert_eq!(
        (&shown["allowed"], &shown["declared"]),
        (&json!(false), &json!(true))
    );
    let texts: Vec<_> = shown["wishes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wish| (wish["text"].as_str().unwrap(), wish["granted"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        texts,
        [
            ("read the setting PLATFORM", false),
            ("show notifications", false)
        ]
    );

    let stale = desk
        .call(
            "skills_allow",
            json!({ "skill_id": "env", "digest": "0".repeat(64) }),
        )
        .await
        .unwrap_err();
    assert_eq!(stale.data, Some(json!({ "kind": "changed" })));
    let allowed = desk
        .call(
            "skills_allow",
            json!({ "skill_id": "env", "digest": shown["digest"] }),
        )
        .await
        .unwrap();
    assert_eq!(allowed["allowed"], true);
    assert!(
        allowed["wishes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|wish| wish["granted"] == true),
        "{allowed}"
    );

    let host = |host: &str, port: Value| json!({ "skill_id": "env", "host": host, "port": port });
    let with = desk
        .call("skills_allow_host", host("api.example.com", Value::Null))
        .await
        .unwrap();
    assert_eq!(with["hosts"], json!(["api.example.com"]));
    let with = desk
        .call("skills_allow_host", host("127.0.0.1", json!(8080)))
        .await
        .unwrap();
    assert_eq!(with["private"], json!(["127.0.0.1:8080"]));
    assert!(
        desk.call("skills_allow_host", host("127.0.0.1", Value::Null))
            .await
            .is_err(),
        "an address needs its port"
    );
    let without = desk
        .call("skills_forget_host", host("api.example.com", Value::Null))
        .await
        .unwrap();
    assert_eq!(
        (&without["hosts"], &without["allowed"]),
        (&json!([]), &json!(true))
    );
    assert!(
        desk.call("skills_forget_host", host("api.example.com", Value::Null))
            .await
            .is_err()
    );

    let revoked = desk.call("skills_revoke", skill).await.unwrap();
    assert_eq!(revoked["allowed"], false);
    assert!(
        revoked["wishes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|wish| wish["granted"] == false),
        "{revoked}"
    );
    assert_eq!(revoked["private"], json!([]), "what was added goes with it");
    desk.rpc.close().await;
}

#[tokio::test]
async fn what_a_skill_was_refused_is_in_the_ledger_and_can_be_allowed() {
    let code = "globalThis.__skill = { default: { tools: [{ name: 'go', description: '', input_schema: {},
        execute() { try { net.fetch('https://api.example.com/secret?token=1'); return 'sent'; } catch (error) { return error.message; } } }] } };";
    let desk = desk(&[(
        json!({ "id": "caller", "name": "Caller", "auto_start": true, "permissions": {} }),
        code,
    )])
    .await;
    let call = json!({ "skill_id": "caller", "tool_name": "go" });
    let told = desk.call("skills_call_tool", call).await.unwrap();
    assert!(
        told["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("api.example.com"),
        "{told}"
    );
    let wanted = async {
        loop {
            let shown = desk
                .call("skills_permissions", json!({ "skill_id": "caller" }))
                .await
                .unwrap();
            if let Some(wanted) = shown["wanted"].get(0) {
                return wanted.clone();
            }
            tokio::task::yield_now().await;
        }
    };
    let wanted = tokio::time::timeout(std::time::Duration::from_secs(20), wanted)
        .await
        .unwrap();
    assert_eq!(
        wanted,
        json!({ "kind": "host", "what": "api.example.com", "host": true })
    );
    let listed = async {
        loop {
            let egress = desk
                .call("skills_egress", json!({ "skill_id": "caller", "refused": true }))
                .await
                .unwrap();
            if let Some(record) = egress["records"].get(0) {
                return record.clone();
            }
            tokio::task::yield_now().await;
        }
    };
    let record = tokio::time::timeout(std::time::Duration::from_secs(20), listed)
        .await
        .unwrap();
    assert_eq!(
        (&record["host"], &record["result"], &record["cause"]),
        (&json!("api.example.com"), &json!("refused"), &json!("tool go"))
    );
    assert!(!record.to_string().contains("token"), "{record}");
    let allowed = desk
        .call(
            "skills_allow_host",
            json!({ "skill_id": "caller", "host": "api.example.com", "port": null }),
        )
        .await
        .unwrap();
    assert_eq!(
        allowed["wanted"],
        json!([]),
        "what is allowed is not wanted any more"
    );
    desk.rpc.close().await;
}

/// Puts a version of a skill into the registry.
fn publish(dir: &Path, version: &str, permissions: &Value) {
    let manifest = json!({ "id": "keeper", "name": "Keeper", "version": version, "auto_start": true, "permissions": permissions });
    let code = "globalThis.__skill = { default: { tools: [{ name: 'keep', description: '', input_schema: {},
        execute() { state.set('word', 'kept'); data.write('a.txt', 'kept'); memory.insert({ title: 'Told', content: 'The keeper told of a lantern.' }); return 'ok'; } },
        { name: 'find', description: '', input_schema: {}, execute: () => JSON.stringify([state.get('word'), data.read('a.txt')]) }] } };";
    write_package(&dir.join("keeper"), &manifest, code);
    let entry = json!({ "id": "keeper", "name": "Keeper", "version": version, "download_url": "keeper/index.js",
        "manifest_url": "keeper/manifest.json", "category": "core" });
    let index = json!({ "version": 1, "skills": { "core": [entry], "third_party": [] } });
    std::fs::write(dir.join("registry.json"), index.to_string()).unwrap();
}

#[tokio::test]
async fn a_skill_is_installed_updated_and_removed_with_what_each_of_it_means() {
    let desk = desk(&[]).await;
    let dir = desk._dir.path();
    let keeper = json!({ "skill_id": "keeper" });
    publish(dir, "1.0.0", &json!({ "memory": { "insert": true } }));
    let plan = desk.call("skills_plan", keeper.clone()).await.unwrap();
    assert_eq!(
        (&plan["installed"], &plan["publisher"], &plan["needs_consent"]),
        (&json!(false), &json!("unsigned"), &json!(true))
    );
    assert_eq!(plan["adds"], json!(["add to the memory"]));
    let agreed = json!({ "skill_id": "keeper", "consent": plan["digest"] });
    desk.call("skills_install", agreed).await.unwrap();
    let installed = desk.skill("keeper").await;
    assert_eq!(
        (&installed["allowed"], &installed["origin"]["installed"]),
        (&json!(true), &json!(true))
    );
    desk.call("skills_switch", json!({ "skill_id": "keeper", "on": true }))
        .await
        .unwrap();
    let tool = |name: &str| json!({ "skill_id": "keeper", "tool_name": name });
    let kept = desk.call("skills_call_tool", tool("keep")).await.unwrap();
    assert_eq!(kept["content"][0]["text"], "ok", "{kept}");

    publish(
        dir,
        "2.0.0",
        &json!({ "memory": { "insert": true }, "notify": true }),
    );
    desk.call("skills_registry_fetch", json!({ "force": true }))
        .await
        .unwrap();
    let plan = desk.call("skills_plan", keeper.clone()).await.unwrap();
    assert_eq!(
        (&plan["installed_version"], &plan["version"]),
        (&json!("1.0.0"), &json!("2.0.0"))
    );
    assert_eq!(plan["adds"], json!(["show notifications"]));
    let asked = desk.call("skills_install", keeper.clone()).await.unwrap_err();
    assert_eq!(asked.data.unwrap()["kind"], "needs_consent");
    let agreed = json!({ "skill_id": "keeper", "consent": plan["digest"] });
    assert_eq!(
        desk.call("skills_install", agreed).await.unwrap()["version"],
        "2.0.0"
    );
    let found = desk.call("skills_call_tool", tool("find")).await.unwrap();
    assert_eq!(found["content"][0]["text"], r#"["kept","kept"]"#);

    let hits = |query: &str| json!({ "query": query });
    let lantern = desk.call("memory_search", hits("lantern")).await.unwrap();
    assert_eq!(lantern["hits"][0]["title"], "Told", "{lantern}");
    let removed = desk
        .call(
            "skills_uninstall",
            json!({ "skill_id": "keeper", "forget_data": true }),
        )
        .await
        .unwrap();
    assert_eq!(removed, json!({ "removed": true, "documents": 1, "data": true }));
    let lantern = desk.call("memory_search", hits("lantern")).await.unwrap();
    assert_eq!(
        lantern["hits"],
        json!([]),
        "what a removed skill told is forgotten"
    );
    assert!(!dir.join("home/skills_data/keeper").exists());

    // Its data is gone for itself too, and a database of the same name may be made again.
    let plan = desk.call("skills_plan", keeper.clone()).await.unwrap();
    desk.call(
        "skills_install",
        json!({ "skill_id": "keeper", "consent": plan["digest"] }),
    )
    .await
    .unwrap();
    desk.call("skills_switch", json!({ "skill_id": "keeper", "on": true }))
        .await
        .unwrap();
    let found = desk.call("skills_call_tool", tool("find")).await.unwrap();
    assert_eq!(found["content"][0]["text"], "[null,null]", "{found}");
    desk.call("skills_call_tool", tool("keep")).await.unwrap();
    let kept = desk
        .call(
            "skills_uninstall",
            json!({ "skill_id": "keeper", "keep_documents": true }),
        )
        .await
        .unwrap();
    assert_eq!(kept, json!({ "removed": true, "documents": 0, "data": false }));
    let lantern = desk.call("memory_search", hits("lantern")).await.unwrap();
    assert_eq!(lantern["hits"][0]["title"], "Told", "kept by the user's wish");
    desk.rpc.close().await;
}

#[tokio::test]
async fn a_vault_has_a_recovery_key_that_is_told_once_and_opens_it() {
    let dir = tempfile::tempdir().unwrap();
    let make = || {
        Dispatcher::new(DispatcherOptions {
            model: None,
            vault: VaultOptions::fast_for_tests(),
            ..DispatcherOptions::new(Home::at(dir.path().join("home")))
        })
    };
    let rpc = make();
    let created = rpc
        .call(
            "openhuman.vault_create",
            json!({ "password": PASSWORD, "recovery_key": true }),
        )
        .await
        .unwrap();
    let key = created["recovery_key"].as_str().unwrap().to_owned();
    let snapshot = rpc.call("openhuman.app_state_snapshot", json!({})).await.unwrap();
    assert!(!snapshot.to_string().contains(&key));
    let change = json!({ "password": "not this one", "new_password": "another long one" });
    let wrong = rpc
        .call("openhuman.vault_change_password", change)
        .await
        .unwrap_err();
    assert_eq!(wrong.data, Some(json!({ "kind": "wrong_password" })));
    let change = json!({ "password": PASSWORD, "new_password": "another long one" });
    rpc.call("openhuman.vault_change_password", change).await.unwrap();
    rpc.close().await;
    drop(rpc);

    let rpc = make();
    let old = rpc
        .call("openhuman.vault_unlock", json!({ "password": PASSWORD }))
        .await
        .unwrap_err();
    assert_eq!(old.data, Some(json!({ "kind": "wrong_password" })));
    let recover = |key: &str| json!({ "recovery_key": key, "new_password": "the third long one" });
    let typo = rpc
        .call("openhuman.vault_recover", recover("AAAA"))
        .await
        .unwrap_err();
    assert_eq!(typo.data, Some(json!({ "kind": "recovery_key_typo" })));
    assert!(!typo.message.contains("the third"), "{typo}");
    assert_eq!(
        rpc.call("openhuman.vault_recover", recover(&key)).await.unwrap()["vault"],
        "unlocked"
    );
    let again = rpc
        .call(
            "openhuman.vault_create_recovery_key",
            json!({ "password": "the third long one" }),
        )
        .await
        .unwrap();
    assert_eq!(again["replaced"], true);
    assert_ne!(again["recovery_key"], json!(key));
    rpc.close().await;
    drop(rpc);
    let rpc = make();
    let gone = rpc
        .call("openhuman.vault_recover", recover(&key))
        .await
        .unwrap_err();
    assert_eq!(gone.data, Some(json!({ "kind": "wrong_recovery_key" })));
    rpc.close().await;
}

#[tokio::test]
async fn a_front_end_learns_which_database_does_not_open_and_can_accept_it() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("home"));
    let make = || {
        Dispatcher::new(DispatcherOptions {
            model: None,
            vault: VaultOptions::fast_for_tests(),
            ..DispatcherOptions::new(home.clone())
        })
    };
    let password = json!({ "password": PASSWORD });
    let add = async |rpc: &Dispatcher, title: &str| {
        rpc.call(
            "openhuman.memory_add",
            json!({ "title": title, "text": "A text about rope." }),
        )
        .await
        .unwrap();
        rpc.close().await;
    };
    let rpc = make();
    rpc.call("openhuman.vault_create", password.clone())
        .await
        .unwrap();
    add(&rpc, "one").await;
    drop(rpc);
    let file = home.memory_dir().join("memory.db");
    let older = std::fs::read(&file).unwrap();
    let rpc = make();
    rpc.call("openhuman.vault_unlock", password.clone())
        .await
        .unwrap();
    add(&rpc, "two").await;
    drop(rpc);
    let newest = std::fs::read(&file).unwrap();

    std::fs::write(&file, older).unwrap();
    let rpc = make();
    let refused = rpc
        .call("openhuman.vault_unlock", password.clone())
        .await
        .unwrap_err();
    assert_eq!(
        refused.data,
        Some(json!({ "kind": "rolled_back", "database": "memory" }))
    );
    let mut accept = password.clone();
    accept["database"] = json!("memory");
    rpc.call("openhuman.vault_accept", accept).await.unwrap();
    assert_eq!(
        rpc.call("openhuman.vault_unlock", password.clone())
            .await
            .unwrap()["vault"],
        "unlocked"
    );
    rpc.close().await;
    drop(rpc);

    let mut damaged = newest;
    // In the first page, which every opening reads.
    damaged[3000] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    let rpc = make();
    let accepted = rpc.call("openhuman.vault_accept", password.clone()).await;
    assert!(accepted.is_ok(), "{accepted:?}");
    let refused = rpc.call("openhuman.vault_unlock", password).await.unwrap_err();
    assert_eq!(
        refused.data,
        Some(json!({ "kind": "page_corrupt", "database": "memory" })),
        "{refused}"
    );
    rpc.close().await;
}
