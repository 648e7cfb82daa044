//! The scripted server as a strict judge of clients.

use openhuman_agent::mock::{MockServer, Quirk, Rule, Script};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A request over a bare socket: status and body.
async fn send(server: &MockServer, method: &str, path: &str, body: &str) -> (u16, String) {
    let base = server.base_url();
    let address = base
        .trim_start_matches("http://")
        .trim_end_matches("/v1")
        .to_owned();
    let mut socket = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn bad_requests_get_openai_errors_and_are_recorded() {
    let server = MockServer::start(Script::new("m")).await;
    let path = "/v1/chat/completions";
    let orphan = json!({"model": "m", "messages": [{"role": "tool", "tool_call_id": "7", "content": "x"}]});
    let (status, body) = send(&server, "POST", path, &orphan.to_string()).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 400);
    assert_eq!(body["error"]["type"], "invalid_request_error");
    assert_eq!(body["error"]["param"], "messages[0]");
    assert!(body["error"]["message"].as_str().unwrap().contains("`7`"));
    assert_eq!(send(&server, "POST", path, "{broken").await.0, 400);
    assert_eq!(send(&server, "POST", "/v1/embeddings", "{}").await.0, 404);
    let wrong = json!({"model": "gpt", "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(send(&server, "POST", path, &wrong.to_string()).await.0, 404);
    let seen: Vec<(String, u16)> = server
        .requests()
        .iter()
        .map(|seen| (seen.path.clone(), seen.status))
        .collect();
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[2], ("/v1/embeddings".to_owned(), 404));
    assert_eq!(server.requests()[0].body, orphan);
}

#[tokio::test]
async fn models_are_listed() {
    let server = MockServer::start(Script::new("tiny")).await;
    let (status, body) = send(&server, "GET", "/v1/models", "").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body["data"][0]["id"].as_str()), (200, Some("tiny")));
}

#[tokio::test]
async fn a_request_without_stream_gets_a_document() {
    let rule = Rule::when_user_says(["hi"]).call("s__t", json!({"q": "{{user}}"}));
    let server = MockServer::start(Script::new("m").rule(rule)).await;
    let request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let (status, body) = send(&server, "POST", "/v1/chat/completions", &request.to_string()).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(body["object"], "chat.completion");
    let choice = &body["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    assert_eq!(
        choice["message"]["tool_calls"][0]["function"]["arguments"],
        "{\"q\":\"hi\"}"
    );
    assert!(body["usage"]["total_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_stream_ends_with_usage_and_done() {
    let server =
        MockServer::start(Script::new("m").rule(Rule::when_user_says(["hi"]).answer("Good day."))).await;
    let request = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "HI"}]});
    let (status, body) = send(&server, "POST", "/v1/chat/completions", &request.to_string()).await;
    assert_eq!(status, 200);
    let events: Vec<&str> = body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunk = |at: usize| serde_json::from_str::<Value>(events[events.len() - at]).unwrap();
    assert!(chunk(2)["usage"]["completion_tokens"].is_u64());
    assert_eq!(chunk(3)["choices"][0]["finish_reason"], "stop");
    let text: String = events[..events.len() - 1]
        .iter()
        .filter_map(|event| {
            serde_json::from_str::<Value>(event).unwrap()["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(text, "Good day.");
}

#[test]
fn scripts_have_a_json_form() {
    for script in [Script::demo(), Script::new("m").quirk(Quirk::NoDone).api_key("k")] {
        let text = serde_json::to_string(&script).unwrap();
        assert_eq!(serde_json::from_str::<Script>(&text).unwrap(), script, "{text}");
    }
    assert!(
        serde_json::from_str::<Script>(r#"{"rulez": []}"#).is_err(),
        "misspelt fields are not ignored"
    );
}
