//! A client and a server in one process: connects, sends an event and prints the echo.
//!
//! The server below speaks just enough of the protocol for this; a real one would be the official
//! `socket.io` package or any other that speaks protocol 5.

use std::error::Error;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use openhuman_socketio::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(async move { serve(listener).await.map_err(|error| error.to_string()) });

    let mut builder = Client::builder(&url).auth(json!({ "token": "secret" }));
    let mut echoes = builder.subscribe("hello");
    let client = builder.connect().await?;
    println!("state: {:?}", *client.state().borrow());

    client.emit("hello", &json!({ "from": "rust" })).await?;
    if let Some(event) = echoes.recv().await {
        println!("echo: {} {}", event.name(), event.data());
    }
    let reply = client
        .emit_ack("question", &[1, 2, 3])
        .timeout(Duration::from_secs(5))
        .await?;
    println!("acknowledged with: {}", reply.value());

    client.disconnect().await;
    println!("state: {:?}", *client.state().borrow());
    server.await??;
    Ok(())
}

/// Accepts one connection and sends everything back.
async fn serve(listener: TcpListener) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (tcp, _) = listener.accept().await?;
    let mut socket = tokio_tungstenite::accept_async(tcp).await?;
    let open = r#"0{"sid":"engine","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
    socket.send(Message::text(open)).await?;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(frame) = message else { continue };
        match (frame.get(..2), frame.get(2..)) {
            // CONNECT.
            (Some("40"), _) => socket.send(Message::text(r#"40{"sid":"session"}"#)).await?,
            // An event that asks for an acknowledgement has an id before its list.
            (Some("42"), Some(event)) if !event.starts_with('[') => {
                let id = event.split('[').next().unwrap_or_default();
                socket
                    .send(Message::text(format!(r#"43{id}["received"]"#)))
                    .await?;
            }
            (Some("42"), Some(event)) => socket.send(Message::text(format!("42{event}"))).await?,
            _ => {}
        }
    }
    Ok(())
}
