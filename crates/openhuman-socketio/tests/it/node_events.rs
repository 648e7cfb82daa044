//! Against the official `socket.io` server for Node.js.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use openhuman_socketio::{Binary, ConnectError, DisconnectReason, Event, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::node::Node;
use crate::scripted::{soon, state};

#[tokio::test]
async fn node_accepts_a_token_and_the_first_event_is_not_missed() {
    let Some(mut node) = Node::start().await else {
        return;
    };
    let mut builder = node.client().auth(json!({"token": "good-1"}));
    let mut welcome = builder.subscribe("welcome");
    let client = soon(builder.connect()).await.unwrap();
    let connect = node.report("connect").await;
    assert_eq!(connect["token"], "good-1");
    let State::Connected { sid, .. } = client.state().borrow().clone() else {
        panic!("not connected")
    };
    assert_eq!(connect["id"], json!(sid));
    assert_eq!(soon(welcome.recv()).await.unwrap().data(), json!({"id": sid}));
    soon(client.disconnect()).await;
    assert_eq!(
        node.report("disconnect").await["reason"],
        "client namespace disconnect"
    );
}

#[tokio::test]
async fn node_refuses_a_bad_token_with_message_and_data() {
    let Some(node) = Node::start().await else { return };
    let refused = soon(node.client().auth(json!({"token": "bad"})).connect()).await;
    let Err(ConnectError::Rejected { message, data }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(message, "bad token");
    assert_eq!(data, Some(json!({"code": 401, "token": "bad"})));
    let unknown = soon(node.client().namespace("/unknown").connect()).await;
    assert!(matches!(unknown, Err(ConnectError::Rejected { message, .. }) if message == "Invalid namespace"));
}

#[tokio::test]
async fn node_exchanges_events_in_another_namespace() {
    let Some(node) = Node::start().await else { return };
    let builder = node.client().namespace("/admin").auth(json!({"token": "good"}));
    let client = soon(builder.connect()).await.unwrap();
    let mut echo = client.subscribe("echo");
    client.emit("echo", &json!({"in": "admin"})).await.unwrap();
    assert_eq!(soon(echo.recv()).await.unwrap().data(), json!({"in": "admin"}));
}

#[tokio::test]
async fn node_exchanges_events_and_acks_both_ways() {
    let Some(mut node) = Node::start().await else {
        return;
    };
    let client = node.connected().await;
    let mut echo = client.subscribe("echo");
    client
        .emit_args("echo", &(1, "zwei", json!({"drei": [null, 4.5]})))
        .await
        .unwrap();
    let (one, two, three): (u8, String, Value) = soon(echo.recv()).await.unwrap().args().unwrap();
    assert_eq!(
        (one, two.as_str(), three),
        (1, "zwei", json!({"drei": [null, 4.5]}))
    );
    client.emit_args("echo", &()).await.unwrap();
    assert_eq!(
        soon(echo.recv()).await.unwrap().args::<Vec<Value>>().unwrap(),
        Vec::<Value>::new()
    );

    let reply = client
        .emit_ack_args("echo-ack", &("ä\u{1F600}\u{1e}", 2))
        .await
        .unwrap();
    assert_eq!(
        reply.args::<(String, u8)>().unwrap(),
        ("ä\u{1F600}\u{1e}".to_owned(), 2)
    );

    let mut questions = client.subscribe("question");
    node.tell(json!({"do": "ask", "args": ["how?", 2]})).await;
    let question: Event = soon(questions.recv()).await.unwrap();
    assert!(question.wants_ack());
    assert_eq!(question.args::<(&str, u8)>().unwrap(), ("how?", 2));
    question.ack(&json!({"so": true})).unwrap();
    assert_eq!(node.report("answer").await["reply"], json!({"so": true}));
}

#[derive(Serialize, Deserialize)]
struct Mixed {
    a: Binary,
    b: u8,
    c: Vec<Binary>,
}

#[tokio::test]
async fn node_exchanges_binary_both_ways() {
    let Some(mut node) = Node::start().await else {
        return;
    };
    let client = node.connected().await;
    let mut bin = client.subscribe("bin");
    node.tell(json!({"do": "emitBinary"})).await;
    let event = soon(bin.recv()).await.unwrap();
    let (mixed, tail): (Mixed, String) = event.args().unwrap();
    assert_eq!(&mixed.a[..], [1, 0x1e, 2]);
    assert_eq!((mixed.b, tail.as_str()), (7, "tail"));
    assert_eq!(mixed.c, [Binary::from(vec![0x1e]), Binary::default()]);

    let reply = client.emit_ack_args("describe", &(mixed, "x")).await.unwrap();
    let expected = json!([{"a": "buffer 011e02", "b": 7, "c": ["buffer 1e", "buffer "]}, "x"]);
    assert_eq!(reply.value(), expected);
    let every_byte = Binary::from((0..=255).collect::<Vec<u8>>());
    let reply = client.emit_ack("echo-ack", &every_byte).await.unwrap();
    assert_eq!(reply.arg::<Binary>().unwrap(), every_byte);

    let mut questions = client.subscribe("question");
    node.tell(json!({"do": "ask", "args": []})).await;
    soon(questions.recv())
        .await
        .unwrap()
        .ack(&Binary::from(vec![0xca, 0xfe]))
        .unwrap();
    assert_eq!(node.report("answer").await["reply"], "cafe");
}

/// B6, against a server that closes the connection when frames interleave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_receives_concurrent_binary_events_whole() {
    let Some(node) = Node::start().await else { return };
    let client = node.connected().await;
    let tasks: Vec<_> = (0..8u8)
        .map(|task| {
            let client = client.clone();
            tokio::spawn(async move {
                for n in 0..100u8 {
                    let sent = vec![Binary::from(vec![task, n]), Binary::from(vec![n, task, 0x1e])];
                    let reply = client.emit_ack("echo-ack", &sent).await.unwrap();
                    assert_eq!(reply.arg::<Vec<Binary>>().unwrap(), sent);
                }
            })
        })
        .collect();
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(60), task)
            .await
            .unwrap()
            .unwrap();
    }
    assert!(client.last_disconnect().is_none());
}

#[tokio::test]
async fn node_heartbeats_keep_an_idle_connection() {
    let Some(mut node) = Node::start().await else {
        return;
    };
    // The server pings every 300 ms and would close after another 2 s without an answer.
    let client = node.connected().await;
    let id = node.report("connect").await["id"].clone();
    let ended = tokio::time::timeout(Duration::from_millis(3_500), node.report("disconnect")).await;
    assert!(ended.is_err(), "the server closed an idle connection: {ended:?}");
    let State::Connected { sid, .. } = client.state().borrow().clone() else {
        panic!("not connected")
    };
    assert_eq!(json!(sid), id);
}

#[tokio::test]
async fn node_restarts_and_is_found_again_with_fresh_credentials() {
    let Some(mut node) = Node::start().await else {
        return;
    };
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let builder = node.client().auth_fn(move || {
        let n = counter.fetch_add(1, Ordering::SeqCst) + 1;
        async move { Ok(json!({ "token": format!("good-{n}") })) }
    });
    let client = soon(builder.connect()).await.unwrap();
    assert_eq!(node.report("connect").await["token"], "good-1");
    let mut echo = client.subscribe("echo");
    for round in 0..3 {
        let port = node.kill().await;
        state(&client, |state| matches!(state, State::Reconnecting { .. })).await;
        assert_eq!(
            client.last_disconnect().unwrap().reason,
            DisconnectReason::TransportClose
        );
        // Waits in the buffer for the new server.
        client.emit("echo", &round).await.unwrap();
        node = Node::run(port).await;
        let token = node.report("connect").await["token"].clone();
        // No credentials are asked for while nobody listens.
        assert_eq!(token, json!(format!("good-{}", round + 2)));
        assert_eq!(soon(echo.recv()).await.unwrap().data(), json!(round));
    }
}

#[tokio::test]
async fn node_disconnects_and_is_left_alone_unless_told_otherwise() {
    let Some(mut node) = Node::start().await else {
        return;
    };
    for close in [false, true] {
        let client = node.connected().await;
        node.report("connect").await;
        node.tell(json!({"do": "disconnect", "close": close})).await;
        let ended = state(&client, |state| !state.is_connected()).await;
        // With `close` the server also ends the connection; DISCONNECT comes first.
        let reason = Some(DisconnectReason::ServerDisconnect);
        assert_eq!(ended, State::Disconnected { reason }, "close: {close}");
    }
    let builder = node
        .client()
        .auth(json!({"token": "good"}))
        .reconnect_after_server_disconnect(true);
    let client = soon(builder.connect()).await.unwrap();
    node.report("connect").await;
    node.tell(json!({"do": "disconnect", "close": false})).await;
    node.report("connect").await;
    state(&client, State::is_connected).await;
}

#[tokio::test]
async fn node_drops_the_connection_and_gets_the_client_back() {
    let Some(mut node) = Node::start().await else {
        return;
    };
    let client = node.connected().await;
    let first = node.report("connect").await["id"].clone();
    node.tell(json!({"do": "drop"})).await;
    let second = node.report("connect").await["id"].clone();
    assert_ne!(first, second);
    state(
        &client,
        |state| matches!(state, State::Connected { sid, .. } if json!(sid) == second),
    )
    .await;
    assert_eq!(
        client.last_disconnect().unwrap().reason,
        DisconnectReason::TransportClose
    );
}

#[tokio::test]
async fn node_receives_ten_thousand_events_in_order() {
    const EVENTS: u32 = 10_000;
    let Some(mut node) = Node::start().await else {
        return;
    };
    let client = node.connected().await;
    let sender = tokio::spawn(async move {
        for n in 0..EVENTS {
            client.emit("count", &n).await.unwrap();
        }
        client.flush().await.unwrap();
        client
    });
    for n in 0..EVENTS {
        assert_eq!(node.report("count").await["n"], n);
    }
    soon(sender).await.unwrap();
}

#[cfg(feature = "msgpack")]
#[tokio::test]
async fn node_speaks_messagepack() {
    let Some(mut node) = Node::start_with(&json!({"parser": "msgpack"})).await else {
        return;
    };
    let builder = || node.client().parser(openhuman_socketio::Parser::MessagePack);
    let refused = soon(builder().auth(json!({"token": "bad"})).connect()).await;
    assert!(matches!(refused, Err(ConnectError::Rejected { data: Some(data), .. }) if data["code"] == 401));
    let mut builder = builder().auth(json!({"token": "good"}));
    let mut welcome = builder.subscribe("welcome");
    let client = soon(builder.connect()).await.unwrap();
    assert!(soon(welcome.recv()).await.unwrap().data()["id"].is_string());
    let values = json!([1, -7, 70_000, 1.5, "\u{e4}", null, true, {"nested": [[], {}]}]);
    let bytes = Binary::from((0..=255).collect::<Vec<u8>>());
    let sent = (&values, &bytes, "end");
    let reply = soon(client.emit_ack("echo-ack", &sent).into_future())
        .await
        .unwrap();
    let (back, binary, end): (Value, Binary, String) = reply.arg().unwrap();
    assert_eq!((back, binary, end.as_str()), (values, bytes, "end"));
    let mut questions = client.subscribe("question");
    node.tell(json!({"do": "ask", "args": [2]})).await;
    soon(questions.recv())
        .await
        .unwrap()
        .ack(&json!({"so": 1}))
        .unwrap();
    assert_eq!(node.report("answer").await["reply"], json!({"so": 1}));
    let admin = client.namespace("/admin").auth(json!({"token": "good"}));
    let admin = soon(admin.connect()).await.unwrap();
    let reply = soon(admin.emit_ack("echo-ack", &"x").into_future())
        .await
        .unwrap();
    assert_eq!(reply.value(), "x");
}
