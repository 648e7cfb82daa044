//! engine.io-client: what its own suite asks of the engine, asked of the client that has it inside.

use std::time::Duration;

use openhuman_socketio::{
    Binary, Client, ConnectError, DisconnectReason, EmitError, ProtocolError, Transports,
};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::{case, suite};
use crate::node::Node;
use crate::scripted::{Server, quick, soon, state};

#[tokio::test]
async fn texts_bytes_and_cookies() {
    let Some(node) = suite().await else { return };
    let back = async |client: &Client, value: &Value| {
        let reply = client.emit_ack("echo", value).await.unwrap();
        assert_eq!(&reply.value(), value);
    };

    case("should receive multibyte utf-8 strings with polling", async {
        let client = node
            .client()
            .transports(Transports::Polling)
            .connect()
            .await
            .unwrap();
        back(&client, &json!("cash money \u{20ac}\u{20ac}\u{20ac}")).await;
    })
    .await;
    case("should receive emoji", async {
        let client = node.client().connect().await.unwrap();
        back(
            &client,
            &json!("\u{10000}-\u{effff}\u{f0000}-\u{10ffff}\u{e000}-\u{f8ff}"),
        )
        .await;
    })
    .await;
    for (title, transports) in [
        (
            "should be able to receive binary data when bouncing it back (polling)",
            Transports::Polling,
        ),
        (
            "should be able to receive binary data when bouncing it back (ws)",
            Transports::WebSocket,
        ),
        (
            "should be able to receive binary data and a multibyte utf-8 string (polling)",
            Transports::Polling,
        ),
        (
            "should be able to receive binary data and a multibyte utf-8 string (ws)",
            Transports::WebSocket,
        ),
        (
            "should be able to receive binary data when bouncing it back and forcing base64 (ws)",
            Transports::PollingThenWebSocket,
        ),
    ] {
        case(title, async {
            let mut builder = node.client().transports(transports);
            let mut answers = builder.subscribe("back");
            let client = builder.connect().await.unwrap();
            let bytes = Binary::from(vec![0, 1, 2, 3, 4]);
            client
                .emit_args("back", &(&bytes, "\u{20ac}\u{20ac}"))
                .await
                .unwrap();
            client.emit("back", "cash money \u{20ac}").await.unwrap();
            let first = answers.recv().await.unwrap();
            assert_eq!(
                first.args::<(Binary, String)>().unwrap(),
                (bytes, "\u{20ac}\u{20ac}".to_owned())
            );
            assert_eq!(answers.recv().await.unwrap().data(), "cash money \u{20ac}");
        })
        .await;
    }

    for (title, keep, expected) in [
        (
            "should send cookies with withCredentials: true",
            true,
            json!("1=1; 2=2"),
        ),
        (
            "should not send cookies with withCredentials: false",
            false,
            Value::Null,
        ),
    ] {
        case(title, async {
            let builder = node.client().transports(Transports::Polling).cookies(keep);
            let client = builder.connect().await.unwrap();
            let headers = client.emit_ack_args("sendHeaders", &()).await.unwrap().value();
            assert_eq!(headers["cookie"], expected, "{headers}");
        })
        .await;
    }
}

#[tokio::test]
async fn how_it_ends() {
    let limits = json!({"maxHttpBufferSize": 300});
    let Some(node) = Node::suite(&limits).await else {
        return;
    };

    // What the server would not take is refused here, and the link lives on; the JavaScript client sends it and is cut off.
    for (title, transports) in [
        (
            "close: provides details when maxHttpBufferSize is reached (polling)",
            Transports::Polling,
        ),
        (
            "close: provides details when maxHttpBufferSize is reached (websocket)",
            Transports::WebSocket,
        ),
        (
            "should send a packet whose length is above the maxPayload value anyway",
            Transports::Polling,
        ),
    ] {
        case(title, async {
            let client = node.client().transports(transports).connect().await.unwrap();
            let refused = client.emit("echo", &"a".repeat(301)).await;
            assert!(
                matches!(refused, Err(EmitError::TooLarge { max: 300, .. })),
                "{refused:?}"
            );
            assert_eq!(client.emit_ack("echo", "b").await.unwrap().value(), "b");
        })
        .await;
    }
    case(
        "close: a WebSocket that the server closes with a code says so",
        async {
            let server = Server::bind().await;
            let (client, mut peer) = server.connected().await;
            peer.close_with(1009, "too big").await;
            state(&client, |state| !state.is_connected()).await;
            let lost = client.last_disconnect().unwrap();
            assert_eq!(lost.reason, DisconnectReason::TransportClose);
            let reason = "too big".to_owned();
            assert_eq!(lost.error, Some(ProtocolError::Closed { code: 1009, reason }));
        },
    )
    .await;
    for (title, transports) in [
        (
            "close: provides details when the session ID is unknown (polling)",
            Transports::Polling,
        ),
        (
            "close: provides details when the session ID is unknown (websocket)",
            Transports::WebSocket,
        ),
    ] {
        case(title, async {
            let refused = node
                .client()
                .transports(transports)
                .query([("sid", "abc")])
                .connect()
                .await;
            let Err(ConnectError::Http { status: 400, body }) = refused else {
                panic!("{refused:?}")
            };
            assert!(body.contains("Session ID unknown"), "{body}");
        })
        .await;
    }
    case("should not send packets if socket closes", async {
        let server = Server::bind().await;
        let (client, mut peer) = server.connected().await;
        let leaving = tokio::spawn({
            let client = client.clone();
            async move { client.disconnect().await }
        });
        assert_eq!(peer.text().await, "41");
        assert!(matches!(client.emit("hi", &()).await, Err(EmitError::Closed)));
        assert!(peer.until_closed().await.is_empty());
        leaving.await.unwrap();
    })
    .await;
    case("throttled timer: checks the state of the timer", async {
        // A process that slept through its deadline notices at once, whatever waits in the socket.
        let server = Server::bind().await;
        let builder = server.client().heartbeat_slack(Duration::ZERO).reconnect(quick());
        let connecting = tokio::spawn(builder.connect());
        let mut peer = server.accept().await;
        peer.send(r#"0{"sid":"e","upgrades":[],"pingInterval":20,"pingTimeout":20}"#)
            .await;
        assert_eq!(peer.text().await, "40");
        peer.send(r#"40{"sid":"s"}"#).await;
        let client = connecting.await.unwrap().unwrap();
        state(&client, |state| !state.is_connected()).await;
        assert_eq!(
            client.last_disconnect().unwrap().reason,
            DisconnectReason::PingTimeout
        );
    })
    .await;
}

/// A server whose probe is never answered keeps the upgrade under way for as long as a case needs.
#[tokio::test]
async fn closing_during_an_upgrade() {
    let Some(mut node) = suite().await else { return };
    for title in [
        "should defer close when upgrading",
        "should close on upgradeError if closing is deferred",
        "should not send packets if closing is deferred",
        "should send all buffered packets if closing is deferred",
    ] {
        case(title, async {
            let builder = node.client().transports(Transports::PollingThenWebSocket);
            let builder = if title.contains("upgradeError") {
                builder.query([("deny", "websocket")])
            } else {
                builder
            };
            let client = builder.connect().await.unwrap();
            if title.contains("all buffered") {
                for n in 0..20 {
                    client.emit("back", &n).await.unwrap();
                }
            }
            // At once, which is before, during or after the upgrade.
            client.disconnect().await;
            assert!(matches!(client.emit("hi", &()).await, Err(EmitError::Closed)));
            let mut events = 0;
            loop {
                let report = node.next_report().await;
                assert_ne!(report["event"], "hi");
                events += i32::from(report["did"] == "event");
                if report["did"] == "engine close" {
                    break;
                }
            }
            assert_eq!(events, if title.contains("all buffered") { 20 } else { 0 });
        })
        .await;
    }
}

#[tokio::test]
async fn batches() {
    let limits = json!({"maxHttpBufferSize": 100, "transports": ["polling"]});
    let Some(node) = Node::suite(&limits).await else {
        return;
    };
    case("should merge packets according to maxPayload value", async {
        let mut builder = node.client().transports(Transports::Polling);
        let mut answers = builder.subscribe("back");
        let client = builder.connect().await.unwrap();
        // Together with `42["back",""]` these are of 99, 30, 30, 35, 99 and 99 bytes in one body of at most 100.
        for (letter, length) in [
            ("a", 86),
            ("b", 17),
            ("c", 17),
            ("d", 22),
            ("\u{20ac}", 28),
            ("f", 86),
        ] {
            client.emit("back", &letter.repeat(length)).await.unwrap();
        }
        for (letter, length) in [
            ("a", 86),
            ("b", 17),
            ("c", 17),
            ("d", 22),
            ("\u{20ac}", 28),
            ("f", 86),
        ] {
            assert_eq!(answers.recv().await.unwrap().data(), letter.repeat(length));
        }
        assert_eq!(client.stats().links, 1);
    })
    .await;
    case(
        "should merge binary packets according to maxPayload value",
        async {
            let mut builder = node.client().transports(Transports::Polling);
            let mut answers = builder.subscribe("back");
            let client = builder.connect().await.unwrap();
            for length in [72, 20, 20, 72] {
                client.emit("back", &Binary::from(vec![7; length])).await.unwrap();
            }
            for length in [72, 20, 20, 72] {
                let event = answers.recv().await.unwrap();
                assert_eq!(event.arg::<Binary>().unwrap(), Binary::from(vec![7; length]));
            }
            assert_eq!(client.stats().links, 1);
        },
    )
    .await;
    // A connection that is answered in pieces, for good measure: the reader of bodies does not care.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let builder = Client::builder(&format!("http://{}", listener.local_addr().unwrap()));
    let connecting = tokio::spawn(builder.transports(Transports::Polling).connect());
    let (mut tcp, _) = soon(listener.accept()).await.unwrap();
    for piece in [
        "HTTP/1.1 400 Bad Re",
        "quest\r\nContent-Length: 3\r",
        "\n\r\nn",
        "ay",
    ] {
        tcp.write_all(piece.as_bytes()).await.unwrap();
        tcp.flush().await.unwrap();
    }
    let refused = soon(connecting).await.unwrap();
    assert!(
        matches!(&refused, Err(ConnectError::Http { status: 400, body }) if body == "nay"),
        "{refused:?}"
    );
}
