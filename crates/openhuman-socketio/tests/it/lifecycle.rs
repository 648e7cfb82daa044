//! Losing the connection, and ending it.

use std::time::Duration;

use openhuman_socketio::{Backoff, ConnectError, DisconnectReason, EmitError, State};
use serde_json::json;

use crate::scripted::{Server, connected_as, quick, soon, state};

fn is_retrying(state: &State) -> bool {
    matches!(state, State::Reconnecting { .. })
}

/// B8.
#[tokio::test]
async fn a_killed_server_is_noticed_and_found_again() {
    let server = Server::bind().await;
    let (client, peer) = server.connected().await;
    let mut watch = client.state();
    watch.mark_unchanged();
    peer.kill();
    soon(watch.changed()).await.unwrap();
    assert!(!watch.borrow().is_connected());
    let _peer = server.accept_connected("second").await;
    connected_as(&client, "second").await;
    assert_eq!(
        client.last_disconnect().unwrap().reason,
        DisconnectReason::TransportClose
    );
}

/// B8, B20: noticed by the client's own task, without anybody polling anything.
#[tokio::test]
async fn a_server_that_falls_silent_is_noticed() {
    let server = Server::bind().await;
    let client = server
        .client()
        .heartbeat_slack(Duration::from_millis(10))
        .start()
        .unwrap();
    let mut peer = server.accept().await;
    peer.send(r#"0{"sid":"e","pingInterval":30,"pingTimeout":20}"#)
        .await;
    peer.text().await;
    peer.send(r#"40{"sid":"first"}"#).await;
    // The old connection stays open.
    let _second = server.accept_connected("second").await;
    connected_as(&client, "second").await;
    assert_eq!(
        client.last_disconnect().unwrap().reason,
        DisconnectReason::PingTimeout
    );
}

#[tokio::test]
async fn every_way_to_lose_a_link_has_its_reason() {
    let server = Server::bind().await;
    for (frame, reason) in [
        ("1", DisconnectReason::TransportClose),
        ("9", DisconnectReason::ParseError),
        ("42{}", DisconnectReason::ParseError),
        ("48", DisconnectReason::ParseError),
    ] {
        let (client, mut peer) = server.connected().await;
        peer.send(frame).await;
        let _again = server.accept_connected("second").await;
        connected_as(&client, "second").await;
        assert_eq!(client.last_disconnect().unwrap().reason, reason, "{frame}");
        assert!(peer.until_closed().await.is_empty());
    }
}

#[tokio::test]
async fn a_server_that_says_disconnect_means_it() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    peer.send("41").await;
    let ended = state(&client, State::is_final).await;
    let reason = Some(DisconnectReason::ServerDisconnect);
    assert_eq!(ended, State::Disconnected { reason });
    assert!(peer.until_closed().await.is_empty());
    assert!(server.is_quiet());
}

#[tokio::test]
async fn a_server_that_says_disconnect_can_be_overruled() {
    let server = Server::bind().await;
    let builder = server.client().reconnect_after_server_disconnect(true);
    let (client, mut peer) = server.connected_by(builder).await;
    peer.send("41").await;
    let _again = server.accept_connected("second").await;
    connected_as(&client, "second").await;
    assert_eq!(
        client.last_disconnect().unwrap().reason,
        DisconnectReason::ServerDisconnect
    );
}

/// B10.
#[tokio::test]
async fn attempts_are_limited_exactly() {
    let server = Server::bind().await;
    let client = server
        .client()
        .reconnect(quick().max_attempts(2))
        .start()
        .unwrap();
    for _ in 0..3 {
        server.accept().await.kill();
    }
    assert!(matches!(
        state(&client, State::is_final).await,
        State::Failed { .. }
    ));
    assert!(server.is_quiet());
}

#[tokio::test]
async fn a_first_attempt_that_fails_leaves_nothing_behind() {
    let server = Server::bind().await;
    let script = async { server.accept().await.kill() };
    let (result, ()) = tokio::join!(soon(server.client().connect()), script);
    assert!(matches!(result, Err(ConnectError::Lost(_))), "{result:?}");
    assert!(server.is_quiet());
}

/// B14.
#[tokio::test]
async fn a_manual_disconnect_is_final() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    for n in 0..100 {
        client.emit("n", &n).await.unwrap();
    }
    let (frames, ()) = tokio::join!(peer.until_closed(), soon(client.disconnect()));
    // Everything accepted before is written first.
    assert_eq!(frames.len(), 101);
    assert_eq!(frames[100], "41");
    let reason = Some(DisconnectReason::ClientDisconnect);
    assert_eq!(*client.state().borrow(), State::Disconnected { reason });
    assert!(matches!(client.emit("late", &()).await, Err(EmitError::Closed)));
    assert!(matches!(client.flush().await, Err(EmitError::Closed)));
    assert!(server.is_quiet());
    soon(client.disconnect()).await;
}

#[tokio::test]
async fn disconnecting_ends_an_attempt_and_a_wait_at_once() {
    let server = Server::bind().await;
    // During the handshake.
    let client = server.client().start().unwrap();
    let mut peer = server.accept().await;
    soon(client.disconnect()).await;
    assert!(client.state().borrow().is_final());
    assert!(peer.until_closed().await.is_empty());
    // During the wait.
    let hour = Duration::from_secs(3600);
    let client = server
        .client()
        .reconnect(Backoff::new(hour, hour))
        .start()
        .unwrap();
    server.accept().await.kill();
    let waiting = state(&client, is_retrying).await;
    assert!(matches!(waiting, State::Reconnecting { attempt: 1, delay, .. } if delay >= hour / 2));
    soon(client.disconnect()).await;
    assert!(client.state().borrow().is_final());
    assert!(server.is_quiet());
}

/// B14.
#[tokio::test]
async fn dropping_the_last_client_ends_the_connection_and_its_tasks() {
    let server = Server::bind().await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let (client, mut peer) = server.connected().await;
    let mut events = client.subscribe_all();
    let clone = client.clone();
    drop(client);
    clone.emit("still here", &()).await.unwrap();
    assert_eq!(peer.text().await, r#"42["still here",null]"#);
    let mut watch = clone.state();
    drop(clone);
    assert_eq!(peer.until_closed().await, ["41"]);
    peer.kill();
    assert!(soon(events.recv()).await.is_none());
    soon(watch.wait_for(State::is_final)).await.unwrap();
    soon(async {
        while tasks() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn dropping_connect_abandons_the_attempt() {
    let server = Server::bind().await;
    let mut peer = {
        let mut connecting = Box::pin(server.client().connect());
        let accepted = tokio::select! {
            _ = &mut connecting => panic!("nobody accepted the connection"),
            peer = server.accept() => peer,
        };
        drop(connecting);
        accepted
    };
    assert!(peer.until_closed().await.is_empty());
    assert!(server.is_quiet());
}

/// Many losses in a row leave nothing behind.
#[tokio::test]
async fn two_hundred_losses_leave_no_tasks_behind() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let mut all = client.subscribe_all();
    for n in 0..200 {
        peer.kill();
        peer = server.accept_connected(&format!("sid-{n}")).await;
        peer.send(&format!(r#"42["n",{n}]"#)).await;
        assert_eq!(soon(all.recv()).await.unwrap().data(), json!(n));
    }
    assert_eq!(tasks(), before);
}

/// A server that pings without end and never reads cannot make the client's memory grow.
#[tokio::test]
async fn a_flood_of_pings_without_reading_ends_the_link() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let data = "x".repeat(125);
    let flood = async {
        // Far more than the buffers of the operating system hold.
        for _ in 0..1_000_000 {
            if peer.try_send(&format!("2{data}")).await.is_err() {
                break;
            }
        }
    };
    let lost = state(&client, |state| !state.is_connected());
    tokio::join!(flood, lost);
    let last = client.last_disconnect();
    assert_eq!(
        last.map(|last| last.reason),
        Some(DisconnectReason::TransportError)
    );
}

/// Settings at the end of their range are taken as "never", not as a reason to crash.
#[tokio::test]
async fn endless_durations_are_accepted() {
    let server = Server::bind().await;
    let mut limits = openhuman_socketio::Limits::default();
    limits.completion_timeout = Duration::MAX;
    let builder = server
        .client()
        .connect_timeout(Duration::MAX)
        .heartbeat_slack(Duration::MAX)
        .reconnect(Backoff::new(Duration::MAX, Duration::MAX))
        .limits(limits);
    let (client, mut peer) = server.connected_by(builder).await;
    peer.send(r#"451-["bin",{"_placeholder":true,"num":0}]"#).await;
    peer.send("2").await;
    assert_eq!(peer.text().await, "3");
    let ask = tokio::spawn(client.emit_ack("q", &()).timeout(Duration::MAX).into_future());
    peer.text().await;
    peer.kill();
    assert!(soon(ask).await.unwrap().is_err());
    state(&client, is_retrying).await;
    soon(client.disconnect()).await;
}

/// Runs whole losses and waits between them on one thread, where a busy loop would stop everything.
#[tokio::test]
async fn an_idle_client_does_not_spin() {
    let server = Server::bind().await;
    let (client, _peer) = server.connected().await;
    let hour = Duration::from_secs(3600);
    let waiting = server
        .client()
        .reconnect(Backoff::new(hour, hour))
        .start()
        .unwrap();
    server.accept().await.kill();
    state(&waiting, is_retrying).await;
    let handle = tokio::runtime::Handle::current();
    let metrics = handle.metrics();
    let parked = metrics.worker_park_count(0);
    // Time for thousands of turns, if anything were turning.
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..10 {
        ticks.tick().await;
    }
    let turns = metrics.worker_park_count(0) - parked;
    assert!(turns < 200, "woken {turns} times while there was nothing to do");
    assert!(client.state().borrow().is_connected());
}
