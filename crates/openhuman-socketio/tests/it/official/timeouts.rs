//! socket.io-client, `socket.ts` and `retry.ts`: what is sent when, acknowledgements that come or do not come, and
//! events that are sent again.

use std::future::IntoFuture;
use std::time::Duration;

use openhuman_socketio::{AckError, Client, DeliveryError, Retries, State};
use serde_json::json;

use super::{case, suite};
use crate::scripted::{Server, soon, state};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn order_and_volatile_events() {
    let Some(mut node) = suite().await else { return };

    case("should emit events in order", async {
        let client = node.client().start().unwrap();
        let first = client.emit_ack("echo", "first").into_future();
        let second = async {
            state(&client, State::is_connected).await;
            client.emit_ack("echo", "second").await
        };
        let (first, second) = tokio::join!(first, second);
        assert_eq!(
            (first.unwrap().value(), second.unwrap().value()),
            (json!("first"), json!("second"))
        );
    })
    .await;

    case("should emit an event and wait for the acknowledgement", async {
        let client = node.client().connect().await.unwrap();
        assert_eq!(client.emit_ack("echo", &123).await.unwrap().value(), 123);
    })
    .await;

    case(
        "volatile packets: should discard a volatile packet when the socket is not connected",
        async {
            let client = node.client().start().unwrap();
            assert!(!client.emit_volatile("hi", &1).unwrap());
            client.emit_ack_args("getId", &()).await.unwrap();
            loop {
                let report = node.report("event").await;
                assert_ne!(report["event"], "hi");
                if report["event"] == "getId" {
                    break;
                }
            }
            assert_eq!(client.stats().dropped, 1);
        },
    )
    .await;

    case(
        "volatile packets: should discard a volatile packet when the pipe is not ready",
        async {
            let server = Server::bind().await;
            let (client, _peer) = server.connected().await;
            // Nothing is read there, so that sooner or later much waits before the next event.
            let big = "x".repeat(64 * 1024);
            let filling = async {
                while client.emit_volatile("v", &big).unwrap() {
                    tokio::task::yield_now().await;
                }
            };
            soon(filling).await;
            assert!(client.stats().dropped > 0);
        },
    )
    .await;

    case(
        "volatile packets: should send a volatile packet when the socket is connected and the pipe is ready",
        async {
            let client = node.client().connect().await.unwrap();
            assert!(client.emit_volatile("hi", &()).unwrap());
            while node.report("event").await["event"] != "hi" {}
        },
    )
    .await;
}

#[tokio::test]
async fn acknowledgements_in_time_and_late() {
    let Some(node) = suite().await else { return };

    case(
        "timeout: should timeout after the given delay when socket is not connected",
        async {
            let server = Server::bind().await;
            let client = server.client().start().unwrap();
            let late = client
                .emit_ack_args("event", &())
                .timeout(SHORT)
                .await
                .unwrap_err();
            assert!(late.is_timeout());
            assert_eq!(client.stats().waiting, 0, "it is not sent any more");
        },
    )
    .await;

    for title in [
        "timeout: should timeout when the server does not acknowledge the event",
        "timeout: should timeout when the server does not acknowledge the event (promise)",
    ] {
        case(title, async {
            let client = node.client().connect().await.unwrap();
            let late = client.emit_ack_args("unknown", &()).timeout(SHORT).await;
            assert!(late.unwrap_err().is_timeout());
            assert_eq!(client.stats().pending_acks, 0);
        })
        .await;
    }

    case(
        "timeout: should timeout when the server does not acknowledge the event in time",
        async {
            let client = node.client().connect().await.unwrap();
            let late = client.emit_ack("echo", &42).timeout(Duration::ZERO).await;
            assert!(late.unwrap_err().is_timeout());
            // The reply that comes after all reaches nobody and harms nothing.
            assert_eq!(client.emit_ack("echo", &43).await.unwrap().value(), 43);
        },
    )
    .await;

    for title in [
        "timeout: should not timeout when the server does acknowledge the event",
        "timeout: should not timeout when the server does acknowledge the event (promise)",
    ] {
        case(title, async {
            let client = node.client().connect().await.unwrap();
            let reply = client
                .emit_ack("echo", &42)
                .timeout(Duration::from_secs(20))
                .await;
            assert_eq!(reply.unwrap().value(), 42);
        })
        .await;
    }

    case("timeout: should use the default timeout value", async {
        let client = node.client().ack_timeout(SHORT).connect().await.unwrap();
        let late = client.emit_ack_args("unknown", &()).await.unwrap_err();
        assert!(
            matches!(late, AckError::Timeout { after } if after == SHORT),
            "{late:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn acknowledgements_and_the_end() {
    let long = Duration::from_secs(10_000);
    for title in [
        "acknowledgement upon disconnection: should not ack upon disconnection (callback)",
        "acknowledgement upon disconnection: should ack with an error upon disconnection (callback & timeout)",
        "acknowledgement upon disconnection: should ack with an error upon disconnection (callback & ackTimeout)",
        "acknowledgement upon disconnection: should ack with an error upon disconnection (promise)",
        "acknowledgement upon disconnection: should ack with an error upon disconnection (promise & timeout)",
    ] {
        case(title, async {
            // Reads and never answers.
            let server = Server::bind().await;
            let builder = server.client();
            let builder = if title.contains("ackTimeout") {
                builder.ack_timeout(long)
            } else {
                builder
            };
            let (client, mut peer) = server.connected_by(builder).await;
            let ask = client.emit_ack("echo", "a");
            let asking = tokio::spawn(
                if title.contains("& timeout") {
                    ask.timeout(long)
                } else {
                    ask
                }
                .into_future(),
            );
            assert_eq!(peer.text().await, r#"420["echo","a"]"#);
            let ((), _) = tokio::join!(client.disconnect(), peer.until_closed());
            // A future always tells; a callback that is never called is not a thing here.
            let ended = asking.await.unwrap();
            assert!(matches!(ended, Err(AckError::Disconnected)), "{ended:?}");
            assert_eq!(client.stats().pending_acks, 0);
        })
        .await;
    }

    // JavaScript keeps what is emitted between `disconnect()` and `connect()`. Here a client that was disconnected is
    // over, and a lost connection is what an unsent event survives.
    case(
        "acknowledgement upon disconnection: should not discard an unsent ack (callback)",
        async {
            let server = Server::bind().await;
            let (client, peer) = server.connected().await;
            peer.kill();
            state(&client, |state| !state.is_connected()).await;
            let asking = tokio::spawn(client.emit_ack("echo", "a").into_future());
            let mut peer = server.accept_connected("second").await;
            assert_eq!(peer.text().await, r#"420["echo","a"]"#);
            peer.send(r#"430["a"]"#).await;
            assert_eq!(asking.await.unwrap().unwrap().value(), "a");
        },
    )
    .await;
}

#[tokio::test]
async fn events_that_are_sent_again() {
    let texts = |client: &Client| client.subscribe_outgoing();

    case("retry: should preserve the order of the packets", async {
        let server = Server::bind().await;
        let (client, mut peer) = server.connected().await;
        let delivery = client.delivery(Retries::new().max_tries(2).ack_timeout(Duration::from_secs(20)));
        let mut receipts = Vec::new();
        for n in 1..=3 {
            receipts.push(delivery.send("echo", &n).await.unwrap());
        }
        // The next goes out when the one before is acknowledged.
        for n in 1..=3 {
            assert_eq!(peer.text().await, format!(r#"42{}["echo",{n}]"#, n - 1));
            assert_eq!(client.stats().waiting, 0);
            peer.send(&format!("43{}[{n}]", n - 1)).await;
        }
        for (n, receipt) in (1..=3).zip(receipts) {
            assert_eq!(receipt.await.unwrap().value(), n);
        }
        let (frames, ()) = tokio::join!(peer.until_closed(), client.disconnect());
        assert_eq!(frames, ["41"]);
    })
    .await;

    case(
        "retry: should fail when the server does not acknowledge the packet",
        async {
            let server = Server::bind().await;
            let (client, mut peer) = server.connected().await;
            let mut outgoing = texts(&client);
            let delivery = client.delivery(Retries::new().max_tries(4).ack_timeout(SHORT));
            let receipt = delivery.send_args("ack", &()).await.unwrap();
            let failed = receipt.await;
            assert!(matches!(failed, Err(DeliveryError::GivenUp)), "{failed:?}");
            // Each time with an id of its own.
            for n in 0..4 {
                assert_eq!(peer.text().await, format!(r#"42{n}["ack"]"#));
                assert_eq!(outgoing.recv().await.unwrap().name(), "ack");
            }
            let (frames, ()) = tokio::join!(peer.until_closed(), client.disconnect());
            assert_eq!(frames, ["41"]);
        },
    )
    .await;

    case(
        "retry: should not drain the queue while the socket is disconnected",
        async {
            let server = Server::bind().await;
            let client = server.client().start().unwrap();
            let delivery =
                client.delivery(Retries::new().max_tries(1).ack_timeout(Duration::from_millis(10)));
            let receipt = delivery.send("echo", &1).await.unwrap();
            // Longer than all its tries together would take.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let serving = tokio::spawn(async move {
                let mut peer = server.accept_connected("late").await;
                let frame = peer.text().await;
                let id = frame
                    .trim_start_matches("42")
                    .split('[')
                    .next()
                    .unwrap_or_default();
                peer.send(&format!("43{id}[1]")).await;
                peer.until_closed().await;
            });
            assert_eq!(receipt.await.unwrap().value(), 1);
            client.disconnect().await;
            serving.await.unwrap();
        },
    )
    .await;
}
