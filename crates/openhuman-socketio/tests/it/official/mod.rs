//! The cases of the official suites, one by one. `tests/SUITES.md` lists all of them and says where each is.

use std::future::Future;

use openhuman_socketio::{ClientBuilder, State};
use serde_json::{Value, json};

use crate::node::Node;
use crate::scripted::soon;

mod connection;
mod engine;
mod judge;
mod reconnection;
mod socket;
mod table;
mod timeouts;
mod transports;
mod wire;
mod wire_http;
mod wire_socket;

/// One case, bounded in time; a failure inside says which.
async fn case<T>(title: &str, work: impl Future<Output = T>) -> T {
    struct Title<'a>(&'a str);
    impl Drop for Title<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("this happened in the case {:?}", self.0);
            }
        }
    }
    let _title = Title(title);
    soon(work).await
}

/// The server of the official suites.
async fn suite() -> Option<Node> {
    Node::suite(&json!({})).await
}

/// Waits for one event of this name on a new connection of its own, after `ask` was sent on it.
async fn answer(builder: ClientBuilder, ask: &str, event: &str) -> Value {
    let mut builder = builder;
    let mut answers = builder.subscribe(event);
    let client = builder.connect().await.unwrap();
    client.emit_args(ask, &()).await.unwrap();
    let answer = answers.recv().await.unwrap().data();
    client.disconnect().await;
    answer
}

fn sid(state: &State) -> Option<String> {
    match state {
        State::Connected { sid, .. } => Some(sid.clone()),
        _ => None,
    }
}

fn is_retrying(state: &State) -> bool {
    matches!(state, State::Reconnecting { .. })
}
