//! Hooks, the setup wizard, options, syncs, pings and the methods a front end calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openhuman_skills::{
    Engine, Grant, HookError, MemoryPreferences, RpcError, SkillEvent, SkillPackage, SkillStatus,
    SnapshotTrigger,
};
use serde_json::{Value, json};

use crate::support::{call, engine, run, tool, until};

fn skill(body: &str) -> String {
    format!("globalThis.__skill = {{ default: {{ {body} }} }};")
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_may_return_values_promises_and_any_thenable() {
    let engine = engine();
    let code = skill(
        "onRpc({ method, params }) {
            switch (method) {
                case 'value': return { got: params, here: this === globalThis.__skill.default };
                case 'promise': return Promise.resolve(1);
                case 'thenable': return { then(done) { done('late'); } };
                case 'callable': return Object.assign(() => 1, { then(done) { done('called'); } });
                case 'refuses': return { then(_, fail) { fail(new Error('no')); } };
                case 'then throws': return { then() { throw new Error('in then'); } };
                case 'getter throws': return { get then() { throw new Error('in getter'); } };
                case 'nothing': return undefined;
                case 'throws': throw new TypeError('bad');
                case 'never': return new Promise(() => {});
                case 'slow': return new Promise((done) => setTimeout(done, 60000));
            }
        }",
    );
    let id = run(&engine, "hooks", &code).await;
    let rpc = |method: &'static str| engine.rpc(&id, method, json!({"a": [1]}));
    assert_eq!(
        rpc("value").await.unwrap(),
        json!({"got": {"a": [1]}, "here": true})
    );
    assert_eq!(rpc("promise").await.unwrap(), json!(1));
    assert_eq!(rpc("thenable").await.unwrap(), json!("late"));
    assert_eq!(rpc("callable").await.unwrap(), json!("called"));
    assert_eq!(rpc("nothing").await.unwrap(), Value::Null);
    for (method, text) in [
        ("refuses", "onRpc() rejected: no\n"),
        ("then throws", "onRpc() rejected: in then\n"),
        ("getter throws", "onRpc() failed: in getter\n"),
        ("throws", "onRpc() failed: TypeError: bad\n"),
        ("never", "onRpc() returned a promise that never settles"),
    ] {
        let error = rpc(method).await.unwrap_err().to_string();
        assert!(error.starts_with(text), "{method}: {error}");
    }
    let args = json!([{ "method": "slow" }]);
    let slow = engine
        .call_hook(&id, "onRpc", args, Duration::from_millis(200))
        .await
        .unwrap_err();
    assert_eq!(slow.to_string(), "onRpc() timed out after 0.2s");
    engine.stop(&id).await.unwrap();
    let stopped = rpc("value").await.unwrap_err();
    assert_eq!(
        stopped.to_string(),
        "Skill 'hooks' is not running (status: stopped)"
    );
    let unknown = engine
        .rpc(&"nobody".parse().unwrap(), "x", Value::Null)
        .await
        .unwrap_err();
    assert_eq!(unknown.to_string(), "Skill 'nobody' not found");
    engine.shutdown().await;
}

const WIZARD: &str = "
    tools: [{ name: 'run', execute: () => log }],
    onLoad(params) { log.push(['load', params]); },
    onSetupStart(args) { log.push(['setup', args]); return { step: { id: 'one', title: 'T', description: 'D', fields: [] } }; },
    async onSetupSubmit({ stepId, values }) {
        if (stepId === 'one') return values.url ? { status: 'next', nextStep: { id: 'two' } } : { status: 'error', errors: [{ field: 'url', message: 'missing' }] };
        this.tools = [...this.tools, { name: 'extra', execute: () => 1 }];
        return { status: 'complete', message: 'ready' };
    },
    onSetupCancel(args) { log.push(['cancel', args]); },
    onListOptions() { return { options: [{ name: 'depth', type: 'number', label: 'Depth', value: 3 }] }; },
    onSetOption({ name, value }) { if (name === 'bare') this.tools = this.tools.slice(0, 1); log.push([name, value]); },
    onSessionStart(args) { log.push(['start', args]); },
    onSessionEnd(args) { log.push(['end', args]); },
    onTick(args) { state.set('ticked', true); },
";

#[tokio::test(flavor = "multi_thread")]
async fn the_methods_of_a_front_end_reach_their_hooks() {
    let engine = engine();
    let manifest = json!({"id": "wizard", "name": "W", "setup": {"required": true}}).to_string();
    let package = SkillPackage::from_parts(&manifest, format!("var log = [];{}", skill(WIZARD))).unwrap();
    let id = engine.install(package, Grant::none()).await.unwrap();
    engine.start(&id).await.unwrap();
    let mut events = engine.events();
    let snapshot = || engine.snapshots().remove(0);
    assert_eq!(snapshot().connection_status, "setup_required");
    let rpc = |method: &'static str, params: Value| {
        let (engine, id) = (engine.clone(), id.clone());
        async move { engine.rpc(&id, method, params).await.unwrap() }
    };
    let ok = json!({"ok": true});
    assert_eq!(
        rpc(
            "skill/load",
            json!({"manifest": 1, "dataDir": "/x", "session": 7})
        )
        .await,
        ok
    );
    assert_eq!(rpc("setup/start", json!({})).await["step"]["id"], "one");
    let refused = rpc("setup/submit", json!({"stepId": "one", "values": {}})).await;
    assert_eq!(
        refused,
        json!({"status": "error", "errors": [{"field": "url", "message": "missing"}]})
    );
    let next = rpc("setup/submit", json!({"stepId": "one", "values": {"url": "u"}})).await;
    assert_eq!(next["status"], "next");
    assert!(!snapshot().setup_complete);
    assert_eq!(rpc("setup/cancel", json!({})).await, ok);

    let changes = engine.changes();
    let before = *changes.borrow();
    let complete = rpc("setup/submit", json!({"stepId": "two"})).await;
    assert_eq!(complete, json!({"status": "complete", "message": "ready"}));
    assert!(snapshot().setup_complete && snapshot().connection_status == "connected");
    assert_eq!(snapshot().tools.len(), 2);
    assert!(*changes.borrow() > before);
    assert!(engine.should_start(&id).unwrap());

    assert_eq!(
        rpc("options/list", json!({})).await["options"][0]["name"],
        "depth"
    );
    let before = *changes.borrow();
    assert_eq!(rpc("options/set", json!({"name": "depth", "value": 5})).await, ok);
    assert_eq!(*changes.borrow(), before, "nothing changed");
    assert_eq!(rpc("options/set", json!({"name": "bare", "value": 1})).await, ok);
    assert_eq!(
        rpc("tools/list", json!({})).await,
        json!({"tools": [{"name": "run", "description": "", "inputSchema": {}}]})
    );
    assert!(*changes.borrow() > before);

    assert_eq!(rpc("skill/sessionStart", json!({"sessionId": "s"})).await, ok);
    assert_eq!(rpc("skill/sessionEnd", json!({"sessionId": "s"})).await, ok);
    assert_eq!(rpc("skill/tick", json!({})).await, ok);
    let called = rpc("tools/call", json!({"name": "run"})).await;
    let log: Value = serde_json::from_str(called["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(
        log,
        json!([["load", {"session": 7}], ["setup", {}], ["cancel", {}], ["depth", 5], ["bare", 1],
            ["start", {"sessionId": "s"}], ["end", {"sessionId": "s"}]])
    );
    assert_eq!(
        (called["isError"].clone(), called["is_error"].clone()),
        (json!(false), json!(false))
    );
    let failed = rpc("tools/call", json!({"name": "nope", "arguments": {}})).await;
    assert_eq!(
        failed,
        json!({"content": [{"type": "text", "text": "Tool execution failed: Tool 'nope' not found"}], "isError": true,
            "is_error": true})
    );
    let missing = engine.rpc(&id, "tools/call", json!({})).await.unwrap_err();
    assert!(
        missing.to_string().starts_with("missing required param 'name': "),
        "{missing}"
    );
    assert!(matches!(missing, RpcError::Params(_)));
    let mut ticked = None;
    while let Ok(event) = events.try_recv() {
        if let SkillEvent::Snapshot { trigger, state, .. } = event {
            ticked = Some((trigger, state));
        }
    }
    assert_eq!(ticked, Some((SnapshotTrigger::Tick, json!({"ticked": true}))));
    assert_eq!(rpc("skill/shutdown", json!({})).await, ok);
    assert_eq!(snapshot().status, SkillStatus::Stopped);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_without_hooks_answers_with_nothing() {
    let engine = engine();
    let id = run(&engine, "plain", &tool("return 1")).await;
    for method in [
        "setup/start",
        "setup/submit",
        "options/list",
        "skill/ping",
        "anything/else",
    ] {
        let params = json!({"stepId": "x"});
        assert_eq!(
            engine.rpc(&id, method, params).await.unwrap(),
            Value::Null,
            "{method}"
        );
    }
    for method in [
        "setup/cancel",
        "skill/tick",
        "skill/load",
        "oauth/revoked",
        "auth/revoked",
    ] {
        assert_eq!(
            engine.rpc(&id, method, Value::Null).await.unwrap(),
            json!({"ok": true}),
            "{method}"
        );
    }
    let sync = engine.rpc(&id, "skill/sync", Value::Null).await.unwrap();
    assert_eq!(
        sync,
        json!({"status": "no_handler", "skipped": true, "reason": "Skill 'plain' has no onSync handler"})
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_is_started_and_not_waited_for() {
    let engine = engine();
    let code = skill(
        "tools: [{ name: 'run', execute: ({ mode }) => { globalThis.mode = mode; if (mode === 'go') globalThis.go(); } }],
        publishState() { state.set('published', true); },
        onSync() {
            if (globalThis.mode === 'fail') throw new Error('offline');
            state.set('lastSyncTime', 1);
            if (globalThis.mode === 'slow') return new Promise((done) => { const wait = setTimeout(done, 60000); globalThis.go = () => { clearTimeout(wait); done(); }; });
        },
        onError(what) { state.set('told', what); },",
    );
    let id = run(&engine, "sync", &code).await;
    let mut events = engine.events();
    let done = engine.sync(&id).await.unwrap();
    assert_eq!(
        done,
        json!({"ok": true, "status": "done", "message": "Sync of 'sync' completed"})
    );
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let SkillEvent::Snapshot { trigger, state, .. } = event {
            seen.push((trigger, state));
        }
    }
    assert_eq!(
        seen,
        [(
            SnapshotTrigger::Sync,
            json!({"lastSyncTime": 1, "published": true})
        )]
    );
    call(&engine, &id, json!({"mode": "slow"})).await.unwrap();
    assert_eq!(engine.sync(&id).await.unwrap()["status"], "started");
    let again = engine.sync(&id).await.unwrap();
    assert_eq!(again["message"], "A sync of 'sync' is already running");
    call(&engine, &id, json!({"mode": "go"})).await.unwrap();
    call(&engine, &id, json!({"mode": "fail"})).await.unwrap();
    let mut failed = json!({"status": "started"});
    while failed["status"] == "started" {
        failed = engine.sync(&id).await.unwrap();
    }
    assert_eq!(failed["ok"], false);
    assert!(
        failed["message"]
            .as_str()
            .unwrap()
            .starts_with("onSync() failed: offline")
    );
    until(|| engine.snapshots()[0].state["told"]["source"] == "onSync").await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_find_broken_connections() {
    let engine = Engine::builder()
        .workers(1)
        .ping_interval(Duration::from_millis(20))
        .build()
        .unwrap();
    let code = "var pings = 0; var answer = null;".to_owned()
        + &skill(
            "tools: [{ name: 'run', execute: (args) => { if ('answer' in args) answer = args.answer; return String(pings); } }],
            start() { state.set('connection_status', 'connected'); },
            async onPing() { pings++; if (answer === 'throw') throw new Error('gone'); return answer; },",
        );
    let id = run(&engine, "ping", &code).await;
    let mut count = 0;
    while count < 3 {
        count = call(&engine, &id, json!({}))
            .await
            .unwrap()
            .parse::<u32>()
            .unwrap();
    }
    let state = || engine.snapshots()[0].state.clone();
    call(
        &engine,
        &id,
        json!({"answer": {"ok": false, "errorType": "network", "errorMessage": "no route"}}),
    )
    .await
    .unwrap();
    until(|| state()["connection_status"] == "error").await;
    assert_eq!(state()["connection_error"], "no route");
    // Not connected any more: nobody asks.
    let before = call(&engine, &id, json!({})).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(call(&engine, &id, json!({})).await.unwrap(), before);
    call(&engine, &id, json!({"answer": "throw"})).await.unwrap();
    assert!(
        engine
            .ping(&id)
            .await
            .unwrap_err()
            .to_string()
            .starts_with("onPing() rejected: gone")
    );
    let mut events = engine.events();
    let answer = json!({"ok": false, "errorType": "auth", "errorMessage": "token expired"});
    call(&engine, &id, json!({ "answer": answer })).await.unwrap();
    assert_eq!(engine.ping(&id).await.unwrap(), answer);
    assert_eq!(engine.snapshots()[0].status, SkillStatus::Stopped);
    let failed = std::iter::from_fn(|| events.try_recv().ok())
        .any(|event| matches!(event, SkillEvent::AuthFailed { message, .. } if message == "token expired"));
    assert!(failed);
    assert!(matches!(
        engine.ping(&id).await,
        Err(HookError::NotRunning { .. })
    ));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_reports_an_error_runs_with_a_broken_connection() {
    let engine = engine();
    for (id, before, required, status) in [
        ("plain", "", false, "error"),
        (
            "said-it",
            "state.set('connection_status', 'disconnected');",
            false,
            "disconnected",
        ),
        ("not-set-up", "", true, "setup_required"),
    ] {
        let code = skill(&format!(
            "start() {{ {before} return {{ status: 'error', errors: [{{ field: 'token', message: 'expired' }}] }}; }}"
        ));
        let manifest = json!({"id": id, "name": id, "setup": {"required": required}}).to_string();
        let package = SkillPackage::from_parts(&manifest, code).unwrap();
        let id = engine.install(package, Grant::none()).await.unwrap();
        engine.start(&id).await.unwrap();
        let snapshot = engine
            .snapshots()
            .into_iter()
            .find(|snapshot| snapshot.skill_id == id.as_str())
            .unwrap();
        assert_eq!(
            (snapshot.status, snapshot.connection_status.as_str()),
            (SkillStatus::Running, status)
        );
        if status == "error" {
            assert_eq!(snapshot.state["connection_error"], "expired");
        }
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_outlive_the_engine() {
    let preferences = Arc::new(MemoryPreferences::default());
    let make = || {
        Engine::builder()
            .workers(1)
            .preferences(Arc::clone(&preferences) as Arc<_>)
            .build()
            .unwrap()
    };
    let install = |engine: Engine| async move {
        for (id, auto) in [
            ("set-up", false),
            ("auto", true),
            ("manual", false),
            ("off", true),
        ] {
            let manifest =
                json!({"id": id, "name": id, "auto_start": auto, "setup": {"required": id == "set-up"}});
            let package = SkillPackage::from_parts(&manifest.to_string(), tool("return 1")).unwrap();
            engine.install(package, Grant::none()).await.unwrap();
        }
    };
    let engine = make();
    install(engine.clone()).await;
    engine
        .set_setup_complete(&"set-up".parse().unwrap(), true)
        .unwrap();
    engine.set_enabled(&"off".parse().unwrap(), Some(false)).unwrap();
    engine.shutdown().await;
    let engine = make();
    install(engine.clone()).await;
    let started: Vec<String> = engine
        .auto_start_all()
        .await
        .into_iter()
        .map(|(id, outcome)| {
            outcome.unwrap();
            id.to_string()
        })
        .collect();
    assert_eq!(started, ["auto", "set-up"]);
    let set_up = engine.snapshots().remove(3);
    assert!(set_up.skill_id == "set-up" && set_up.setup_complete);
    assert!(engine.auto_start_all().await.is_empty());
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_need_an_owner() {
    let engine = engine();
    let started = Instant::now();
    let answer = engine.webhook_request(Default::default()).await;
    assert_eq!(answer.status_code, 404);
    assert!(started.elapsed() < Duration::from_secs(1));
    engine.shutdown().await;
}
