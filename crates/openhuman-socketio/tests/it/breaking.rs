//! Attempts to break the client, each in a way that a server or an application could.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use openhuman_socketio::{ConnectError, EmitError, State};
use serde_json::json;

use crate::scripted::{Server, soon, state};

#[tokio::test]
async fn a_handler_that_panics_ends_alone() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let _listener = client.on("boom", |_| async { panic!("on purpose") });
    let mut others = client.subscribe("fine");
    peer.send(r#"42["boom"]"#).await;
    peer.send(r#"42["fine"]"#).await;
    soon(others.recv()).await.unwrap();
    peer.send(r#"42["boom"]"#).await;
    client.emit("still", &1).await.unwrap();
    assert_eq!(peer.text().await, r#"42["still",1]"#);
}

#[tokio::test]
async fn a_handler_may_drop_the_last_client() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let mut watch = client.state();
    let holder = Arc::new(std::sync::Mutex::new(Some(client.clone())));
    let taken = Arc::clone(&holder);
    client
        .on("enough", move |_| {
            drop(taken.lock().unwrap().take());
            std::future::ready(())
        })
        .detach();
    drop(client);
    peer.send(r#"42["enough"]"#).await;
    assert_eq!(peer.until_closed().await, ["41"]);
    soon(watch.wait_for(State::is_final)).await.unwrap();
    assert!(holder.lock().unwrap().is_none());
}

/// A character of three bytes lies across the fragments, and a PING between them.
#[tokio::test]
async fn a_message_in_fragments_arrives_whole() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let mut events = client.subscribe("euro");
    let frame = "42[\"euro\",\"\u{20ac}\u{20ac}\"]".as_bytes();
    for cut in 1..frame.len() {
        peer.send_fragments(&[&frame[..cut], &frame[cut..]]).await;
        assert_eq!(
            soon(events.recv()).await.unwrap().data(),
            json!("\u{20ac}\u{20ac}")
        );
    }
    assert!(client.state().borrow().is_connected());
}

#[tokio::test]
async fn namespaces_that_come_and_go_leave_nothing() {
    let server = Server::bind().await;
    let (root, mut peer) = server.connected().await;
    for n in 0..200 {
        let name = format!("/n{}", n % 7);
        let one = root.namespace(&name).start().unwrap();
        assert_eq!(peer.text().await, format!("40{name},"));
        match n % 3 {
            // Refused, connected and left, or left before the server has answered.
            0 => peer.send(&format!(r#"44{name},{{"message":"no"}}"#)).await,
            1 => {
                peer.send(&format!(r#"40{name},{{"sid":"s"}}"#)).await;
                state(&one, State::is_connected).await;
                soon(one.disconnect()).await;
                assert_eq!(peer.text().await, format!("41{name},"));
            }
            _ => {
                soon(one.disconnect()).await;
                peer.send(&format!(r#"40{name},{{"sid":"late"}}"#)).await;
                assert_eq!(
                    peer.text().await,
                    format!("41{name},"),
                    "it is left once it is there"
                );
            }
        }
        state(&one, State::is_final).await;
    }
    root.emit("still", &1).await.unwrap();
    assert_eq!(peer.text().await, r#"42["still",1]"#);
    assert_eq!(root.stats().links, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_at_once_ends() {
    for round in 0..20 {
        let server = Server::bind().await;
        let (client, mut peer) = server.connected().await;
        let reading = tokio::spawn(async move { while peer.next().await.is_some() {} });
        let refused = Arc::new(AtomicU32::new(0));
        let mut tasks = Vec::new();
        for task in 0..8 {
            let (client, refused) = (client.clone(), Arc::clone(&refused));
            tasks.push(tokio::spawn(async move {
                for n in 0..500 {
                    let sent = match task % 4 {
                        0 => client.emit("e", &n).await,
                        1 => client.emit_volatile("v", &n).map(drop),
                        2 => client.flush().await,
                        _ => {
                            let other = client.namespace("/other").start();
                            drop(client.subscribe("x"));
                            drop(client.emit_ack("a", &n).timeout(Duration::ZERO));
                            match other {
                                Ok(_) | Err(ConnectError::NamespaceInUse { .. }) => Ok(()),
                                Err(error) => panic!("{error}"),
                            }
                        }
                    };
                    match sent {
                        Ok(()) => {}
                        Err(EmitError::Closed | EmitError::Lost) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            }));
        }
        tokio::time::sleep(Duration::from_micros(50 * round)).await;
        soon(client.disconnect()).await;
        for task in tasks {
            soon(task).await.unwrap();
        }
        assert!(client.state().borrow().is_final());
        drop(client);
        soon(reading).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_opens_the_session_with_absurd_numbers_is_survived() {
    for open in [
        r#"0{"sid":"e","upgrades":[],"pingInterval":0,"pingTimeout":0}"#.to_owned(),
        r#"0{"sid":"e","pingInterval":18446744073709551615,"pingTimeout":18446744073709551615,"maxPayload":18446744073709551615}"#.to_owned(),
        format!(r#"0{{"sid":"{}","upgrades":["websocket"{}]}}"#, "s".repeat(100_000), ",\"x\"".repeat(100_000)),
    ] {
        let server = Server::bind().await;
        let connecting = tokio::spawn(server.client().connect());
        let mut peer = server.accept().await;
        peer.send(&open).await;
        assert_eq!(peer.text().await, "40");
        peer.send(r#"40{"sid":"s"}"#).await;
        let client = soon(connecting).await.unwrap().unwrap();
        client.emit("e", &"x".repeat(10_000)).await.unwrap();
        assert!(peer.text().await.starts_with(r#"42["e","x"#));
    }
}
