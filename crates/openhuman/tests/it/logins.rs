//! Logging in with a link: only one that this device asked for is used, and only this device can use it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Json;
use axum::routing::post;
use openhuman::rpc::{Dispatcher, DispatcherOptions};
use openhuman::vault::tokens::{Challenge, LoginTokens, MemoryTokenStore};
use openhuman::vault::{Key, VaultOptions};
use openhuman::{CoreError, ErrorKind, Home};
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::SocketRef;

use crate::new_core;

const AUDIENCE: &str = "desktop";

type Tokens = Arc<LoginTokens<MemoryTokenStore>>;

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_millis()).unwrap()
}

async fn consume(
    State(tokens): State<Tokens>,
    Path(token): Path<String>,
    body: axum::body::Bytes,
) -> Json<Value> {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let redeemed = match body["codeVerifier"].as_str() {
        Some(verifier) => tokens.redeem_with(&token, AUDIENCE, verifier, now_ms()),
        None => tokens.redeem(&token, AUDIENCE, now_ms()),
    };
    Json(match redeemed {
        Ok(user) => json!({ "success": true, "data": { "jwtToken": format!("session of {user}") } }),
        Err(error) => json!({ "success": false, "message": error.to_string() }),
    })
}

/// A backend with the login exchange and a socket that takes everybody.
async fn backend() -> (String, Tokens) {
    let tokens: Tokens = Arc::new(LoginTokens::new(
        MemoryTokenStore::new(),
        &Key::generate().unwrap(),
    ));
    let (layer, io) = SocketIo::builder().build_layer();
    io.ns("/", |socket: SocketRef| {
        socket.emit("ready", &json!({})).unwrap();
        std::future::ready(())
    });
    let router = Router::new()
        .route("/telegram/login-tokens/{token}/consume", post(consume))
        .with_state(tokens.clone())
        .layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, tokens)
}

fn link(token: &str) -> String {
    format!("openhuman://auth?token={token}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_7_a_login_is_bound_to_a_request_of_this_device() {
    let dir = tempfile::tempdir().unwrap();
    let (url, tokens) = backend().await;
    let core = new_core(dir.path()).await;

    // A link that nobody here asked for, as an attacker would send it: not used, and so still good.
    let lured = tokens.issue("mallory", AUDIENCE, now_ms()).unwrap();
    let refused = core.finish_login(&link(lured.expose())).await.unwrap_err();
    assert!(matches!(refused, CoreError::LoginLink(_)), "{refused}");
    assert_eq!(refused.kind(), ErrorKind::Denied);
    assert_eq!(
        tokens.redeem(lured.expose(), AUDIENCE, now_ms()).unwrap(),
        "mallory"
    );

    // A session in a link is never taken, asked for or not.
    let challenge = Challenge::parse(&core.start_login(&url).unwrap()).unwrap();
    let session = "openhuman://auth?token=eyJhbGciOiJIUzI1NiJ9.e30.x&key=auth";
    assert!(core.finish_login(session).await.is_err());

    // While a login is pending, a token for another device, or for none, does not log anybody in here.
    let unbound = tokens.issue("mallory", AUDIENCE, now_ms()).unwrap();
    let refused = core.finish_login(&link(unbound.expose())).await.unwrap_err();
    assert!(matches!(refused, CoreError::Login { .. }), "{refused}");

    // The answer to the request is taken, once.
    let challenge = match Challenge::parse(&core.start_login(&url).unwrap()) {
        Some(newer) => {
            assert_ne!(newer.to_string(), challenge.to_string());
            newer
        }
        None => panic!("a challenge"),
    };
    let asked = tokens.issue_for("ana", AUDIENCE, &challenge, now_ms()).unwrap();
    core.finish_login(&link(asked.expose())).await.unwrap();
    let again = core.finish_login(&link(asked.expose())).await.unwrap_err();
    assert!(matches!(again, CoreError::LoginLink(_)), "{again}");
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_front_end_logs_in_with_a_link_and_errors_name_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let (url, tokens) = backend().await;
    let rpc = Dispatcher::new(DispatcherOptions {
        model: None,
        vault: VaultOptions::fast_for_tests(),
        ..DispatcherOptions::new(Home::at(dir.path().join("home")))
    });
    let call = async |method: &str, params: Value| rpc.call(&format!("openhuman.{method}"), params).await;
    call("vault_create", json!({ "password": "long enough" }))
        .await
        .unwrap();
    let started = call("auth_login_start", json!({ "url": url })).await.unwrap();
    assert_eq!(started["valid_ms"], 300_000);
    let challenge = Challenge::parse(started["challenge"].as_str().unwrap()).unwrap();
    let token = tokens.issue_for("ana", AUDIENCE, &challenge, now_ms()).unwrap();
    call("auth_login_cancel", json!({})).await.unwrap();
    let params = json!({ "link": link(token.expose()) });
    let refused = call("auth_login_finish", params).await.unwrap_err();
    assert_eq!(refused.data, Some(json!({ "kind": "login_link" })));
    assert!(!refused.message.contains(token.expose()), "{refused}");

    let started = call("auth_login_start", json!({ "url": url })).await.unwrap();
    let challenge = Challenge::parse(started["challenge"].as_str().unwrap()).unwrap();
    let token = tokens.issue_for("ana", AUDIENCE, &challenge, now_ms()).unwrap();
    let params = json!({ "link": link(token.expose()) });
    let snapshot = call("auth_login_finish", params).await.unwrap();
    assert_eq!(snapshot["socket"]["status"], "connected", "{snapshot}");
    rpc.close().await;
}
