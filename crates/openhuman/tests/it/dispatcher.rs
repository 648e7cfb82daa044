use futures_util::StreamExt;
use openhuman::Home;
use openhuman::rpc::{Dispatcher, DispatcherOptions, METHODS};
use openhuman::vault::VaultOptions;
use serde_json::{Value, json};

use crate::skills;

fn dispatcher(dir: &std::path::Path) -> Dispatcher {
    Dispatcher::new(DispatcherOptions {
        skills_dirs: vec![skills(dir)],
        model: None,
        vault: VaultOptions::fast_for_tests(),
        ..DispatcherOptions::new(Home::at(dir.join("home")))
    })
}

#[tokio::test]
async fn a_new_user_makes_a_vault_and_gets_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let rpc = dispatcher(dir.path());
    let mut events = rpc.subscribe();
    assert_eq!(
        rpc.call("openhuman.app_state_snapshot", Value::Null)
            .await
            .unwrap()["vault"],
        "absent"
    );

    let snapshot = rpc
        .call("openhuman.vault_create", json!({ "password": "long enough" }))
        .await
        .unwrap();
    assert_eq!(snapshot["vault"], "unlocked");
    assert_eq!(snapshot["skills"][0]["skill_id"], "sums");
    assert_eq!(
        snapshot["model"],
        json!({ "name": "extractive", "configured": false })
    );
    let event = events.next().await.unwrap();
    assert!(event["type"].as_str().unwrap().ends_with(".status"), "{event}");

    let added = json!({ "title": "Rope", "text": "The boat needs new rope before August." });
    rpc.call("openhuman.memory_add", added).await.unwrap();
    let found = rpc
        .call("openhuman.memory_search", json!({ "query": "rope" }))
        .await
        .unwrap();
    assert!(
        found["hits"][0]["text"].as_str().unwrap().contains("new rope"),
        "{found}"
    );

    let params = json!({ "thread_id": "one", "message": "What does the boat need?" });
    let turn: Vec<Value> = rpc
        .stream("openhuman.chat_start", params)
        .await
        .unwrap()
        .collect()
        .await;
    assert!(turn.iter().all(|event| event["thread_id"] == "one"), "{turn:?}");
    assert_eq!(turn[0]["type"], "recall");
    let last = turn.last().unwrap();
    assert_eq!(last["type"], "chat.done", "{last}");
    assert!(last["answer"].as_str().unwrap().contains("new rope"), "{last}");
    rpc.close().await;
}

#[tokio::test]
async fn a_tool_answers_with_both_error_keys() {
    let dir = tempfile::tempdir().unwrap();
    let rpc = dispatcher(dir.path());
    rpc.call("openhuman.vault_create", json!({ "password": "long enough" }))
        .await
        .unwrap();
    let call = |tool: &str| json!({ "skill_id": "sums", "tool_name": tool, "arguments": { "a": 2, "b": 3 } });
    let sum = rpc.call("openhuman.skills_call_tool", call("add")).await.unwrap();
    assert_eq!(sum["content"][0]["text"], "5");
    assert_eq!(
        (&sum["isError"], &sum["is_error"]),
        (&json!(false), &json!(false))
    );
    for (arguments, problem) in [
        (json!({ "b": 3 }), "the argument 'a' is missing"),
        (json!({ "a": "2" }), "the argument 'a' must be number, not string"),
    ] {
        let params = json!({ "skill_id": "sums", "tool_name": "add", "arguments": arguments });
        let refused = rpc.call("openhuman.skills_call_tool", params).await.unwrap();
        assert_eq!(refused["isError"], true);
        let text = refused["content"][0]["text"].as_str().unwrap();
        assert_eq!(text, format!("Invalid arguments for 'sums__add': {problem}"));
    }
    let failed = rpc
        .call("openhuman.skills_call_tool", call("fail"))
        .await
        .unwrap();
    assert!(
        failed["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("no sums today"),
        "{failed}"
    );
    assert_eq!(
        (&failed["isError"], &failed["is_error"]),
        (&json!(true), &json!(true))
    );
    rpc.close().await;
}

#[tokio::test]
async fn after_too_many_wrong_passwords_a_front_end_learns_how_long_to_wait() {
    let dir = tempfile::tempdir().unwrap();
    let rpc = dispatcher(dir.path());
    rpc.call("openhuman.vault_create", json!({ "password": "long enough" }))
        .await
        .unwrap();
    rpc.close().await;
    drop(rpc);
    let rpc = dispatcher(dir.path());
    let mut kinds = Vec::new();
    for _ in 0..5 {
        let refused = rpc
            .call("openhuman.vault_unlock", json!({ "password": "not this one" }))
            .await;
        let data = refused.unwrap_err().data.unwrap();
        if data["kind"] == "too_many_attempts" {
            let wait = data["retry_after_ms"].as_u64().unwrap();
            assert!((1..=300_000).contains(&wait), "{data}");
        }
        kinds.push(data["kind"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds[0], "wrong_password");
    assert_eq!(kinds[4], "too_many_attempts", "{kinds:?}");
}

#[tokio::test]
async fn a_wrong_password_is_named_as_such_and_the_right_one_still_works() {
    let dir = tempfile::tempdir().unwrap();
    let rpc = dispatcher(dir.path());
    rpc.call("openhuman.vault_create", json!({ "password": "long enough" }))
        .await
        .unwrap();
    rpc.close().await;
    drop(rpc);

    let rpc = dispatcher(dir.path());
    assert_eq!(
        rpc.call("openhuman.app_state_snapshot", json!({})).await.unwrap()["vault"],
        "locked"
    );
    let refused = rpc
        .call("openhuman.vault_unlock", json!({ "password": "not this one" }))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code, refused.data),
        (-32000, Some(json!({ "kind": "wrong_password" })))
    );
    let snapshot = rpc
        .call("openhuman.vault_unlock", json!({ "password": "long enough" }))
        .await
        .unwrap();
    assert_eq!(snapshot["vault"], "unlocked");

    // Also while it is open: a wrong password stays wrong, and changes nothing.
    let wrong = rpc
        .call("openhuman.vault_unlock", json!({ "password": "not this one" }))
        .await;
    assert_eq!(wrong.unwrap_err().data, Some(json!({ "kind": "wrong_password" })));
    let right = rpc
        .call("openhuman.vault_unlock", json!({ "password": "long enough" }))
        .await;
    assert_eq!(right.unwrap()["vault"], "unlocked");
    rpc.close().await;
}

#[tokio::test]
async fn nothing_but_the_state_is_answered_while_the_vault_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let rpc = dispatcher(dir.path());
    for method in METHODS
        .iter()
        .filter(|method| method.starts_with("openhuman.memory_"))
    {
        let params = json!({ "query": "x", "title": "x", "text": "x" });
        let refused = rpc.call(method, params).await.unwrap_err();
        assert!(
            refused.code == -32602 || refused.data == Some(json!({ "kind": "locked" })),
            "{method}: {refused}"
        );
    }
    let refused = rpc
        .call("openhuman.memory_search", json!({ "query": "x" }))
        .await
        .unwrap_err();
    assert!(refused.message.contains("unlock"), "{refused}");
}

#[tokio::test]
async fn mistakes_have_the_standard_codes() {
    let dir = tempfile::tempdir().unwrap();
    let rpc = dispatcher(dir.path());
    assert_eq!(
        rpc.call("openhuman.dance", json!({})).await.unwrap_err().code,
        -32601
    );
    assert_eq!(
        rpc.call("openhuman.vault_create", json!({}))
            .await
            .unwrap_err()
            .code,
        -32602
    );
    assert_eq!(
        rpc.call("openhuman.vault_create", json!({ "password": "short" }))
            .await
            .unwrap_err()
            .code,
        -32602
    );
    let unknown = json!({ "password": "long enough", "admin": true });
    assert_eq!(
        rpc.call("openhuman.vault_create", unknown)
            .await
            .unwrap_err()
            .code,
        -32602
    );
    for method in METHODS {
        let answer = rpc.call(method, json!({ "nonsense": 1 })).await;
        assert_ne!(
            answer.err().map(|error| error.code),
            Some(-32601),
            "{method} is in the table but not answered"
        );
    }
}

#[tokio::test]
async fn the_state_can_be_asked_for_while_the_vault_is_being_made() {
    let dir = tempfile::tempdir().unwrap();
    let rpc = dispatcher(dir.path());
    let params = json!({ "password": "long enough" });
    let mut making = std::pin::pin!(rpc.call("openhuman.vault_create", params.clone()));
    assert!(futures_util::poll!(making.as_mut()).is_pending());
    let snapshot = std::pin::pin!(rpc.call("openhuman.app_state_snapshot", Value::Null));
    let std::task::Poll::Ready(snapshot) = futures_util::poll!(snapshot) else {
        panic!("the state has to wait for the vault");
    };
    assert_eq!(snapshot.unwrap()["socket"]["status"], "disconnected");
    assert_eq!(making.await.unwrap()["vault"], "unlocked");
    let again = rpc.call("openhuman.vault_create", params).await.unwrap_err();
    assert!(again.message.contains("already"), "{again}");
    rpc.close().await;
}

#[tokio::test]
async fn a_front_end_sets_skills_up_and_switches_them() {
    let dir = tempfile::tempdir().unwrap();
    let rpc = dispatcher(dir.path());
    rpc.call("openhuman.vault_create", json!({ "password": "long enough" }))
        .await
        .unwrap();
    let skill = json!({ "skill_id": "sums" });
    let call = |method: &'static str, params: Value| rpc.call(method, params);
    let all = call("openhuman.skills_get_all_snapshots", json!({}))
        .await
        .unwrap();
    assert_eq!(all[0]["skill_id"], "sums");
    let tools = call("openhuman.skills_list_tools", skill.clone()).await.unwrap();
    assert!(
        tools["tools"]
            .as_array()
            .unwrap()
            .iter()
            .any(|tool| tool["name"] == "add")
    );
    let sync = call("openhuman.skills_sync", skill.clone()).await.unwrap();
    assert_eq!(sync["status"], "no_handler");
    let called = json!({ "skill_id": "sums", "method": "tools/call", "params": { "name": "add", "arguments": { "a": 1, "b": 2 } } });
    assert_eq!(
        call("openhuman.skills_rpc", called).await.unwrap()["content"][0]["text"],
        "3"
    );
    let stopped = call("openhuman.skills_stop", skill.clone()).await.unwrap();
    assert_eq!(stopped["status"], "stopped");
    let refused = call("openhuman.skills_sync", skill.clone()).await.unwrap_err();
    assert_eq!(refused.message, "Skill 'sums' is not running (status: stopped)");
    assert_eq!(
        call("openhuman.skills_start", skill.clone()).await.unwrap()["status"],
        "running"
    );
    for (method, enabled) in [
        ("openhuman.skills_enable", true),
        ("openhuman.skills_disable", false),
    ] {
        call(method, skill.clone()).await.unwrap();
        let is = call("openhuman.skills_is_enabled", skill.clone()).await.unwrap();
        assert_eq!(is, json!({ "enabled": enabled }));
    }
    let done = json!({ "skill_id": "sums", "complete": true });
    call("openhuman.skills_set_setup_complete", done).await.unwrap();
    let missing = call("openhuman.skills_status", json!({ "skill_id": "nobody" }))
        .await
        .unwrap_err();
    assert!(
        missing.message.contains("'nobody' was not found"),
        "{}",
        missing.message
    );
    rpc.close().await;
}

#[tokio::test]
async fn a_skill_of_the_registry_is_installed_with_the_consent_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    write(
        "bell/manifest.json",
        r#"{ "id": "bell", "name": "Bell", "version": "1.0.0" }"#,
    );
    write(
        "bell/index.js",
        "globalThis.__skill = { default: { tools: [] } };",
    );
    let entry = json!({ "id": "bell", "name": "Bell", "version": "1.0.0", "download_url": "bell/index.js",
        "manifest_url": "bell/manifest.json", "category": "core" });
    let index = json!({ "version": 1, "skills": { "core": [entry], "third_party": [] } });
    let place = write("registry.json", &index.to_string());
    let rpc = Dispatcher::new(DispatcherOptions {
        registry: Some(place.to_str().unwrap().to_owned()),
        model: None,
        vault: VaultOptions::fast_for_tests(),
        ..DispatcherOptions::new(Home::at(dir.path().join("home")))
    });
    let call = async |method: &str, params: Value| rpc.call(&format!("openhuman.{method}"), params).await;
    call("vault_create", json!({ "password": "long enough" }))
        .await
        .unwrap();
    assert_eq!(
        call("skills_registry_fetch", json!({ "force": true }))
            .await
            .unwrap()["skills"],
        1
    );
    let found = call("skills_search", json!({ "query": "bell" })).await.unwrap();
    assert_eq!(
        (&found[0]["id"], &found[0]["installed"]),
        (&json!("bell"), &json!(false))
    );

    let bell = json!({ "skill_id": "bell" });
    let asked = call("skills_install", bell.clone()).await.unwrap_err();
    let data = asked.data.unwrap();
    assert_eq!(data["kind"], "needs_consent");
    assert!(data["asks"].as_str().unwrap().contains("is not signed"), "{data}");
    let wrong = json!({ "skill_id": "bell", "consent": "0".repeat(64) });
    assert!(
        call("skills_install", wrong).await.is_err(),
        "the consent is for what was shown"
    );
    let agreed = json!({ "skill_id": "bell", "consent": data["consent"] });
    assert_eq!(call("skills_install", agreed).await.unwrap()["version"], "1.0.0");
    assert_eq!(
        call("skills_list_installed", json!({})).await.unwrap()[0]["id"],
        "bell"
    );
    assert_eq!(
        call("skills_list_available", json!({})).await.unwrap()[0]["installed"],
        true
    );
    assert_eq!(call("skills_discover", json!({})).await.unwrap()[0]["id"], "bell");

    let file = |name: &str| json!({ "skill_id": "bell", "filename": name });
    let content = json!({ "skill_id": "bell", "filename": "a.txt", "content": "words" });
    call("skills_data_write", content).await.unwrap();
    assert_eq!(
        call("skills_data_read", file("a.txt")).await.unwrap()["content"],
        "words"
    );
    assert!(call("skills_data_read", file("none.txt")).await.unwrap()["content"].is_null());
    assert_eq!(call("skills_data_stats", bell.clone()).await.unwrap()["files"], 1);
    for bad in ["../a.txt", "/etc/passwd", "..\\a.txt", "C:a.txt", ""] {
        assert!(call("skills_data_read", file(bad)).await.is_err(), "{bad}");
    }
    let shown = call("skills_data_dir", bell.clone()).await.unwrap();
    assert!(
        shown["dir"].as_str().unwrap().ends_with("skills_data/bell"),
        "{shown}"
    );

    // Who starts a skill finds it running again.
    assert_eq!(
        call("skills_is_enabled", bell.clone()).await.unwrap()["enabled"],
        false
    );
    call("skills_start", bell.clone()).await.unwrap();
    assert_eq!(
        call("skills_is_enabled", bell.clone()).await.unwrap()["enabled"],
        true
    );
    assert_eq!(
        call("skills_uninstall", bell.clone()).await.unwrap()["removed"],
        true
    );
    assert!(call("skills_status", bell).await.is_err());
    rpc.close().await;
}
