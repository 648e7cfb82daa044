//! socket.io-client, `connection.ts`: losing the connection, coming back, and giving up. And its cases about recovery
//! and about processes that shall end.

use std::time::Duration;

use openhuman_socketio::{Backoff, Client, ClientBuilder, DisconnectReason, State, Transports};
use serde_json::json;

use super::{case, is_retrying, sid, suite};
use crate::scripted::{Server, quick, state};

/// Nobody listens there.
async fn nowhere() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Every state until the last, as far as a watcher sees them.
async fn attempts(builder: ClientBuilder) -> (Vec<u32>, State) {
    let client = builder.start().unwrap();
    let mut watch = client.state();
    let mut attempts = Vec::new();
    loop {
        let now = watch.borrow_and_update().clone();
        match now {
            State::Reconnecting { attempt, .. } => attempts.push(attempt),
            now if now.is_final() => return (attempts, now),
            _ => {}
        }
        watch.changed().await.unwrap();
    }
}

/// Long enough between attempts for a watcher to see each.
fn seen(attempts: u32) -> Backoff {
    Backoff::new(Duration::from_millis(200), Duration::from_millis(200)).max_attempts(attempts)
}

#[tokio::test]
async fn coming_back() {
    let Some(mut node) = suite().await else { return };
    let back = |client: &Client, links: u64| {
        let client = client.clone();
        async move {
            state(&client, |state| {
                state.is_connected() && client.stats().links == links
            })
            .await
        }
    };

    case("should reconnect by default", async {
        let client = node.client().connect().await.unwrap();
        node.tell(json!({"do": "cut"})).await;
        back(&client, 2).await;
        client.disconnect().await;
    })
    .await;

    case("should reconnect manually", async {
        let client = node.client().connect().await.unwrap();
        client.disconnect().await;
        client.namespace("/").connect().await.unwrap().disconnect().await;
    })
    .await;

    case(
        "should reconnect automatically after reconnecting manually",
        async {
            let client = node.client().connect().await.unwrap();
            client.disconnect().await;
            let again = client.namespace("/").connect().await.unwrap();
            node.tell(json!({"do": "cut"})).await;
            back(&again, 3).await;
            again.disconnect().await;
        },
    )
    .await;

    case(
        "should stop reconnecting on a socket and keep to reconnect on another",
        async {
            let pause = Backoff::new(Duration::from_millis(300), Duration::from_millis(300));
            let one = node.client().reconnect(pause).connect().await.unwrap();
            let two = one.namespace("/asd").connect().await.unwrap();
            node.tell(json!({"do": "cut"})).await;
            state(&one, is_retrying).await;
            one.disconnect().await;
            back(&two, 2).await;
            assert!(one.state().borrow().is_final());
            two.disconnect().await;
        },
    )
    .await;

    case(
        "should not try to reconnect and should form a connection when connecting to correct port with default timeout",
        async {
            let valid = node.client().namespace("/valid").connect().await.unwrap();
            assert_eq!(valid.stats().links, 1);
            assert_eq!(valid.last_disconnect(), None);
        },
    )
    .await;

    case(
        "connection state recovery: should have an accessible socket id equal to the server-side socket id (default namespace)",
        async {
            let mut builder = node.client();
            let mut greetings = builder.subscribe("hi");
            let client = builder.connect().await.unwrap();
            let recovered = |state: &State| matches!(state, State::Connected { recovered: true, .. });
            assert!(!recovered(&client.state().borrow()));
            // The first event brings the first offset.
            client.emit_args("hi", &()).await.unwrap();
            greetings.recv().await.unwrap();
            let before = sid(&client.state().borrow());
            node.tell(json!({"do": "cut"})).await;
            let now = state(&client, recovered).await;
            assert_eq!(sid(&now), before);
        },
    )
    .await;
}

#[tokio::test]
async fn giving_up() {
    for title in [
        "should attempt reconnects after a failed reconnect",
        "should try to reconnect twice and fail when requested two attempts with immediate timeout and reconnect enabled",
        "should fire reconnect_* events on manager",
        "should fire reconnecting (on manager) with attempts number when reconnecting twice",
    ] {
        case(title, async {
            // Accepts and says nothing, so that every attempt runs out of time.
            let server = Server::bind().await;
            let builder = || {
                server
                    .client()
                    .connect_timeout(Duration::from_millis(5))
                    .reconnect(seen(2))
            };
            let (attempts, last) = attempts(builder()).await;
            assert_eq!(attempts, [1, 2]);
            assert!(
                matches!(&last, State::Failed { error } if error.contains("5ms")),
                "{last:?}"
            );
            if title.starts_with("should attempt") {
                let (again, _) = self::attempts(builder()).await;
                assert_eq!(again, [1, 2], "the count begins again");
            }
        })
        .await;
    }

    case("reconnect delay should increase every time", async {
        let server = Server::bind().await;
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5)).jitter(0.2);
        let client = server
            .client()
            .connect_timeout(Duration::ZERO)
            .reconnect(backoff.max_attempts(3))
            .start()
            .unwrap();
        let mut delays = Vec::new();
        let mut watch = client.state();
        while !watch.borrow().is_final() {
            if let State::Reconnecting { delay, .. } = *watch.borrow_and_update() {
                delays.push(delay);
            }
            watch.changed().await.unwrap();
        }
        assert!(
            delays.len() == 3 && delays.is_sorted_by(|a, b| a < b),
            "{delays:?}"
        );
    })
    .await;

    for title in [
        "should try to reconnect twice and fail when requested two attempts with incorrect address and reconnect enabled",
        "should still try to reconnect twice after opening another socket asynchronously",
    ] {
        case(title, async {
            let client = Client::builder(&nowhere().await)
                .reconnect(seen(2))
                .start()
                .unwrap();
            if title.contains("another socket") {
                state(&client, is_retrying).await;
                let other = client.namespace("/room2").start().unwrap();
                state(&other, State::is_final).await;
            }
            let last = state(&client, State::is_final).await;
            assert!(matches!(last, State::Failed { .. }));
            // The first attempt was not one of the two.
            assert_eq!(client.stats().links, 0);
        })
        .await;
    }

    case(
        "should not try to reconnect with incorrect port when reconnection disabled",
        async {
            let (attempts, last) =
                attempts(Client::builder(&nowhere().await).reconnect(Backoff::disabled())).await;
            assert!(attempts.is_empty() && matches!(last, State::Failed { .. }));
        },
    )
    .await;

    for title in [
        "should not reconnect when force closed",
        "should stop reconnecting when force closed",
    ] {
        case(title, async {
            let client = Client::builder(&nowhere().await)
                .reconnect(quick())
                .start()
                .unwrap();
            state(&client, is_retrying).await;
            client.disconnect().await;
            let last = client.state().borrow().clone();
            let reason = Some(DisconnectReason::ClientDisconnect);
            assert_eq!(last, State::Disconnected { reason });
        })
        .await;
    }

    case("should reconnect after stopping reconnection", async {
        let client = Client::builder(&nowhere().await)
            .reconnect(quick())
            .start()
            .unwrap();
        state(&client, is_retrying).await;
        client.disconnect().await;
        let again = client.namespace("/").start().unwrap();
        state(&again, is_retrying).await;
        again.disconnect().await;
    })
    .await;

    // The wait counts on the clock that the runtime has, so a paused one is enough to test it.
    case("should use overridden setTimeout by default", async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let day = Duration::from_secs(24 * 3600);
                let backoff = Backoff::new(day, day).jitter(0.0).max_attempts(1);
                let before = tokio::time::Instant::now();
                let client = Client::builder(&url).reconnect(backoff).start().unwrap();
                state_unbounded(&client).await;
                assert!(before.elapsed() >= day);
            });
        })
        .await
        .unwrap();
    })
    .await;
}

async fn state_unbounded(client: &Client) {
    client.state().wait_for(State::is_final).await.unwrap();
}

/// Node's event loop ends when no timer holds it; here the runtime does when it is dropped, whatever the client does.
#[test]
fn processes_end() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    for (title, transports, lost) in [
        (
            "should stop once the timer is triggered",
            Transports::PollingThenWebSocket,
            false,
        ),
        (
            "should stop once the timer is triggered (even when trying to reconnect)",
            Transports::WebSocket,
            true,
        ),
        (
            "should stop once the timer is triggered (polling)",
            Transports::Polling,
            false,
        ),
        (
            "should stop once the timer is triggered (websocket)",
            Transports::WebSocket,
            false,
        ),
    ] {
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = runtime();
            let client = runtime.block_on(case(title, async {
                let url = if lost { nowhere().await } else { String::new() };
                let node = if lost { None } else { suite().await };
                let builder = node
                    .as_ref()
                    .map_or_else(|| Client::builder(&url), crate::node::Node::client);
                let client = builder.reconnect(quick()).transports(transports).start();
                let client = client.ok()?;
                state(&client, |state| state.is_connected() || is_retrying(state)).await;
                Some(client)
            }));
            drop(runtime);
            // The client has outlived its runtime, and says so.
            if let Some(client) = client {
                assert!(client.state().borrow().is_final(), "{title}");
            }
            done.send(()).unwrap();
        });
        ended.recv_timeout(Duration::from_secs(30)).expect(title);
    }

    // And as long as the runtime is there, a client that nobody looks at goes on.
    runtime().block_on(case("should not stop with autoUnref set to false", async {
        let server = Server::bind().await;
        let (client, mut peer) = server.connected().await;
        for _ in 0..3 {
            peer.send("2").await;
            assert_eq!(peer.text().await, "3");
        }
        drop(client);
    }));
}
