//! The library behind the globals, ES modules, and what the host sees of them.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openhuman_skills::{Engine, Grant, SkillEvent, SkillId, SkillPackage};
use serde_json::json;

use crate::support::{call, engine, eval, run, tool};

async fn expect(body: &str, text: &str) {
    assert_eq!(eval(body).await.as_deref(), Ok(text), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn globals_load_when_touched_and_can_be_replaced() {
    // The accessor becomes a plain property on first touch.
    expect(
        "const before = 'get' in Object.getOwnPropertyDescriptor(globalThis, 'console');
         console.log('x');
         const after = Object.getOwnPropertyDescriptor(globalThis, 'console');
         return [before, 'value' in after, after.writable, after.enumerable, console === log];",
        "[true,true,true,false,true]",
    )
    .await;
    expect(
        "net = { fetch: () => 'mine' }; return [net.fetch(), window.net === net];",
        r#"["mine",true]"#,
    )
    .await;
    expect("delete globalThis.console; return typeof console;", "undefined").await;
    // A declaration of the same name is the skill's own.
    let engine = engine();
    let code = format!(
        "function fetch() {{ return 'own'; }} const state = {{ own: true }};\n{}",
        tool("return [fetch(), state.own];")
    );
    let id = run(&engine, "own", &code).await;
    assert_eq!(
        call(&engine, &id, json!({})).await.as_deref(),
        Ok(r#"["own",true]"#)
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn built_ins_that_come_when_touched_leave_what_the_skill_made_of_their_names() {
    // The others of a group come as they should, beside what was assigned, redefined, or deleted before.
    expect(
        "globalThis.WeakSet = 'mine'; delete globalThis.WeakMap;
         Object.defineProperty(globalThis, 'Set', { get: () => 'seen', configurable: true, enumerable: true });
         const map = new Map([[1, 2]]);
         const of = (name) => Object.getOwnPropertyDescriptor(globalThis, name);
         return [map.get(1), WeakSet, typeof WeakMap, Set, of('Set').enumerable, of('Map').enumerable, of('Map').writable,
             Object.prototype.toString.call(map)];",
        r#"[2,"mine","undefined","seen",true,false,true,"[object Map]"]"#,
    )
    .await;
    // What the host makes does not ask the script's names.
    expect(
        "delete globalThis.DataView; globalThis.ArrayBuffer = 5;
         const bytes = new TextEncoder().encode('ab');
         return [bytes.length, bytes[1], Object.prototype.toString.call(bytes), bytes.constructor === Uint8Array,
             typeof DataView, typeof SharedArrayBuffer, typeof Atomics, ArrayBuffer];",
        r#"[2,98,"[object Uint8Array]",true,"undefined","undefined","undefined",5]"#,
    )
    .await;
    expect(
        "globalThis.DOMException = 5; try { atob('%'); } catch (e) { return [e.name, e.code, e instanceof Error, DOMException]; }",
        r#"["InvalidCharacterError",5,true,5]"#,
    )
    .await;
    expect(
        "const get = Object.getOwnPropertyDescriptor(globalThis, 'WeakRef').get; const o = {};
         return [new WeakRef(o).deref() === o, get() === WeakRef, new FinalizationRegistry(() => {}) instanceof FinalizationRegistry];",
        "[true,true,true]",
    )
    .await;
    // Top-level declarations take the names.
    let engine = engine();
    let code = format!(
        "class Map {{ own() {{ return 1; }} }} function Set() {{ this.own = 2; }} var atob = () => 3;\n{}",
        tool("return [new Map().own(), new Set().own, atob(), new WeakSet() instanceof WeakSet, btoa('a')];")
    );
    let id = run(&engine, "own", &code).await;
    assert_eq!(
        call(&engine, &id, json!({})).await.as_deref(),
        Ok(r#"[1,2,3,true,"YQ=="]"#)
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_global_object_keeps_the_library_and_says_which_built_in_came_too_late() {
    expect(
        "new Map(); Object.freeze(globalThis);
         const one = URL; let said; try { new WeakRef({}); } catch (e) { said = e.message; }
         return [one === URL, new URL('http://a/b').pathname, new Set([1]).size, said];",
        r#"[true,"/b",1,"WeakRef is not there: the global object was frozen before it was first used"]"#,
    )
    .await;
    // QuickJS would abort the process over some names that cannot be taken away.
    for attack in [
        "Object.defineProperty(globalThis, 'Atomics', { value: {} })",
        "Object.defineProperty(globalThis, 'SharedArrayBuffer', { value: {} })",
        "Object.defineProperty(globalThis, 'Uint8Array', { value: { prototype: { toHex: 1 } }, configurable: false })",
        "delete globalThis.Uint8Array; Object.preventExtensions(globalThis)",
        "Atomics = 1; Object.preventExtensions(globalThis)",
        "Object.seal(globalThis)",
    ] {
        let uses = "try { new DataView(new ArrayBuffer(1)); } catch (e) { said = e.name; } try { new TextEncoder().encode('a'); } catch {}";
        expect(&format!("{attack}; let said; {uses} return said;"), "TypeError").await;
    }
    // The rest of a group comes beside a name that is permanent.
    expect(
        "for (const name of ['Map', 'DataView', 'DOMException']) Object.defineProperty(globalThis, name, { value: 1, configurable: false });
         let said; try { atob('%'); } catch (e) { said = e.name; }
         return [new Set([2]).size, new Uint8Array(3).length, said, Map, DataView, DOMException];",
        r#"[1,3,"InvalidCharacterError",1,1,1]"#,
    )
    .await;
    expect(
        "Object.preventExtensions(globalThis); return [new Map().size, new Uint8Array(3).length];",
        "[0,3]",
    )
    .await;
    // An accessor that is put back ends.
    expect(
        "const { get, set } = Object.getOwnPropertyDescriptor(globalThis, 'Map'); new Map();
         Object.defineProperty(globalThis, 'Map', { get, set });
         try { Map; } catch (e) { return e.name; }",
        "TypeError",
    )
    .await;
    // What was assigned to a name that must go for a moment is still there, and stays fixed as it was.
    expect(
        "globalThis.Atomics = 7; Object.defineProperty(globalThis, 'atob', { value: 1, configurable: true });
         return [new Uint8Array(3).length, Atomics, btoa('a'), atob, Object.getOwnPropertyDescriptor(globalThis, 'atob').writable];",
        r#"[3,7,"YQ==",1,false]"#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_skill_never_sees_the_library_of_another() {
    let engine = Engine::builder().workers(1).build().unwrap();
    let first = run(
        &engine,
        "first",
        &tool("console.log = () => { throw new Error('poisoned'); }; Object.freeze(state); return 'done';"),
    )
    .await;
    let second = run(
        &engine,
        "second",
        &tool("console.log('fine'); state.set('a', 1); return state.get('a');"),
    )
    .await;
    assert_eq!(call(&engine, &first, json!({})).await.as_deref(), Ok("done"));
    assert_eq!(call(&engine, &second, json!({})).await.as_deref(), Ok("1"));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_functions_refuse_wrong_arguments_and_lone_surrogates_become_text() {
    expect(
        "const kinds = []; for (const f of [() => db.exec('SELECT ?', [Symbol('x')]), () => state.set('a', 1n), () => cron.register('a', 'x')]) {
           try { f(); kinds.push('none'); } catch (e) { kinds.push(e.name); } }
         return kinds;",
        r#"["TypeError","TypeError","TypeError"]"#,
    )
    .await;
    expect(
        "state.set('k', 'a\\ud800b'); return state.get('k');",
        "a\u{FFFD}b",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_nobody_handles_is_logged_once() {
    let engine = engine();
    let mut events = engine.events();
    let id = run(
        &engine,
        "late",
        &tool("Promise.reject(new Error('lost')); Promise.reject(new Error('handled')).catch(() => {}); return 'ok';"),
    )
    .await;
    assert_eq!(call(&engine, &id, json!({})).await.as_deref(), Ok("ok"));
    let mut lines = Vec::new();
    // The result comes before the end of the activation, where rejections are reported.
    while lines.is_empty() {
        if let SkillEvent::Log { message, .. } = events.recv().await.unwrap() {
            lines.push(message);
        }
    }
    assert_eq!(call(&engine, &id, json!({})).await.as_deref(), Ok("ok"));
    engine.shutdown().await;
    assert!(
        lines
            .iter()
            .all(|line| line.contains("a rejected promise was not handled: lost")),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_call_can_be_inspected() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let engine = Engine::builder()
        .inspect(move |call| {
            seen.lock()
                .unwrap()
                .push((call.op, call.args.clone(), call.result.clone()));
        })
        .build()
        .unwrap();
    let id = run(
        &engine,
        "watched",
        &tool("state.set('a', { b: 1 }); try { net.fetch('https://example.com'); } catch {} return 1;"),
    )
    .await;
    call(&engine, &id, json!({})).await.unwrap();
    engine.shutdown().await;
    let calls = calls.lock().unwrap();
    let set = calls.iter().find(|(op, ..)| *op == "state.set").unwrap();
    assert_eq!(set.1, [r#"{"a":{"b":1}}"#]);
    let fetch = calls.iter().find(|(op, ..)| *op == "net.fetch").unwrap();
    assert!(fetch.2.as_ref().unwrap_err().contains("example.com"), "{fetch:?}");
}

/// A package directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

async fn start(engine: &Engine, files: &[(&str, &str)]) -> Result<SkillId, String> {
    let dir = directory(files);
    let package = SkillPackage::load(dir.path()).map_err(|error| error.to_string())?;
    let id = engine
        .install(package, Grant::none())
        .await
        .map_err(|error| error.to_string())?;
    engine.start(&id).await.map_err(|error| error.to_string())?;
    Ok(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_import_files_of_their_package() {
    let engine = engine();
    let manifest = r#"{"id": "modular", "name": "Modular", "entry": "src/index.mjs"}"#;
    let id = start(
        &engine,
        &[
            ("manifest.json", manifest),
            (
                "src/index.mjs",
                "import { twice } from './lib/math.js';
                 import table from '../data/table.json' with { type: 'json' };
                 export default { tools: [{ name: 'run', description: 'd', async execute({ n }) {
                   const late = await import('./lib/late.js');
                   return { n: twice(n), name: table.name, late: late.value, strict: (function () { return this === undefined; })() };
                 } }] };",
            ),
            ("src/lib/math.js", "import { factor } from './factor.js'; export const twice = (n) => n * factor;"),
            ("src/lib/factor.js", "export const factor = 2;"),
            ("src/lib/late.js", "export const value = 'loaded';"),
            ("data/table.json", r#"{"name": "table", "__proto__": 1}"#),
        ],
    )
    .await
    .unwrap();
    assert_eq!(
        call(&engine, &id, json!({"n": 21})).await.as_deref(),
        Ok(r#"{"n":42,"name":"table","late":"loaded","strict":true}"#)
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_from_outside_are_refused() {
    let engine = engine();
    for (index, specifier) in [
        "../secret.js",
        "/etc/passwd",
        "node:fs",
        "https://example.com/a.js",
        "./absent.js",
    ]
    .iter()
    .enumerate()
    {
        let manifest = format!(r#"{{"id": "outside-{index}", "name": "Outside", "entry": "index.mjs"}}"#);
        let entry = format!("import x from '{specifier}'; export default {{ tools: [] }};");
        let error = start(&engine, &[("manifest.json", &manifest), ("index.mjs", &entry)])
            .await
            .unwrap_err();
        assert!(
            error.contains("only files of the package can be imported"),
            "{specifier}: {error}"
        );
    }
    // A classic script has no modules at all.
    expect(
        "return import('./index.js').then(() => 'loaded', (e) => e.name);",
        "ReferenceError",
    )
    .await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_never_finishes_loading_is_ended() {
    let engine = Engine::builder()
        .lifecycle_limits(
            Duration::from_millis(300),
            Duration::from_secs(1),
            Duration::from_secs(1),
        )
        .build()
        .unwrap();
    let bomb = "const again = () => Promise.resolve().then(again).finally(again); again(); await new Promise(() => {}); export default {};";
    let waits = "await new Promise((done) => setTimeout(done, 10)); export default {};";
    for (id, code, text) in [
        ("bomb", bomb, "did not finish loading"),
        ("waits", waits, "awaits a timer or a request"),
    ] {
        let manifest = format!(r#"{{"id": "{id}", "name": "Late", "type": "module"}}"#);
        let error = start(&engine, &[("manifest.json", &manifest), ("index.js", code)])
            .await
            .unwrap_err();
        assert!(error.contains(text), "{error}");
    }
    engine.shutdown().await;
}
