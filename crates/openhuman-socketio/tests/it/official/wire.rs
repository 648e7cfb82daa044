//! The server suites turned round, the engine over a WebSocket: a server judges what this client does where the suites
//! judge a server.

use std::time::Duration;

use openhuman_socketio::{Binary, ConnectError, DisconnectReason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::case;
use crate::scripted::{OPEN, Server, state};

/// With short intervals, and so does the client.
async fn hasty(server: &Server) -> (openhuman_socketio::Client, crate::scripted::Peer) {
    let connecting = tokio::spawn(server.client().heartbeat_slack(Duration::ZERO).connect());
    let mut peer = server.accept().await;
    peer.send(r#"0{"sid":"e","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}"#)
        .await;
    assert_eq!(peer.text().await, "40");
    peer.send(r#"40{"sid":"s"}"#).await;
    (connecting.await.unwrap().unwrap(), peer)
}

#[tokio::test]
async fn handshakes() {
    case("handshake, WebSocket: successfully opens a session", async {
        let server = Server::bind().await;
        let _client = server.client().start().unwrap();
        let (mut peer, request) = server.accept_with_request().await;
        assert_eq!(request.uri(), "/socket.io/?EIO=4&transport=websocket");
        assert_eq!(request.headers()["sec-websocket-version"], "13");
        assert!(!request.headers().contains_key("sec-websocket-extensions"));
        let _title = "should expose protocol number";
        // It waits for the open packet with what it has to say.
        peer.send(OPEN).await;
        assert_eq!(peer.text().await, "40");
    })
    .await;

    for (title, message) in [
        (
            "handshake, WebSocket: fails with an invalid 'EIO' query parameter",
            "Unsupported protocol version",
        ),
        (
            "handshake, WebSocket: fails with an invalid 'transport' query parameter",
            "Transport unknown",
        ),
    ] {
        case(title, async {
            let server = Server::bind().await;
            let connecting = tokio::spawn(server.client().connect());
            let mut tcp = server.accept_tcp().await;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(tcp.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            assert_eq!(head.matches("EIO=4").count(), 1);
            assert_eq!(head.matches("transport=websocket").count(), 1);
            let body = format!(r#"{{"code":0,"message":"{message}"}}"#);
            let answer = format!(
                "HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            tcp.write_all(answer.as_bytes()).await.unwrap();
            let refused = connecting.await.unwrap();
            let Err(ConnectError::Http { status: 400, body }) = refused else {
                panic!("{refused:?}")
            };
            assert!(body.contains(message));
        })
        .await;
    }
}

#[tokio::test]
async fn messages_heartbeats_and_the_end() {
    case(
        "message, WebSocket: sends and receives a plain text packet",
        async {
            let server = Server::bind().await;
            let (client, mut peer) = server.connected().await;
            let mut events = client.subscribe("hello");
            client.emit_args("hello", &()).await.unwrap();
            let frame = peer.text().await;
            assert_eq!(frame, r#"42["hello"]"#);
            peer.send(&frame).await;
            assert_eq!(events.recv().await.unwrap().name(), "hello");
        },
    )
    .await;

    case("message, WebSocket: sends and receives a binary packet", async {
        let server = Server::bind().await;
        let (client, mut peer) = server.connected().await;
        let mut events = client.subscribe("bin");
        let _title = "single packet: should encode/decode a Buffer";
        // With the separator of long-polling in it, which means nothing here.
        let bytes = Binary::from(vec![1, 2, 0x1e, 4]);
        client.emit("bin", &bytes).await.unwrap();
        let head = peer.text().await;
        let sent = peer.binary().await;
        assert_eq!(&sent[..], [1, 2, 0x1e, 4]);
        peer.send(&head).await;
        peer.send_binary(&sent).await;
        assert_eq!(events.recv().await.unwrap().arg::<Binary>().unwrap(), bytes);
    })
    .await;

    case(
        "message, WebSocket: closes the session upon invalid packet format",
        async {
            let server = Server::bind().await;
            let (client, mut peer) = server.connected().await;
            peer.send("abc").await;
            assert!(peer.until_closed().await.is_empty());
            assert_eq!(
                client.last_disconnect().unwrap().reason,
                DisconnectReason::ParseError
            );
        },
    )
    .await;

    case("heartbeat, WebSocket: sends ping/pong packets", async {
        let server = Server::bind().await;
        let (client, mut peer) = hasty(&server).await;
        for _ in 0..3 {
            peer.send("2").await;
            assert_eq!(peer.text().await, "3");
        }
        assert!(client.state().borrow().is_connected());
    })
    .await;

    case(
        "heartbeat, WebSocket: closes the session upon ping timeout",
        async {
            let server = Server::bind().await;
            let (client, mut peer) = hasty(&server).await;
            assert!(peer.until_closed().await.is_empty(), "nothing but the end");
            state(&client, |state| !state.is_connected()).await;
            assert_eq!(
                client.last_disconnect().unwrap().reason,
                DisconnectReason::PingTimeout
            );
        },
    )
    .await;

    case("close, WebSocket: forcefully closes the session", async {
        let server = Server::bind().await;
        let (client, mut peer) = server.connected().await;
        peer.send("1").await;
        assert!(peer.until_closed().await.is_empty());
        state(&client, |state| !state.is_connected()).await;
        assert_eq!(
            client.last_disconnect().unwrap().reason,
            DisconnectReason::TransportClose
        );
        // And the other way round: nothing follows the good-bye.
        let mut peer = server.accept_connected("second").await;
        state(&client, openhuman_socketio::State::is_connected).await;
        let (frames, ()) = tokio::join!(peer.until_closed(), client.disconnect());
        assert_eq!(frames, ["41"]);
    })
    .await;
}
