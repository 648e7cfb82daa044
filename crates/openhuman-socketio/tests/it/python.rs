//! The server for Python.

use std::process::Stdio;

use openhuman_socketio::{Binary, Client, ConnectError, Transports};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::scripted::{quick, soon};

/// A Python that has `python-socketio` and `aiohttp`. Without it, these tests are only run where they are installed.
const PYTHON: &str = "OPENHUMAN_PYTHON";

/// A running server and its address; `None` where Python has not what it needs.
pub(crate) async fn start() -> Option<(Child, String)> {
    let given = std::env::var(PYTHON).ok();
    let python = given.clone().unwrap_or_else(|| "python3".to_owned());
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let probe = Command::new(&python)
        .args(["-c", "import socketio, aiohttp"])
        .stderr(Stdio::null())
        .status();
    if !probe.await.is_ok_and(|status| status.success()) {
        assert!(given.is_none(), "{PYTHON} has no python-socketio and aiohttp");
        return None;
    }
    let mut server = Command::new(&python)
        .arg("server.py")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let port = soon(lines.next_line()).await.unwrap().expect("the server ended");
    Some((server, format!("http://127.0.0.1:{port}")))
}

#[tokio::test]
async fn python_is_spoken_with_over_every_transport() {
    let Some((_server, url)) = start().await else {
        return;
    };
    for transports in [
        Transports::WebSocket,
        Transports::PollingThenWebSocket,
        Transports::Polling,
    ] {
        let builder = || Client::builder(&url).transports(transports).reconnect(quick());
        let refused = soon(builder().auth(json!({"token": "bad"})).connect()).await;
        let Err(ConnectError::Rejected { message, data }) = refused else {
            panic!("{transports:?}: {refused:?}")
        };
        assert_eq!(
            (message.as_str(), data),
            ("bad token", Some(json!({"code": 401})))
        );

        let client = soon(builder().auth(json!({"token": "good"})).connect())
            .await
            .unwrap();
        let admin = client.namespace("/admin").auth(json!({"token": "good"}));
        let admin = soon(admin.connect()).await.unwrap();
        for namespace in [&client, &admin] {
            let bytes = Binary::from((0..=255).collect::<Vec<u8>>());
            let sent = (1, "zwei \u{e4}", json!({"three": [null, 4.5]}), &bytes);
            let reply = soon(namespace.emit_ack_args("echo-ack", &sent).into_future())
                .await
                .unwrap();
            let (one, two, three, back): (u8, String, Value, Binary) = reply.args().unwrap();
            assert_eq!(
                (one, two.as_str(), three),
                (1, "zwei \u{e4}", json!({"three": [null, 4.5]}))
            );
            assert_eq!(back, bytes, "{transports:?}");
            // The server asks, and tells what it was answered.
            let (mut questions, mut answered) =
                (namespace.subscribe("question"), namespace.subscribe("answered"));
            namespace.emit("ask-me", &7).await.unwrap();
            let question = soon(questions.recv()).await.unwrap();
            assert_eq!(question.data(), json!(7));
            question.ack(&json!({"so": true})).unwrap();
            assert_eq!(soon(answered.recv()).await.unwrap().data(), json!({"so": true}));
        }
        soon(admin.disconnect()).await;
        soon(client.disconnect()).await;
    }
}
