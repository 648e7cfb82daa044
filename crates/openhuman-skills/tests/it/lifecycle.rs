use std::time::Duration;

use openhuman_skills::{
    CallOptions, Engine, Grant, SkillError, SkillEvent, SkillId, SkillPackage, SkillStatus, ToolError,
};
use serde_json::json;

use crate::support::{call, engine, package, run, run_with, tool, until};

const TRACE: &str = r"
    var calls = [];
    globalThis.__skill = { default: {
        init() { calls.push('init:' + (this === globalThis.__skill.default)); },
        async start(bag) { calls.push('start:' + JSON.stringify(bag)); state.set('connection_status', 'connected'); return { status: 'complete' }; },
        stop() { console.log('stopping'); },
        tools: [
            { name: 'run', description: 'd', inputSchema: { type: 'object' }, execute: () => calls },
            { name: 'snake', description: 's', input_schema: { type: 'string' }, execute: () => 1 },
            { name: 'bare', execute: () => 1 },
            { name: 'not a tool' },
        ],
    } };
";

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_goes_through_its_life() {
    let engine = engine();
    let mut events = engine.events();
    let mut changes = engine.changes();
    let id = engine
        .install(package("life", TRACE), Grant::none())
        .await
        .unwrap();
    assert_eq!(engine.snapshots()[0].status, SkillStatus::Pending);
    assert_eq!(engine.snapshots()[0].connection_status, "offline");
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    engine.start(&id).await.unwrap();
    assert!(changes.has_changed().unwrap());
    let snapshot = engine.snapshots().remove(0);
    assert_eq!(
        (snapshot.status, snapshot.connection_status.as_str()),
        (SkillStatus::Running, "connected")
    );
    assert_eq!(snapshot.state, json!({"connection_status": "connected"}));
    assert_eq!(
        serde_json::to_value(&snapshot.tools).unwrap(),
        json!([
            {"name": "run", "description": "d", "inputSchema": {"type": "object"}},
            {"name": "snake", "description": "s", "inputSchema": {"type": "string"}},
            {"name": "bare", "description": "", "inputSchema": {}},
        ])
    );
    let trace = call(&engine, &id, json!({})).await.unwrap();
    assert_eq!(trace, r#"["init:true","start:{\"auth\":null,\"oauth\":null}"]"#);
    assert!(matches!(
        engine.start(&id).await,
        Err(SkillError::AlreadyRunning { .. })
    ));
    engine.stop(&id).await.unwrap();
    assert_eq!(engine.snapshots()[0].status, SkillStatus::Stopped);
    let error = call(&engine, &id, json!({})).await.unwrap_err();
    assert_eq!(error.to_string(), "Skill 'life' is not running (status: stopped)");
    engine.start(&id).await.unwrap();
    engine.remove(&id).await.unwrap();
    assert!(engine.snapshots().is_empty());
    assert_eq!(
        call(&engine, &id, json!({})).await.unwrap_err().to_string(),
        "Skill 'life' not found"
    );
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        match event {
            SkillEvent::Status { status, .. } => seen.push(status.to_string()),
            SkillEvent::Log { message, .. } => seen.push(message),
            _ => {}
        }
    }
    let once = ["initializing", "running", "stopping", "stopping", "stopped"];
    assert_eq!(seen, [once, once].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn published_bundles_run_unmodified() {
    // The form that the bundler of published skills writes.
    let bundle = r#"
        "use strict"; var __skill_bundle = (() => {
            var d = Object.defineProperty; var skill = { info: { id: "b" }, start: async () => ({ status: "complete" }) };
            globalThis.tools = [{ name: "run", description: "d", input_schema: { type: "object", properties: {} },
                execute(args) { return JSON.stringify({ success: true, window: window === globalThis, id: __skillId, big: String(2n ** 70n) }); } }];
            return { default: skill };
        })();
        globalThis.__skill = { default: __skill_bundle.default };
        if (!globalThis.__skill.default.tools && globalThis.tools) globalThis.__skill.default.tools = globalThis.tools;
    "#;
    let engine = engine();
    let id = run(&engine, "b", bundle).await;
    let text = call(&engine, &id, json!({})).await.unwrap();
    assert_eq!(
        text,
        r#"{"success":true,"window":true,"id":"b","big":"1180591620717411303424"}"#
    );
    let plain =
        "var tools = [{ name: 'run', execute: () => 'plain' }]; function init() { globalThis.ready = 1; }";
    let id = run(&engine, "plain", plain).await;
    assert_eq!(call(&engine, &id, json!({})).await.unwrap(), "plain");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_become_text() {
    let engine = engine();
    let code = tool(
        "switch (args.kind) {
            case 'string': return 'text'; case 'object': return { a: [1, 'x'] }; case 'number': return 4.5; case 'bool': return true;
            case 'none': return; case 'null': return null; case 'promise': return Promise.resolve({ p: 1 });
            case 'async': return (async () => { await null; })();
            case 'later': return new Promise((done) => setTimeout(() => done('later'), 5));
            case 'throw': throw new Error('broken'); case 'throw-text': throw 'just text';
            case 'reject': return Promise.reject(new TypeError('rejected'));
            case 'never': return new Promise(() => {}); case 'cyclic': { const o = {}; o.o = o; return o; }
            case 'large': return 'x'.repeat(2 * 1024 * 1024); case 'unicode': return '\\ud800ü€😀';
        }",
    );
    let id = run(&engine, "results", &code).await;
    let kind = |kind: &'static str| call(&engine, &id, json!({ "kind": kind }));
    for (name, text) in [
        ("string", "text"),
        ("object", r#"{"a":[1,"x"]}"#),
        ("number", "4.5"),
        ("bool", "true"),
        ("none", "null"),
        ("null", "null"),
        ("promise", r#"{"p":1}"#),
        ("async", "null"),
        ("later", "later"),
        ("unicode", "\u{fffd}ü€😀"),
    ] {
        assert_eq!(kind(name).await.as_deref(), Ok(text), "{name}");
    }
    let broken = kind("throw").await.unwrap_err().to_string();
    assert!(
        broken.starts_with("Tool execution failed: broken") && broken.contains("index.js:"),
        "{broken}"
    );
    assert_eq!(
        kind("throw-text").await.unwrap_err().to_string(),
        "Tool execution failed: just text"
    );
    assert!(
        kind("reject")
            .await
            .unwrap_err()
            .to_string()
            .starts_with("Tool execution failed: TypeError: rejected")
    );
    assert!(matches!(kind("never").await, Err(ToolError::NeverSettles { .. })));
    assert!(matches!(kind("cyclic").await, Err(ToolError::Failed { .. })));
    assert!(matches!(
        kind("large").await,
        Err(ToolError::ResultTooLarge { .. })
    ));
    let missing = engine
        .call_tool(&id, "nope", json!({}), CallOptions::default())
        .await
        .unwrap_err();
    assert_eq!(
        missing.to_string(),
        "Tool execution failed: Tool 'nope' not found"
    );
    assert!(matches!(
        call(&engine, &id, json!([1])).await,
        Err(ToolError::InvalidArguments { .. })
    ));
    assert_eq!(kind("string").await.as_deref(), Ok("text"));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_the_place_in_the_script_and_nothing_of_the_host() {
    let engine = engine();
    let code = "function a() { throw new Error('broken') }\nfunction b() { a() }\nfunction c() { b() }\n\
        globalThis.__skill = { default: { tools: [{ name: 'run', execute(args) {\n\
            if (args.fetch) net.fetch('nonsense');\n\
            if (args.parse) JSON.parse('{');\n\
            if (args.later) return (async () => { await null; c(); })();\n\
            if (args.odd) { const e = new Error('odd'); Object.defineProperty(e, 'stack', args.odd === 1 ? { get() { throw 1; } } : { value: args.odd }); throw e; }\n\
            c();\n\
        } }] } };";
    let manifest = json!({"id": "places", "name": "P", "entry": "dist/main.js"}).to_string();
    let package = SkillPackage::from_parts(&manifest, code.to_owned()).unwrap();
    let id = engine.install(package, Grant::none()).await.unwrap();
    engine.start(&id).await.unwrap();
    for (args, message, frames) in [
        (
            json!({}),
            "broken",
            &["at a (dist/main.js:1:", "at b (dist/main.js:2:"][..],
        ),
        (
            json!({"later": 1}),
            "broken",
            &["at a (dist/main.js:1:", "at b (dist/main.js:2:"],
        ),
        (
            json!({"fetch": 1}),
            "is not a URL",
            &["at execute (dist/main.js:5:"],
        ),
        (
            json!({"parse": 1}),
            "SyntaxError",
            &["at execute (dist/main.js:6:"],
        ),
        (json!({"odd": 1}), "odd", &[]),
        (json!({"odd": 5}), "odd", &[]),
        (json!({"odd": "first\nsecond"}), "odd", &[]),
        (json!({"odd": {"a": 1}}), "odd", &[]),
    ] {
        let error = call(&engine, &id, args).await.unwrap_err().to_string();
        let lines: Vec<&str> = error.lines().collect();
        assert!(lines[0].contains(message), "{error}");
        // Below the places, the line of the first one and a mark.
        let snippet = if frames.is_empty() { 0 } else { 2 };
        assert_eq!(lines.len(), 1 + frames.len() + snippet, "{error}");
        assert_eq!(lines[lines.len() - 1].ends_with('^'), snippet > 0, "{error}");
        for (line, frame) in lines[1..].iter().zip(frames) {
            assert!(line.trim_start().starts_with(frame), "{error}");
        }
    }
    let fails = SkillPackage::from_parts(
        &json!({"id": "fails", "name": "F"}).to_string(),
        format!("function a() {{ throw new Error('at load') }}\nfunction b() {{ a() }}\n{code}\nb();"),
    )
    .unwrap();
    let fails = engine.install(fails, Grant::none()).await.unwrap();
    let error = engine.start(&fails).await.unwrap_err().to_string();
    assert!(
        error.contains("the script failed: ") && error.contains("(index.js:"),
        "{error}"
    );
    assert!(
        error.lines().count() <= 5 && !error.contains("openhuman:"),
        "{error}"
    );
    engine.shutdown().await;
}

/// Old bundles define a hook or `tools` and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_script_with_any_part_of_a_skill_starts() {
    let engine = engine();
    for (id, code) in [
        ("hook", "function onServerEvent() {}"),
        ("tools", "var tools = [];"),
        ("bundle", "globalThis.__skill = { default: {} };"),
        ("by-init", "globalThis.init = () => { globalThis.tools = []; };"),
    ] {
        run(&engine, id, code).await;
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_is_a_typed_error() {
    let limits = Duration::from_millis(300);
    let engine = Engine::builder()
        .workers(2)
        .lifecycle_limits(limits, limits, limits)
        .build()
        .unwrap();
    let cases = [
        ("syntax", "let = ;", "the script failed"),
        ("throws", "throw new Error('at load')", "at load"),
        (
            "init",
            "function init() { throw new Error('in init') }",
            "init() failed: in init",
        ),
        (
            "reject",
            "async function start() { throw new Error('in start') }",
            "start() rejected: in start",
        ),
        (
            "never",
            "function init() { return new Promise(() => {}) }",
            "never settles",
        ),
        (
            "loop",
            "function init() { for (;;); }",
            "init() timed out after 0.3s",
        ),
        (
            "load-loop",
            "for (;;);",
            "the script did not finish loading within 0.3 s",
        ),
        (
            "empty",
            "",
            "the script defines no skill: set globalThis.__skill = { default: { tools: [...] } }",
        ),
        (
            "lexical",
            "const tools = [{ name: 'run', execute: () => 1 }];",
            "the script defines no skill",
        ),
        ("slow", "function start() { sleep(60000) }", "start() timed out"),
        (
            "pending",
            "function init() { return new Promise((d) => setTimeout(d, 60000)) }",
            "init() timed out",
        ),
    ];
    for (name, code, text) in cases {
        let id = engine.install(package(name, code), Grant::none()).await.unwrap();
        let error = engine.start(&id).await.unwrap_err().to_string();
        assert!(error.contains(text), "{name}: {error}");
        let snapshot = engine
            .snapshots()
            .into_iter()
            .find(|snapshot| snapshot.skill_id == name)
            .unwrap();
        assert_eq!(
            (snapshot.status, snapshot.error.as_deref()),
            (SkillStatus::Error, Some(error.as_str()))
        );
    }
    let fine = run(&engine, "fine", &tool("return 1")).await;
    assert_eq!(call(&engine, &fine, json!({})).await.as_deref(), Ok("1"));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_is_bounded() {
    let limit = Duration::from_millis(300);
    let engine = Engine::builder()
        .workers(1)
        .lifecycle_limits(limit * 10, limit * 10, limit)
        .build()
        .unwrap();
    let id = run(&engine, "stuck", "function stop() { for (;;); }").await;
    assert!(matches!(
        engine.stop(&id).await,
        Err(SkillError::TimedOut { step: "stop", .. })
    ));
    assert_eq!(engine.snapshots()[0].status, SkillStatus::Stopped);
    engine.start(&id).await.unwrap();
    let throws = run(&engine, "throws", "function stop() { throw new Error('no'); }").await;
    engine.stop(&throws).await.unwrap();
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_the_skills_that_may_have_them() {
    let engine = engine();
    let code = "var seen = []; function onServerEvent(event, data) { seen.push([event, data]); } var tools = [{ name: 'run', execute: () => seen }];";
    let mut grant = Grant::none();
    grant.allow_event("price:changed");
    let granted = run_with(&engine, "granted", code, grant.clone()).await;
    let other = run(&engine, "other", code).await;
    let deaf = run_with(&engine, "deaf", &tool("return 1"), grant).await;
    assert_eq!(engine.server_event("price:changed", json!({"p": 5})).await, 1);
    assert_eq!(engine.server_event("something:else", json!(null)).await, 0);
    assert_eq!(
        call(&engine, &granted, json!({})).await.unwrap(),
        r#"[["price:changed",{"p":5}]]"#
    );
    assert_eq!(call(&engine, &other, json!({})).await.unwrap(), "[]");
    engine.stop(&deaf).await.unwrap();
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_are_checked_when_they_are_installed() {
    let engine = engine();
    let id = engine
        .install(package("twice", "function init() {}"), Grant::none())
        .await
        .unwrap();
    assert!(matches!(
        engine.install(package("twice", ""), Grant::none()).await,
        Err(SkillError::AlreadyInstalled { .. })
    ));
    let other_os = if cfg!(windows) { "linux" } else { "windows" };
    let manifest = json!({"id": "os", "name": "os", "platforms": [other_os]}).to_string();
    let package = SkillPackage::from_parts(&manifest, String::new()).unwrap();
    assert!(matches!(
        engine.install(package, Grant::none()).await,
        Err(SkillError::UnsupportedPlatform { .. })
    ));
    assert!(matches!(
        engine.start(&SkillId::new("nobody").unwrap()).await,
        Err(SkillError::Unknown { .. })
    ));
    engine.start(&id).await.unwrap();
    engine.shutdown().await;
    assert!(engine.start(&id).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_decides_the_connection_status() {
    let engine = engine();
    let manifest = json!({"id": "setup", "name": "S", "setup": {"required": true}}).to_string();
    let package = SkillPackage::from_parts(&manifest, tool("return 1")).unwrap();
    let id = engine.install(package, Grant::none()).await.unwrap();
    engine.start(&id).await.unwrap();
    assert_eq!(engine.snapshots()[0].connection_status, "setup_required");
    engine.set_setup_complete(&id, true).unwrap();
    assert_eq!(engine.snapshots()[0].connection_status, "connected");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_never_end_end_the_skill() {
    let limit = Duration::from_millis(200);
    let engine = Engine::builder()
        .workers(1)
        .background_limit(limit)
        .build()
        .unwrap();
    let storm = "function start() { const again = () => Promise.resolve().then(again); setTimeout(() => { for (let i = 0; i < 100; i++) again(); }, 1); }";
    run(&engine, "storm", storm).await;
    let other = run(&engine, "other", &tool("return 1")).await;
    until(|| {
        engine
            .snapshots()
            .iter()
            .any(|snapshot| snapshot.status == SkillStatus::Error)
    })
    .await;
    assert_eq!(call(&engine, &other, json!({})).await.as_deref(), Ok("1"));
    engine.shutdown().await;
}
