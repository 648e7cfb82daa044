//! What the core lends to skills beyond the network and storage: the model and tunnels.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Json;
use openhuman::agent::mock::{MockServer, Rule, Script};
use openhuman::mcp::Origin;
use openhuman::skills::SkillPackage;
use openhuman::vault::VaultOptions;
use openhuman::{Core, Credential, Home, ModelConfig};
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;

use crate::password;

const MANIFEST: &str = r#"{ "id": "lent", "name": "Lent", "auto_start": true, "permissions": { "model": true, "webhooks": true } }"#;
const CODE: &str = "globalThis.__skill = { default: { tools: [
    { name: 'write', description: '', input_schema: {}, async execute({ prompt }) {
        try { return await model.generate(prompt, { maxTokens: 16, temperature: 0.5 }); } catch (error) { return 'failed: ' + error.message; } } },
    { name: 'shorten', description: '', input_schema: {}, async execute({ text }) {
        try { return await model.summarize(text, {}); } catch (error) { return 'failed: ' + error.message; } } },
    { name: 'open', description: '', input_schema: {}, execute() {
        try { return JSON.stringify([webhook.createTunnel('bell', 'rings'), webhook.listTunnels(), webhook.deleteTunnel('a/b') ?? null]); }
        catch (error) { return 'failed: ' + error.message; } } },
] } };";

async fn core(dir: &std::path::Path, model: Option<ModelConfig>, allowed: bool) -> Core {
    let package = dir.join("home/skills/lent");
    std::fs::create_dir_all(&package).unwrap();
    std::fs::write(package.join("manifest.json"), MANIFEST).unwrap();
    std::fs::write(package.join("index.js"), CODE).unwrap();
    let home = Home::at(dir.join("home"));
    let vault = home
        .create_vault(&password(), &VaultOptions::fast_for_tests())
        .unwrap();
    let core = Core::builder(home, vault).model(model).build().await.unwrap();
    if allowed {
        let skill = core.skill("lent").unwrap();
        core.consent_to(&skill, &SkillPackage::load(&package).unwrap())
            .unwrap();
    }
    core
}

async fn call(core: &Core, tool: &str, args: Value) -> String {
    let name = format!("lent__{tool}");
    core.call_tool(&name, args, Origin::Cli).await.to_text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_skill_asks_the_configured_model() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new("scripted")
        .rule(Rule::when_user_says(["a verse"]).answer("Roses are red."))
        .rule(Rule::when_user_says(["a long text"]).answer("Short."));
    let server = MockServer::start(script).await;
    let model = ModelConfig {
        base_url: server.base_url(),
        model: "scripted".into(),
        ..ModelConfig::default()
    };
    let core = core(dir.path(), Some(model), true).await;
    assert_eq!(
        call(&core, "write", json!({ "prompt": "Write a verse" })).await,
        "Roses are red."
    );
    assert_eq!(
        call(&core, "shorten", json!({ "text": "This is a long text." })).await,
        "Short."
    );
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_model_and_backend_a_skill_is_told_what_is_missing_and_without_consent_what_is_not_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let with = core(dir.path(), None, true).await;
    let told = call(&with, "write", json!({ "prompt": "Write" })).await;
    assert!(
        told.contains("no language model is configured") && told.contains("OPENAI_BASE_URL"),
        "{told}"
    );
    let told = call(&with, "open", json!({})).await;
    assert!(told.contains("needs a backend, and none is connected"), "{told}");
    with.close().await;

    let dir = tempfile::tempdir().unwrap();
    let without = core(dir.path(), None, false).await;
    for tool in ["write", "open"] {
        let told = call(&without, tool, json!({ "prompt": "Write" })).await;
        assert!(
            told.starts_with("failed:") && !told.contains("configured"),
            "{tool}: {told}"
        );
    }
    without.close().await;
}

type Seen = Arc<Mutex<Vec<(String, Option<String>, Value)>>>;

/// Answers the routes of a backend, and keeps what was asked.
async fn routes(
    State(seen): State<Seen>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Json<Value> {
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
    let asked = format!("{method} {}", uri.path());
    let body = serde_json::from_slice(&body).unwrap_or_default();
    seen.lock()
        .unwrap()
        .push((asked.clone(), bearer.map(str::to_owned), body));
    Json(match asked.as_str() {
        "POST /webhooks/core" => json!({ "success": true, "data": { "id": "t-1", "uuid": "u-1" } }),
        "GET /webhooks/core" => json!({ "success": true, "data": { "tunnels": [{ "id": "t-1" }] } }),
        "POST /api/ai/generate" => json!({ "success": true, "data": { "text": "from the backend" } }),
        _ => json!({ "success": true, "data": {} }),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_backend_skills_get_tunnels_and_its_model_and_never_see_the_session() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Seen::default();
    let (layer, io) = SocketIo::builder().build_layer();
    io.ns("/", |socket: SocketRef| {
        socket.emit("ready", &json!({})).unwrap();
        std::future::ready(())
    });
    let router = Router::new()
        .fallback(routes)
        .with_state(seen.clone())
        .layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let core = core(dir.path(), None, true).await;
    core.connect(&url, &Credential::SessionToken("the session".into()))
        .await
        .unwrap();
    let told = call(&core, "open", json!({})).await;
    assert_eq!(told, r#"[{"id":"t-1","uuid":"u-1"},[{"id":"t-1"}],true]"#);
    assert_eq!(
        call(&core, "write", json!({ "prompt": "Write" })).await,
        "from the backend"
    );
    let seen = seen.lock().unwrap().clone();
    let asked: Vec<&str> = seen.iter().map(|(asked, ..)| asked.as_str()).collect();
    assert_eq!(
        asked,
        [
            "POST /webhooks/core",
            "GET /webhooks/core",
            "DELETE /webhooks/core/a%2Fb",
            "POST /api/ai/generate"
        ]
    );
    assert!(
        seen.iter()
            .all(|(_, bearer, _)| bearer.as_deref() == Some("Bearer the session")),
        "{seen:?}"
    );
    assert_eq!(seen[0].2, json!({ "name": "bell", "description": "rings" }));
    assert_eq!(
        seen[3].2,
        json!({ "prompt": "Write", "maxTokens": 16, "temperature": 0.5 })
    );
    core.disconnect().await;
    let told = call(&core, "open", json!({})).await;
    assert!(told.contains("none is connected"), "{told}");
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_skill_publishes_after_a_sync_is_at_hand_until_the_skill_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = json!({ "id": "habits", "name": "Habits", "version": "1.0.0", "auto_start": true,
        "permissions": { "memory": { "insert": true } } });
    let code = "globalThis.__skill = { default: { tools: [], \
        onSync() { state.set('preferences', ['Prefers green tea in the morning']); } } };";
    let package = SkillPackage::from_parts(&manifest.to_string(), code.into()).unwrap();
    let home = Home::at(dir.path().join("home"));
    let vault = home
        .create_vault(&password(), &VaultOptions::fast_for_tests())
        .unwrap();
    let core = Core::builder(home, vault).build().await.unwrap();
    let plan = core.plan_skill(package, Default::default()).await.unwrap();
    let skill = core.install_skill(plan.approve(), true).await.unwrap();
    let at_hand = async || {
        core.with_memory(|memory| memory.working().render(500))
            .await
            .unwrap()
    };
    assert_eq!(at_hand().await, "");
    core.skills()
        .rpc(&skill, "skill/sync", Value::Null)
        .await
        .unwrap();
    let known = async {
        while !at_hand().await.contains("green tea") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), known)
        .await
        .expect("it is at hand");
    let removed = core
        .remove_skill(&skill, openhuman::Removal::default())
        .await
        .unwrap()
        .unwrap();
    assert!(removed.documents > 0, "{removed:?}");
    assert_eq!(at_hand().await, "");
    core.close().await;
}
