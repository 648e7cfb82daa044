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
        "DataCloneError",
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

// Contract, row 3: another database cannot be attached.
#[tokio::test(flavor = "multi_thread")]
async fn row_03_attach_is_denied() {
    expect(
        "const out = [];
         for (const sql of [\"ATTACH '../other/skill.db' AS o\", \"ATTACH ':memory:' AS o\", \"VACUUM INTO 'copy.db'\", 'DETACH main',
                            \"SELECT load_extension('x')\", \"PRAGMA temp_store_directory = '/'\"]) {
             try { db.exec(sql); out.push('done'); } catch (e) { out.push(/not a(llowed|uthorized)|prohibited|no such function/.test(e.message) || e.message); }
         }
         return out;",
        "[true,true,true,true,true,true]",
    )
    .await;
}

// Contract, row 23: values must round-trip.
#[tokio::test(flavor = "multi_thread")]
async fn row_23_values_round_trip() {
    expect(
        r#"const texts = ['123', 'true', 'null', '{"a":1}', 'grüße 😀 \u0000 end', ''];
           const back = texts.map((t) => db.get('SELECT ? AS t', [t]).t);
           return [texts.every((t, i) => back[i] === t), typeof back[0]];"#,
        r#"[true,"string"]"#,
    )
    .await;
    expect(
        "const big = [9223372036854775807n, -9223372036854775808n, 9007199254740993n];
         const back = big.map((n) => db.get('SELECT ? AS n', [n]).n);
         const safe = db.get('SELECT ? AS n', [9007199254740991n]).n;
         let error; try { db.get('SELECT ?', [2n ** 63n]); } catch (e) { error = e.name; }
         return [back.every((n, i) => n === big[i]), typeof safe, error];",
        r#"[true,"number","RangeError"]"#,
    )
    .await;
    expect(
        "const r = db.get('SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e', [Infinity, -Infinity, NaN, 0.1, -0]);
         return [r.a === Infinity, r.b === -Infinity, r.c, r.d, r.e];",
        "[true,true,null,0.1,0]",
    )
    .await;
    expect(
        "const bytes = new Uint8Array([0, 1, 254, 255]);
         return [db.get('SELECT ? AS b', [bytes]).b, db.get('SELECT length(?) AS n', [bytes.subarray(1, 3)]).n];",
        r#"["AAH+/w==",2]"#,
    )
    .await;
    expect(
        "db.kvSet('k', { t: '123', n: [1.5, null], u: 'ü' }); state.set('s', '123');
         return [db.kvGet('k'), typeof state.get('s'), db.kvGet('_store_s')];",
        r#"[{"t":"123","n":[1.5,null],"u":"ü"},"string","123"]"#,
    )
    .await;
    expect(
        "try { db.exec(\"SELECT * FROM 'käse-tisch, alt'\"); } catch (e) { return e.message; }",
        "no such table: käse-tisch, alt",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_state_is_all_or_nothing() {
    expect(
        "state.set('a', 1); let error;
         try { state.setPartial({ a: 2, b: 3, c: 'x'.repeat(300000) }); } catch (e) { error = e.name; }
         try { state.setPartial(null); } catch (e) { error += e.name; }
         const big = {}; for (let i = 0; i < 20; i++) big['k' + i] = 'x'.repeat(250000);
         try { state.setPartial(big); } catch (e) { error += e.name; }
         state.setPartial({ d: undefined, e: [1] });
         return [state.get('a'), state.keys(), error];",
        r#"[1,["a","d","e"],"TypeErrorTypeErrorError"]"#,
    )
    .await;
}

// Two database threads, and three skills that occupy one each for as long as they may.
#[tokio::test(flavor = "multi_thread")]
async fn endless_statements_do_not_keep_others_from_their_databases() {
    let engine = engine();
    let endless = "try { db.get('WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c'); }
                   catch (e) { return e.message; }";
    let mut hogs = Vec::new();
    for name in ["hog-a", "hog-b", "hog-c"] {
        let id = run(&engine, name, &tool(endless)).await;
        let engine = engine.clone();
        hogs.push(tokio::spawn(async move { call(&engine, &id, json!({})).await }));
    }
    let quick = "db.exec('CREATE TABLE IF NOT EXISTS t (x)'); db.exec('INSERT INTO t VALUES (1)'); return db.get('SELECT count(*) AS n FROM t').n;";
    let id = run(&engine, "neighbour", &tool(quick)).await;
    let started = std::time::Instant::now();
    let mut calls = 0;
    while !hogs.iter().all(tokio::task::JoinHandle::is_finished) {
        calls += 1;
        assert_eq!(call(&engine, &id, json!({})).await, Ok(calls.to_string()));
    }
    assert!(calls > 50, "{calls} in {:?}", started.elapsed());
    for hog in hogs {
        let ended = hog.await.unwrap().unwrap();
        assert!(ended.contains("more than 5 s"), "{ended}");
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_that_are_closed_meanwhile_come_back() {
    let engine = engine();
    let code = tool(
        "db.exec('CREATE TABLE IF NOT EXISTS t (x)'); db.exec('INSERT INTO t VALUES (?)', [args.n]);
         if (args.open) db.exec('BEGIN');
         return db.all('SELECT x FROM t').map((row) => row.x);",
    );
    let names: Vec<String> = (0..100).map(|index| format!("many-{index}")).collect();
    let mut ids = Vec::new();
    for name in &names {
        ids.push(run(&engine, name, &code).await);
    }
    for n in 0..3 {
        for id in &ids {
            let expected = json!((0..=n).collect::<Vec<_>>()).to_string();
            assert_eq!(call(&engine, id, json!({ "n": n })).await, Ok(expected));
        }
    }
    engine.shutdown().await;
}
