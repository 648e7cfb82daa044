//! Against socketioxide, the server for Rust: another implementation of both protocols.

use openhuman_socketio::{Binary, Client, Transports};
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef, TryData};

use crate::scripted::{quick, soon, state};

pub(crate) async fn serve() -> String {
    let (layer, io) = SocketIo::builder().build_layer();
    for namespace in ["/", "/admin"] {
        io.ns(namespace, |socket: SocketRef, TryData(auth): TryData<Value>| {
            let token = auth
                .ok()
                .and_then(|auth| auth["token"].as_str().map(str::to_owned));
            socket.emit("welcome", &token).unwrap();
            socket.on("echo", |Data(data): Data<Value>, ack: AckSender| {
                ack.send(&data).ok();
                std::future::ready(())
            });
            socket.on("bytes", |Data(data): Data<bytes::Bytes>, ack: AckSender| {
                ack.send(&data).ok();
                std::future::ready(())
            });
            std::future::ready(())
        });
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().layer(layer)).await });
    url
}

/// On one thread: with several, socketioxide 0.18 sometimes closes a session that is just being upgraded, because a
/// request finds the upgrade holding the lock that only another request should hold.
#[tokio::test]
async fn socketioxide_is_spoken_with_over_every_transport() {
    let url = serve().await;
    for transports in [
        Transports::WebSocket,
        Transports::WebSocketOrPolling,
        Transports::PollingThenWebSocket,
        Transports::Polling,
    ] {
        let mut builder = Client::builder(&url).transports(transports).reconnect(quick());
        let mut welcome = builder.subscribe("welcome");
        let client = soon(builder.auth(json!({"token": "t"})).connect())
            .await
            .unwrap_or_else(|error| panic!("{transports:?}: {error}"));
        assert_eq!(
            soon(welcome.recv()).await.unwrap().data(),
            json!("t"),
            "{transports:?}"
        );
        let admin = soon(client.namespace("/admin").connect()).await.unwrap();
        for n in 0..50 {
            let (a, b) = tokio::join!(client.emit_ack("echo", &n), admin.emit_ack("echo", &(n + 1)));
            assert_eq!(a.unwrap().value(), json!(n), "{transports:?}");
            assert_eq!(b.unwrap().value(), json!(n + 1), "{transports:?}");
        }
        let bytes = Binary::from(vec![1, 0x1e, 255]);
        let reply = soon(client.emit_ack("bytes", &bytes).into_future())
            .await
            .unwrap();
        assert_eq!(reply.arg::<Binary>().unwrap(), bytes, "{transports:?}");
        let upgrades = u64::from(transports == Transports::PollingThenWebSocket);
        assert_eq!(client.stats().upgrades, upgrades);
        soon(client.disconnect()).await;
        soon(admin.disconnect()).await;
        state(&admin, openhuman_socketio::State::is_final).await;
    }
}
