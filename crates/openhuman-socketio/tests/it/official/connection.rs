//! socket.io-client, `connection.ts`: connecting, namespaces, and what is sent both ways.

use openhuman_socketio::{Binary, Client, ConnectError, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{answer, case, suite};
use crate::scripted::{OPEN, Server, quick, state};

#[tokio::test]
async fn connections_and_namespaces() {
    let Some(node) = suite().await else { return };

    case("should connect to localhost", async {
        // A server that can restore sessions adds an offset, which is all there is.
        assert!(answer(node.client(), "hi", "hi").await.is_string());
    })
    .await;

    case("should not connect when autoConnect option set to false", async {
        let server = Server::bind().await;
        let builder = server.client();
        assert!(server.is_quiet());
        drop(builder);
        assert!(server.is_quiet());
    })
    .await;

    let links = |client: &Client| client.stats().links;
    for title in [
        "should start two connections with same path",
        "should start two connections with same path and different querystrings",
        "should start two connections with different paths",
    ] {
        case(title, async {
            let server = Server::bind().await;
            let second = match title {
                title if title.ends_with("querystrings") => server.client().query([("woot", "")]),
                title if title.ends_with("different paths") => server.client().path("/bar"),
                _ => server.client(),
            };
            let (one, _peer) = server.connected().await;
            let (two, _peer) = server.connected_by(second).await;
            assert_eq!((links(&one), links(&two)), (1, 1));
        })
        .await;
    }

    case(
        "should start a single connection with different namespaces",
        async {
            let server = Server::bind().await;
            let (root, mut peer) = server.connected().await;
            let foo = root.namespace("/foo").start().unwrap();
            assert_eq!(peer.text().await, "40/foo,");
            peer.send(r#"40/foo,{"sid":"f"}"#).await;
            state(&foo, State::is_connected).await;
            assert!(server.is_quiet());
            assert_eq!(links(&foo), 1);
        },
    )
    .await;

    case(
        "should connect to a namespace after connection established",
        async {
            let root = node.client().connect().await.unwrap();
            let foo = root.namespace("/foo").connect().await.unwrap();
            foo.disconnect().await;
            root.disconnect().await;
        },
    )
    .await;

    case(
        "should open a new namespace after connection gets closed",
        async {
            let root = node.client().connect().await.unwrap();
            root.disconnect().await;
            let foo = root.namespace("/foo").connect().await.unwrap();
            assert_eq!(links(&foo), 2);
            foo.disconnect().await;
        },
    )
    .await;

    case("should connect while disconnecting another socket", async {
        let foo = node.client().namespace("/foo").connect().await.unwrap();
        let (asd, ()) = tokio::join!(foo.namespace("/asd").connect(), foo.disconnect());
        let asd = asd.unwrap();
        assert!(asd.state().borrow().is_connected());
        asd.disconnect().await;
    })
    .await;

    case(
        "should not close the connection when disconnecting a single socket",
        async {
            let server = Server::bind().await;
            let (foo, mut peer) = server.connected().await;
            let asd = foo.namespace("/asd").start().unwrap();
            assert_eq!(peer.text().await, "40/asd,");
            peer.send(r#"40/asd,{"sid":"a"}"#).await;
            state(&asd, State::is_connected).await;
            foo.disconnect().await;
            assert_eq!(peer.text().await, "41");
            let mut events = asd.subscribe("still");
            peer.send(r#"42/asd,["still","here"]"#).await;
            assert_eq!(events.recv().await.unwrap().data(), json!("here"));
            let (frames, ()) = tokio::join!(peer.until_closed(), asd.disconnect());
            assert_eq!(frames, ["41/asd,"]);
        },
    )
    .await;

    case("should reopen a cached socket", async {
        let first = node.client().connect().await.unwrap();
        first.disconnect().await;
        let second = first.namespace("/").connect().await.unwrap();
        assert!(second.state().borrow().is_connected());
        second.disconnect().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_written_for_namespaces() {
    case("should not reopen a cached but active socket", async {
        let server = Server::bind().await;
        let (root, mut peer) = server.connected().await;
        // One client for each namespace; another handle to the same one is a clone.
        let again = root.namespace("/").connect().await;
        assert!(
            matches!(again, Err(ConnectError::NamespaceInUse { .. })),
            "{again:?}"
        );
        let _clone = root.clone();
        let (frames, ()) = tokio::join!(peer.until_closed(), root.disconnect());
        assert_eq!(frames, ["41"]);
    })
    .await;

    case("should not reopen an already active socket", async {
        let server = Server::bind().await;
        let (root, mut peer) = server.connected().await;
        let foo = root.namespace("/foo").start().unwrap();
        let root = tokio::spawn(async move { root.disconnect().await });
        let mut frames = vec![peer.text().await, peer.text().await];
        frames.sort();
        assert_eq!(frames, ["40/foo,", "41"]);
        peer.send(r#"40/foo,{"sid":"f"}"#).await;
        root.await.unwrap();
        state(&foo, State::is_connected).await;
        let (frames, ()) = tokio::join!(peer.until_closed(), foo.disconnect());
        assert_eq!(frames, ["41/foo,"]);
    })
    .await;

    case(
        "should emit a connect_error event when reaching a Socket.IO server in v2.x",
        async {
            let server = Server::bind().await;
            let connecting = tokio::spawn(server.client().connect());
            let mut peer = server.accept().await;
            peer.send(OPEN).await;
            assert_eq!(peer.text().await, "40");
            // Without a session id.
            peer.send("40").await;
            let refused = connecting.await.unwrap();
            assert!(
                matches!(refused, Err(ConnectError::UnsupportedServer { .. })),
                "{refused:?}"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn what_is_sent_both_ways() {
    let Some(mut node) = suite().await else { return };

    case("should work with acks", async {
        let client = node.client().connect().await.unwrap();
        let (mut asked, mut got) = (client.subscribe("ack"), client.subscribe("got it"));
        client.emit_args("ack", &()).await.unwrap();
        let ack = asked.recv().await.unwrap().take_ack().unwrap();
        ack.send_args(&(5, json!({"test": true}))).unwrap();
        got.recv().await.unwrap();
    })
    .await;

    let is_date = |value: &Value| {
        let text = value.as_str().unwrap();
        assert!(text.ends_with('Z') && text.contains('T'), "{text}");
    };
    case("should receive date with ack", async {
        let client = node.client().connect().await.unwrap();
        let date = client
            .emit_ack("getAckDate", &json!({"test": true}))
            .await
            .unwrap();
        is_date(&date.value());
    })
    .await;

    case("should work with false", async {
        assert_eq!(answer(node.client(), "false", "false").await, json!(false));
    })
    .await;

    case("should receive utf8 multibyte characters", async {
        let client = node.client().connect().await.unwrap();
        let mut texts = client.subscribe("takeUtf8");
        client.emit_args("getUtf8", &()).await.unwrap();
        for text in [
            "\u{3066}\u{3059}\u{3068}",
            "\u{42f} \u{411} \u{413} \u{414} \u{416} \u{419}",
            "\u{c4} \u{e4} \u{dc} \u{fc} \u{df}",
            "utf8 \u{2014} string",
            "utf8 \u{2014} string",
        ] {
            assert_eq!(texts.recv().await.unwrap().data(), json!(text));
        }
    })
    .await;

    case("should emit date as string", async {
        is_date(&answer(node.client(), "getDate", "takeDate").await);
    })
    .await;

    case("should emit date in object", async {
        is_date(&answer(node.client(), "getDateObj", "takeDateObj").await["date"]);
    })
    .await;

    case("should get binary data (as an ArrayBuffer)", async {
        let client = node.client().connect().await.unwrap();
        let mut doges = client.subscribe("doge");
        client.emit_args("doge", &()).await.unwrap();
        let doge = doges.recv().await.unwrap();
        assert_eq!(doge.arg::<Binary>().unwrap(), Binary::from(b"asdfasdf".to_vec()));
    })
    .await;

    case("should send binary data (as an ArrayBuffer)", async {
        let client = node.client().connect().await.unwrap();
        let mut answers = client.subscribe("buffack");
        client
            .emit("buffa", &Binary::from(b"asdfasdf".to_vec()))
            .await
            .unwrap();
        answers.recv().await.unwrap();
    })
    .await;

    #[derive(Serialize, Deserialize)]
    struct Mixed {
        hello: String,
        message: Binary,
        goodbye: String,
    }
    case(
        "should send binary data (as an ArrayBuffer) mixed with json",
        async {
            let client = node.client().connect().await.unwrap();
            let mut answers = client.subscribe("jsonbuff-ack");
            let mixed = Mixed {
                hello: "lol".into(),
                message: Binary::from(b"howdy".to_vec()),
                goodbye: "gotcha".into(),
            };
            client.emit("jsonbuff", &mixed).await.unwrap();
            answers.recv().await.unwrap();
        },
    )
    .await;

    case(
        "should send events with ArrayBuffers in the correct order",
        async {
            let client = node.client().connect().await.unwrap();
            let mut answers = client.subscribe("abuff2-ack");
            client
                .emit("abuff1", &Binary::from(b"abuff1".to_vec()))
                .await
                .unwrap();
            client.emit("abuff2", "please arrive second").await.unwrap();
            answers.recv().await.unwrap();
        },
    )
    .await;

    case("should close the engine upon decoding exception", async {
        let client = node.client().reconnect(quick()).connect().await.unwrap();
        node.tell(json!({"do": "garbage"})).await;
        state(&client, |state| state.is_connected() && client.stats().links == 2).await;
        let lost = client.last_disconnect().unwrap();
        assert_eq!(lost.reason.as_str(), "parse error");
    })
    .await;
}
