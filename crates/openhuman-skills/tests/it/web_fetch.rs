//! `fetch` against a real server, and what a skill can do to the library that runs inside it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{AppendHeaders, IntoResponse as _, Redirect, Response};
use axum::routing::{any, get};
use futures_util::{StreamExt as _, stream};
use openhuman_skills::Grant;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{call, engine, eval, run_with, tool, until};

/// A server on loopback, and how many of its endless bodies are being sent.
async fn serve() -> (SocketAddr, Arc<AtomicUsize>) {
    let open = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&open);
    let router = Router::new()
        .route("/echo", any(echo))
        .route(
            "/missing",
            get(|| async { (StatusCode::NOT_FOUND, "nothing here") }),
        )
        .route("/moved", any(|| async { Redirect::temporary("/echo") }))
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
        .route("/pieces", get(pieces))
        .route("/endless", get(move || endless(Arc::clone(&counted))))
        .route("/broken", get(broken))
        .route("/hold", get(std::future::pending::<()>))
        .route(
            "/cookies",
            get(|| async { AppendHeaders([("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-a", "1")]) }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, open)
}

async fn echo(method: Method, headers: HeaderMap, request: Request) -> Response {
    let body = axum::body::to_bytes(request.into_body(), 1 << 22).await.unwrap();
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok());
    json!({"method": method.as_str(), "type": kind, "length": body.len(), "body": String::from_utf8_lossy(&body),
        "x": headers.get("x-test").and_then(|value| value.to_str().ok())})
    .to_string()
    .into_response()
}

/// A body that ends in the middle.
async fn broken() -> Body {
    let parts = [
        Ok(Bytes::from(vec![0; 100_000])),
        Err(std::io::Error::other("cut")),
    ];
    Body::from_stream(stream::iter(parts))
}

async fn pieces() -> Body {
    let parts = (0..20).map(|index| Ok::<_, Infallible>(Bytes::from(vec![b'a' + index; 10_000])));
    Body::from_stream(stream::iter(parts))
}

/// Counts itself while it is being sent.
struct Sending(Arc<AtomicUsize>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn endless(open: Arc<AtomicUsize>) -> Body {
    open.fetch_add(1, Ordering::SeqCst);
    let sending = Sending(open);
    let first = stream::iter([Ok::<_, Infallible>(Bytes::from("tick"))]);
    Body::from_stream(first.chain(stream::pending()).map(move |piece| {
        let _ = &sending;
        piece
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_is_the_one_of_the_web() {
    let (address, open) = serve().await;
    let engine = engine();
    let mut grant = Grant::none();
    grant.allow_private("127.0.0.1", address.port());
    let id = run_with(&engine, "fetch", &tool("return (0, eval)(args.code);"), grant).await;
    let url = format!("http://{address}");
    let check = async |code: &str, expected: Value| {
        let code = format!(
            "(async () => JSON.stringify(await (async () => {{ {} }})()))()",
            code.replace("BASE", &url)
        );
        let answer = call(&engine, &id, json!({ "code": code })).await;
        let answer = answer.unwrap_or_else(|error| panic!("{code}: {error}"));
        assert_eq!(
            serde_json::from_str::<Value>(&answer).unwrap(),
            expected,
            "{code}"
        );
    };
    // The answer's head.
    check("const r = await fetch('BASE/missing#x'); return [r.status, r.ok, r.statusText, r.type, r.redirected, r.url === 'BASE/missing', await r.text(), r.bodyUsed]",
        json!([404, false, "Not Found", "basic", false, true, "nothing here", true])).await;
    check("const r = await fetch(new URL('BASE/moved')); return [r.status, r.redirected, r.url === 'BASE/echo']", json!([200, true, true])).await;
    check("const r = await fetch('BASE/moved', { redirect: 'manual' }); return [r.status, r.headers.get('location')]", json!([307, "/echo"])).await;
    check(
        "return fetch('BASE/moved', { redirect: 'error' }).catch((e) => e.name)",
        json!("TypeError"),
    )
    .await;
    check(
        "const r = await fetch('BASE/empty'); return [r.status, r.body, await r.text()]",
        json!([204, null, ""]),
    )
    .await;
    check(
        "const r = await fetch('BASE/echo', { method: 'HEAD' }); return [r.status, r.body]",
        json!([200, null]),
    )
    .await;
    check(
        "const r = await fetch('BASE/cookies'); return [r.headers.getSetCookie(), r.headers.get('X-A')]",
        json!([["a=1", "b=2"], "1"]),
    )
    .await;
    check(
        "const r = await fetch('BASE/echo'); try { r.headers.set('a', 'b'); } catch (e) { return e.name; }",
        json!("TypeError"),
    )
    .await;
    // Bodies that are sent.
    for (body, kind, text) in [
        ("'tëxt'", json!("text/plain;charset=UTF-8"), "tëxt"),
        ("new Uint8Array([104, 105])", json!(null), "hi"),
        ("new Uint8Array([104, 105]).buffer", json!(null), "hi"),
        (
            "new URLSearchParams({ a: 'b c' })",
            json!("application/x-www-form-urlencoded;charset=UTF-8"),
            "a=b+c",
        ),
        ("new Blob(['bl', 'ob'], { type: 'x/y' })", json!("x/y"), "blob"),
        (
            "ReadableStream.from([new Uint8Array([97]), new Uint8Array([98])])",
            json!(null),
            "ab",
        ),
        (
            "JSON.stringify({ a: 1 })",
            json!("text/plain;charset=UTF-8"),
            "{\"a\":1}",
        ),
    ] {
        let code = format!(
            "const r = await fetch('BASE/echo', {{ method: 'POST', body: {body}, duplex: 'half', headers: {{ 'X-Test': 't' }} }}); const j = await r.json(); return [j.method, j.type, j.body, j.x]"
        );
        check(&code, json!(["POST", kind, text, "t"])).await;
    }
    check("const f = new FormData(); f.append('a', 'ü'); f.append('f', new File(['data'], 'n.txt', { type: 'a/b' })); const r = await fetch('BASE/echo', { method: 'PUT', body: f }); const j = await r.json(); const back = await new Response(j.body, { headers: { 'content-type': j.type } }).formData(); return [j.method, back.get('a'), back.get('f').name, back.get('f').type, await back.get('f').text()]",
        json!(["PUT", "ü", "n.txt", "a/b", "data"])).await;
    check("const q = new Request('BASE/echo', { method: 'POST', body: 'once' }); const r = await fetch(q); return [(await r.json()).body, q.bodyUsed, await fetch(q).catch((e) => e.name)]", json!(["once", true, "TypeError"])).await;
    // Bodies that are received.
    check("const r = await fetch('BASE/pieces'); let n = 0, most = 0; for await (const c of r.body) { n += c.length; most = Math.max(most, c.length); } return [n, most <= 65536, r.bodyUsed]", json!([200_000, true, true])).await;
    check("const r = await fetch('BASE/pieces'); const c = r.clone(); return [(await r.arrayBuffer()).byteLength, (await c.text()).length]", json!([200_000, 200_000])).await;
    check("const r = await fetch('BASE/pieces'); const out = []; await r.body.pipeThrough(new TextDecoderStream()).pipeTo(new WritableStream({ write(t) { out.push(t); } })); return out.join('').length", json!(200_000)).await;
    check("const r = await fetch('BASE/pieces'); return [(await r.bytes()).length, await r.text().catch((e) => e.name)]", json!([200_000, "TypeError"])).await;
    check(
        "return fetch('BASE/broken').then((r) => r.text()).catch((e) => e.name)",
        json!("TypeError"),
    )
    .await;
    check("const r = await fetch('BASE/pieces'); const reader = r.body.getReader({ mode: 'byob' }); const { value } = await reader.read(new Uint8Array(7)); return [...value]", json!([97, 97, 97, 97, 97, 97, 97])).await;
    // Aborts.
    check("const c = new AbortController(); const p = fetch('BASE/hold', { signal: c.signal }).catch((e) => [e.name, e.code]); setTimeout(() => c.abort(), 20); return p", json!(["AbortError", 20])).await;
    check("const c = new AbortController(); const p = fetch('BASE/hold', { signal: c.signal }).catch((e) => e); setTimeout(() => c.abort('why'), 5); return p", json!("why")).await;
    check(
        "return fetch('BASE/hold', { signal: AbortSignal.timeout(20) }).catch((e) => e.name)",
        json!("TimeoutError"),
    )
    .await;
    check(
        "return fetch('BASE/hold', { timeoutMs: 50 }).catch((e) => e.name)",
        json!("TimeoutError"),
    )
    .await;
    check("const c = new AbortController(); const r = await fetch('BASE/endless', { signal: c.signal }); const reader = r.body.getReader(); const first = await reader.read(); const next = reader.read().catch((e) => e.name); c.abort(); return [first.value.length, await next, await reader.closed.catch((e) => e.name)]", json!([4, "AbortError", "AbortError"])).await;
    check("const c = new AbortController(); const r = await fetch('BASE/endless', { signal: c.signal }); const p = r.text().catch((e) => e.name); setTimeout(() => c.abort(), 10); return p", json!("AbortError")).await;
    check("const r = await fetch('BASE/endless'); const reader = r.body.getReader(); await reader.read(); await reader.cancel(); return 'cancelled'", json!("cancelled")).await;
    // Nobody sends to anybody any more.
    until(|| open.load(Ordering::SeqCst) == 0).await;
    // Refusals and failures are TypeErrors that say why.
    check(
        "return fetch('http://127.0.0.1:1/').catch((e) => [e.name, e.message.includes('private address')])",
        json!(["TypeError", true]),
    )
    .await;
    check(
        "return fetch('https://example.com/').catch((e) => [e.name, e.message.includes('not asked for')])",
        json!(["TypeError", true]),
    )
    .await;
    // Many at once.
    check("const all = await Promise.all(Array.from({ length: 10 }, (_, i) => fetch('BASE/echo', { method: 'POST', body: String(i) }).then((r) => r.json()))); return all.map((j) => j.body).join('')", json!("0123456789")).await;
    engine.shutdown().await;
}

/// Things that node 20 does not have, so that there is nothing to compare with.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_newer_than_node() {
    for (code, expected) in [
        (
            "return [URL.parse('x'), URL.parse('/a', 'http://b').href];",
            json!([null, "http://b/a"]),
        ),
        (
            "return new Response('ab').bytes().then((b) => [...b]);",
            json!([97, 98]),
        ),
        (
            "return new Blob(['ab']).bytes().then((b) => [...b]);",
            json!([97, 98]),
        ),
        (
            "const s = ReadableStream.from([1]); return [typeof s[Symbol.asyncIterator], s.locked];",
            json!(["function", false]),
        ),
        (
            "return [Object.keys(globalThis).includes('fetch'), typeof globalThis.URL, delete globalThis.URL, typeof URL];",
            json!([false, "function", true, "undefined"]),
        ),
        (
            "globalThis.fetch = 5; globalThis.URL = class Mine {}; return [fetch, new URL().constructor.name];",
            json!([5, "Mine"]),
        ),
    ] {
        let answer = eval(code).await.unwrap_or_else(|error| panic!("{code}: {error}"));
        assert_eq!(
            serde_json::from_str::<Value>(&answer).unwrap(),
            expected,
            "{code}"
        );
    }
}

/// The library runs among what a skill has changed; that can break the skill's own calls, never the host.
#[tokio::test(flavor = "multi_thread")]
async fn a_skill_that_breaks_the_prototypes_breaks_only_itself() {
    let attacks = [
        "Object.prototype.type = 'bytes'; Object.prototype.signal = 5; Object.prototype.method = 'BREW';",
        "Array.prototype[Symbol.iterator] = function* () { yield 1; };",
        "Array.prototype.flat = () => ({ length: 4e9 }); Array.prototype.map = () => new Array(4e9);",
        "Array.prototype.flat = () => [1, {}, Symbol()];",
        "Array.prototype.push = Array.prototype.slice = () => { throw null; };",
        "Promise.prototype.then = () => 5;",
        "globalThis.Promise = undefined;",
        "Promise.withResolvers = () => ({});",
        "globalThis.DOMException = 5; globalThis.performance = null; globalThis.console = null;",
        "String.prototype.toWellFormed = () => ({ toString() { throw 1; } });",
        "String.prototype.slice = String.prototype.split = String.prototype.startsWith = () => Symbol();",
        "Uint8Array.prototype.set = () => {}; globalThis.Uint8Array = class { byteLength = 1e9 };",
        "Object.defineProperty(Object.prototype, 'then', { get() { throw 1; } });",
        "Object.prototype.get = Object.prototype.set = () => 1; Object.prototype.value = 1;",
        "Map.prototype.get = () => ({ resolve: 1 }); Map.prototype.set = () => {};",
        "JSON.parse = () => { for (;;) break; return 7; }; JSON.stringify = () => '{';",
        "RegExp.prototype.exec = () => ({}); RegExp.prototype.test = () => true;",
        "Symbol.prototype.toString = null; Reflect.construct = Reflect.apply = Reflect.ownKeys = null;",
        "Object.keys = Object.defineProperty = Object.getOwnPropertyNames = () => [Symbol()];",
        "Object.freeze(Object.prototype); Object.freeze(Array.prototype); Object.freeze(globalThis);",
    ];
    let uses = "const tries = [() => new URL('http://a/b?c=d').searchParams.append('e', 'f'), () => [...new URLSearchParams('a=b')], \
        () => new TextDecoder('utf-16le').decode(new TextEncoder().encode('x')), () => new TextEncoder().encodeInto('abc', new Uint8Array(2)), \
        () => new Headers({ a: 'b' }).get('a'), () => new Request('http://a', { method: 'POST', body: 'x' }).text(), () => new Response('x').clone().json(), \
        () => fetch('http://a'), () => structuredClone({ a: [1, new Map()] }), () => crypto.getRandomValues(new Uint32Array(2)), () => crypto.randomUUID(), \
        () => crypto.subtle.digest('SHA-256', new Uint8Array(2)), () => crypto.subtle.importKey('raw', new Uint8Array(2), { name: 'HMAC', hash: 'SHA-1' }, true, ['sign']), \
        () => new AbortController().abort(), () => AbortSignal.timeout(1), () => new EventTarget().dispatchEvent(new Event('x')), \
        () => new ReadableStream({ start(c) { c.enqueue(1); c.close(); } }).pipeTo(new WritableStream()), () => new TransformStream(), \
        () => { const f = new FormData(); f.append('a', new Blob(['b'])); return new Response(f).formData(); }, () => performance.now(), () => setTimeout(() => {}, 1)]; \
        let n = 0; for (const t of tries) { try { const r = t(); n += 1; if (r && r.catch) r.catch(() => {}); } catch { n += 1; } } return 'done';";
    let engine = engine();
    for (index, attack) in attacks.iter().enumerate() {
        let code = tool(&format!("{attack} {uses}"));
        let id = run_with(&engine, &format!("attack-{index}"), &code, Grant::none()).await;
        // Any answer will do, as long as there is one and the skill is not taken down by a failure of the host.
        if let Err(error) = call(&engine, &id, json!({})).await {
            assert!(
                !error.to_string().contains("the host failed"),
                "{attack}: {error}"
            );
        }
    }
    let id = run_with(
        &engine,
        "good",
        &tool("return new URL('http://a').href;"),
        Grant::none(),
    )
    .await;
    assert_eq!(call(&engine, &id, json!({})).await.as_deref(), Ok("http://a/"));
    engine.shutdown().await;
}
