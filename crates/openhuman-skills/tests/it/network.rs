use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{AppendHeaders, IntoResponse as _, Redirect, Response};
use axum::routing::{any, get};
use futures_util::future::BoxFuture;
use openhuman_skills::{Engine, Grant, HostRule, MemorySecrets, NameResolver, SkillEvent, SkillId};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{call, call_for, engine, run_with, tool, until};

/// Starts a server on loopback.
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn echo(method: Method, headers: HeaderMap, request: Request) -> Response {
    let path = request.uri().to_string();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
            .to_owned()
    };
    let text = json!({"method": method.as_str(), "path": path, "auth": header("authorization"), "x": header("x-test"),
        "body": String::from_utf8_lossy(&body)});
    let several = AppendHeaders([("x-multi", "a"), ("x-multi", "b"), ("set-cookie", "s=1")]);
    (several, text.to_string()).into_response()
}

fn routes() -> Router {
    Router::new()
        .route("/echo", any(echo))
        .route("/echo/{*rest}", any(echo))
        .route(
            "/missing",
            get(|| async { (StatusCode::NOT_FOUND, "nothing here") }),
        )
        .route("/loop", get(|| async { Redirect::temporary("/loop") }))
        .route("/moved", any(|| async { Redirect::to("/echo") }))
        .route(
            "/large",
            get(|| async { Body::from(vec![b'x'; 9 * 1024 * 1024]) }),
        )
        .route("/slow", get(std::future::pending::<()>))
}

fn private(address: SocketAddr) -> Grant {
    let mut grant = Grant::none();
    grant.allow_private("127.0.0.1", address.port());
    grant
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_out_and_answers_come_back() {
    let address = serve(routes()).await;
    let engine = engine();
    let id = run_with(&engine, "net", &tool("return eval(args.code);"), private(address)).await;
    let eval = |code: &str| {
        call(
            &engine,
            &id,
            json!({ "code": code.replace("BASE", &format!("http://{address}")) }),
        )
    };
    let post = "const r = net.fetch('BASE/echo?q=1', { method: 'POST', headers: { 'X-Test': 't' }, body: '{\"ü\":1}' }); [r.status, r.statusText, JSON.parse(r.body), r.headers['x-multi'], r.headers['set-cookie']]";
    assert_eq!(
        eval(post).await.as_deref(),
        Ok(
            r#"[200,"OK",{"auth":"","body":"{\"ü\":1}","method":"POST","path":"/echo?q=1","x":"t"},"a, b",["s=1"]]"#
        )
    );
    assert_eq!(
        eval("net.fetch('BASE/missing').status").await.as_deref(),
        Ok("404")
    );
    assert_eq!(
        eval("JSON.parse(net.fetch('BASE/moved', { method: 'POST', body: 'x' }).body).method")
            .await
            .as_deref(),
        Ok("GET")
    );
    assert_eq!(
        eval("net.fetch('BASE/moved', { redirect: 'manual' }).headers.location")
            .await
            .as_deref(),
        Ok("/echo")
    );
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let code = format!("JSON.parse(net.fetch('BASE/echo', {{ method: '{method}' }}).body).method");
        assert_eq!(eval(&code).await.as_deref(), Ok(method));
    }
    for (code, text) in [
        (
            "net.fetch('BASE/echo', { method: 'BREW' })",
            "method must be one of",
        ),
        (
            "net.fetch('BASE/echo', { method: 'POST', body: { a: 1 } })",
            "the body must be a string",
        ),
        ("net.fetch('BASE/loop')", "redirects"),
        ("net.fetch('BASE/large')", "larger than"),
        (
            "net.fetch('BASE/slow', { timeout: 0.1 })",
            "no complete answer within",
        ),
        (
            "net.fetch('http://127.0.0.1:1/')",
            "127.0.0.1:1 is a private address; it needs an explicit grant",
        ),
        (
            "net.fetch('https://example.com/')",
            "is not asked for in the manifest",
        ),
    ] {
        let error = eval(code).await.unwrap_err().to_string();
        assert!(error.contains(text), "{code}: {error}");
    }
    let standard = "(async () => { const all = await Promise.all([fetch('BASE/echo'), fetch('BASE/missing')]); return [all[0].ok, all[1].ok, all[1].status, (await all[0].json()).method, await all[1].text(), all[0].headers.get('X-Multi')]; })()";
    assert_eq!(
        eval(standard).await.as_deref(),
        Ok(r#"[true,false,404,"GET","nothing here","a, b"]"#)
    );
    assert_eq!(
        eval("fetch('https://example.com/').catch((e) => e.name)")
            .await
            .as_deref(),
        Ok("TypeError")
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_asked_for_but_not_allowed_is_named() {
    let engine = engine();
    let manifest = json!({"id": "asks", "name": "A", "permissions": {"net": [{"host": "example.com"}]}});
    let package = openhuman_skills::SkillPackage::from_parts(
        &manifest.to_string(),
        tool("return net.fetch('https://example.com/').body;"),
    )
    .unwrap();
    let id = engine.install(package, Grant::none()).await.unwrap();
    engine.start(&id).await.unwrap();
    let error = call(&engine, &id, json!({})).await.unwrap_err().to_string();
    let expected = "example.com is asked for by the manifest but was not allowed; allow the skill first";
    assert!(error.contains(expected), "{error}");
    engine.shutdown().await;
}

/// Answers every name with one address.
pub(crate) struct Always(pub(crate) IpAddr);

impl NameResolver for Always {
    fn resolve(&self, _: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let address = self.0;
        Box::pin(async move { Ok(vec![address]) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_03_no_way_of_writing_an_address_leads_inside() {
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let counting = Router::new().fallback(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { "reached" }
    });
    let address = serve(counting).await;
    let engine = Engine::builder()
        .workers(1)
        .resolver(Arc::new(Always(IpAddr::V4(Ipv4Addr::LOCALHOST))))
        .build()
        .unwrap();
    let mut grant = Grant::none();
    grant
        .allow_host(HostRule::new("*").http().ports(1..=u16::MAX))
        .allow_websocket("*");
    let id = run_with(
        &engine,
        "ssrf",
        &tool("try { return net.fetch(args.url).body; } catch (e) { return 'refused: ' + e.message; }"),
        grant,
    )
    .await;
    let port = address.port();
    let corpus = include_str!("../data/ssrf.txt").lines();
    let corpus = corpus.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut urls: Vec<String> = corpus
        .map(|line| line.replace("PORT", &port.to_string()))
        .collect();
    assert!(urls.len() >= 100, "{}", urls.len());
    // Names that resolve inside, whatever they look like.
    for name in [
        "rebind.example.com",
        "127.0.0.1.nip.io",
        "xn--bcher-kva.example",
        "a.b.c.d.example",
        "metadata.google.internal",
    ] {
        urls.push(format!("http://{name}:{port}/"));
        urls.push(format!("http://{name}.:{port}/"));
    }
    for url in urls {
        let text = call(&engine, &id, json!({ "url": url })).await.unwrap();
        assert!(text.starts_with("refused"), "{url}: {text}");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_checked_again() {
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let inside = serve(Router::new().fallback(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { "inside" }
    }))
    .await;
    let target = format!("http://127.0.0.1:{}/", inside.port());
    let outside =
        serve(Router::new().route("/", get(move || async move { Redirect::temporary(&target) }))).await;
    let engine = engine();
    let id = run_with(
        &engine,
        "redirect",
        &tool("return net.fetch(args.url).body;"),
        private(outside),
    )
    .await;
    let error = call(&engine, &id, json!({ "url": format!("http://{outside}/") }))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("is a private address"), "{error}");
    assert_eq!(hits.load(Ordering::SeqCst), 0);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_put_in_at_egress_only() {
    let address = serve(routes()).await;
    let seen = serve(Router::new().route(
        "/",
        get(|headers: HeaderMap| async move {
            (headers
                .get("authorization")
                .map(axum::http::HeaderValue::as_bytes)
                == Some(b"Bearer t0p:s3cret"))
            .to_string()
        }),
    ))
    .await;
    let skill = SkillId::new("secret").unwrap();
    let secrets = MemorySecrets::default()
        .with(&skill, "key", &address.to_string(), "t0p:s3cret")
        .with(&skill, "key", &seen.to_string(), "t0p:s3cret")
        .with(&skill, "other", "api.example.com", "x");
    let engine = Engine::builder()
        .workers(1)
        .secrets(Arc::new(secrets))
        .build()
        .unwrap();
    let id = run_with(
        &engine,
        "secret",
        &tool("const r = net.fetch(args.url, args.options); return r.body;"),
        private(address),
    )
    .await;
    let send = |path: &str, options: serde_json::Value| {
        call(
            &engine,
            &id,
            json!({ "url": format!("http://{address}{path}"), "options": options }),
        )
    };
    // The server echoes what it got; what comes back holds the placeholder again, so compare lengths through a server-side view.
    let text = send("/echo/bot{{secret:key}}/x", json!({"method": "POST", "headers": {"Authorization": "Bearer {{secret:key}}"}, "body": "k={{secret:key}}"})).await.unwrap();
    assert!(!text.contains("s3cret"), "{text}");
    assert!(
        text.contains("Bearer {{secret:key}}") && text.contains("/echo/bot{{secret:key}}/x"),
        "{text}"
    );
    let mut grant = private(seen);
    grant.allow_private("127.0.0.1", address.port());
    engine.remove(&id).await.unwrap();
    let id = run_with(
        &engine,
        "secret",
        &tool("return net.fetch(args.url, { headers: { Authorization: 'Bearer {{secret:key}}' } }).body;"),
        grant,
    )
    .await;
    assert_eq!(
        call(&engine, &id, json!({ "url": format!("http://{seen}/") }))
            .await
            .as_deref(),
        Ok("true")
    );
    let id = run_with(
        &engine,
        "thief",
        &tool("return net.fetch(args.url, { headers: { a: args.h } }).body;"),
        private(address),
    )
    .await;
    for handle in ["{{secret:key}}", "{{secret:other}}", "{{secret:none}}"] {
        let error = call(
            &engine,
            &id,
            json!({ "url": format!("http://{address}/echo"), "h": handle }),
        )
        .await
        .unwrap_err()
        .to_string();
        assert!(error.contains("may not be sent"), "{error}");
    }
    engine.shutdown().await;
}

/// A server that holds every request until it is released.
async fn holding() -> (SocketAddr, Arc<AtomicUsize>, tokio::sync::watch::Sender<bool>) {
    let waiting = Arc::new(AtomicUsize::new(0));
    let (release, released) = tokio::sync::watch::channel(false);
    let count = Arc::clone(&waiting);
    let router = Router::new().route(
        "/hold",
        get(move || {
            let (count, mut released) = (Arc::clone(&count), released.clone());
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = released.wait_for(|released| *released).await;
                "released"
            }
        }),
    );
    (serve(router).await, waiting, release)
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_does_not_wait_for_a_blocked_fetch() {
    let (address, waiting, _release) = holding().await;
    let engine = engine();
    let id = run_with(
        &engine,
        "blocked",
        &tool("return net.fetch(args.url).body;"),
        private(address),
    )
    .await;
    let pending = {
        let (engine, id, url) = (engine.clone(), id.clone(), format!("http://{address}/hold"));
        tokio::spawn(async move { call(&engine, &id, json!({ "url": url })).await })
    };
    until(|| waiting.load(Ordering::SeqCst) == 1).await;
    let started = std::time::Instant::now();
    engine.stop(&id).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(
        pending
            .await
            .unwrap()
            .unwrap_err()
            .to_string()
            .contains("did not respond")
    );
    engine.start(&id).await.unwrap();
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_fetch_ends_at_the_limit_of_its_call() {
    let (address, _waiting, _release) = holding().await;
    let engine = engine();
    let id = run_with(
        &engine,
        "limit",
        &tool("if (args.ping) return 'alive'; return net.fetch(args.url).body;"),
        private(address),
    )
    .await;
    let url = format!("http://{address}/hold");
    let result = call_for(&engine, &id, json!({ "url": url }), Duration::from_millis(200)).await;
    assert_eq!(result, Err(openhuman_skills::ToolError::TimedOut));
    assert_eq!(
        call(&engine, &id, json!({"ping": 1})).await.as_deref(),
        Ok("alive")
    );
    engine.shutdown().await;
}

fn open_files_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap_or("");
    line.split_whitespace()
        .nth(3)
        .and_then(|soft| soft.parse().ok())
        .unwrap_or(256)
}

fn threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_fetches_block_no_thread() {
    // Each blocked fetch needs two descriptors, one for each end.
    let count = if open_files_limit() >= 1300 { 500 } else { 60 };
    let (address, waiting, release) = holding().await;
    let engine = engine();
    let url = format!("http://{address}/hold");
    let mut skills = Vec::new();
    for index in 0..count {
        skills.push(
            run_with(
                &engine,
                &format!("s{index}"),
                &tool("return net.fetch(args.url).body + args.n;"),
                private(address),
            )
            .await,
        );
    }
    let before = threads();
    let calls: Vec<_> = skills
        .iter()
        .enumerate()
        .map(|(n, id)| {
            let (engine, id, args) = (engine.clone(), id.clone(), json!({ "url": url, "n": n }));
            tokio::spawn(async move { call(&engine, &id, args).await })
        })
        .collect();
    until(|| waiting.load(Ordering::SeqCst) == count).await;
    if let (Some(before), Some(during)) = (before, threads()) {
        // Other tests of this binary come and go; 500 threads would not hide.
        assert!(during < before + 60, "{before} threads became {during}");
    }
    release.send(true).unwrap();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), Ok(format!("released{n}")));
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_22_time_limits_are_seconds_and_say_so() {
    let (address, _waiting, _release) = holding().await;
    let engine = engine();
    let mut events = engine.events();
    let id = run_with(
        &engine,
        "units",
        &tool("try { return net.fetch(args.url, args.options).body; } catch (e) { return e.message; }"),
        private(address),
    )
    .await;
    let url = format!("http://{address}/hold");
    for (options, limit) in [
        (json!({"timeout": 0.2}), "0.2 s"),
        (json!({"timeoutMs": 300}), "0.3 s"),
        (json!({"timeoutMs": 250, "timeout": 60}), "0.25 s"),
        (json!({"timeout": 1000}), "1 s"),
    ] {
        let text = call(&engine, &id, json!({"url": url, "options": options}))
            .await
            .unwrap();
        assert!(
            text.contains(&format!("no complete answer within {limit}")),
            "{options}: {text}"
        );
    }
    for bad in [
        json!({"timeout": 0}),
        json!({"timeout": -5}),
        json!({"timeout": "10"}),
        json!({"timeoutMs": true}),
    ] {
        let text = call(&engine, &id, json!({"url": url, "options": bad}))
            .await
            .unwrap();
        assert!(text.contains("must be a positive number"), "{bad}: {text}");
    }
    let mut warned = false;
    while let Ok(event) = events.try_recv() {
        warned |=
            matches!(&event, SkillEvent::Log { message, .. } if message.contains("read as milliseconds"));
    }
    assert!(warned, "reading a value as milliseconds is said");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_28_bodies_are_bounded_headers_kept_and_nonsense_rejected() {
    let bomb = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &vec![0; 32 * 1024 * 1024]).unwrap();
        encoder.finish().unwrap()
    };
    let bombs = get(move || {
        let bomb = bomb.clone();
        async move { ([("content-encoding", "gzip")], bomb) }
    });
    let endless = get(|| async {
        let pieces = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 64 * 1024]));
        Body::from_stream(pieces)
    });
    let address = serve(routes().route("/bomb", bombs).route("/endless", endless)).await;
    let engine = engine();
    let id = run_with(
        &engine,
        "bounds",
        &tool("return eval(args.code);"),
        private(address),
    )
    .await;
    let eval = |code: &str| {
        call(
            &engine,
            &id,
            json!({ "code": code.replace("BASE", &format!("http://{address}")) }),
        )
    };
    for (code, text) in [
        ("net.fetch('BASE/large')", "larger than 8388608 bytes"),
        ("net.fetch('BASE/endless')", "larger than 8388608 bytes"),
        ("net.fetch('BASE/bomb')", "decompression bomb"),
        (
            "net.fetch('BASE/echo', { method: 'POST', body: 'x'.repeat(8 * 1024 * 1024 + 1) })",
            "the body is larger than",
        ),
        (
            "net.fetch('BASE/echo', { method: 'BREW' })",
            "method must be one of",
        ),
        (
            "net.fetch('BASE/echo', { method: 'TRACE' })",
            "method must be one of",
        ),
        ("net.fetch('BASE/echo', { method: 7 })", "method must be one of"),
        (
            "net.fetch('BASE/echo', { method: 'POST', body: 5 })",
            "the body must be a string",
        ),
        (
            "net.fetch('BASE/echo', { method: 'POST', body: { a: 1 } })",
            "use JSON.stringify",
        ),
        (
            "net.fetch('BASE/echo', { method: 'POST', body: new Uint8Array(3) })",
            "the body must be a string",
        ),
        (
            "net.fetch('BASE/echo', { body: 'x' })",
            "a GET request has no body",
        ),
        (
            "net.fetch('BASE/echo', { headers: { 'a\\nb': '1' } })",
            "is not a header name",
        ),
        (
            "net.fetch('BASE/echo', { headers: { a: '1\\r\\nx: y' } })",
            "forbidden character",
        ),
        (
            "net.fetch('BASE/echo', { headers: { Host: 'evil' } })",
            "is set by the host",
        ),
        ("net.fetch('BASE/echo', 5)", "the options must be an object"),
        ("net.fetch()", "is not a URL"),
    ] {
        let error = eval(code).await.unwrap_err().to_string();
        assert!(error.contains(text), "{code}: {error}");
    }
    let kept = "const r = net.fetch('BASE/echo', { method: 'POST', body: 'ü€😀\\u0000', headers: { 'X-Test': 'kept', 'Authorization': 'Bearer x' } }); \
        const b = JSON.parse(r.body); JSON.stringify([b.x, b.auth, b.body, r.headers['x-multi'], r.headers['set-cookie']])";
    assert_eq!(
        eval(kept).await.as_deref(),
        Ok("[\"kept\",\"Bearer x\",\"ü€😀\\u0000\",\"a, b\",[\"s=1\"]]")
    );
    engine.shutdown().await;
}
