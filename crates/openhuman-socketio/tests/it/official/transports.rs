//! engine.io-client: where its requests go, and which transport is used.

use openhuman_socketio::{Client, ClientBuilder, ConnectError, Transports};
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::{case, suite};
use crate::node::Node;

/// What the request says in which `url` is asked for, over the transport that comes first.
async fn asked(builder: ClientBuilder, listener: &tokio::net::TcpListener) -> String {
    let _client = builder.start().unwrap();
    let (mut tcp, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn addresses() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let client = || Client::builder(&url);

    for (title, transports, start) in [
        (
            "transport uris: should generate an http uri with a port",
            Transports::Polling,
            "GET /socket.io/?EIO=4&transport=polling",
        ),
        (
            "transport uris: should generate a ws uri",
            Transports::WebSocket,
            "GET /socket.io/?EIO=4&transport=websocket",
        ),
    ] {
        case(title, async {
            let head = asked(client().transports(transports), &listener).await;
            assert!(head.starts_with(start), "{head}");
            assert!(
                head.to_lowercase()
                    .contains(&format!("host: 127.0.0.1:{port}\r\n")),
                "{head}"
            );
        })
        .await;
    }
    case("transport uris: should generate a timestamped uri", async {
        let head = asked(client().transports(Transports::Polling), &listener).await;
        assert!(head.lines().next().unwrap().contains("&t="), "{head}");
    })
    .await;
    case("transport uris: should timestamp ws uris", async {
        // An upgrade request is never answered from a cache; whoever wants a parameter can have it.
        let head = asked(client().query([("woot", "1")]), &listener).await;
        assert!(head.lines().next().unwrap().contains("&woot=1"), "{head}");
    })
    .await;
    case("should properly handle the addTrailingSlash option", async {
        let head = asked(client().path("/engine.io").trailing_slash(false), &listener).await;
        assert!(head.starts_with("GET /engine.io?EIO=4"), "{head}");
    })
    .await;
    for (title, transports) in [
        (
            "for extraHeaders: should correctly set them for WebSockets",
            Transports::WebSocket,
        ),
        (
            "for extraHeaders: should correctly set them for XMLHttpRequest",
            Transports::Polling,
        ),
        (
            "options: should accept an `extraHeaders` option for XMLHttpRequest in browser",
            Transports::Polling,
        ),
    ] {
        case(title, async {
            let headers = [
                ("X-Custom-Header-For-My-Project", "my-secret-access-token"),
                ("Cookie", "user_session=NI2J; path=/"),
            ];
            let head = asked(client().transports(transports).headers(headers), &listener).await;
            let head = head.to_lowercase();
            assert!(
                head.contains("x-custom-header-for-my-project: my-secret-access-token\r\n"),
                "{head}"
            );
            assert!(head.contains("cookie: user_session=ni2j; path=/\r\n"), "{head}");
        })
        .await;
    }
    // A Node.js agent decides where a connection goes; here a proxy does.
    for (title, transports) in [
        (
            "options: should accept an `agent` option for WebSockets",
            Transports::WebSocket,
        ),
        (
            "options: should accept an `agent` option for XMLHttpRequest",
            Transports::Polling,
        ),
    ] {
        case(title, async {
            let proxy = openhuman_socketio::Proxy::parse(&url).unwrap();
            let builder = Client::builder("http://elsewhere.example")
                .transports(transports)
                .proxy(proxy);
            let head = asked(builder, &listener).await;
            assert!(
                head.starts_with("CONNECT elsewhere.example:80 HTTP/1.1\r\n"),
                "{head}"
            );
        })
        .await;
    }
}

#[tokio::test]
async fn transports() {
    let Some(mut node) = suite().await else { return };
    let opened = async |builder: ClientBuilder, node: &mut Node| {
        let client = builder.connect().await.unwrap();
        let transport = node.report("connect").await["transport"].clone();
        client.disconnect().await;
        node.report("engine close").await;
        transport
    };

    case(
        "should connect with the 2nd transport if tryAllTransports is `true` (polling)",
        async {
            let builder = node
                .client()
                .transports(Transports::WebSocketOrPolling)
                .query([("deny", "websocket")]);
            assert_eq!(opened(builder, &mut node).await, "polling");
        },
    )
    .await;
    case(
        "should connect with the 2nd transport if tryAllTransports is `true` (websocket)",
        async {
            let builder = node
                .client()
                .transports(Transports::PollingOrWebSocket)
                .query([("deny", "polling")]);
            assert_eq!(opened(builder, &mut node).await, "websocket");
        },
    )
    .await;
    case(
        "should not connect with the 2nd transport if tryAllTransports is `false`",
        async {
            let builder = node
                .client()
                .transports(Transports::PollingThenWebSocket)
                .query([("deny", "polling")]);
            let refused = builder.connect().await;
            assert!(matches!(refused, Err(ConnectError::Http { .. })), "{refused:?}");
        },
    )
    .await;
    for (title, transports, name) in [
        (
            "should connect with a custom transport implementation (polling)",
            Transports::Polling,
            "polling",
        ),
        (
            "should connect with a custom transport implementation (websocket)",
            Transports::WebSocket,
            "websocket",
        ),
    ] {
        case(title, async {
            assert_eq!(
                opened(node.client().transports(transports), &mut node).await,
                name
            );
        })
        .await;
    }
    case("filterUpgrades: should return only available transports", async {
        // The server offers a WebSocket, and nobody here wants it.
        let client = node
            .client()
            .transports(Transports::Polling)
            .connect()
            .await
            .unwrap();
        for n in 0..20 {
            assert_eq!(client.emit_ack("echo", &n).await.unwrap().value(), n);
        }
        assert_eq!(client.stats().upgrades, 0);
        client.disconnect().await;
        assert_eq!(node.report("engine close").await["transport"], "polling");
    })
    .await;
    for (title, remember) in [
        ("rememberUpgrade: should remember websocket connection", true),
        ("rememberUpgrade: should not remember websocket connection", false),
    ] {
        case(title, async {
            let builder = node
                .client()
                .transports(Transports::PollingThenWebSocket)
                .remember_upgrade(remember);
            let client = builder.connect().await.unwrap();
            assert_eq!(node.report("connect").await["transport"], "polling");
            node.report("upgrade").await;
            node.tell(json!({"do": "cut"})).await;
            let again = node.report("connect").await;
            assert_eq!(again["transport"], if remember { "websocket" } else { "polling" });
            client.disconnect().await;
            node.report("disconnect").await;
        })
        .await;
    }
}
