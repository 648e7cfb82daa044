use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::policy::AskBeforeChange;
use crate::testing::Bench;
use crate::{CancellationToken, HubOptions, ServerInfo, stdio};

use super::*;

/// Sends messages to a hub that asks before changes, and returns the line after each of those that have an id.
struct Talk {
    lines: tokio::io::Lines<BufReader<tokio::io::ReadHalf<tokio::io::DuplexStream>>>,
    writer: tokio::io::WriteHalf<tokio::io::DuplexStream>,
    cancel: CancellationToken,
}

impl Talk {
    fn start() -> Self {
        let (hub, _bench) = Bench::hub(HubOptions::default());
        let hub = hub.guarded(Arc::new(AskBeforeChange));
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (reader, writer) = tokio::io::split(far);
        let cancel = CancellationToken::new();
        tokio::spawn(stdio::serve_io(
            hub,
            ServerInfo::default(),
            reader,
            writer,
            cancel.clone(),
        ));
        let (reader, writer) = tokio::io::split(near);
        Self {
            lines: BufReader::new(reader).lines(),
            writer,
            cancel,
        }
    }

    async fn send(&mut self, message: Value) {
        self.writer
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }

    async fn next(&mut self) -> Value {
        let line = self.lines.next_line().await.unwrap().expect("a line");
        serde_json::from_str(&line).unwrap()
    }

    async fn ask(&mut self, id: u32, method: &str, params: Value) -> Value {
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        self.next().await
    }
}

fn modern(capabilities: &Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "0"},
    })
}

#[tokio::test]
async fn an_older_client_is_asked_with_a_request_of_its_own() {
    let mut talk = Talk::start();
    talk.ask(0, "initialize", json!({
        "protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": {"name": "t", "version": "0"},
    }))
    .await;
    talk.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .await;
    for (action, is_error) in [("accept", false), ("decline", true), ("cancel", true)] {
        let call = json!({"name": "bench__json", "arguments": {"n": 1}});
        let asked = talk.ask(1, "tools/call", call).await;
        assert_eq!(asked["method"], "elicitation/create");
        let message = asked["params"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("Allow bench__json once?") && message.ends_with("{\"n\":1}"),
            "{message}"
        );
        let answer =
            json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"action": action, "content": {}}});
        talk.send(answer).await;
        let result = talk.next().await;
        assert_eq!(result["result"]["isError"], is_error, "{result}");
    }
    talk.cancel.cancel();
}

#[tokio::test]
async fn a_newer_client_is_asked_in_the_answer_and_calls_again() {
    let mut talk = Talk::start();
    let can = modern(&json!({"elicitation": {"form": {}}}));
    let call = |more: Value| {
        let mut call = json!({"_meta": can, "name": "bench__json", "arguments": {"n": 1}});
        call.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        call
    };
    let asked = talk.ask(1, "tools/call", call(json!({}))).await;
    let asked = &asked["result"];
    assert_eq!(asked["resultType"], "input_required");
    assert_eq!(asked["inputRequests"]["approval"]["method"], "elicitation/create");
    let state = asked["requestState"].as_str().unwrap();
    let said =
        |action: &str| json!({"inputResponses": {"approval": {"action": action}}, "requestState": state});
    let granted = talk.ask(2, "tools/call", call(said("accept"))).await;
    assert_eq!(granted["result"]["structuredContent"], json!({"given": {"n": 1}}));
    let declined = talk.ask(3, "tools/call", call(said("decline"))).await;
    assert_eq!(declined["result"]["isError"], true);

    let mut other = call(said("accept"));
    other["arguments"] = json!({"n": 2});
    let refused = talk.ask(4, "tools/call", other).await;
    assert_eq!(
        refused["error"]["code"], -32602,
        "the state belongs to other arguments: {refused}"
    );
    let made_up = json!({"inputResponses": {}, "requestState": "rs1.made.up"});
    let refused = talk.ask(5, "tools/call", call(made_up)).await;
    assert_eq!(refused["error"]["code"], -32602);

    let cannot = json!({"_meta": modern(&json!({})), "name": "bench__json", "arguments": {}});
    let told = talk.ask(6, "tools/call", cannot).await;
    let text = told["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.ends_with("this client cannot ask its user"), "{text}");
    talk.cancel.cancel();
}
