//! A server whose answers are written beforehand, so that the client is what is measured.

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::measure;

const OPEN: &str =
    r#"0{"sid":"engine","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

/// Prints its address, and serves until its input ends.
pub(crate) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("http://{}", listener.local_addr().expect("an address"));
    tokio::task::spawn_blocking(|| {
        let _ = std::io::stdin().read_line(&mut String::new());
        std::process::exit(0);
    });
    loop {
        if let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(one(tcp));
        }
    }
}

async fn one(tcp: TcpStream) {
    let _ = tcp.set_nodelay(true);
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(64 * 1024);
    let Ok(mut socket) = tokio_tungstenite::accept_async_with_config(tcp, Some(config)).await else {
        return;
    };
    let event = Utf8Bytes::from(format!(
        r#"42["message",{}]"#,
        measure::Message::kilobyte().json()
    ));
    if socket.send(Message::text(OPEN)).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(frame) = message else { continue };
        let frame = frame.as_str();
        let sent = if frame.starts_with("40") {
            socket.send(Message::text(r#"40{"sid":"session"}"#)).await
        } else if let Some(count) = frame.strip_prefix(r#"42["blast","#) {
            let count = count.trim_end_matches(']').parse().unwrap_or(0);
            blast(&mut socket, &event, count).await
        } else if frame.starts_with("42") && !frame.starts_with("42[") {
            let id = frame[2..].split('[').next().unwrap_or_default();
            socket.send(Message::text(format!("43{id}[1]"))).await
        } else {
            Ok(())
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn blast(
    socket: &mut tokio_tungstenite::WebSocketStream<TcpStream>,
    event: &Utf8Bytes,
    count: usize,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    for _ in 0..count {
        socket.feed(Message::Text(event.clone())).await?;
    }
    socket.flush().await
}
