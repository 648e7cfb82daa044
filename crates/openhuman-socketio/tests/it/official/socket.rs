//! socket.io-client, `socket.ts`: ids, errors, query and credentials, and listeners for everything.

use std::time::Duration;

use openhuman_socketio::{Binary, Client, ConnectError, DisconnectReason, EmitError, State, Transports};
use serde_json::{Value, json};

use super::{case, sid, suite};
use crate::node::Node;
use crate::scripted::{Server, quick, state};

#[tokio::test]
async fn ids() {
    let Some(mut node) = suite().await else { return };

    for (title, namespace) in [
        (
            "should have an accessible socket id equal to the server-side socket id (default namespace)",
            "/",
        ),
        (
            "should have an accessible socket id equal to the server-side socket id (custom namespace)",
            "/foo",
        ),
    ] {
        case(title, async {
            let client = node.client().namespace(namespace).connect().await.unwrap();
            let id: String = client.emit_ack_args("getId", &()).await.unwrap().arg().unwrap();
            assert_eq!(sid(&client.state().borrow()), Some(id));
        })
        .await;
    }

    case("clears socket.id upon disconnection", async {
        let client = node.client().connect().await.unwrap();
        client.disconnect().await;
        assert_eq!(sid(&client.state().borrow()), None);
    })
    .await;

    case("should change socket.id upon reconnection", async {
        let Some(mut forgetful) = Node::start().await else {
            return;
        };
        let client = forgetful.connected().await;
        let before = sid(&client.state().borrow()).unwrap();
        forgetful.tell(json!({"do": "cut"})).await;
        let now = state(&client, |state| sid(state).is_some_and(|id| id != before)).await;
        assert!(now.is_connected());
    })
    .await;

    case(
        "doesn't fire a connect_error event when the connection is already established",
        async {
            let client = node.client().connect().await.unwrap();
            node.tell(json!({"do": "cut"})).await;
            state(&client, |state| state.is_connected() && client.stats().links == 2).await;
            // What ended it is a loss, and no failed attempt was made.
            assert_eq!(
                client.last_disconnect().unwrap().reason,
                DisconnectReason::TransportClose
            );
        },
    )
    .await;

    case("should properly disconnect then reconnect", async {
        let client = node.client().connect().await.unwrap();
        client.disconnect().await;
        let again = client.namespace("/").connect().await.unwrap();
        assert_eq!(again.stats().links, 2);
        assert_eq!(again.last_disconnect(), None);
    })
    .await;
}

#[tokio::test]
async fn errors() {
    let Some(node) = suite().await else { return };

    case(
        "doesn't fire an error event if we force disconnect in opening state",
        async {
            let server = Server::bind().await;
            let client = server.client().start().unwrap();
            client.disconnect().await;
            let reason = Some(DisconnectReason::ClientDisconnect);
            assert_eq!(*client.state().borrow(), State::Disconnected { reason });
        },
    )
    .await;

    case(
        "fire a connect_error event when the connection cannot be established",
        async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            drop(listener);
            let failed = Client::builder(&url).connect().await;
            assert!(
                matches!(failed, Err(ConnectError::Unreachable { .. })),
                "{failed:?}"
            );
        },
    )
    .await;

    for (title, transports) in [
        (
            "fire a connect_error event on open timeout (polling)",
            Transports::Polling,
        ),
        (
            "fire a connect_error event on open timeout (websocket)",
            Transports::WebSocket,
        ),
    ] {
        case(title, async {
            let builder = node
                .client()
                .transports(transports)
                .connect_timeout(Duration::ZERO);
            let failed = builder.connect().await;
            assert!(matches!(failed, Err(ConnectError::Timeout { .. })), "{failed:?}");
        })
        .await;
    }

    case(
        "should fire an error event on middleware failure from custom namespace",
        async {
            let refused = node.client().namespace("/no").connect().await;
            let Err(ConnectError::Rejected { message, .. }) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(message, "Auth failed (custom namespace)");
            let refused = node.client().query([("fail", "1")]).connect().await;
            let Err(ConnectError::Rejected { message, .. }) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(message, "Auth failed (main namespace)");
        },
    )
    .await;

    case("should not try to reconnect after a middleware failure", async {
        let client = node.client().namespace("/no").reconnect(quick()).start().unwrap();
        let last = state(&client, State::is_final).await;
        assert!(matches!(last, State::Failed { .. }));
        assert_eq!(client.stats().links, 1);
    })
    .await;

    case("should throw on reserved event", async {
        let client = node.client().connect().await.unwrap();
        let refused = client.emit("disconnecting", "goodbye").await;
        assert!(
            matches!(&refused, Err(EmitError::ReservedEvent { name }) if name == "disconnecting"),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn query_and_credentials() {
    let Some(node) = suite().await else { return };
    let url = format!("http://127.0.0.1:{}", node.port);
    let root = async |builder: openhuman_socketio::ClientBuilder| {
        let client = builder.connect().await.unwrap();
        client.emit_ack_args("getHandshake", &()).await.unwrap().value()
    };
    let custom = async |builder: openhuman_socketio::ClientBuilder| {
        let mut builder = builder.namespace("/abc");
        let mut handshakes = builder.subscribe("handshake");
        let _client = builder.connect().await.unwrap();
        handshakes.recv().await.unwrap().data()
    };

    case(
        "query option: should accept an object (default namespace)",
        async {
            assert_eq!(root(node.client().query([("e", "f")])).await["query"]["e"], "f");
        },
    )
    .await;
    case(
        "query option: should accept a query string (default namespace)",
        async {
            let builder = Client::builder(&format!("{url}/?c=d"));
            assert_eq!(root(builder).await["query"]["c"], "d");
        },
    )
    .await;
    case("query option: should accept an object", async {
        assert_eq!(custom(node.client().query([("a", "b")])).await["query"]["a"], "b");
    })
    .await;
    case("query option: should accept a query string", async {
        let query = custom(Client::builder(&format!("{url}?b=c&d=e"))).await["query"].clone();
        assert_eq!((&query["b"], &query["d"]), (&json!("c"), &json!("e")));
    })
    .await;
    case("query option: should properly encode the parameters", async {
        assert_eq!(
            custom(node.client().query([("&a", "&=?a")])).await["query"]["&a"],
            "&=?a"
        );
    })
    .await;

    case("auth option: should accept an object", async {
        let handshake = custom(node.client().auth(json!({"a": "b", "c": "d"}))).await;
        assert_eq!(handshake["auth"], json!({"a": "b", "c": "d"}));
        assert_eq!(handshake["query"]["a"], Value::Null);
    })
    .await;
    case("auth option: should accept an function", async {
        let handshake = custom(node.client().auth_fn(|| async { Ok(json!({"e": "f"})) })).await;
        assert_eq!(handshake["auth"], json!({"e": "f"}));
        assert_eq!(handshake["query"]["e"], Value::Null);
    })
    .await;
}

/// Subscriptions are queues of their own, so that there is no order among them that could be changed: each has every
/// event, whoever came first.
#[tokio::test]
async fn listeners_for_everything() {
    let Some(node) = suite().await else { return };

    case("onAny: should call listener", async {
        let mut builder = node.client().namespace("/abc");
        let mut all = builder.subscribe_all();
        let _client = builder.connect().await.unwrap();
        let event = all.recv().await.unwrap();
        assert_eq!(event.name(), "handshake");
        assert!(event.data().is_object());
    })
    .await;

    case("onAny: should prepend listener", async {
        let mut builder = node.client().namespace("/abc");
        let mut all = [
            builder.subscribe_all(),
            builder.subscribe_all(),
            builder.subscribe_all(),
        ];
        let _client = builder.connect().await.unwrap();
        for subscription in &mut all {
            assert_eq!(subscription.recv().await.unwrap().name(), "handshake");
        }
    })
    .await;

    case("onAny: should remove listener", async {
        let mut builder = node.client().namespace("/abc");
        let removed = builder.subscribe_all();
        let mut kept = builder.subscribe_all();
        drop(removed);
        let _client = builder.connect().await.unwrap();
        kept.recv().await.unwrap();
    })
    .await;

    case("onAnyOutgoing: should call listener", async {
        let client = node.client().connect().await.unwrap();
        let mut outgoing = client.subscribe_outgoing();
        client.emit("my-event", "123").await.unwrap();
        let event = outgoing.recv().await.unwrap();
        assert_eq!((event.name(), event.data()), ("my-event", json!("123")));
        assert!(!event.wants_ack());
    })
    .await;

    case("onAnyOutgoing: should call listener with binary data", async {
        let client = node.client().connect().await.unwrap();
        let mut outgoing = client.subscribe_outgoing();
        let bytes = Binary::from(vec![1, 2, 3]);
        client.emit("my-event", &bytes).await.unwrap();
        assert_eq!(outgoing.recv().await.unwrap().arg::<Binary>().unwrap(), bytes);
    })
    .await;

    case("onAnyOutgoing: should prepend listener", async {
        let client = node.client().connect().await.unwrap();
        let mut outgoing = [client.subscribe_outgoing(), client.subscribe_outgoing()];
        client.emit("my-event", "123").await.unwrap();
        for subscription in &mut outgoing {
            assert_eq!(subscription.recv().await.unwrap().name(), "my-event");
        }
    })
    .await;

    case("onAnyOutgoing: should remove listener", async {
        let client = node.client().connect().await.unwrap();
        drop(client.subscribe_outgoing());
        let mut kept = client.subscribe_outgoing();
        client.emit("my-event", "123").await.unwrap();
        assert_eq!(kept.recv().await.unwrap().name(), "my-event");
        client.disconnect().await;
        assert!(kept.recv().await.is_none(), "it ends with the client");
    })
    .await;
}
