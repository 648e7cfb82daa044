use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::HubOptions;
use crate::testing::Bench;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

struct Running {
    address: SocketAddr,
    cancel: CancellationToken,
    server: tokio::task::JoinHandle<Result<(), HttpError>>,
    _bench: Arc<Bench>,
}

impl Running {
    async fn start(change: impl FnOnce(&mut HttpOptions)) -> Self {
        let (hub, bench) = Bench::hub(HubOptions::default());
        let mut options = HttpOptions::new(TOKEN);
        change(&mut options);
        let listener = bind("127.0.0.1:0".parse().unwrap(), &options).await.unwrap();
        let address = listener.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let info = ServerInfo {
            name: "bench".into(),
            version: "1".into(),
        };
        let server = tokio::spawn(serve(hub, info, listener, options, cancel.clone()));
        Self {
            address,
            cancel,
            server,
            _bench: bench,
        }
    }

    /// One request on a connection of its own: the status, the headers and the body.
    async fn post(&self, headers: &[(&str, &str)], body: &Value) -> (u16, String, String) {
        let body = body.to_string();
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!(
            "POST {PATH} HTTP/1.1\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nConnection: close\r\n",
            body.len()
        );
        let host = ("Host", "127.0.0.1");
        let named = headers.iter().any(|(name, _)| *name == "Host");
        for (name, value) in headers.iter().chain((!named).then_some(&host)) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.server.await.unwrap().unwrap();
    }
}

const AUTHORIZED: (&str, &str) = ("Authorization", "Bearer 0123456789abcdef0123456789abcdef");

fn opening() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}})
}

fn call() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "bench__echo", "arguments": {"q": 1}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "0"}}}})
}

const MODERN: [(&str, &str); 3] = [
    ("MCP-Protocol-Version", "2026-07-28"),
    ("Mcp-Method", "tools/call"),
    ("Mcp-Name", "bench__echo"),
];

#[tokio::test]
async fn a_call_without_a_session_is_answered_in_one_json_body() {
    let running = Running::start(|_| {}).await;
    let headers = [&[AUTHORIZED][..], &MODERN].concat();
    let (status, head, body) = running.post(&headers, &call()).await;
    assert_eq!(status, 200, "{head}\n{body}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(body.contains("{\\\"q\\\":1}"), "{body}");
    running.stop().await;
}

#[tokio::test]
async fn nobody_without_the_token_and_no_web_page_gets_in() {
    let running = Running::start(|options| options.origins = vec!["http://good.example:80".into()]).await;
    let bad = ("Authorization", "Bearer 0123456789abcdef0123456789abcdeX");
    for headers in [&[][..], &[bad][..], &[("Authorization", "Basic abc")][..]] {
        let (status, head, body) = running.post(headers, &opening()).await;
        assert_eq!(status, 401, "{body}");
        assert!(head.contains("www-authenticate: bearer"), "{head}");
    }
    for (header, expected) in [
        (("Origin", "http://evil.example"), 403),
        (("Origin", "null"), 403),
        (("Host", "evil.example"), 403),
        (("Origin", "http://good.example"), 200),
    ] {
        let (status, _, body) = running.post(&[AUTHORIZED, header], &opening()).await;
        assert_eq!(status, expected, "{header:?}: {body}");
    }
    running.stop().await;
}

#[tokio::test]
async fn sessions_of_older_clients_are_bounded() {
    let running = Running::start(|options| options.sessions = 2).await;
    for expected in [200, 200, 503] {
        let (status, head, body) = running.post(&[AUTHORIZED], &opening()).await;
        assert_eq!(status, expected, "{body}");
        assert_eq!(head.contains("mcp-session-id"), expected == 200, "{head}");
    }
    let headers = [&[AUTHORIZED][..], &MODERN].concat();
    assert_eq!(
        running.post(&headers, &call()).await.0,
        200,
        "calls without a session go on"
    );
    running.stop().await;
}

#[tokio::test]
async fn an_address_for_others_and_a_short_token_are_refused() {
    let options = HttpOptions::new(TOKEN);
    let refused = bind("0.0.0.0:0".parse().unwrap(), &options).await;
    assert!(matches!(refused, Err(HttpError::BeyondLoopback(_))));
    let (hub, _bench) = Bench::hub(HubOptions::default());
    let info = ServerInfo {
        name: "t".into(),
        version: "0".into(),
    };
    let weak = router(hub, info, HttpOptions::new("short"), CancellationToken::new());
    assert!(matches!(weak, Err(HttpError::WeakToken)));
    assert!(
        !format!("{options:?}").contains(TOKEN),
        "the token is not printed"
    );
}
