//! The way through a proxy.

use openhuman_socketio::{ConnectError, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::scripted::{Server, soon};

/// Reads the head of a CONNECT request.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn join(mut client: TcpStream, target: &str) {
    let mut server = TcpStream::connect(target).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test]
async fn an_http_proxy_is_asked_with_its_login() {
    let server = Server::bind().await;
    let (proxy, address) = listener().await;
    let target = server.url.strip_prefix("http://").unwrap().to_owned();
    let expected = format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic dXNlcjpwOnc=\r\n\r\n"
    );
    let relay = tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        assert_eq!(head(&mut client).await, expected);
        client
            .write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
            .await
            .unwrap();
        join(client, &target).await;
    });
    let proxy = Proxy::parse(&format!("http://user:p%3Aw@{address}")).unwrap();
    let (client, mut peer) = server.connected_by(server.client().proxy(proxy)).await;
    client.emit("through", &1).await.unwrap();
    assert_eq!(peer.text().await, r#"42["through",1]"#);
    let (_, ()) = tokio::join!(peer.until_closed(), soon(client.disconnect()));
    drop(peer);
    soon(relay).await.unwrap();
}

#[tokio::test]
async fn a_socks_proxy_gets_the_name_and_the_login() {
    let server = Server::bind().await;
    let (proxy, address) = listener().await;
    let port: u16 = server.url.rsplit(':').next().unwrap().parse().unwrap();
    for login in [false, true] {
        let proxy_side = async {
            let (mut client, _) = proxy.accept().await.unwrap();
            let mut hello = [0; 3];
            client.read_exact(&mut hello).await.unwrap();
            assert_eq!(hello, [5, 1, if login { 2 } else { 0 }]);
            client.write_all(&[5, hello[2]]).await.unwrap();
            if login {
                let mut sent = [0; 10];
                client.read_exact(&mut sent).await.unwrap();
                assert_eq!(&sent, b"\x01\x04user\x03p@w");
                client.write_all(&[1, 0]).await.unwrap();
            }
            // The name is the proxy's to resolve.
            let mut request = [0; 16];
            client.read_exact(&mut request).await.unwrap();
            assert_eq!(request[..14], *b"\x05\x01\x00\x03\x09localhost");
            assert_eq!(request[14..], port.to_be_bytes());
            client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await.unwrap();
            tokio::spawn(async move { join(client, &format!("127.0.0.1:{port}")).await });
        };
        let user = if login { "user:p%40w@" } else { "" };
        let proxy = Proxy::parse(&format!("socks5://{user}{address}")).unwrap();
        let builder = openhuman_socketio::Client::builder(&format!("ws://localhost:{port}")).proxy(proxy);
        let (client, (), _peer) =
            tokio::join!(soon(builder.connect()), proxy_side, server.accept_connected("s"));
        assert!(client.unwrap().state().borrow().is_connected());
    }
}

#[tokio::test]
async fn what_a_proxy_refuses_is_told() {
    let http: [(&[u8], &str); 4] = [
        (b"HTTP/1.1 407 Authenticate\r\nContent-Length: 0\r\n\r\n", "407"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno!", "502"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\n\r\nunasked", "before the tunnel was used"),
    ];
    for (answer, text) in http {
        let (proxy, address) = listener().await;
        let script = tokio::spawn(async move {
            let (mut client, _) = proxy.accept().await.unwrap();
            head(&mut client).await;
            client.write_all(answer).await.unwrap();
        });
        let proxy = Proxy::parse(&address).unwrap();
        let builder = openhuman_socketio::Client::builder("http://127.0.0.1:9").proxy(proxy);
        let refused = soon(builder.connect()).await.unwrap_err();
        assert!(matches!(refused, ConnectError::Proxy { .. }), "{refused}");
        assert!(refused.to_string().contains(text), "{refused}");
        soon(script).await.unwrap();
    }
    let socks: [(&[u8], &str); 3] = [
        (&[5, 0xff], "wants a user"),
        (&[4, 0], "does not speak SOCKS5"),
        (&[5, 0, 5, 5, 0, 1], "connection refused"),
    ];
    for (answer, text) in socks {
        let (proxy, address) = listener().await;
        let script = tokio::spawn(async move {
            let (mut client, _) = proxy.accept().await.unwrap();
            client.write_all(answer).await.unwrap();
            // Whatever else the client says.
            let _ = client.read_to_end(&mut Vec::new()).await;
        });
        let proxy = Proxy::parse(&format!("socks5://{address}")).unwrap();
        let builder = openhuman_socketio::Client::builder("http://127.0.0.1:9").proxy(proxy);
        let refused = soon(builder.connect()).await.unwrap_err();
        assert!(refused.to_string().contains(text), "{refused}");
        soon(script).await.unwrap();
    }
}
