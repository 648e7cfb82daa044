//! Real bundles through their whole life, against a backend and an API on this machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use futures_util::future::BoxFuture;
use openhuman_skills::{
    CallOptions, DataDirectory, Engine, FixedSession, Grant, ManualClock, MemoryDocument, MemorySink,
    SkillEvent, SkillId, SkillPackage, SkillStatus, SnapshotTrigger,
};
use serde_json::{Value, json};

use crate::support::until;

fn package(name: &str, replace: &[(&str, String)]) -> SkillPackage {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/skills")
        .join(name);
    let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap();
    let mut manifest = read("manifest.json");
    for (from, to) in replace {
        manifest = manifest.replace(from, to);
    }
    SkillPackage::from_parts(&manifest, read("index.js")).unwrap()
}

async fn tool(engine: &Engine, id: &SkillId, name: &str, args: Value) -> Value {
    let output = engine
        .call_tool(id, name, args, CallOptions::default())
        .await
        .unwrap();
    serde_json::from_str(&output.text).unwrap_or_else(|_| panic!("{name}: {}", output.text))
}

async fn rpc(engine: &Engine, id: &SkillId, method: &str, params: Value) -> Value {
    engine
        .rpc(id, method, params)
        .await
        .unwrap_or_else(|error| panic!("{method}: {error}"))
}

type Handler = Arc<
    dyn Fn(&Method, &str, &HeaderMap, &str) -> (StatusCode, Vec<(&'static str, String)>, Value) + Send + Sync,
>;

async fn serve(handler: Handler) -> SocketAddr {
    async fn answer(
        State(handler): State<Handler>,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> (StatusCode, HeaderMap, String) {
        let path = uri.to_string();
        let (status, extra, body) = handler(&method, &path, &headers, &String::from_utf8_lossy(&body));
        let mut out = HeaderMap::new();
        for (name, value) in extra {
            out.insert(name, value.parse().unwrap());
        }
        (status, out, body.to_string())
    }
    let app = Router::new().fallback(answer).with_state(handler);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_ping_bundle_lives_its_whole_life() {
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let server = serve(Arc::new(move |_, _, _, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        (StatusCode::OK, Vec::new(), json!({"up": true}))
    }))
    .await;
    let files = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    let engine = Engine::builder()
        .workers(2)
        .clock(Arc::clone(&clock) as Arc<_>)
        .data_files(Arc::new(DataDirectory::new(files.path())))
        .build()
        .unwrap();
    let mut grant = Grant::none();
    grant.allow_private("127.0.0.1", server.port());
    let id = engine.install(package("server-ping", &[]), grant).await.unwrap();
    assert!(!engine.should_start(&id).unwrap());
    engine.start(&id).await.unwrap();
    let snapshot = || engine.snapshots().remove(0);
    assert_eq!(snapshot().tools.len(), 6);
    assert_eq!(snapshot().connection_status, "setup_required");
    let config = engine
        .call_tool(&id, "read-config", json!({}), CallOptions::default())
        .await
        .unwrap();
    assert_eq!(config.text, r#"{"success":false,"error":"none"}"#);
    let step = rpc(&engine, &id, "setup/start", json!({})).await;
    assert_eq!(step["step"]["fields"][0]["name"], "serverUrl");
    let wrong = json!({"stepId": "server-config", "values": {"serverUrl": "nonsense"}});
    assert_eq!(
        rpc(&engine, &id, "setup/submit", wrong).await["errors"][0]["field"],
        "serverUrl"
    );
    let right = json!({"stepId": "server-config", "values": {"serverUrl": format!("http://{server}/"), "pingIntervalSec": "1"}});
    assert_eq!(
        rpc(&engine, &id, "setup/submit", right).await["nextStep"]["id"],
        "notify"
    );
    let last = json!({"stepId": "notify", "values": {"notifyOnDown": true}});
    assert_eq!(
        rpc(&engine, &id, "setup/submit", last).await,
        json!({"status": "complete", "message": "Watching"})
    );
    assert!(engine.should_start(&id).unwrap());
    assert_eq!(snapshot().connection_status, "connected");
    // Its interval works, and a value of 10000 is read as milliseconds.
    until(|| hits.load(Ordering::SeqCst) >= 2).await;
    let now = tool(&engine, &id, "ping-now", json!({})).await;
    assert_eq!(
        (now["ok"].clone(), now["status"].clone()),
        (json!(true), json!(200))
    );
    let stats = tool(&engine, &id, "get-ping-stats", json!({})).await;
    assert!(stats["total"].as_u64().unwrap() >= 3, "{stats}");
    assert_eq!(stats["uptime"], 100);
    let history = tool(&engine, &id, "get-ping-history", json!({"limit": 2})).await;
    assert_eq!(
        (history.as_array().unwrap().len(), history[0]["success"].clone()),
        (2, json!(1))
    );
    assert_eq!(
        tool(&engine, &id, "list-peers", json!({})).await,
        json!(["server-ping"])
    );
    let kept = tool(&engine, &id, "read-config", json!({})).await;
    assert_eq!(kept["pingIntervalSec"], 1);
    let options = rpc(&engine, &id, "options/list", json!({})).await;
    assert_eq!(options["options"][0]["value"], "1");
    rpc(
        &engine,
        &id,
        "options/set",
        json!({"name": "verbose", "value": true}),
    )
    .await;
    assert_eq!(snapshot().tools.len(), 7);
    rpc(&engine, &id, "skill/sessionStart", json!({"sessionId": "s1"})).await;
    assert_eq!(snapshot().state["sessions"], 1);
    assert_eq!(
        rpc(&engine, &id, "skill/ping", json!({})).await,
        json!({"ok": true})
    );
    clock.advance(Duration::from_secs(1800));
    engine.run_schedules().await.unwrap();
    until(|| snapshot().state.get("lastCleanup") == Some(&json!("cleanup"))).await;
    engine.stop(&id).await.unwrap();
    assert_eq!(snapshot().state["connection_status"], "disconnected");
    engine.start(&id).await.unwrap();
    assert_eq!(snapshot().connection_status, "connected");
    assert_eq!(snapshot().state["serverUrl"], json!(format!("http://{server}/")));
    engine.shutdown().await;
}

/// What was inserted, with the skill that did.
#[derive(Default)]
struct Documents(Mutex<Vec<(String, MemoryDocument)>>);

impl MemorySink for Documents {
    fn insert(&self, skill: &SkillId, document: MemoryDocument) -> BoxFuture<'_, Result<(), String>> {
        self.0.lock().unwrap().push((skill.to_string(), document));
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_notion_bundle_syncs_through_the_backend() {
    let (searched, expired) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let fails = Arc::clone(&expired);
    let server = serve(Arc::new(move |method, path, headers, body| {
        assert_eq!(
            headers["authorization"], "Bearer jwt-of-the-session",
            "{path}"
        );
        let none = Vec::new();
        if fails.load(Ordering::SeqCst) > 0 {
            return (StatusCode::UNAUTHORIZED, none, json!({}));
        }
        match (method.as_str(), path.trim_start_matches("/proxy/by-id/abc123/")) {
            ("GET", "v1/users/me") => (StatusCode::OK, none, json!({"id": "u"})),
            // The first search is refused once: the skill waits in a loop and asks again.
            ("POST", "v1/search") if searched.fetch_add(1, Ordering::SeqCst) == 0 => (
                StatusCode::TOO_MANY_REQUESTS,
                vec![("retry-after", "1".to_owned())],
                json!({}),
            ),
            ("POST", "v1/search") => {
                let more = !body.contains("start_cursor");
                let page = |id: &str| json!({"id": id, "title": format!("Page {id}"), "properties": {"n": "123"}, "last_edited_time": "2024-05-01T10:00:00.000+02:00"});
                let results = if more { json!([page("a"), page("b")]) } else { json!([page("c")]) };
                (StatusCode::OK, none, json!({"results": results, "has_more": more, "next_cursor": "n"}))
            }
            ("GET", "v1/pages/p%2F1") => (StatusCode::OK, none, json!({"id": "p/1"})),
            other => (StatusCode::NOT_FOUND, none, json!({"path": other.1})),
        }
    }))
    .await;
    let documents = Arc::new(Documents::default());
    let engine = Engine::builder()
        .workers(2)
        .session(Arc::new(FixedSession::new(
            format!("http://{server}"),
            "jwt-of-the-session",
        )))
        .memory(Arc::clone(&documents) as Arc<_>)
        .build()
        .unwrap();
    let package = package("notion", &[]);
    let grant = Grant::from_manifest(package.manifest());
    let id = engine.install(package, grant).await.unwrap();
    engine.start(&id).await.unwrap();
    let snapshot = || engine.snapshots().remove(0);
    assert_eq!(snapshot().tools.len(), 22);
    assert_eq!(snapshot().connection_status, "setup_required");
    let connect = json!({"credentialId": "abc123", "provider": "notion", "grantedScopes": ["read"], "accountLabel": "Team"});
    assert_eq!(
        rpc(&engine, &id, "oauth/complete", connect.clone()).await,
        json!({"status": "complete", "message": "ready"})
    );
    assert_eq!(snapshot().connection_status, "connected");
    assert_eq!(snapshot().state["workspace"], "Team");
    assert_eq!(
        rpc(&engine, &id, "skill/ping", json!({})).await,
        json!({"ok": true})
    );
    let mut events = engine.events();
    let started = rpc(&engine, &id, "skill/sync", json!({})).await;
    assert_eq!(started["status"], "started", "{started}");
    until(|| snapshot().state["totalPages"] == 3).await;
    let mut state = None;
    while state.is_none() {
        if let SkillEvent::Snapshot {
            trigger: SnapshotTrigger::Sync,
            state: found,
            ..
        } = events.recv().await.unwrap()
        {
            state = Some(found);
        }
    }
    assert_eq!(state.unwrap()["syncInProgress"], false);
    let pages = tool(&engine, &id, "list-pages", json!({})).await;
    assert_eq!(pages.as_array().unwrap().len(), 3);
    assert_eq!(
        (pages[0]["properties"]["n"].clone(), pages[0]["edited"].clone()),
        (json!("123"), json!("2024-05-01T08:00:00.000Z"))
    );
    let inserted = documents.0.lock().unwrap().clone();
    assert_eq!(inserted.len(), 3);
    assert_eq!(
        (inserted[0].0.as_str(), inserted[0].1.title.as_str()),
        ("notion", "Page a")
    );
    assert_eq!(
        tool(&engine, &id, "get-page", json!({"id": "p/1"})).await["id"],
        "p/1"
    );
    let failed = tool(&engine, &id, "list-users", json!({})).await;
    assert_eq!(failed["success"], false);
    let digest = tool(&engine, &id, "digest", json!({"text": "€"})).await;
    assert_eq!(
        digest,
        json!({"hex": "e282ac", "base64": "4oKs", "big": "72623859790382856"})
    );
    // Syncing again replaces rows.
    assert_eq!(
        tool(&engine, &id, "sync-now", json!({})).await,
        json!({"success": true})
    );
    assert_eq!(
        tool(&engine, &id, "sync-status", json!({})).await,
        json!({"total": 3, "at": "number"})
    );
    // The provider takes the token back: the ping stops the skill, the credential is gone.
    expired.store(1, Ordering::SeqCst);
    let ping = rpc(&engine, &id, "skill/ping", json!({})).await;
    assert_eq!(ping["errorType"], "auth");
    assert_eq!(snapshot().status, SkillStatus::Stopped);
    assert_eq!(
        snapshot().state["connection_error"],
        "Integration token expired or invalid. Please reconnect."
    );
    expired.store(0, Ordering::SeqCst);
    engine.start(&id).await.unwrap();
    assert_eq!(snapshot().state["auth_status"], "not_authenticated");
    rpc(&engine, &id, "oauth/complete", connect).await;
    rpc(
        &engine,
        &id,
        "oauth/revoked",
        json!({"integrationId": "abc123", "reason": "user_disconnected"}),
    )
    .await;
    assert_eq!(tool(&engine, &id, "list-pages", json!({})).await, json!([]));
    assert!(snapshot().state.get("totalPages").is_none());
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gmail_bundle_connects_in_three_ways() {
    let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let log = Arc::clone(&seen);
    let server = serve(Arc::new(move |_, path, headers, body| {
        let auth = headers
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        log.lock()
            .unwrap()
            .push((path.to_owned(), auth.clone().unwrap_or_default()));
        let path = path.replace("/proxy/by-id/g1/gmail/v1", "/gmail/v1");
        let none = Vec::new();
        match path.as_str() {
            "/token" => {
                let right = "grant_type=refresh_token&client_id=my%20id&client_secret=s3cr%2Ft&refresh_token=1%2F%2Frefresh";
                if body == right {
                    (StatusCode::OK, none, json!({"access_token": "short-lived"}))
                } else {
                    (StatusCode::BAD_REQUEST, none, json!({"got": body}))
                }
            }
            "/gmail/v1/users/me/profile" | "/gmail/v1/users/me/messages"
                if !matches!(
                    auth.as_deref(),
                    Some("Bearer short-lived" | "Bearer pasted-token" | "Bearer inner-token" | "Bearer jwt")
                ) =>
            {
                (StatusCode::UNAUTHORIZED, none, json!({}))
            }
            "/gmail/v1/users/me/profile" => (StatusCode::OK, none, json!({"email": "me@example.com"})),
            "/gmail/v1/users/me/messages" => (
                StatusCode::OK,
                none,
                json!({"messages": [{"id": "m1", "subject": "{\"a\":1}", "date": 5, "snippet": "Grüße"}]}),
            ),
            _ => (StatusCode::OK, none, json!({"id": "sent"})),
        }
    }))
    .await;
    let engine = Engine::builder()
        .workers(2)
        .session(Arc::new(FixedSession::new(format!("http://{server}"), "jwt")))
        .build()
        .unwrap();
    let replace = [("https://gmail.googleapis.com", format!("http://{server}"))];
    let mut grant = Grant::none();
    grant.allow_private("127.0.0.1", server.port());
    let id = engine.install(package("gmail", &replace), grant).await.unwrap();
    engine.start(&id).await.unwrap();
    let data = |name: &'static str, args: Value| {
        let (engine, id) = (engine.clone(), id.clone());
        async move { tool(&engine, &id, name, args).await }
    };
    assert_eq!(
        data("get-profile", json!({})).await["error"],
        "Gmail is not connected"
    );
    data(
        "point-at",
        json!({"api": format!("http://{server}"), "token": format!("http://{server}/token")}),
    )
    .await;
    let complete = |mode: &'static str, credentials: Value| {
        let (engine, id) = (engine.clone(), id.clone());
        async move {
            rpc(
                &engine,
                &id,
                "auth/complete",
                json!({"mode": mode, "credentials": credentials}),
            )
            .await
        }
    };
    let wrong = complete(
        "self_hosted",
        json!({"client_id": "x", "client_secret": "y", "refresh_token": "z"}),
    )
    .await;
    assert_eq!(wrong["errors"][0]["message"], "no token: 400");
    assert_eq!(data("mode", json!({})).await["data"]["mode"], Value::Null);
    let own = json!({"client_id": "my id", "client_secret": "s3cr/t", "refresh_token": "1//refresh"});
    assert_eq!(complete("self_hosted", own).await, json!({"status": "complete"}));
    assert_eq!(data("list-emails", json!({})).await["data"], 1);
    let stored = data("stored-emails", json!({})).await;
    assert_eq!(
        stored["data"][0],
        json!({"id": "m1", "subject": "{\"a\":1}", "labels": "[\"INBOX\"]", "snippet": "Grüße"})
    );
    let mode = data("mode", json!({})).await.to_string();
    assert!(!mode.contains("s3cr") && mode.contains("{{secret:auth.client_secret}}"));
    assert_eq!(
        complete("text", json!({"content": "pasted-token"})).await,
        json!({"status": "complete"})
    );
    assert_eq!(
        data("send-email", json!({"text": "hi"})).await["data"]["id"],
        "sent"
    );
    let content = json!({"access_token": "inner-token", "token_type": "Bearer"}).to_string();
    assert_eq!(
        complete("text", json!({ "content": content })).await,
        json!({"status": "complete"})
    );
    assert_eq!(
        data("get-profile", json!({})).await["data"]["email"],
        "me@example.com"
    );
    rpc(&engine, &id, "auth/revoked", json!({"mode": "text"})).await;
    assert_eq!(engine.snapshots()[0].state["auth_status"], "not_authenticated");
    let managed = json!({"credentialId": "g1", "provider": "google"});
    assert_eq!(
        rpc(&engine, &id, "oauth/complete", managed).await,
        json!({"status": "complete"})
    );
    assert_eq!(
        data("get-profile", json!({})).await["data"]["email"],
        "me@example.com"
    );
    let last = seen.lock().unwrap().last().cloned().unwrap();
    assert_eq!(
        last,
        (
            "/proxy/by-id/g1/gmail/v1/users/me/profile".to_owned(),
            "Bearer jwt".to_owned()
        )
    );
    // The library in the bundle works, in another language than the skill's.
    assert_eq!(
        data("when", json!({"at": "2024-02-29T12:30:00Z"})).await["data"],
        "Donnerstag, 29. Februar 2024 12:30"
    );
    engine.shutdown().await;
}

#[test]
fn the_bundles_are_as_the_bundler_writes_them() {
    for (name, least) in [("server-ping", 5_000), ("notion", 50_000), ("gmail", 360_000)] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/skills")
            .join(name);
        let code = std::fs::read_to_string(path.join("index.js")).unwrap();
        assert!(code.contains("var __skill_bundle = (() => {"), "{name}");
        assert!(
            code.contains("globalThis.__skill = { default:") && code.len() >= least,
            "{name}"
        );
    }
}
