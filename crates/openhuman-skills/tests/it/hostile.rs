//! Scripts that try to harm their host. After each, the same skill and another one must still answer.

use std::time::{Duration, Instant};

use openhuman_skills::ToolError;
use serde_json::json;

use crate::support::{call, call_for, engine, run};

/// What may come out of a hostile script.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// It was ended at its limit.
    Ended,
    /// It got an exception, or ended by itself.
    Answered,
    /// One or the other, depending on the speed of the machine.
    Either,
}

use Outcome::{Answered, Either, Ended};

const CASES: &[(&str, Outcome, &str)] = &[
    ("endless for", Ended, "for (;;);"),
    (
        "endless while with work",
        Ended,
        "let n = 0; while (true) { n = (n * 31 + 7) % 1000003; }",
    ),
    (
        "catches everything",
        Ended,
        "for (;;) { try { for (;;); } catch (e) {} }",
    ),
    (
        "finally loops",
        Ended,
        "for (;;) { try { throw 1 } finally { continue } }",
    ),
    (
        "endless generator",
        Ended,
        "function* g() { for (;;) yield 1; } for (const x of g());",
    ),
    (
        "generator that never gives up",
        Ended,
        "function* g() { while (true) { try { yield 1 } finally { continue } } } for (const x of g()) if (x > 2) break;",
    ),
    (
        "spread of an endless iterator",
        Either,
        "return Math.max(...{ *[Symbol.iterator]() { for (;;) yield 1; } });",
    ),
    (
        "microtask fork bomb",
        Either,
        "const f = () => { Promise.resolve().then(f, f).finally(f); Promise.resolve().then(f); }; f(); return new Promise(() => {});",
    ),
    (
        "endless then chain",
        Either,
        "return new Promise(() => { const f = () => Promise.resolve().then(f); f(); });",
    ),
    (
        "endless async loop",
        Ended,
        "return (async () => { for (;;) await null; })();",
    ),
    (
        "async loop without await",
        Ended,
        "return (async () => { await null; for (;;); })();",
    ),
    (
        "queueMicrotask storm",
        Ended,
        "return new Promise(() => { const f = () => queueMicrotask(f); f(); });",
    ),
    (
        "thenable that resolves to itself",
        Either,
        "const t = { then(r) { r(t); } }; return (async () => await t)();",
    ),
    (
        "regex backtracking",
        Either,
        "return /^(a+)+$/.test('a'.repeat(40) + 'b');",
    ),
    (
        "regex with lookahead",
        Either,
        "return /^(?=(a+)+$)b/.test('a'.repeat(40) + 'b');",
    ),
    (
        "regex alternatives",
        Either,
        "return /(x|xx|xxx)*y/.exec('x'.repeat(60));",
    ),
    (
        "sort with an endless comparison",
        Ended,
        "[3, 2, 1].sort(() => { for (;;); });",
    ),
    (
        "sort with a lying comparison",
        Either,
        "const a = Array.from({ length: 100000 }, (_, i) => i); let f = 1; for (;;) a.sort(() => (f = -f));",
    ),
    (
        "endless getter",
        Ended,
        "const o = { get x() { for (;;); } }; return o.x;",
    ),
    (
        "endless toString",
        Ended,
        "return `${{ toString() { for (;;); } }}`;",
    ),
    ("endless toJSON", Ended, "return { toJSON() { for (;;); } };"),
    (
        "endless valueOf",
        Ended,
        "return 1 + { valueOf() { for (;;); } };",
    ),
    (
        "endless then getter",
        Ended,
        "return { get then() { for (;;); } };",
    ),
    (
        "proxy ownKeys loop",
        Ended,
        "const p = new Proxy({}, { ownKeys() { for (;;); } }); return Object.keys(p);",
    ),
    (
        "proxy that changes its keys",
        Answered,
        "let n = 0; const p = new Proxy({}, { ownKeys: () => ['k' + n++] }); for (let i = 0; i < 1000; i++) Object.keys(p); return 1;",
    ),
    (
        "prototype cycle",
        Answered,
        "const a = {}; const b = Object.create(a); try { Object.setPrototypeOf(a, b); } catch (e) { return e.name; }",
    ),
    (
        "proxy prototype cycle",
        Either,
        "const p = new Proxy({}, { getPrototypeOf: () => p, get: (t, k, r) => Reflect.get(Object.create(p), k) }); return p.x;",
    ),
    (
        "set that grows while visited",
        Either,
        "const s = new Set([0]); let n = 0; s.forEach((v) => { s.add(++n); });",
    ),
    (
        "map that grows while visited",
        Either,
        "const m = new Map([[0, 0]]); for (const [k] of m) m.set(k + 1, 0);",
    ),
    (
        "recursion",
        Answered,
        "const f = (n) => f(n + 1) + 1; try { return f(0); } catch (e) { return e.name; }",
    ),
    (
        "mutual recursion that catches",
        Either,
        "let n = 0; const f = () => { try { f(); } catch (e) { n++; } f(); }; f();",
    ),
    (
        "recursion through bind",
        Answered,
        "let f = function (g) { return g.bind(null, g)(); }; try { const r = (g) => f(r); r(r); } catch (e) { return e.name; }",
    ),
    (
        "recursion through toString",
        Answered,
        "const o = { toString() { return `${o}`; } }; try { return `${o}`; } catch (e) { return e.name; }",
    ),
    (
        "recursion through a proxy",
        Answered,
        "const p = new Proxy({}, { get(t, k, r) { return r[k + 1]; } }); try { return p.a; } catch (e) { return e.name; }",
    ),
    (
        "recursion through the host",
        Answered,
        "const o = { toString() { console.log(o); return ''; }, get x() { return 1; }, toJSON() { console.log(o); return 1; } }; try { console.log(o); return 'logged'; } catch (e) { return e.name; }",
    ),
    (
        "recursion through database parameters",
        Answered,
        "const o = { toJSON() { db.exec('SELECT ?', [o]); return 1; } }; try { db.exec('SELECT ?', [o]); return 1; } catch (e) { return e.name; }",
    ),
    (
        "recursion through state",
        Answered,
        "const o = { toJSON() { state.set('x', o); return 1; } }; try { state.set('x', o); } catch (e) { return e.name; }",
    ),
    (
        "recursion through array callbacks",
        Answered,
        "const f = () => [1].map(f); try { return f(); } catch (e) { return e.name; }",
    ),
    (
        "recursion through replace",
        Answered,
        "const f = () => 'a'.replace(/a/, f); try { return f(); } catch (e) { return e.name; }",
    ),
    (
        "deep JSON",
        Answered,
        "try { return JSON.stringify(JSON.parse('['.repeat(200000) + ']'.repeat(200000))).length; } catch (e) { return e.name; }",
    ),
    (
        "deep JSON result",
        Answered,
        "let o = 1; for (let i = 0; i < 5000; i++) o = [o]; return o;",
    ),
    (
        "deep JSON to the host",
        Answered,
        "let o = 1; for (let i = 0; i < 1000; i++) o = [o]; try { state.set('deep', o); } catch (e) { return e.message; }",
    ),
    (
        "deep source",
        Answered,
        "try { return new Function('return ' + '('.repeat(100000) + '1' + ')'.repeat(100000))(); } catch (e) { return e.name; }",
    ),
    (
        "deep regular expression",
        Answered,
        "try { return new RegExp('('.repeat(100000) + ')'.repeat(100000)).test(''); } catch (e) { return e.name; }",
    ),
    (
        "memory bomb of arrays",
        Answered,
        "const a = []; try { for (;;) a.push(new Array(100000).fill(1)); } catch (e) { return e.message; }",
    ),
    (
        "memory bomb of buffers",
        Answered,
        "const a = []; try { for (;;) a.push(new ArrayBuffer(4 * 1024 * 1024)); } catch (e) { return e.name; }",
    ),
    (
        "one huge buffer",
        Answered,
        "try { return new ArrayBuffer(2 ** 33).byteLength; } catch (e) { return e.name; }",
    ),
    (
        "huge repeat",
        Answered,
        "try { return 'x'.repeat(2 ** 29).length; } catch (e) { return e.name; }",
    ),
    (
        "string doubling",
        Answered,
        "let s = 'x'; try { for (;;) s += s; } catch (e) { return e.name; }",
    ),
    (
        "memory bomb that retries",
        Either,
        "for (;;) { try { const a = []; for (;;) a.push('x'.repeat(1000000) + a.length); } catch (e) {} }",
    ),
    (
        "cycles for the collector",
        Either,
        "for (let i = 0; i < 300000; i++) { const a = {}, b = { a }; a.b = b; } return 'collected';",
    ),
    (
        "huge BigInt",
        Answered,
        "try { return String((2n ** 100000n).toString().length); } catch (e) { return e.name; }",
    ),
    (
        "BigInt beyond all limits",
        Answered,
        "try { return String(2n ** (2n ** 40n)); } catch (e) { return e.name; }",
    ),
    (
        "many properties",
        Either,
        "const o = {}; try { for (let i = 0; ; i++) o['p' + i] = i; } catch (e) { return e.name; }",
    ),
    (
        "many closures",
        Either,
        "const a = []; try { for (;;) a.push(() => a); } catch (e) { return e.name; }",
    ),
    (
        "many timers",
        Answered,
        "try { for (;;) setTimeout(() => {}, 100000); } catch (e) { return e.message; }",
    ),
    (
        "timer churn",
        Ended,
        "for (;;) clearTimeout(setTimeout(() => {}, 1e9));",
    ),
    (
        "timer storm",
        Answered,
        "for (let i = 0; i < 100; i++) setInterval(() => {}, 0); return 'armed';",
    ),
    (
        "log storm",
        Answered,
        "for (let i = 0; i < 5000; i++) console.log('x'.repeat(1000)); return 'logged';",
    ),
    (
        "endless database query",
        Either,
        "try { return db.get('WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c'); } catch (e) { return e.message; }",
    ),
    (
        "too many rows",
        Answered,
        "try { return db.all('WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 20000) SELECT x FROM c'); } catch (e) { return e.message; }",
    ),
    (
        "a database value too large",
        Answered,
        "try { return db.get('SELECT zeroblob(100000000)'); } catch (e) { return e.message; }",
    ),
    (
        "attach",
        Answered,
        "try { db.exec(\"ATTACH 'x.db' AS x\"); return 'attached'; } catch (e) { return e.message; }",
    ),
    (
        "too many parameters",
        Answered,
        "try { db.exec('SELECT 1', new Array(2 ** 32 - 1)); } catch (e) { return e.name; }",
    ),
    (
        "blocking wait",
        Answered,
        "return typeof Atomics + typeof SharedArrayBuffer + typeof WebAssembly;",
    ),
    (
        "dynamic import",
        Answered,
        "return import('fs').then(() => 'imported', (e) => 'refused');",
    ),
    (
        "broken primordials",
        Answered,
        "JSON.parse = JSON.stringify = Array.prototype.map = Promise.prototype.then = () => { throw 1 }; Object.prototype.toString = null; return 'broken';",
    ),
    (
        "replaces the host's functions",
        Answered,
        "globalThis.console = null; delete globalThis.db; globalThis.Promise = null; return 'replaced';",
    ),
    ("throws undefined", Answered, "throw undefined;"),
    (
        "throws a proxy",
        Answered,
        "throw new Proxy(new Error('x'), { get() { throw 1; } });",
    ),
    (
        "error with endless stack",
        Ended,
        "const e = new Error('x'); Object.defineProperty(e, 'stack', { get() { for (;;); } }); throw e;",
    ),
    (
        "prepareStackTrace loops",
        Ended,
        "Error.prepareStackTrace = () => { for (;;); }; return new Error('x').stack;",
    ),
    (
        "finalization callbacks",
        Answered,
        "const r = new FinalizationRegistry(() => { for (;;); }); for (let i = 0; i < 1000; i++) r.register({}, i); return 1;",
    ),
    ("sleeps too long", Ended, "sleep(1e9);"),
    (
        "sleeps in a loop",
        Ended,
        "for (;;) { try { sleep(1); } catch (e) {} }",
    ),
    (
        "busy wait",
        Ended,
        "const end = Date.now() + 60000; while (Date.now() < end);",
    ),
    ("eval loop", Ended, "for (;;) eval('1+1');"),
    (
        "Function factory loop",
        Ended,
        "for (let i = 0; ; i++) new Function('return ' + i)();",
    ),
    (
        "deep promise chain",
        Either,
        "let p = Promise.resolve(); for (let i = 0; i < 100000; i++) p = p.then(() => i); return p;",
    ),
    (
        "nested async functions",
        Answered,
        "const f = async (n) => { if (n > 0) await f(n - 1); return n; }; return f(3000).catch((e) => e.name);",
    ),
    (
        "symbol tricks",
        Answered,
        "return { [Symbol.toPrimitive]() { return Symbol('x'); }, toString: null };",
    ),
    ("returns a function", Answered, "return () => 1;"),
    ("returns a symbol", Answered, "return Symbol('x');"),
];

fn wait() -> Duration {
    Duration::from_millis(400)
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_scripts_harm_nobody() {
    let engine = engine();
    let mut cases = String::new();
    for (index, (_, _, body)) in CASES.iter().enumerate() {
        cases.push_str(&format!("case {index}: {{ {body} }}\n"));
    }
    let neighbour = run(
        &engine,
        "neighbour",
        "var tools = [{ name: 'run', execute: (a) => String(a.n) }];",
    )
    .await;
    for (index, (name, expected, _)) in CASES.iter().enumerate() {
        let code = format!(
            "var tools = [{{ name: 'run', execute(args) {{ if (args.ping) return 'alive'; switch (args.n) {{ {cases} }} }} }}];"
        );
        let id = run(&engine, &format!("case-{index}"), &code).await;
        let started = Instant::now();
        let result = call_for(&engine, &id, json!({ "n": index }), wait()).await;
        let took = started.elapsed();
        assert!(took < Duration::from_secs(30), "{name} took {took:?}");
        match expected {
            Ended => assert_eq!(result, Err(ToolError::TimedOut), "{name}"),
            Answered => assert!(!matches!(result, Err(ToolError::TimedOut)), "{name}: {result:?}"),
            Either => {}
        }
        assert_eq!(
            call(&engine, &neighbour, json!({ "n": index })).await,
            Ok(index.to_string()),
            "after {name}"
        );
        // A skill that broke its own globals only has to stay stoppable.
        if !name.contains("primordials") && !name.contains("replaces") && !name.contains("fork bomb") {
            let mut alive = call(&engine, &id, json!({ "ping": true })).await;
            if matches!(
                alive,
                Err(ToolError::Stopped { .. } | ToolError::NotRunning { .. })
            ) {
                // It was ended inside of a built-in function, and can be started again.
                engine.stop(&id).await.unwrap();
                engine.start(&id).await.unwrap();
                alive = call(&engine, &id, json!({ "ping": true })).await;
            }
            assert_eq!(alive.as_deref(), Ok("alive"), "after {name}");
        }
        engine.remove(&id).await.unwrap();
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_one_skill_does_not_count_for_another() {
    let engine = engine();
    let eats = "var kept = []; var tools = [{ name: 'run', execute() { try { for (;;) kept.push(new ArrayBuffer(1024 * 1024)); } catch (e) { return kept.length; } } }];";
    for index in 0..3 {
        let id = run(&engine, &format!("eats-{index}"), eats).await;
        let megabytes: u32 = call(&engine, &id, json!({})).await.unwrap().parse().unwrap();
        assert!((50..=64).contains(&megabytes), "{megabytes}");
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_skills_answer_beside_two_hogs() {
    let engine = engine();
    for index in 0..2 {
        let hog = run(
            &engine,
            &format!("hog-{index}"),
            "var tools = [{ name: 'run', execute() { for (;;); } }];",
        )
        .await;
        let engine = engine.clone();
        tokio::spawn(async move { call_for(&engine, &hog, json!({}), Duration::from_secs(60)).await });
    }
    let mut skills = Vec::new();
    for index in 0..200 {
        skills.push(
            run(
                &engine,
                &format!("good-{index}"),
                "var tools = [{ name: 'run', execute: (a) => String(a.n * 2) }];",
            )
            .await,
        );
    }
    for (index, id) in skills.iter().enumerate() {
        assert_eq!(
            call_for(&engine, id, json!({ "n": index }), Duration::from_secs(5)).await,
            Ok((index * 2).to_string())
        );
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skills_do_not_see_each_other() {
    let engine = engine();
    let code = "var tools = [{ name: 'run', execute(a) {
        if (a.write) { globalThis.shared = a.write; Object.prototype.leak = a.write; state.set('k', a.write); db.kvSet('k', a.write); db.exec('CREATE TABLE mine (x)'); return 'ok'; }
        let tables = db.all(\"SELECT name FROM sqlite_master WHERE name = 'mine'\").length;
        return [globalThis.shared ?? null, {}.leak ?? null, state.get('k'), db.kvGet('k'), tables];
    } }];";
    let one = run(&engine, "one", code).await;
    let two = run(&engine, "two", code).await;
    assert_eq!(
        call(&engine, &one, json!({"write": "secret"})).await.as_deref(),
        Ok("ok")
    );
    assert_eq!(
        call(&engine, &two, json!({})).await.as_deref(),
        Ok("[null,null,null,null,0]")
    );
    assert_eq!(
        call(&engine, &one, json!({})).await.as_deref(),
        Ok(r#"["secret","secret","secret","secret",1]"#)
    );
    engine.shutdown().await;
}
