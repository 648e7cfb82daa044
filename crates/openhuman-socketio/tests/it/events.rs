//! Receiving.

use std::time::Duration;

use futures_util::StreamExt;
use openhuman_socketio::{DisconnectReason, Event, Limits, ProtocolError, State};
use serde_json::{Value, json};

use crate::scripted::{Server, connected_as, soon, state};

async fn names(events: &mut openhuman_socketio::Subscription, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..count {
        names.push(soon(events.recv()).await.unwrap().name().to_owned());
    }
    names
}

#[tokio::test]
async fn events_come_with_their_names_and_arguments() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let mut all = client.subscribe_all();
    let mut named = client.subscribe("sum");
    peer.send(r#"42["sum",1,{"b":[2]},"x"]"#).await;
    peer.send(r#"42["other"]"#).await;
    let event: Event = soon(named.next()).await.unwrap();
    assert_eq!(event.name(), "sum");
    assert_eq!(event.data(), json!(1));
    let (one, object, text): (u8, Value, &str) = event.args().unwrap();
    assert_eq!((one, object, text), (1, json!({"b": [2]}), "x"));
    assert!(!event.wants_ack());
    assert_eq!(names(&mut all, 2).await, ["sum", "other"]);
}

/// B17.
#[tokio::test]
async fn an_event_without_arguments_keeps_its_name_and_its_case() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let mut all = client.subscribe_all();
    for frame in [
        r#"42["msg"]"#,
        r#"42["Close"]"#,
        r#"42["OPEN"]"#,
        r#"42["message","x"]"#,
    ] {
        peer.send(frame).await;
    }
    assert_eq!(names(&mut all, 4).await, ["msg", "Close", "OPEN", "message"]);
}

/// B17.
#[tokio::test]
async fn a_server_cannot_pretend_that_the_client_was_disconnected() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let mut all = client.subscribe_all();
    peer.send(r#"42["disconnect","io server disconnect"]"#).await;
    let mut again = server.accept_connected("second").await;
    connected_as(&client, "second").await;
    let last = client.last_disconnect().unwrap();
    assert_eq!(last.reason, DisconnectReason::ParseError);
    assert_eq!(
        last.error,
        Some(ProtocolError::ReservedEvent {
            name: "disconnect".into()
        })
    );
    again.send(r#"42["real"]"#).await;
    assert_eq!(names(&mut all, 1).await, ["real"]);
}

/// B19.
#[tokio::test]
async fn events_before_the_connect_ack_are_delivered_after_it() {
    let server = Server::bind().await;
    let mut builder = server.client();
    let mut all = builder.subscribe_all();
    let client = builder.start().unwrap();
    let (mut peer, _) = server.accept_connect().await;
    peer.send(r#"42["missed",1]"#).await;
    // The PONG proves that the event has been read.
    peer.send("2").await;
    assert_eq!(peer.text().await, "3");
    assert!(!client.state().borrow().is_connected());
    let nothing = tokio::time::timeout(Duration::ZERO, all.recv()).await;
    assert!(
        nothing.is_err(),
        "an event was delivered before the connection was up"
    );
    peer.send(r#"40{"sid":"s"}"#).await;
    peer.send(r#"42["new"]"#).await;
    assert_eq!(names(&mut all, 2).await, ["missed", "new"]);
}

#[tokio::test]
async fn an_event_sent_together_with_the_connect_ack_is_not_missed() {
    let server = Server::bind().await;
    let mut builder = server.client();
    let mut ready = builder.subscribe("ready");
    let script = async {
        let mut peer = server.accept_connected("s").await;
        peer.send(r#"42["ready",{}]"#).await;
        peer
    };
    let (client, _peer) = tokio::join!(soon(builder.connect()), script);
    let _client = client.unwrap();
    assert_eq!(soon(ready.recv()).await.unwrap().data(), json!({}));
}

#[tokio::test]
async fn subscriptions_survive_a_reconnection_and_end_with_the_client() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let mut events = client.subscribe("n");
    peer.send(r#"42["n",1]"#).await;
    assert_eq!(soon(events.recv()).await.unwrap().data(), json!(1));
    peer.kill();
    let mut peer = server.accept_connected("second").await;
    peer.send(r#"42["n",2]"#).await;
    assert_eq!(soon(events.recv()).await.unwrap().data(), json!(2));
    let (_, ()) = tokio::join!(peer.until_closed(), client.disconnect());
    assert!(soon(events.recv()).await.is_none());
    assert!(soon(client.subscribe_all().recv()).await.is_none());
}

/// G9: reading goes on whatever the application does.
#[tokio::test]
async fn a_subscriber_that_never_reads_does_not_delay_the_heartbeat() {
    let server = Server::bind().await;
    let mut limits = Limits::default();
    limits.subscription_events = 10;
    let (client, mut peer) = server.connected_by(server.client().limits(limits)).await;
    let mut slow = client.subscribe_all();
    for n in 0..5_000 {
        peer.send(&format!(r#"42["flood",{n}]"#)).await;
    }
    peer.send("2").await;
    assert_eq!(peer.text().await, "3");
    assert_eq!(slow.lost(), 4_990);
    assert_eq!(soon(slow.recv()).await.unwrap().data(), json!(4_990));
    assert!(client.state().borrow().is_connected());
}

#[tokio::test]
async fn malformed_events_end_the_link_only_when_somebody_reads_them() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let _bad = client.subscribe("bad");
    peer.send(r#"42["ignored",}]"#).await;
    peer.send("2").await;
    assert_eq!(peer.text().await, "3");
    peer.send(r#"42["bad",}]"#).await;
    assert!(peer.until_closed().await.is_empty());
    let _peer = server.accept_connected("second").await;
    connected_as(&client, "second").await;
    assert_eq!(
        client.last_disconnect().unwrap().reason,
        DisconnectReason::ParseError
    );
}

#[tokio::test]
async fn a_message_above_the_limit_ends_the_link_with_its_size() {
    let server = Server::bind().await;
    let mut limits = Limits::default();
    limits.max_frame_bytes = 1000;
    let (client, mut peer) = server.connected_by(server.client().limits(limits)).await;
    let mut all = client.subscribe_all();
    let frame = |len: usize| format!(r#"42["e","{}"]"#, "x".repeat(len - 10));
    assert_eq!(frame(1000).len(), 1000);
    peer.send(&frame(1000)).await;
    assert_eq!(names(&mut all, 1).await, ["e"]);
    peer.send(&frame(1001)).await;
    state(&client, |state| {
        matches!(state, State::Reconnecting { .. } | State::Connecting)
    })
    .await;
    let last = client.last_disconnect().unwrap();
    assert_eq!(last.reason, DisconnectReason::TransportError);
    assert_eq!(
        last.error,
        Some(ProtocolError::FrameTooLarge {
            size: 1001,
            max: 1000
        })
    );
}

/// B5 in the form of a handler.
#[tokio::test]
async fn a_handler_may_await_an_ack_and_ends_with_its_listener() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let asking = client.clone();
    let listener = client.on("ask", move |event| {
        let client = asking.clone();
        async move {
            let reply = client.emit_ack("back", &event.data()).await.unwrap();
            event.ack(&reply.value()).unwrap();
        }
    });
    peer.send(r#"4217["ask","x"]"#).await;
    assert_eq!(peer.text().await, r#"420["back","x"]"#);
    peer.send(r#"430["y"]"#).await;
    assert_eq!(peer.text().await, r#"4317["y"]"#);
    let once = tokio::spawn({
        let client = client.clone();
        async move { client.once("once").await }
    });
    drop(listener);
    // Nobody is left who would answer.
    peer.send(r#"4218["ask","x"]"#).await;
    while !once.is_finished() {
        peer.send(r#"42["once",1]"#).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(once.await.unwrap().unwrap().data(), json!(1));
    client.emit("end", &()).await.unwrap();
    assert_eq!(peer.text().await, r#"42["end",null]"#);
}
