//! Credentials of skills against a backend and an API on this machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use openhuman_skills::{
    Credential, CredentialKind, Credentials, DataDirectory, Engine, FixedSession, Grant, MemoryCredentials,
    SkillEvent, SkillId, SkillPackage,
};
use serde_json::{Value, json};

use crate::support::call;

/// What a server saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// A server that keeps what it sees, echoes the authorization, and answers 401 below `/proxy/../denied`.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Seen>>>);

impl Recorder {
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let recorder = Self::default();
        let app = Router::new().fallback(record).with_state(recorder.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (recorder, address)
    }

    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

async fn record(
    State(recorder): State<Recorder>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let headers: BTreeMap<String, String> = headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let echo = json!({"auth": headers.get("authorization")}).to_string();
    recorder.0.lock().unwrap().push(Seen {
        method: method.to_string(),
        uri: uri.to_string(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let status = if uri.path().ends_with("/denied") {
        StatusCode::FORBIDDEN
    } else {
        StatusCode::OK
    };
    (status, echo)
}

const SKILL: &str = "
    var seen = [];
    globalThis.__skill = { default: {
        start(bag) { seen.push(bag); if (bag.validate) return globalThis.verdict || { status: 'complete' }; },
        onOAuthRevoked(args) { seen.push(['oauth', args]); },
        onAuthRevoked(args) { seen.push(['auth', args]); },
        onDisconnect() { seen.push('disconnect'); },
        tools: [{ name: 'run', description: 'd', execute(args) {
            if (args.verdict) { globalThis.verdict = args.verdict; return; }
            const r = Function('a', 'return (' + args.js + ')')(args.a);
            return r === undefined ? 'undefined' : JSON.stringify(r);
        } }],
    } };";

struct Setup {
    engine: Engine,
    id: SkillId,
    credentials: Arc<MemoryCredentials>,
    backend: Recorder,
    api: Recorder,
    api_at: SocketAddr,
}

async fn setup() -> Setup {
    let (backend, backend_at) = Recorder::start().await;
    let (api, api_at) = Recorder::start().await;
    let (_, other_at) = Recorder::start().await;
    let credentials = Arc::new(MemoryCredentials::default());
    let engine = Engine::builder()
        .workers(2)
        .credentials(Arc::clone(&credentials) as Arc<_>)
        .session(Arc::new(FixedSession::new(
            format!("http://{backend_at}/base/"),
            "session-jwt-raw",
        )))
        .build()
        .unwrap();
    let manifest = json!({"id": "acc", "name": "A", "setup": {"required": true, "auth": {"modes": [
        {"type": "managed"}, {"type": "self_hosted", "apiBaseUrl": format!("http://{api_at}/v1")}, {"type": "text"}]}}});
    let package = SkillPackage::from_parts(&manifest.to_string(), SKILL.to_owned()).unwrap();
    let mut grant = Grant::none();
    grant
        .allow_private("127.0.0.1", api_at.port())
        .allow_private("127.0.0.1", other_at.port());
    let id = engine.install(package, grant).await.unwrap();
    engine.start(&id).await.unwrap();
    Setup {
        engine,
        id,
        credentials,
        backend,
        api,
        api_at,
    }
}

impl Setup {
    async fn js(&self, js: &str) -> Result<Value, String> {
        let text = call(&self.engine, &self.id, json!({ "js": js }))
            .await
            .map_err(|error| error.to_string())?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn rpc(&self, method: &str, params: Value) -> Value {
        self.engine.rpc(&self.id, method, params).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_connection_goes_through_the_backend() {
    let it = setup().await;
    assert_eq!(it.js("oauth.getCredential()").await.unwrap(), Value::Null);
    let denied = it.js("oauth.fetch('v1/x')").await.unwrap();
    assert_eq!(
        (denied["status"].clone(), denied["headers"].clone()),
        (json!(401), json!({}))
    );
    assert!(
        denied["body"]
            .as_str()
            .unwrap()
            .starts_with("{\"error\":\"No OAuth credential. ")
    );
    let answer = it
        .rpc(
            "oauth/complete",
            json!({"credentialId": "0123abcd", "provider": "notion", "grantedScopes": ["r"],
        "accessToken": "raw-access-token", "accountLabel": "me"}),
        )
        .await;
    assert_eq!(answer, json!({"status": "complete"}));
    assert!(it.engine.snapshots()[0].setup_complete);
    let seen = it.js("oauth.getCredential()").await.unwrap();
    assert_eq!(seen["accessToken"], "{{secret:oauth.accessToken}}");
    assert_eq!(
        (
            seen["credentialId"].clone(),
            seen["scopes"].clone(),
            seen["isValid"].clone()
        ),
        (json!("0123abcd"), json!(["r"]), json!(true))
    );
    let bag = it.js("seen[1]").await.unwrap();
    assert_eq!(
        (bag["validate"].clone(), bag["oauth"].clone()),
        (json!(true), seen)
    );

    let got = it
        .js(
            "oauth.fetch('/v1/pages/%C3%BC?q=a%20b', { method: 'POST', body: '{\"x\":1}', headers: { Authorization: 'Bearer mine' } })",
        )
        .await
        .unwrap();
    assert_eq!(got["status"], 200);
    assert!(
        !got["body"].as_str().unwrap().contains("session-jwt-raw"),
        "{got}"
    );
    let request = it.backend.take().remove(0);
    assert_eq!(request.method, "POST");
    assert_eq!(request.uri, "/base/proxy/by-id/0123abcd/v1/pages/%C3%BC?q=a%20b");
    assert_eq!(request.headers["authorization"], "Bearer session-jwt-raw");
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.body, "{\"x\":1}");
    for bad in [
        "../../auth/me",
        "v1/%2e%2e/%2e%2e/%2e%2e/auth/me",
        "v1/..%2f..%2f..%2fme",
    ] {
        assert!(
            it.js(&format!("oauth.fetch('{bad}')"))
                .await
                .unwrap_err()
                .contains("leaves the API")
        );
    }
    assert!(it.backend.take().is_empty());

    let client = json!({"credentialId": "c2", "provider": "notion", "clientKeyShare": "raw-client-key"});
    it.rpc("oauth/complete", client).await;
    it.js("oauth.fetch('v1/x')").await.unwrap();
    let request = it.backend.take().remove(0);
    assert_eq!(request.uri, "/base/proxy/encrypted/c2/v1/x");
    assert_eq!(request.headers["x-encryption-key"], "raw-client-key");

    let mut events = it.engine.events();
    assert_eq!(it.js("oauth.fetch('denied')").await.unwrap()["status"], 403);
    assert_eq!(it.js("oauth.getCredential()").await.unwrap(), Value::Null);
    let state = it.engine.snapshots()[0].state.clone();
    assert_eq!(
        state,
        json!({"connection_status": "error", "auth_status": "not_authenticated",
            "connection_error": "Integration token expired or invalid. Please reconnect."})
    );
    assert!(
        it.credentials
            .load(&it.id, CredentialKind::OAuth)
            .unwrap()
            .is_none()
    );
    assert!(
        std::iter::from_fn(|| events.try_recv().ok())
            .any(|event| matches!(event, SkillEvent::Revoked { kind, .. } if kind == "oauth"))
    );
    it.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_ends_its_connection() {
    let it = setup().await;
    it.rpc("oauth/complete", json!({"credentialId": "c1", "provider": "p"}))
        .await;
    assert_eq!(it.js("oauth.revoke()").await.unwrap(), json!(true));
    let request = it.backend.take().remove(0);
    assert_eq!(
        (request.method.as_str(), request.uri.as_str()),
        ("DELETE", "/base/auth/integrations/c1")
    );
    assert_eq!(it.js("oauth.revoke()").await.unwrap(), json!(false));
    it.rpc("oauth/complete", json!({"credentialId": "c1", "provider": "p"}))
        .await;
    it.rpc(
        "oauth/revoked",
        json!({"integrationId": "c1", "reason": "token_expired"}),
    )
    .await;
    it.engine.disconnect(&it.id).await.unwrap();
    let seen = it.js("seen.slice(3)").await.unwrap();
    assert_eq!(
        seen,
        json!([["oauth", {"integrationId": "c1", "reason": "token_expired"}], "disconnect",
            ["oauth", {"reason": "user_disconnected"}]])
    );
    assert!(!it.engine.snapshots()[0].setup_complete);
    it.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_user_entered_is_sent_to_its_api_only() {
    let it = setup().await;
    let self_hosted = json!({"mode": "self_hosted", "credentials": {"client_id": "raw-id", "client_secret": "raw-secret",
        "refresh_token": "raw-refresh"}});
    assert_eq!(
        it.rpc("auth/complete", self_hosted).await,
        json!({"status": "complete"})
    );
    assert_eq!(it.js("auth.getMode()").await.unwrap(), json!("self_hosted"));
    let seen = it.js("auth.getCredentials()").await.unwrap();
    assert_eq!(
        seen,
        json!({"client_id": "{{secret:auth.client_id}}", "client_secret": "{{secret:auth.client_secret}}",
            "refresh_token": "{{secret:auth.refresh_token}}"})
    );
    assert_eq!(it.js("auth.fetch('messages?x=1')").await.unwrap()["status"], 200);
    let request = it.api.take().remove(0);
    assert_eq!(request.uri, "/v1/messages?x=1");
    assert_eq!(request.headers["authorization"], "Basic cmF3LWlkOnJhdy1zZWNyZXQ=");
    // As skills exchange a refresh token: placeholders in an encoded form.
    let at = it.api_at;
    it.js(&format!(
        "net.fetch('http://{at}/token', {{ method: 'POST', headers: {{ 'Content-Type': 'application/x-www-form-urlencoded' }},
            body: 'a=1&refresh_token=' + encodeURIComponent(auth.getCredentials().refresh_token) }})"
    ))
    .await
    .unwrap();
    assert_eq!(it.api.take().remove(0).body, "a=1&refresh_token=raw-refresh");
    let other = it.engine.grant(&it.id).unwrap();
    let text = serde_json::to_value(&other).unwrap();
    let port = text["private"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| pair[1].as_u64().unwrap())
        .find(|port| *port != u64::from(at.port()))
        .unwrap();
    let refused = it
        .js(&format!(
            "net.fetch('http://127.0.0.1:{port}/', {{ headers: {{ x: auth.getCredentials().refresh_token }} }})"
        ))
        .await
        .unwrap_err();
    assert!(refused.contains("may not be sent to"), "{refused}");

    // A verdict of `error` brings the earlier credential back.
    call(
        &it.engine,
        &it.id,
        json!({"verdict": {"status": "error", "errors": [{"field": "content", "message": "no"}]}}),
    )
    .await
    .unwrap();
    let content = json!({"access_token": "raw-a", "token_type": "Bearer"}).to_string();
    let wrong = it
        .rpc(
            "auth/complete",
            json!({"mode": "text", "credentials": {"content": content}}),
        )
        .await;
    assert_eq!(wrong["status"], "error");
    assert_eq!(it.js("auth.getMode()").await.unwrap(), json!("self_hosted"));
    let kept = it
        .credentials
        .load(&it.id, CredentialKind::Auth)
        .unwrap()
        .unwrap();
    assert_eq!(kept.expose()["mode"], "self_hosted");
    call(&it.engine, &it.id, json!({"verdict": {"status": "complete"}}))
        .await
        .unwrap();
    it.rpc(
        "auth/complete",
        json!({"mode": "text", "credentials": {"content": content}}),
    )
    .await;
    let token = it
        .js("JSON.parse(auth.getCredentials().content).access_token")
        .await
        .unwrap();
    assert_eq!(token, json!("{{secret:auth.content.access_token}}"));
    it.js(&format!(
        "auth.fetch('http://{at}/x', {{ headers: {{ Authorization: 'Bearer {}' }} }})",
        token.as_str().unwrap()
    ))
    .await
    .unwrap();
    it.js(&format!("auth.fetch('http://{at}/y')")).await.unwrap();
    let requests = it.api.take();
    assert_eq!(requests[0].headers["authorization"], "Bearer raw-a");
    assert!(!requests[1].headers.contains_key("authorization"));
    it.engine.stop(&it.id).await.unwrap();
    it.engine.start(&it.id).await.unwrap();
    assert_eq!(it.js("auth.getMode()").await.unwrap(), json!("text"));
    it.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_credential_files_move_into_the_store() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("old");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(
        dir.join("auth_credential.json"),
        r#"{"mode":"text","credentials":{"content":"raw"}}"#,
    )
    .unwrap();
    let credentials = Arc::new(MemoryCredentials::default());
    let engine = Engine::builder()
        .workers(1)
        .data_files(Arc::new(DataDirectory::new(root.path())))
        .credentials(Arc::clone(&credentials) as Arc<_>)
        .build()
        .unwrap();
    let package = SkillPackage::from_parts(r#"{"id":"old","name":"O"}"#, SKILL.to_owned()).unwrap();
    let id = engine.install(package, Grant::none()).await.unwrap();
    engine.start(&id).await.unwrap();
    let stored = credentials.load(&id, CredentialKind::Auth).unwrap();
    assert_eq!(
        stored,
        Some(Credential::new(
            json!({"mode": "text", "credentials": {"content": "raw"}})
        ))
    );
    assert!(!dir.join("auth_credential.json").exists());
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_answered_by_the_skill_that_registered_them() {
    let engine = crate::support::engine();
    let code = "
        globalThis.__skill = { default: {
            start() { webhook.register('uuid-1', 'Orders', 'b1'); },
            async onWebhookRequest(request) {
                if (request.path === '/fail') throw new Error('private detail');
                if (request.path === '/bare') return;
                return { statusCode: 201, headers: { 'x-from': request.tunnelName }, body: btoa(request.method + atob(request.body)) };
            },
            tools: [{ name: 'run', execute: () => JSON.stringify([webhook.list(), webhook.unregister('uuid-1'), webhook.unregister('uuid-1')]) }],
        } };";
    let mut grant = Grant::none();
    grant.allow_webhooks();
    let id = crate::support::run_with(&engine, "hooked", code, grant).await;
    let ask = |path: &str, tunnel: &str| {
        let request = json!({"correlationId": "7", "tunnelUuid": tunnel, "tunnelName": "Orders", "method": "POST", "path": path,
            "headers": {"a": 1}, "query": {}, "body": "aGk="});
        let (engine, request) = (engine.clone(), serde_json::from_value(request).unwrap());
        async move {
            let answer = engine.webhook_request(request).await;
            (answer.status_code, serde_json::to_value(answer).unwrap())
        }
    };
    assert_eq!(
        ask("/", "uuid-1").await.1,
        json!({"statusCode": 201, "headers": {"x-from": "Orders"}, "body": "UE9TVGhp"})
    );
    assert_eq!(ask("/bare", "uuid-1").await.0, 200);
    let failed = ask("/fail", "uuid-1").await;
    assert!(failed.0 == 500 && !failed.1.to_string().contains("private"));
    assert_eq!(ask("/", "uuid-2").await.0, 404);
    assert_eq!(engine.webhooks()[0].tunnel_uuid, "uuid-1");
    let text = call(&engine, &id, json!({})).await.unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!([[{"tunnelUuid": "uuid-1", "skillId": "hooked", "tunnelName": "Orders", "backendTunnelId": "b1"}], true, false])
    );
    assert_eq!(ask("/", "uuid-1").await.0, 404);
    engine.shutdown().await;
}
