//! The link of a running core against real servers.

mod frames;
mod recovery;
mod ways;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use openhuman::{Core, SocketState, SocketStatus};
use serde_json::{Value, json};
use socketioxide::SocketIo;
use socketioxide::extract::{Data, Event, SocketRef};
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not come within {PATIENCE:?}"),
    }
}

/// Waits for a state of the link.
async fn until(core: &Core, what: &str, is_it: impl Fn(&SocketStatus) -> bool) -> SocketStatus {
    let mut status = core.socket();
    let seen = soon(what, status.wait_for(|status| is_it(status))).await;
    seen.unwrap().clone()
}

async fn until_connected(core: &Core) -> SocketStatus {
    until(core, "a connection", |status| {
        status.status == SocketState::Connected
    })
    .await
}

/// A Socket.IO server that notes with which token each connection came.
struct Server {
    url: String,
    tokens: Arc<Mutex<Vec<String>>>,
    connections: mpsc::UnboundedReceiver<Connection>,
}

/// The server's side of one connection.
struct Connection {
    socket: SocketRef,
    events: mpsc::UnboundedReceiver<(String, Value)>,
}

impl Connection {
    /// The next event of this name.
    async fn event(&mut self, name: &str) -> Value {
        let found = async {
            loop {
                let (event, data) = self.events.recv().await.expect("the connection is open");
                if event == name {
                    return data;
                }
            }
        };
        soon(name, found).await
    }
}

impl Server {
    async fn start() -> Self {
        let (layer, io) = SocketIo::builder().build_layer();
        Self::with(layer, &io).await
    }

    async fn with(layer: socketioxide::layer::SocketIoLayer, io: &SocketIo) -> Self {
        let (connected, connections) = mpsc::unbounded_channel();
        let tokens = Arc::<Mutex<Vec<String>>>::default();
        let noted = tokens.clone();
        io.ns("/", move |socket: SocketRef, Data(auth): Data<Value>| {
            noted
                .lock()
                .unwrap()
                .push(auth["token"].as_str().unwrap_or_default().to_owned());
            let (sender, events) = mpsc::unbounded_channel();
            socket.on_fallback(move |Event(name): Event, Data(data): Data<Value>| {
                let _ = sender.send((name, data));
                std::future::ready(())
            });
            socket.emit("ready", &json!({})).unwrap();
            let _ = connected.send(Connection { socket, events });
            std::future::ready(())
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().layer(layer)).await });
        Self {
            url,
            tokens,
            connections,
        }
    }

    async fn connection(&mut self) -> Connection {
        soon("a connection", self.connections.recv()).await.unwrap()
    }

    fn tokens(&self) -> Vec<String> {
        self.tokens.lock().unwrap().clone()
    }
}

/// The secret under which the session at a backend is kept.
fn session_name(url: &str) -> String {
    format!("backend-session/{url}")
}

/// The vault of a home, opened a second time, as another command does.
fn vault_of(dir: &Path) -> openhuman::vault::Vault {
    openhuman::Home::at(dir.join("home"))
        .open_vault(&crate::password())
        .unwrap()
}
