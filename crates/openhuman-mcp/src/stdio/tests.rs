use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};

use super::*;
use crate::HubOptions;
use crate::testing::Bench;

struct Client {
    out: WriteHalf<DuplexStream>,
    lines: tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>,
    server: tokio::task::JoinHandle<Result<(), StdioError>>,
    bench: Arc<Bench>,
    cancel: CancellationToken,
}

impl Client {
    fn start() -> Self {
        let (hub, bench) = Bench::hub(HubOptions::default());
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (reader, writer) = tokio::io::split(far);
        let cancel = CancellationToken::new();
        let info = ServerInfo {
            name: "bench".into(),
            version: "1.2.3".into(),
        };
        let server = tokio::spawn(serve_io(hub, info, reader, writer, cancel.clone()));
        let (reader, out) = tokio::io::split(near);
        Self {
            out,
            lines: BufReader::new(reader).lines(),
            server,
            bench,
            cancel,
        }
    }

    async fn send(&mut self, message: Value) {
        self.out
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }

    async fn receive(&mut self) -> Value {
        serde_json::from_str(
            &self
                .lines
                .next_line()
                .await
                .unwrap()
                .expect("the server is there"),
        )
        .unwrap()
    }

    async fn request(&mut self, id: u64, method: &str, params: Value) -> Value {
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        let answer = self.receive().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    async fn open(&mut self) {
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"},
        });
        let answer = self.request(0, "initialize", params).await;
        assert_eq!(
            answer["result"]["serverInfo"],
            json!({"name": "bench", "version": "1.2.3"})
        );
        assert_eq!(answer["result"]["capabilities"]["tools"]["listChanged"], true);
        self.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
        assert_eq!(self.request(1, "ping", json!({})).await["result"], json!({}));
    }
}

#[tokio::test]
async fn a_client_with_a_handshake_lists_and_calls() {
    let mut client = Client::start();
    client.open().await;
    let listed = client.request(2, "tools/list", json!({})).await;
    let first = &listed["result"]["tools"][0];
    assert_eq!(first["name"], "bench__echo");
    assert_eq!(
        first["annotations"],
        json!({"readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false})
    );
    assert_eq!(
        listed["result"]["tools"][1]["annotations"]["destructiveHint"],
        true
    );

    let called = client
        .request(
            3,
            "tools/call",
            json!({"name": "bench__echo", "arguments": {"q": "ü"}}),
        )
        .await;
    assert_eq!(called["result"]["content"][0]["text"], "{\"q\":\"ü\"}");
    assert_eq!(called["result"]["isError"], false);
    let structured = client
        .request(4, "tools/call", json!({"name": "bench__json"}))
        .await;
    assert_eq!(structured["result"]["structuredContent"], json!({"given": {}}));
    let failed = client.request(5, "tools/call", json!({"name": "nobody"})).await;
    assert_eq!(failed["result"]["isError"], true);
    let unknown = client.request(6, "resources/read", json!({"uri": "x://y"})).await;
    assert_eq!(unknown["error"]["code"], -32601);
    let bad = client
        .request(7, "tools/list", json!({"cursor": "made up"}))
        .await;
    assert_eq!(bad["error"]["code"], -32602);
}

#[tokio::test]
async fn a_client_without_a_handshake_lists_and_calls() {
    let mut client = Client::start();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "0"},
    });
    let found = client.request(1, "server/discover", json!({"_meta": meta})).await;
    assert!(
        found["result"]["supportedVersions"]
            .as_array()
            .is_some_and(|v| v.contains(&json!("2026-07-28")))
    );
    let listed = client.request(2, "tools/list", json!({"_meta": meta})).await;
    assert_eq!(listed["result"]["tools"][0]["name"], "bench__echo");
    assert!(listed["result"]["ttlMs"].is_number(), "{listed}");
    let called = client
        .request(3, "tools/call", json!({"_meta": meta, "name": "bench__echo"}))
        .await;
    assert_eq!(called["result"]["content"][0]["text"], "{}");

    client
        .send(
            json!({"jsonrpc": "2.0", "id": 4, "method": "subscriptions/listen",
            "params": {"_meta": meta, "notifications": {"toolsListChanged": true}}}),
        )
        .await;
    assert_eq!(
        client.receive().await["method"],
        "notifications/subscriptions/acknowledged"
    );
    client.bench.add_tool("late");
    assert_eq!(
        client.receive().await["method"],
        "notifications/tools/list_changed"
    );
}

#[tokio::test]
async fn a_change_is_announced_and_a_cancelled_call_stops() {
    let mut client = Client::start();
    client.open().await;
    client.bench.add_tool("late");
    assert_eq!(
        client.receive().await["method"],
        "notifications/tools/list_changed"
    );

    client
        .send(json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "bench__hang"}}))
        .await;
    client.bench.started().await;
    client
        .send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}}))
        .await;
    client.bench.last_token().cancelled().await;
    assert_eq!(client.request(10, "ping", json!({})).await["result"], json!({}));
}

#[tokio::test]
async fn garbage_does_not_end_the_session() {
    let mut client = Client::start();
    client.open().await;
    client.out.write_all(b"not json\n\xff\xfe\n").await.unwrap();
    client.out.write_all(&vec![b'x'; MAX_LINE + 10]).await.unwrap();
    client.out.write_all(b"\n").await.unwrap();
    assert_eq!(client.request(2, "ping", json!({})).await["result"], json!({}));
}

#[tokio::test]
async fn closing_and_cancelling_are_no_errors() {
    for open in [false, true] {
        let mut client = Client::start();
        if open {
            client.open().await;
        }
        client.out.shutdown().await.unwrap();
        drop((client.out, client.lines));
        client.server.await.unwrap().unwrap();

        let mut client = Client::start();
        if open {
            client.open().await;
        }
        client.cancel.cancel();
        client.server.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_protocol_violation_says_what_to_check() {
    let mut client = Client::start();
    client
        .send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .await;
    let error = client.server.await.unwrap().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("check that the client speaks MCP over stdio"),
        "{error}"
    );
}
