//! A desktop in a few lines: a raw WebSocket that speaks just enough Socket.IO.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use openhuman_backend::RunningBackend;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The answer to an HTTP/1.1 request: status, head, body.
pub(crate) async fn http(
    backend: &RunningBackend,
    line: &str,
    session: Option<&str>,
    body: &[u8],
) -> (u16, String, String) {
    let mut stream = TcpStream::connect(backend.local_addr()).await.unwrap();
    let bearer = session.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let head = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{bearer}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

/// Redeems a login token at `at`, which may be another instance than the one that issued it.
pub(crate) async fn log_in(at: &RunningBackend, token: &str) -> String {
    let line = format!("POST /telegram/login-tokens/{token}/consume");
    let (status, _, body) = http(at, &line, None, b"").await;
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    body["data"]["jwtToken"].as_str().unwrap().to_owned()
}

pub(crate) async fn session(backend: &RunningBackend, user: &str) -> String {
    let token = backend.issue_login_token(user).unwrap();
    log_in(backend, token.expose()).await
}

pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    /// Connects and waits for `ready`; the error is the message of CONNECT_ERROR.
    pub(crate) async fn connect(backend: &RunningBackend, session: &str) -> Result<Client, String> {
        let url = format!(
            "{}/socket.io/?EIO=4&transport=websocket",
            backend.url().replacen("http", "ws", 1)
        );
        let (socket, _) = connect_async(url).await.map_err(|error| error.to_string())?;
        let mut client = Client { socket };
        assert!(client.text().await.starts_with('0'));
        client.send_text(format!("40{}", json!({"token": session}))).await;
        let answer = client.text().await;
        if let Some(error) = answer.strip_prefix("44") {
            let error: Value = serde_json::from_str(error).unwrap();
            return Err(error["message"].as_str().unwrap().to_owned());
        }
        assert!(answer.starts_with("40"), "{answer}");
        client.until("ready").await;
        Ok(client)
    }

    async fn text(&mut self) -> String {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next())
                .await
                .expect("something arrives");
            match message.expect("the socket is open").unwrap() {
                Message::Text(text) if text.as_str() == "2" => self.send_text("3".to_owned()).await,
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Close(_) => return "closed".to_owned(),
                _ => {}
            }
        }
    }

    async fn send_text(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn emit(&mut self, event: &str, payload: &Value) {
        self.send_text(format!("42{}", json!([event, payload]))).await;
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        let text = self.text().await;
        let event: Value =
            serde_json::from_str(text.strip_prefix("42").unwrap_or_else(|| panic!("{text}"))).unwrap();
        (event[0].as_str().unwrap().to_owned(), event[1].clone())
    }

    /// The payload of the next event of this name; others are passed over.
    pub(crate) async fn until(&mut self, wanted: &str) -> Value {
        loop {
            let (name, payload) = self.event().await;
            if name == wanted {
                return payload;
            }
        }
    }

    /// Answers tool lists, tool calls and webhooks until `end` of them were answered.
    pub(crate) async fn serve(&mut self, name: &str, end: usize) {
        let mut answered = 0;
        while answered < end {
            let (event, payload) = self.event().await;
            match event.as_str() {
                "mcp:listTools" => {
                    let tool =
                        json!({"name": "s__who", "description": "Who?", "inputSchema": {"type": "object"}});
                    let answer = json!({"requestId": payload["requestId"], "tools": [tool]});
                    self.emit("mcp:listToolsResponse", &answer).await;
                    continue;
                }
                "mcp:toolCall" => {
                    let result = json!({"content": [{"type": "text", "text": name}], "isError": false});
                    let answer = json!({"requestId": payload["requestId"], "result": result});
                    self.emit("mcp:toolCallResponse", &answer).await;
                }
                "webhook:request" => {
                    let answer = json!({
                        "correlationId": payload["correlationId"], "statusCode": 202, "body": payload["body"],
                        "headers": {"x-path": payload["path"], "x-query": payload["query"]["a"], "x-who": name},
                    });
                    self.emit("webhook:response", &answer).await;
                }
                _ => continue,
            }
            answered += 1;
        }
    }

    /// Waits until the server closes the connection.
    pub(crate) async fn closed(&mut self) {
        let closing = async {
            while let Some(Ok(message)) = self.socket.next().await {
                if matches!(message, Message::Close(_)) {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, closing)
            .await
            .expect("the server closes the connection");
    }
}
