//! Row 20 of the known failures: frames that are malformed or not ASCII, and what is written to logs.

use std::io;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use openhuman::{Credential, SocketState};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use super::{soon, until};
use crate::new_core;

const OPEN: &str =
    r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const TOKEN: &str = "session-of-this-test";
const ARGUMENT: &str = "an-argument-of-this-test";

/// What ends a connection, each with a reason, and none with a panic.
const MALFORMED: [&str; 7] = [
    "4",
    "42[",
    "42[\"\u{e9}",
    "42[\"mcp:toolCall\",{\"\u{1f600}\":]",
    "4\u{1f600}",
    "451-[\"x\"]",
    "42{\"not\":\"an event\"}",
];

/// Everything that is logged at debug and above.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Takes one connection up to the CONNECT ack.
async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = soon("a connection", listener.accept()).await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    socket.send(Message::text(OPEN)).await.unwrap();
    let connect = soon("CONNECT", socket.next()).await.unwrap().unwrap();
    assert_eq!(connect, Message::text(format!(r#"40{{"token":"{TOKEN}"}}"#)));
    socket.send(Message::text(r#"40{"sid":"c"}"#)).await.unwrap();
    socket.send(Message::text(r#"42["ready",{}]"#)).await.unwrap();
    socket
}

/// The next event of this name, as text.
async fn event(socket: &mut WebSocketStream<TcpStream>, name: &str) -> String {
    let prefix = format!("42[\"{name}\"");
    let found = async {
        loop {
            let frame = socket.next().await.expect("the connection is open").unwrap();
            if let Message::Text(text) = frame
                && text.starts_with(&prefix)
            {
                return text.to_string();
            }
        }
    };
    soon(name, found).await
}

// On one thread, so that everything is logged to this test's log.
#[tokio::test]
async fn row_20_bad_frames_end_a_connection_and_never_the_program_and_logs_hold_no_payload() {
    let log = Log::default();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(log.clone())
        .with_ansi(false);
    let levels = tracing_subscriber::filter::LevelFilter::DEBUG;
    let _logged = tracing::subscriber::set_default(tracing_subscriber::registry().with(levels).with(lines));

    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let core = new_core(dir.path()).await;
    let credential = Credential::SessionToken(TOKEN.into());
    let (connected, mut socket) = tokio::join!(core.connect(&url, &credential), accept(&listener));
    connected.unwrap();
    for frame in MALFORMED {
        event(&mut socket, "tool:sync").await;
        socket.send(Message::text(frame)).await.unwrap();
        let status = until(&core, "the end", |status| {
            status.status == SocketState::Reconnecting
        })
        .await;
        assert!(
            status.error.as_deref().is_some_and(|error| !error.is_empty()),
            "{frame}: {status:?}"
        );
        socket = accept(&listener).await;
    }

    // What is only unusual is no reason to end anything.
    event(&mut socket, "tool:sync").await;
    for frame in [
        "42[\"\u{e4}\u{1f600}\",{\"\u{f6}\":\"\u{1f680}\"}]",
        "42[\"mcp:toolCall\",\"no object\"]",
        "42[\"mcp:toolCall\"]",
        "42[\"chat_delta\",null]",
        "42[\"webhook:request\",[1]]",
    ] {
        socket.send(Message::text(frame)).await.unwrap();
    }
    let call = json!(["mcp:toolCall", { "requestId": "\u{1f600}", "toolCall": {
        "name": "sums__add", "arguments": { "a": 1, "b": 2, "note": ARGUMENT } } }]);
    socket.send(Message::text(format!("42{call}"))).await.unwrap();
    loop {
        let answer = event(&mut socket, "mcp:toolCallResponse").await;
        if answer.contains('\u{1f600}') {
            assert!(answer.contains('3'), "{answer}");
            break;
        }
    }
    assert_eq!(core.socket().borrow().status, SocketState::Connected);
    core.close().await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("openhuman"), "nothing was logged: {log}");
    for secret in [TOKEN, ARGUMENT] {
        assert!(!log.contains(secret), "'{secret}' is in: {log}");
    }
}
