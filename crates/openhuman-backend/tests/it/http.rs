//! What needs no Socket.IO client.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use openhuman_backend::{Backend, Limits, RunningBackend, SqliteTokenStore};
use openhuman_vault::tokens::Verifier;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One HTTP exchange without a body: status and JSON body of the answer.
async fn exchange(backend: &RunningBackend, request_line: &str, header: &str) -> (u16, Value) {
    exchange_with(backend, request_line, header, "").await
}

async fn exchange_with(
    backend: &RunningBackend,
    request_line: &str,
    header: &str,
    body: &str,
) -> (u16, Value) {
    let mut stream = TcpStream::connect(backend.local_addr()).await.unwrap();
    let length = body.len();
    let request = format!(
        "{request_line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{header}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

async fn consume(backend: &RunningBackend, token: &str) -> (u16, Value) {
    exchange(
        backend,
        &format!("POST /telegram/login-tokens/{token}/consume"),
        "",
    )
    .await
}

async fn me(backend: &RunningBackend, session: &str) -> (u16, Value) {
    exchange(
        backend,
        "GET /auth/me",
        &format!("Authorization: Bearer {session}\r\n"),
    )
    .await
}

fn session_of(answer: &Value) -> String {
    answer["data"]["jwtToken"]
        .as_str()
        .expect("a session token")
        .to_owned()
}

#[tokio::test]
async fn a_login_token_becomes_a_session_once() {
    let store = SqliteTokenStore::in_memory().unwrap();
    let backend = Backend::builder()
        .token_store(store)
        .start("127.0.0.1:0")
        .await
        .unwrap();
    let (status, health) = exchange(&backend, "GET /health", "").await;
    assert_eq!((status, &health["status"]), (200, &json!("ok")));

    let token = backend.issue_login_token("ada").unwrap();
    let (status, answer) = consume(&backend, token.expose()).await;
    assert_eq!((status, &answer["success"]), (200, &json!(true)));
    let (status, answer) = me(&backend, &session_of(&answer)).await;
    assert_eq!((status, &answer["data"]["id"]), (200, &json!("ada")));

    let refused = json!({"success": false, "message": "the login token is not valid; ask for a new one"});
    assert_eq!(consume(&backend, token.expose()).await, (401, refused.clone()));
    assert_eq!(consume(&backend, "oht1_nonsense").await, (401, refused.clone()));
    assert_eq!(consume(&backend, "%00%ff").await.0, 400, "a path that is no text");
    assert_eq!(exchange(&backend, "GET /auth/me", "").await.0, 401);
    assert_eq!(
        me(&backend, token.expose()).await.0,
        401,
        "a login token is no session"
    );
    backend.shutdown().await;
}

#[tokio::test]
async fn login_tokens_and_sessions_end_by_the_clock() {
    let now = Arc::new(AtomicI64::new(1_000_000));
    let clock = Arc::clone(&now);
    let mut limits = Limits::default();
    limits.session = std::time::Duration::from_secs(60);
    let backend = Backend::builder()
        .limits(limits)
        .clock(move || clock.load(Ordering::SeqCst))
        .start("127.0.0.1:0")
        .await
        .unwrap();
    let late = backend.issue_login_token("ada").unwrap();
    let on_time = backend.issue_login_token("ada").unwrap();
    now.fetch_add(300_000, Ordering::SeqCst);
    let (status, answer) = consume(&backend, on_time.expose()).await;
    assert_eq!(status, 200, "300.000 s are still in time");
    let session = session_of(&answer);
    assert_eq!(me(&backend, &session).await.0, 200);
    now.fetch_add(1, Ordering::SeqCst);
    assert_eq!(consume(&backend, late.expose()).await.0, 401);
    now.fetch_add(61_000, Ordering::SeqCst);
    assert_eq!(me(&backend, &session).await.0, 401);
    backend.shutdown().await;
}

#[tokio::test]
async fn a_busy_port_is_named_with_what_to_do() {
    let first = Backend::builder().start("127.0.0.1:0").await.unwrap();
    let address = first.local_addr().to_string();
    let error = Backend::builder().start(&address).await.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!(
            "the address {address} is already in use; stop the program"
        )),
        "{error}"
    );
    let error = Backend::builder()
        .start("not an address")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot listen on not an address") && error.contains("for example"),
        "{error}"
    );
    first.shutdown().await;
    Backend::builder()
        .start(&address)
        .await
        .expect("the port is free again")
        .shutdown()
        .await;
}

#[tokio::test]
async fn login_tokens_are_bounded_and_names_are_checked() {
    let backend = Backend::builder().start("127.0.0.1:0").await.unwrap();
    for bad in ["", "  ", "a\nb", &"x".repeat(257)] {
        let error = backend.issue_login_token(bad).unwrap_err();
        assert!(error.to_string().contains("1 to 256 bytes"), "{error}");
    }
    let issued = (0..20)
        .filter(|_| backend.issue_login_token("ada").is_ok())
        .count();
    assert_eq!(issued, openhuman_vault::tokens::MAX_OUTSTANDING);
    backend
        .issue_login_token("bob")
        .expect("another user is not affected");
    backend.shutdown().await;
}

#[tokio::test]
async fn sessions_survive_a_restart_with_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let start = |key: u8| {
        Backend::builder()
            .token_store(SqliteTokenStore::open(&path).unwrap())
            .key(openhuman_vault::Key::from_bytes([key; 32]))
            .start("127.0.0.1:0")
    };
    let first = start(1).await.unwrap();
    let used = first.issue_login_token("ada").unwrap();
    let unused = first.issue_login_token("ada").unwrap();
    let session = session_of(&consume(&first, used.expose()).await.1);
    first.shutdown().await;
    let second = start(1).await.unwrap();
    assert_eq!(me(&second, &session).await.0, 200);
    assert_eq!(consume(&second, used.expose()).await.0, 401);
    assert_eq!(consume(&second, unused.expose()).await.0, 200);
    let other = start(2).await.unwrap();
    assert_eq!(
        me(&other, &session).await.0,
        401,
        "another key signs other sessions"
    );
    second.shutdown().await;
    other.shutdown().await;
}

#[tokio::test]
async fn a_token_for_a_challenge_needs_the_device_that_made_it() {
    let backend = Backend::builder().start("127.0.0.1:0").await.unwrap();
    let verifier = Verifier::generate().unwrap();
    let token = backend
        .issue_login_token_for("ana", &verifier.challenge())
        .unwrap();
    let consume_with = async |token: &str, body: &str| {
        let line = format!("POST /telegram/login-tokens/{token}/consume");
        exchange_with(&backend, &line, "Content-Type: application/json\r\n", body).await
    };
    let with = |verifier: &Verifier| json!({ "codeVerifier": verifier.expose() }).to_string();
    // Who read the link has no verifier, or another one; the device can still use it.
    assert_eq!(consume(&backend, token.expose()).await.0, 401);
    let other = Verifier::generate().unwrap();
    assert_eq!(consume_with(token.expose(), &with(&other)).await.0, 401);
    for body in ["[1]", "{\"codeVerifier\":1}", "nonsense"] {
        assert_eq!(consume_with(token.expose(), body).await.0, 400, "{body}");
    }
    let (status, answer) = consume_with(token.expose(), &with(&verifier)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(me(&backend, &session_of(&answer)).await.1["data"]["id"], "ana");
    assert_eq!(
        consume_with(token.expose(), &with(&verifier)).await.0,
        401,
        "once"
    );

    // A token for nobody in particular takes no verifier, but a body without one is none.
    let open = backend.issue_login_token("ana").unwrap();
    assert_eq!(consume_with(open.expose(), &with(&verifier)).await.0, 401);
    assert_eq!(consume_with(open.expose(), "{}").await.0, 200);
    backend.shutdown().await;
}
