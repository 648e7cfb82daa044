//! Conversations at a backend that a test scripts event by event.

use std::time::Duration;

use futures_util::StreamExt;
use openhuman::{CancellationToken, ChatEvent, Credential, Route};
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{Data, Event, SocketRef};
use tokio::sync::mpsc;

use crate::new_core;

const PATIENCE: Duration = Duration::from_secs(20);

/// A Socket.IO server that accepts everybody; gives its address and, for each connection, its side of it.
async fn backend() -> (
    String,
    mpsc::UnboundedReceiver<(SocketRef, mpsc::UnboundedReceiver<(String, Value)>)>,
) {
    let (layer, io) = SocketIo::builder().build_layer();
    let (connected, connections) = mpsc::unbounded_channel();
    io.ns("/", move |socket: SocketRef| {
        let (sender, events) = mpsc::unbounded_channel();
        socket.on_fallback(move |Event(name): Event, Data(data): Data<Value>| {
            let _ = sender.send((name, data));
            std::future::ready(())
        });
        socket.emit("ready", &json!({})).unwrap();
        let _ = connected.send((socket, events));
        std::future::ready(())
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().layer(layer)).await });
    (url, connections)
}

async fn until(events: &mut mpsc::UnboundedReceiver<(String, Value)>, name: &str) -> Value {
    let found = async {
        loop {
            let (event, data) = events.recv().await.expect("the connection is open");
            if event == name {
                return data;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .expect("the event comes")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_question_is_answered_although_the_first_one_still_talks() {
    let dir = tempfile::tempdir().unwrap();
    let (url, mut connections) = backend().await;
    let core = new_core(dir.path()).await;
    core.connect(&url, &Credential::SessionToken("any".into()))
        .await
        .unwrap();
    let (socket, mut events) = connections.recv().await.unwrap();
    let say = |name: &str, request: &str, mut data: Value| {
        data["thread_id"] = json!("t");
        data["request_id"] = json!(request);
        socket.emit(name, &data).unwrap();
    };

    let stop = CancellationToken::new();
    let first = core.chat("t", "first", Route::Backend, &stop.clone());
    let first = tokio::spawn(first.collect::<Vec<_>>());
    until(&mut events, "chat:start").await;
    say("chat_accepted", "1", json!({}));
    say("chat_delta", "1", json!({ "delta": "of the first" }));

    let second = core.chat("t", "second", Route::Backend, &CancellationToken::new());
    let second = tokio::spawn(second.collect::<Vec<_>>());
    until(&mut events, "chat:start").await;
    say("chat_delta", "1", json!({ "delta": "late words" }));
    say(
        "chat_error",
        "1",
        json!({ "message": "Cancelled by newer request", "error_type": "cancelled" }),
    );
    say("chat_accepted", "2", json!({}));
    say("chat_delta", "2", json!({ "delta": "so" }));
    say("chat_done", "2", json!({ "full_response": "so" }));

    let second = tokio::time::timeout(PATIENCE, second).await.unwrap().unwrap();
    let said: Vec<_> = second
        .iter()
        .filter(|event| !matches!(event, ChatEvent::Recall { .. }))
        .cloned()
        .collect();
    assert_eq!(
        said,
        [
            ChatEvent::Delta { delta: "so".into() },
            ChatEvent::Done { answer: "so".into() }
        ]
    );
    let first = tokio::time::timeout(PATIENCE, first).await.unwrap().unwrap();
    assert!(matches!(first.last(), Some(ChatEvent::Error { error_type, .. }) if error_type == "cancelled"));
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_ends_when_the_user_disconnects() {
    let dir = tempfile::tempdir().unwrap();
    let (url, mut connections) = backend().await;
    let core = new_core(dir.path()).await;
    // Which of the two ends is seen first is a matter of chance.
    for _ in 0..8 {
        core.connect(&url, &Credential::SessionToken("any".into()))
            .await
            .unwrap();
        let (_socket, mut events) = connections.recv().await.unwrap();
        let turn = core.chat("t", "hello", Route::Backend, &CancellationToken::new());
        let turn = tokio::spawn(turn.collect::<Vec<_>>());
        until(&mut events, "chat:start").await;
        core.disconnect().await;
        let turn = tokio::time::timeout(PATIENCE, turn).await.unwrap().unwrap();
        assert!(matches!(turn.last(), Some(ChatEvent::Error { error_type, .. }) if error_type == "network"));
    }
    core.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnecting_ends_an_attempt_that_hangs_and_a_chat_need_not_wait_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let core = new_core(dir.path()).await;
    // Accepts and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let attempt = tokio::spawn({
        let core = core.clone();
        async move {
            core.connect(&url, &Credential::SessionToken("any".into()))
                .await
                .map(drop)
        }
    });
    let _stuck = listener.accept().await.unwrap();
    let chat = core.chat("t", "hello", Route::Auto, &CancellationToken::new());
    let said = tokio::time::timeout(Duration::from_secs(10), chat.collect::<Vec<_>>()).await;
    assert!(said.unwrap().last().unwrap().is_last());
    tokio::time::timeout(Duration::from_secs(10), core.disconnect())
        .await
        .unwrap();
    assert!(attempt.await.unwrap().is_err());
    assert_eq!(*core.socket().borrow(), openhuman::SocketStatus::default());
    core.close().await;
}
