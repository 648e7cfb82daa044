//! Rooms, webhooks, chat over HTTP.

use std::sync::Arc;
use std::time::Duration;

use openhuman_agent::mock::{Fault, MockServer, Rule, Script};
use openhuman_agent::openai::{OpenAiConfig, OpenAiModel};
use openhuman_backend::{Backend, BackendError, Limits, RunningBackend};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Client, PATIENCE, http, session};

pub(crate) async fn scripted(limits: Limits) -> (RunningBackend, MockServer) {
    let script = Script::new("tiny")
        .rule(
            Rule::when_user_says(["who"])
                .before_tools()
                .call("s__who", json!({})),
        )
        .rule(
            Rule::when_user_says(["who"])
                .after_tools()
                .answer("It is {{tool:s__who}}."),
        )
        .rule(
            Rule::when_user_says(["slow"])
                .answer("one two three")
                .fault(Fault::SlowDrip { millis: 30 }),
        )
        .rule(
            Rule::when_user_says(["stall"])
                .answer("one two three")
                .fault(Fault::Stall),
        );
    let model = MockServer::start(script).await;
    let config = OpenAiConfig {
        base_url: model.base_url(),
        model: "tiny".into(),
        ..OpenAiConfig::default()
    };
    let backend = Backend::builder()
        .model(Arc::new(OpenAiModel::new(config).unwrap()))
        .limits(limits)
        .start("127.0.0.1:0")
        .await
        .unwrap();
    (backend, model)
}

fn events(body: &str) -> Vec<(String, Value)> {
    // The body is chunked; frames are looked for between the sizes.
    body.split("event: ")
        .skip(1)
        .map(|frame| {
            let (name, rest) = frame.split_once("\ndata: ").unwrap();
            let data = rest.lines().next().unwrap();
            (name.to_owned(), serde_json::from_str(data).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn every_desktop_of_a_user_is_in_one_room() {
    let (backend, _model) = scripted(Limits::default()).await;
    let ada = session(&backend, "ada").await;
    let mut first = Client::connect(&backend, &ada).await.unwrap();
    let mut second = Client::connect(&backend, &ada).await.unwrap();
    let mut other = Client::connect(&backend, &session(&backend, "bob").await)
        .await
        .unwrap();
    assert_eq!(backend.desktops().len(), 3);
    let news = json!({"text": "new skill"});
    assert_eq!(backend.send_to_user("ada", "notice", &news).await, 2);
    assert_eq!(first.until("notice").await, news);
    assert_eq!(second.until("notice").await, news);
    assert_eq!(
        backend
            .send_to_user("bob", "notice", &json!({"text": "for bob"}))
            .await,
        1
    );
    assert_eq!(
        other.until("notice").await["text"],
        "for bob",
        "what was said to ada is not heard by bob"
    );
    assert_eq!(backend.send_to_user("nobody", "notice", &news).await, 0);

    let answering = tokio::spawn(async move {
        first.serve("first", 1).await;
        first
    });
    let outcome = backend.call_tool("ada", "s__who", &json!({})).await.unwrap();
    assert_eq!((outcome.text.as_str(), outcome.is_error), ("first", false));
    let nobody = backend.call_tool("nobody", "s__who", &json!({})).await;
    assert!(matches!(nobody, Err(BackendError::NotConnected { .. })));
    drop(answering.await.unwrap());
    let answering = tokio::spawn(async move {
        second.serve("second", 1).await;
        second
    });
    let after = tokio::time::timeout(PATIENCE, async {
        while backend.desktops().len() > 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        backend.call_tool("ada", "s__who", &json!({})).await.unwrap().text
    });
    assert_eq!(after.await.unwrap(), "second", "the next desktop takes over");
    drop(answering.await.unwrap());
    backend.shutdown().await;
}

#[tokio::test]
async fn a_webhook_reaches_its_owner_and_the_answer_comes_back() {
    let (backend, _model) = scripted(Limits::default()).await;
    let ada = session(&backend, "ada").await;
    let (status, _, body) = http(&backend, "POST /webhooks/core", Some(&ada), br#"{"name":"shop"}"#).await;
    assert_eq!(status, 200, "{body}");
    let tunnel: Value = serde_json::from_str(&body).unwrap();
    let path = tunnel["data"]["path"].as_str().unwrap().to_owned();
    let id = tunnel["data"]["id"].as_str().unwrap().to_owned();
    let post = format!("POST {path}/orders?a=1&b=2");
    assert_eq!(http(&backend, &post, None, b"x").await.0, 503, "nobody is there");

    let mut desktop = Client::connect(&backend, &ada).await.unwrap();
    let serving = tokio::spawn(async move {
        desktop.serve("ada", 2).await;
        desktop
    });
    let both = tokio::join!(
        http(&backend, &post, None, "é!".as_bytes()),
        http(&backend, &post, None, b"two")
    );
    for ((status, head, body), sent) in [(both.0, "é!"), (both.1, "two")] {
        assert_eq!((status, body.as_str()), (202, sent), "{head}");
        assert!(
            head.contains("x-path: /orders") && head.contains("x-query: 1"),
            "{head}"
        );
        assert!(
            head.contains("x-correlation-id: ") && head.contains("nosniff"),
            "{head}"
        );
    }
    let _desktop = serving.await.unwrap();

    let bob = session(&backend, "bob").await;
    let (_, _, list) = http(&backend, "GET /webhooks/core", Some(&bob), b"").await;
    assert_eq!(
        serde_json::from_str::<Value>(&list).unwrap()["data"]["tunnels"],
        json!([])
    );
    let delete = format!("DELETE /webhooks/core/{id}");
    assert_eq!(http(&backend, &delete, Some(&bob), b"").await.0, 404);
    assert_eq!(http(&backend, &delete, Some(&ada), b"").await.0, 200);
    assert_eq!(http(&backend, &post, None, b"x").await.0, 404);
    assert_eq!(http(&backend, "POST /webhooks/core", None, b"{}").await.0, 401);
    assert_eq!(
        http(&backend, "POST /webhooks/core", Some(&ada), b"{}").await.0,
        400
    );
    backend.shutdown().await;
}

#[tokio::test]
async fn chat_over_http_streams_the_turn_with_the_tools_of_the_desktop() {
    let (backend, _model) = scripted(Limits::default()).await;
    let ada = session(&backend, "ada").await;
    let mut desktop = Client::connect(&backend, &ada).await.unwrap();
    let serving = tokio::spawn(async move {
        desktop.serve("Ada", 1).await;
        desktop
    });
    let ask = |text: &str| json!({"thread_id": "t", "message": text}).to_string();
    let (status, head, body) = http(&backend, "POST /chat", Some(&ada), ask("who is it?").as_bytes()).await;
    assert_eq!(status, 200);
    assert!(head.contains("text/event-stream"), "{head}");
    let told = events(&body);
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.first(), Some(&"chat_accepted"));
    assert!(
        names.contains(&"tool_call") && names.contains(&"tool_result"),
        "{names:?}"
    );
    let (last, payload) = told.last().unwrap();
    assert_eq!(
        (last.as_str(), &payload["full_response"]),
        ("chat_done", &json!("It is Ada."))
    );
    drop(serving.await.unwrap());
    assert_eq!(http(&backend, "POST /chat", None, b"{}").await.0, 401);
    assert_eq!(http(&backend, "POST /chat", Some(&ada), b"{}").await.0, 400);
    backend.shutdown().await;
}

#[tokio::test]
async fn a_closed_stream_ends_its_turn_and_frees_its_place() {
    let mut limits = Limits::default();
    limits.turns = 1;
    let (backend, _model) = scripted(limits).await;
    let ada = session(&backend, "ada").await;
    let body = json!({"thread_id": "t", "message": "stall"}).to_string();
    let mut stream = TcpStream::connect(backend.local_addr()).await.unwrap();
    let request = format!(
        "POST /chat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("chat_delta") {
        assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
    }
    assert_eq!(
        http(&backend, "POST /chat", Some(&ada), body.as_bytes()).await.0,
        429
    );
    assert!(
        backend.metrics().contains("openhuman_turns_running 1"),
        "{}",
        backend.metrics()
    );
    drop(stream);
    let freed = async {
        while !backend.metrics().contains("openhuman_turns_running 0") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed)
        .await
        .expect("the turn ends with its reader");
    backend.shutdown().await;
}
