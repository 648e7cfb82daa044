//! Every server, over every transport, by every way: the same conversation each time.

use std::sync::Arc;

use openhuman_socketio::{Binary, Client, ClientBuilder, Proxy, State, Transports};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::node::Node;
use crate::scripted::{quick, soon, state};

/// How the server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    /// A certificate of an authority that only the client knows.
    Tls,
    HttpProxy,
    SocksProxy,
    TlsThroughProxy,
}

const WAYS: [Way; 5] = [
    Way::Plain,
    Way::Tls,
    Way::HttpProxy,
    Way::SocksProxy,
    Way::TlsThroughProxy,
];

const TRANSPORTS: [Transports; 5] = [
    Transports::WebSocket,
    Transports::Polling,
    Transports::PollingThenWebSocket,
    Transports::WebSocketOrPolling,
    Transports::PollingOrWebSocket,
];

/// Listens, and gives each connection to `serve`.
async fn front<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> String
where
    F: Future<Output = Option<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let _ = tcp.set_nodelay(true);
            tokio::spawn(serve(tcp));
        }
    });
    address
}

/// Ends TLS and passes everything on, as the machine before a server does.
async fn tls_front(target: String) -> String {
    let acceptor = Arc::new(crate::tls::acceptor());
    front(move |tcp| {
        let (acceptor, target) = (Arc::clone(&acceptor), target.clone());
        async move {
            let mut stream = acceptor.accept(tcp).await.ok()?;
            let mut server = TcpStream::connect(target).await.ok()?;
            tokio::io::copy_bidirectional(&mut stream, &mut server)
                .await
                .ok()?;
            Some(())
        }
    })
    .await
}

async fn http_proxy() -> Proxy {
    let address = front(|mut client| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).ok()?;
        let target = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
        let mut server = TcpStream::connect(target).await.ok()?;
        client
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .await
            .ok()?;
        tokio::io::copy_bidirectional(&mut client, &mut server)
            .await
            .ok()?;
        Some(())
    });
    Proxy::parse(&format!("http://{}", address.await)).unwrap()
}

async fn socks_proxy() -> Proxy {
    let address = front(|mut client| async move {
        let mut methods = [0; 3];
        client.read_exact(&mut methods).await.ok()?;
        client.write_all(&[5, 0]).await.ok()?;
        let mut request = [0; 5];
        client.read_exact(&mut request).await.ok()?;
        let host = match request {
            [5, 1, 0, 1, first] => {
                let mut rest = [0; 3];
                client.read_exact(&mut rest).await.ok()?;
                std::net::Ipv4Addr::new(first, rest[0], rest[1], rest[2]).to_string()
            }
            // The client leaves names to the proxy.
            [5, 1, 0, 3, length] => {
                let mut name = vec![0; usize::from(length)];
                client.read_exact(&mut name).await.ok()?;
                String::from_utf8(name).ok()?
            }
            _ => return None,
        };
        let port = client.read_u16().await.ok()?;
        let mut server = TcpStream::connect((host, port)).await.ok()?;
        client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await.ok()?;
        tokio::io::copy_bidirectional(&mut client, &mut server)
            .await
            .ok()?;
        Some(())
    });
    Proxy::parse(&format!("socks5://{}", address.await)).unwrap()
}

async fn builder(address: &str, way: Way, transports: Transports) -> ClientBuilder {
    let plain = |address: &str| Client::builder(&format!("http://{address}"));
    let secure = async || {
        let port = tls_front(address.to_owned())
            .await
            .rsplit(':')
            .next()
            .unwrap()
            .to_owned();
        Client::builder(&format!("https://localhost:{port}")).tls(crate::tls::trusting())
    };
    let builder = match way {
        Way::Plain => plain(address),
        Way::Tls => secure().await,
        Way::HttpProxy => plain(address).proxy(http_proxy().await),
        Way::SocksProxy => plain(address).proxy(socks_proxy().await),
        Way::TlsThroughProxy => secure().await.proxy(http_proxy().await),
    };
    builder
        .transports(transports)
        .reconnect(quick())
        .auth(json!({"token": "good"}))
}

/// Two namespaces, texts and bytes, each acknowledged by the server, which is told apart from the others by its events.
async fn conversation(builder: ClientBuilder, echo: &str, bytes: &str) {
    let client = soon(builder.connect()).await.unwrap();
    let admin = client.namespace("/admin").auth(json!({"token": "good"}));
    let admin = soon(admin.connect()).await.unwrap();
    for n in 0..5 {
        let (one, other) = tokio::join!(client.emit_ack(echo, &n), admin.emit_ack(echo, "\u{e4}\u{1f600}"));
        assert_eq!(
            (one.unwrap().value(), other.unwrap().value()),
            (json!(n), json!("\u{e4}\u{1f600}"))
        );
    }
    let blob = Binary::from((0..=255).collect::<Vec<u8>>());
    let reply = client.emit_ack(bytes, &blob).await.unwrap();
    assert_eq!(reply.arg::<Binary>().unwrap(), blob);
    soon(admin.disconnect()).await;
    assert_eq!(client.emit_ack(echo, "still").await.unwrap().value(), "still");
    soon(client.disconnect()).await;
    state(&client, State::is_final).await;
}

async fn all_ways(address: &str, echo: &str, bytes: &str) {
    for way in WAYS {
        for transports in TRANSPORTS {
            println!("{way:?}, {transports:?}");
            conversation(builder(address, way, transports).await, echo, bytes).await;
        }
    }
}

async fn node(options: serde_json::Value) {
    let Some(node) = Node::start_with(&options).await else {
        return;
    };
    all_ways(&format!("127.0.0.1:{}", node.port), "echo-ack", "echo-ack").await;
}

#[tokio::test]
async fn node_without_recovery() {
    node(json!({})).await;
}

#[tokio::test]
async fn node_with_recovery() {
    node(json!({"connectionStateRecovery": {}})).await;
}

#[tokio::test]
async fn socketioxide() {
    let url = crate::socketioxide_server::serve().await;
    all_ways(url.trim_start_matches("http://"), "echo", "bytes").await;
}

#[tokio::test]
async fn python() {
    let Some((_server, url)) = crate::python::start().await else {
        return;
    };
    all_ways(url.trim_start_matches("http://"), "echo-ack", "echo-ack").await;
}

/// The official server with TLS of its own, and an authority that the client was not told about.
#[tokio::test]
async fn node_with_tls() {
    let Some(node) = Node::start_with(&json!({"tls": true})).await else {
        return;
    };
    let secure = |transports| {
        let builder = Client::builder(&format!("https://localhost:{}", node.port)).transports(transports);
        builder.reconnect(quick()).auth(json!({"token": "good"}))
    };
    for transports in TRANSPORTS {
        conversation(
            secure(transports).tls(crate::tls::trusting()),
            "echo-ack",
            "echo-ack",
        )
        .await;
    }
    let refused = soon(secure(Transports::WebSocket).connect()).await;
    assert!(
        matches!(refused, Err(openhuman_socketio::ConnectError::Tls { .. })),
        "{refused:?}"
    );
}
