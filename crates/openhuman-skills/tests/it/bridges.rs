use std::sync::Arc;

use futures_util::future::BoxFuture;
use openhuman_skills::{Engine, EngineError, Grant, HostModule, SkillEvent, SkillId, SkillPackage};
use serde_json::{Value, json};

use crate::support::{call, engine, eval, run, run_with, tool};

async fn expect(body: &str, text: &str) {
    assert_eq!(eval(body).await.as_deref(), Ok(text), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_speaks_sql() {
    expect(
        "db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b, c)');
         const n = db.exec('INSERT INTO t (a, b, c) VALUES (?, ?, ?), (?, ?, ?)', ['123', true, { x: [1] }, null, 1.5, new Uint8Array([0, 255])]);
         return { n, all: db.all('SELECT * FROM t'), one: db.get('SELECT a FROM t WHERE id = ?', [1]), none: db.get('SELECT 1 FROM t WHERE id = 9'),
                  info: db.all('PRAGMA table_info(t)').length, exact: db.exec('UPDATE t SET a = a WHERE id > 5') };",
        r#"{"n":2,"all":[{"id":1,"a":"123","b":1,"c":"{\"x\":[1]}"},{"id":2,"a":null,"b":1.5,"c":"AP8="}],"one":{"a":"123"},"none":null,"info":4,"exact":0}"#,
    )
    .await;
    expect(
        "try { db.exec('SELEC 1'); } catch (e) { return e.message.includes('syntax error'); }",
        "true",
    )
    .await;
    expect("db.kvSet('a', { x: 'ü' }); db.kvSet('b', null); return [db.kvGet('a'), db.kvGet('b'), db.kvGet('c')];", r#"[{"x":"ü"},null,null]"#).await;
    expect(
        "try { db.exec('SELECT ?', 5); } catch (e) { return e.name; }",
        "TypeError",
    )
    .await;
    expect(
        "return db.get('SELECT ? AS big', [9007199254740991n]).big;",
        "9007199254740991",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_skills_can_have_text_parsed() {
    let engine = engine();
    let manifest = json!({"id": "old", "name": "old", "compat": {"db_text_as_json": true}}).to_string();
    let code = tool("return db.get(\"SELECT '123' AS n, '{\\\"a\\\":1}' AS o, 'plain' AS t\")");
    let id = engine
        .install(SkillPackage::from_parts(&manifest, code).unwrap(), Grant::none())
        .await
        .unwrap();
    engine.start(&id).await.unwrap();
    assert_eq!(
        call(&engine, &id, json!({})).await.as_deref(),
        Ok(r#"{"n":123,"o":{"a":1},"t":"plain"}"#)
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_published_and_kept() {
    let engine = engine();
    let code = tool(
        "if (args.read) return [state.get('a'), state.get('b'), store.keys()];
         state.set('a', { x: 1 }); state.setPartial({ b: 2, c: 3 }); state.delete('c'); return state.get('missing');",
    );
    let id = run(&engine, "keeps", &code).await;
    let changes = engine.changes();
    assert_eq!(call(&engine, &id, json!({})).await.as_deref(), Ok("null"));
    assert!(changes.has_changed().unwrap());
    assert_eq!(engine.snapshots()[0].state, json!({"a": {"x": 1}, "b": 2}));
    engine.stop(&id).await.unwrap();
    engine.start(&id).await.unwrap();
    assert_eq!(
        call(&engine, &id, json!({"read": true})).await.as_deref(),
        Ok(r#"[{"x":1},2,["a","b"]]"#)
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_gives_what_was_granted() {
    let engine = Engine::builder()
        .workers(1)
        .env("PRICES_URL", "https://prices.example.com")
        .env("HIDDEN", "x")
        .build()
        .unwrap();
    let mut events = engine.events();
    let mut grant = Grant::none();
    grant
        .allow_env("PRICES_URL")
        .allow_env("UNSET_VALUE")
        .allow_notify();
    let body = "platform.notify('Hello', 'there'); return [platform.os() !== 'unknown', tauri.env('PRICES_URL'), platform.env('HIDDEN'), platform.env('UNSET_VALUE')];";
    let id = run_with(&engine, "granted", &tool(body), grant).await;
    assert_eq!(
        call(&engine, &id, json!({})).await.as_deref(),
        Ok(r#"[true,"https://prices.example.com","",""]"#)
    );
    let mut notified = false;
    while let Ok(event) = events.try_recv() {
        notified |= matches!(event, SkillEvent::Notification { ref title, ref body, .. } if title == "Hello" && body == "there");
    }
    assert!(notified);
    let id = run(
        &engine,
        "denied",
        &tool("try { platform.notify('x'); } catch (e) { return e.message; }"),
    )
    .await;
    assert!(
        call(&engine, &id, json!({}))
            .await
            .unwrap()
            .contains("not granted")
    );
    let id = run_with(
        &engine,
        "floods",
        &tool("let n = 0; try { for (;; n++) platform.notify('x'); } catch (e) { return n; }"),
        {
            let mut grant = Grant::none();
            grant.allow_notify();
            grant
        },
    )
    .await;
    assert_eq!(call(&engine, &id, json!({})).await.as_deref(), Ok("10"));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_structured_and_limited() {
    let engine = engine();
    let id = run(&engine, "logs", &tool("console.warn('a', { b: 1 }, [2], null, undefined, 3n); log.error(new TypeError('t')); for (let i = 0; i < 500; i++) console.log('y'.repeat(1000)); return 1;")).await;
    let mut events = engine.events();
    call(&engine, &id, json!({})).await.unwrap();
    let mut lines = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let SkillEvent::Log { level, message, .. } = event {
            lines.push((level, message));
        }
    }
    assert_eq!(
        lines[0],
        ("warn".to_owned(), r#"a {"b":1} [2] null undefined 3"#.to_owned())
    );
    assert!(lines[1].0 == "error" && lines[1].1.starts_with("TypeError: t"));
    assert!(lines.len() < 200, "{}", lines.len());
    assert!(
        lines
            .iter()
            .any(|(level, text)| level == "warn" && text.contains("dropped"))
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_keep_their_order_and_can_be_cleared() {
    expect(
        "const seen = []; return new Promise((done) => {
            setTimeout((x) => seen.push(x), 20, 'b'); setTimeout(() => seen.push('a'), 1);
            const never = setTimeout(() => seen.push('never'), 5); clearTimeout(never);
            let n = 0; const every = setInterval(() => { seen.push(n++); if (n === 3) { clearInterval(every); setTimeout(() => done(seen.length + ':' + seen.includes('never')), 30); } }, 2);
        });",
        "5:false",
    )
    .await;
    expect(
        "const t = Date.now(); sleep(30); return Date.now() - t >= 29;",
        "true",
    )
    .await;
    expect(
        "try { setTimeout('code', 1); } catch (e) { return e.name; }",
        "TypeError",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn web_functions_are_correct_or_absent() {
    expect(
        "return [btoa('hello'), atob('aGVsbG8=')];",
        r#"["aGVsbG8=","hello"]"#,
    )
    .await;
    expect("const b = new TextEncoder().encode('ü😀'); return [b.length, new TextDecoder().decode(b), new TextDecoder().decode(new Uint8Array([255, 65]).buffer)];", r#"[6,"ü😀","�A"]"#).await;
    expect("try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255])); } catch (e) { return e.name; }", "TypeError").await;
    expect(
        "const a = crypto.getRandomValues(new Uint8Array(32)); return a.some((x) => x !== 0);",
        "true",
    )
    .await;
    expect("return /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID());", "true").await;
    expect("const o = { d: new Date(5), m: new Map([[1, new Set([2])]]), a: [1, , 3] }; o.self = o; const c = structuredClone(o); return [c !== o, c.self === c, c.d.getTime(), [...c.m.get(1)], c.a.length];", "[true,true,5,[2],3]").await;
    expect(
        "try { structuredClone(() => 1); } catch (e) { return e.name; }",
        "TypeError",
    )
    .await;
    expect(
        "return new Promise((done) => queueMicrotask(() => done('micro')));",
        "micro",
    )
    .await;
    expect("return [typeof Atomics, typeof SharedArrayBuffer, typeof WebAssembly, typeof WebSocket, typeof indexedDB, typeof process, typeof require, typeof model, typeof memory];", r#"["undefined","undefined","undefined","undefined","undefined","undefined","undefined","undefined","undefined"]"#).await;
    expect(
        "return [window === globalThis, self === globalThis, global === globalThis, __skillId];",
        r#"[true,true,true,"one"]"#,
    )
    .await;
}

struct Echo;

impl HostModule for Echo {
    fn name(&self) -> &str {
        "echo"
    }
    fn functions(&self) -> &[&str] {
        &["back", "fail"]
    }
    fn call(&self, skill: &SkillId, function: &str, args: Value) -> BoxFuture<'_, Result<Value, String>> {
        let answer = if function == "back" {
            Ok(json!([skill.as_str(), args]))
        } else {
            Err("it failed".to_owned())
        };
        Box::pin(async move {
            tokio::task::yield_now().await;
            answer
        })
    }
}

struct Named(&'static str);

impl HostModule for Named {
    fn name(&self) -> &str {
        self.0
    }
    fn functions(&self) -> &[&str] {
        &[]
    }
    fn call(&self, _: &SkillId, _: &str, _: Value) -> BoxFuture<'_, Result<Value, String>> {
        Box::pin(async { Ok(Value::Null) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_adds_globals() {
    let engine = Engine::builder()
        .workers(1)
        .module(Arc::new(Echo))
        .build()
        .unwrap();
    let body = "let failed; try { echo.fail(); } catch (e) { failed = e.message; } return [echo.back(1, { a: 2 }), failed, typeof echo.other];";
    let id = run(&engine, "guest", &tool(body)).await;
    assert_eq!(
        call(&engine, &id, json!({})).await.as_deref(),
        Ok(r#"[["guest",[1,{"a":2}]],"echo.fail: it failed","undefined"]"#)
    );
    engine.shutdown().await;
    for name in ["db", "not a name", "", "__skill", "JSON", "1x"] {
        let refused = Engine::builder().module(Arc::new(Named(name))).build();
        assert!(matches!(refused, Err(EngineError::Module { .. })), "{name}");
    }
}

#[test]
fn an_engine_needs_a_runtime() {
    assert!(matches!(Engine::builder().build(), Err(EngineError::NoRuntime)));
}
