//! The server suites turned round, Socket.IO: a server judges what this client does where the suites judge a server.

use std::future::IntoFuture;
use std::time::Duration;

use openhuman_socketio::{Binary, Client, ConnectError, DisconnectReason};
use serde_json::{Value, json};

use super::case;
use crate::scripted::{OPEN, Peer, Server, state};

#[tokio::test]
async fn connecting() {
    for (title, namespace, auth, expected) in [
        (
            "connect: should allow connection to the main namespace",
            "/",
            None,
            "40",
        ),
        (
            "connect: should allow connection to the main namespace with a payload",
            "/",
            Some(json!({"token": "123"})),
            r#"40{"token":"123"}"#,
        ),
        (
            "connect: should allow connection to a custom namespace",
            "/custom",
            None,
            "40/custom,",
        ),
        (
            "connect: should allow connection to a custom namespace with a payload",
            "/custom",
            Some(json!({"token": "abc"})),
            r#"40/custom,{"token":"abc"}"#,
        ),
    ] {
        case(title, async {
            let server = Server::bind().await;
            let mut builder = server.client().namespace(namespace);
            if let Some(auth) = auth {
                builder = builder.auth(auth);
            }
            let mut events = builder.subscribe("auth");
            let connecting = tokio::spawn(builder.connect());
            let (mut peer, connect) = server.accept_connect().await;
            assert_eq!(connect, expected);
            let prefix = if namespace == "/" {
                String::new()
            } else {
                format!("{namespace},")
            };
            // The event comes with the acknowledgement.
            peer.send(&format!(r#"40{prefix}{{"sid":"s"}}"#)).await;
            peer.send(&format!(r#"42{prefix}["auth",{{}}]"#)).await;
            let client = connecting.await.unwrap().unwrap();
            assert_eq!(events.recv().await.unwrap().data(), json!({}));
            // The namespace is in everything that follows.
            client.emit("hello", &1).await.unwrap();
            assert_eq!(peer.text().await, format!(r#"42{prefix}["hello",1]"#));
        })
        .await;
    }

    case(
        "connect: should disallow connection to an unknown namespace",
        async {
            let server = Server::bind().await;
            let connecting = tokio::spawn(server.client().namespace("/random").connect());
            let (mut peer, connect) = server.accept_connect().await;
            assert_eq!(connect, "40/random,");
            peer.send(r#"44/random,{"message":"Invalid namespace"}"#).await;
            let refused = connecting.await.unwrap();
            let Err(ConnectError::Rejected { message, .. }) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(message, "Invalid namespace");
            // Nothing is said about a namespace that is not connected: a server would close the link for it.
            assert!(peer.until_closed().await.is_empty());
        },
    )
    .await;

    case(
        "connect: should disallow connection with an invalid handshake",
        async {
            let server = Server::bind().await;
            let client = server.client().start().unwrap();
            let (mut peer, _) = server.accept_connect().await;
            peer.send("4abc").await;
            assert!(peer.until_closed().await.is_empty());
            assert!(!client.state().borrow().is_connected());
        },
    )
    .await;

    case(
        "connect: should close the connection if no handshake is received",
        async {
            let server = Server::bind().await;
            let connecting = tokio::spawn(
                server
                    .client()
                    .connect_timeout(Duration::from_millis(300))
                    .connect(),
            );
            // Without the open packet nothing is said, and the wait has an end.
            let mut peer = server.accept().await;
            assert!(peer.until_closed().await.is_empty());
            let late = connecting.await.unwrap();
            assert!(matches!(late, Err(ConnectError::Timeout { .. })), "{late:?}");
            // With it, CONNECT comes at once, before a server could lose its patience.
            let _client = server.client().start().unwrap();
            let mut peer = server.accept().await;
            peer.send(OPEN).await;
            assert_eq!(peer.text().await, "40");
        },
    )
    .await;
}

#[tokio::test]
async fn disconnecting() {
    case("disconnect: should disconnect from the main namespace", async {
        let server = Server::bind().await;
        let (root, mut peer) = server.connected().await;
        let custom = root.namespace("/custom").start().unwrap();
        assert_eq!(peer.text().await, "40/custom,");
        peer.send(r#"40/custom,{"sid":"c"}"#).await;
        state(&custom, openhuman_socketio::State::is_connected).await;
        root.disconnect().await;
        assert_eq!(peer.text().await, "41");
        // The link lives on for the other.
        peer.send("2").await;
        assert_eq!(peer.text().await, "3");
    })
    .await;

    case(
        "disconnect: should connect then disconnect from a custom namespace",
        async {
            let server = Server::bind().await;
            let (root, mut peer) = server.connected().await;
            let custom = root.namespace("/custom").start().unwrap();
            assert_eq!(peer.text().await, "40/custom,");
            peer.send(r#"40/custom,{"sid":"c"}"#).await;
            state(&custom, openhuman_socketio::State::is_connected).await;
            custom.disconnect().await;
            assert_eq!(peer.text().await, "41/custom,");
            root.emit("message", "message to main namespace").await.unwrap();
            assert_eq!(peer.text().await, r#"42["message","message to main namespace"]"#);
        },
    )
    .await;
}

const TWO: &str = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;

fn two() -> (Binary, Binary) {
    (Binary::from(vec![1, 2, 3]), Binary::from(vec![4, 5, 6]))
}

/// Sends and checks the two attachments.
async fn attachments(peer: &mut Peer) {
    assert_eq!(&peer.binary().await[..], [1, 2, 3]);
    assert_eq!(&peer.binary().await[..], [4, 5, 6]);
}

#[tokio::test]
async fn messages() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;

    case("message: should send a plain-text packet", async {
        let mut events = client.subscribe("message-back");
        client
            .emit_args("message", &(1, "2", json!({"3": [true]})))
            .await
            .unwrap();
        assert_eq!(peer.text().await, r#"42["message",1,"2",{"3":[true]}]"#);
        peer.send(r#"42["message-back",1,"2",{"3":[true]}]"#).await;
        let args: (u8, String, Value) = events.recv().await.unwrap().args().unwrap();
        assert_eq!(args, (1, "2".to_owned(), json!({"3": [true]})));
    })
    .await;

    case("message: should send a packet with binary attachments", async {
        let mut events = client.subscribe("message-back");
        client.emit_args("message", &two()).await.unwrap();
        assert_eq!(peer.text().await, format!(r#"452-["message",{TWO}]"#));
        attachments(&mut peer).await;
        peer.send(&format!(r#"452-["message-back",{TWO}]"#)).await;
        peer.send_binary(&[1, 2, 3]).await;
        peer.send_binary(&[4, 5, 6]).await;
        assert_eq!(
            events.recv().await.unwrap().args::<(Binary, Binary)>().unwrap(),
            two()
        );
    })
    .await;

    case("message: should send a plain-text packet with an ack", async {
        let mut events = client.subscribe("message-with-ack");
        peer.send(r#"42456["message-with-ack",1,"2",{"3":[false]}]"#)
            .await;
        let event = events.recv().await.unwrap();
        let args: (u8, String, Value) = event.args().unwrap();
        event.ack_args(&args).unwrap();
        assert_eq!(peer.text().await, r#"43456[1,"2",{"3":[false]}]"#);
    })
    .await;

    case(
        "message: should send a packet with binary attachments and an ack",
        async {
            let mut events = client.subscribe("message-with-ack");
            peer.send(&format!(r#"452-789["message-with-ack",{TWO}]"#)).await;
            peer.send_binary(&[1, 2, 3]).await;
            peer.send_binary(&[4, 5, 6]).await;
            let event = events.recv().await.unwrap();
            let args: (Binary, Binary) = event.args().unwrap();
            event.ack_args(&args).unwrap();
            assert_eq!(peer.text().await, format!("462-789[{TWO}]"));
            attachments(&mut peer).await;

            // And asked from this side.
            let ask = tokio::spawn(client.emit_ack_args("message-with-ack", &two()).into_future());
            assert_eq!(peer.text().await, format!(r#"452-0["message-with-ack",{TWO}]"#));
            attachments(&mut peer).await;
            peer.send(&format!("462-0[{TWO}]")).await;
            peer.send_binary(&[1, 2, 3]).await;
            peer.send_binary(&[4, 5, 6]).await;
            assert_eq!(
                ask.await.unwrap().unwrap().args::<(Binary, Binary)>().unwrap(),
                two()
            );
        },
    )
    .await;
}

#[tokio::test]
async fn what_is_no_packet() {
    for (title, frame) in [
        (
            "message: should close the connection upon invalid format (unknown packet type)",
            "4abc",
        ),
        (
            "message: should close the connection upon invalid format (invalid payload format)",
            "42{}",
        ),
        (
            "message: should close the connection upon invalid format (invalid ack id)",
            r#"42abc["message-with-ack",1,"2",{"3":[false]}]"#,
        ),
    ] {
        case(title, async {
            let server = Server::bind().await;
            let (client, mut peer) = server.connected().await;
            let client: Client = client;
            peer.send(frame).await;
            assert!(peer.until_closed().await.is_empty());
            assert_eq!(
                client.last_disconnect().unwrap().reason,
                DisconnectReason::ParseError
            );
        })
        .await;
    }
}
