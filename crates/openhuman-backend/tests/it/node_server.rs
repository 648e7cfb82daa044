//! The example server in `examples/node` keeps the same contract: what a desktop does here it can do there.

use std::path::Path;
use std::process::Stdio;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::client::PATIENCE;

async fn consume(origin: &str, token: &str) -> (String, Value) {
    let mut stream = TcpStream::connect(origin).await.unwrap();
    let request = format!(
        "POST /telegram/login-tokens/{token}/consume HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let json = &body[body.find('{').unwrap()..=body.rfind('}').unwrap()];
    (
        head.lines().next().unwrap().to_owned(),
        serde_json::from_str(json).unwrap(),
    )
}

#[tokio::test]
async fn the_example_server_serves_a_desktop() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/node");
    let required = std::env::var_os("OPENHUMAN_REQUIRE_NODE").is_some_and(|value| value == "1");
    let ready = folder.join("node_modules/socket.io").is_dir();
    assert!(
        ready || !required,
        "run `npm ci --ignore-scripts` in examples/node"
    );
    if !ready {
        eprintln!("not run: run `npm ci --ignore-scripts` in examples/node");
        return;
    }
    let mut server = Command::new("node")
        .args(["server.mjs", "0"])
        .current_dir(&folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(PATIENCE, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let told: Value = serde_json::from_str(&first).unwrap();
    let origin = told["url"]
        .as_str()
        .unwrap()
        .trim_start_matches("http://")
        .to_owned();
    let token = told["token"].as_str().unwrap();
    let (status, body) = consume(&origin, token).await;
    assert!(status.contains("200"), "{status}");
    let session = body["data"]["jwtToken"].as_str().unwrap();
    assert!(
        consume(&origin, token).await.0.contains("401"),
        "a token is good once"
    );

    let url = format!("ws://{origin}/socket.io/?EIO=4&transport=websocket");
    let (mut socket, _) = connect_async(url).await.unwrap();
    let connect = format!("40{}", json!({"token": session}));
    socket.send(Message::text(connect)).await.unwrap();
    let mut names = Vec::new();
    let talk = async {
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let Some(event) = text.as_str().strip_prefix("42") else {
                continue;
            };
            let event: Value = serde_json::from_str(event).unwrap();
            let (name, payload) = (event[0].as_str().unwrap().to_owned(), &event[1]);
            let id = &payload["requestId"];
            let answer = match name.as_str() {
                "ready" => json!(["chat:start", {"thread_id": "t", "message": "hi"}]),
                "mcp:listTools" => {
                    let tool =
                        json!({"name": "s__who", "description": "", "inputSchema": {"type": "object"}});
                    json!(["mcp:listToolsResponse", {"requestId": id, "tools": [tool]}])
                }
                "mcp:toolCall" => {
                    assert_eq!(payload["toolCall"]["name"], "s__who");
                    let result = json!({"content": [{"type": "text", "text": "Ada"}], "isError": false});
                    json!(["mcp:toolCallResponse", {"requestId": id, "result": result}])
                }
                "chat_done" => return payload["full_response"].as_str().unwrap().to_owned(),
                _ => {
                    names.push(name);
                    continue;
                }
            };
            socket.send(Message::text(format!("42{answer}"))).await.unwrap();
        }
        panic!("the server hung up");
    };
    let said = tokio::time::timeout(PATIENCE, talk).await.unwrap();
    assert_eq!(said, "You said: hi. s__who says: Ada");
    assert_eq!(names, ["chat_accepted", "chat_delta"]);
}
