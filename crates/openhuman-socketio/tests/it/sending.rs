//! Sending: order, buffering, limits.

use openhuman_socketio::{AckError, EmitError, Limits, SendPolicy};
use serde_json::json;

use crate::scripted::{OPEN, Server, connected_as, soon, state};

/// B2.
#[tokio::test]
async fn nothing_is_sent_before_the_server_has_accepted_the_namespace() {
    let server = Server::bind().await;
    let client = server.client().start().unwrap();
    client.emit("early", &1).await.unwrap();
    let (mut peer, _) = server.accept_connect().await;
    // The next frame is the answer to this, not the event.
    peer.send("2").await;
    assert_eq!(peer.text().await, "3");
    peer.send(r#"40{"sid":"s"}"#).await;
    assert_eq!(peer.text().await, r#"42["early",1]"#);
}

/// B2.
#[tokio::test]
async fn an_event_right_after_connect_is_accepted() {
    for _ in 0..50 {
        let server = Server::bind().await;
        let (client, mut peer) = server.connected().await;
        client.emit("now", &json!({"a": "b"})).await.unwrap();
        assert_eq!(peer.text().await, r#"42["now",{"a":"b"}]"#);
    }
}

/// B20.
#[tokio::test]
async fn no_pong_is_sent_without_a_ping() {
    let server = Server::bind().await;
    let client = server.client().start().unwrap();
    let mut peer = server.accept().await;
    peer.send(OPEN).await;
    assert_eq!(peer.text().await, "40");
    peer.send(r#"40{"sid":"s"}"#).await;
    client.emit("first", &()).await.unwrap();
    assert_eq!(peer.text().await, r#"42["first",null]"#);
}

#[tokio::test]
async fn what_was_emitted_while_offline_follows_in_order() {
    let server = Server::bind().await;
    let (client, peer) = server.connected().await;
    peer.kill();
    for n in 0..100 {
        client.emit("n", &n).await.unwrap();
    }
    let flushed = client.flush();
    let script = async {
        let mut peer = server.accept_connected("second").await;
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| *last != r#"42["n",99]"#) {
            seen.push(peer.text().await);
        }
        (peer, seen)
    };
    let (flushed, (_peer, seen)) = tokio::join!(soon(flushed), script);
    // Those taken just before the client noticed the loss went with the old link; the others are whole.
    let lost = 100 - seen.len();
    let expected: Vec<String> = (lost..100).map(|n| format!(r#"42["n",{n}]"#)).collect();
    assert_eq!(seen, expected);
    flushed.unwrap();
}

#[tokio::test]
async fn the_policy_decides_what_happens_without_a_connection() {
    let server = Server::bind().await;
    let mut limits = Limits::default();
    limits.max_buffered_packets = 2;
    let full = server
        .client()
        .send_policy(SendPolicy::FailWhenFull)
        .limits(limits)
        .start()
        .unwrap();
    full.emit("a", &()).await.unwrap();
    full.emit("b", &()).await.unwrap();
    assert!(matches!(full.emit("c", &()).await, Err(EmitError::BufferFull)));
    let mut peer = server.accept_connected("s").await;
    assert_eq!(peer.text().await, r#"42["a",null]"#);

    let offline = server
        .client()
        .send_policy(SendPolicy::FailWhenOffline)
        .start()
        .unwrap();
    assert!(matches!(
        offline.emit("a", &()).await,
        Err(EmitError::NotConnected)
    ));
    let asked = offline.emit_ack("a", &()).await;
    assert!(matches!(asked, Err(AckError::Emit(EmitError::NotConnected))));
    let mut peer = server.accept_connected("t").await;
    connected_as(&offline, "t").await;
    offline.emit("b", &()).await.unwrap();
    assert_eq!(peer.text().await, r#"42["b",null]"#);
}

/// A server that stops reading: memory stays bounded, and nothing is lost when it reads again.
#[tokio::test]
async fn emit_waits_for_a_server_that_does_not_read() {
    const EVENTS: u32 = 4_000;
    let server = Server::bind().await;
    let mut limits = Limits::default();
    limits.max_buffered_bytes = 64 * 1024;
    let (client, mut peer) = server.connected_by(server.client().limits(limits)).await;
    let filler = "x".repeat(8 * 1024);
    let sender = {
        let client = client.clone();
        tokio::spawn(async move {
            for n in 0..EVENTS {
                client.emit_args("n", &(n, &filler)).await.unwrap();
            }
            client.flush().await
        })
    };
    // 32 MB do not fit into the buffers of the operating system: the sender must be waiting by now or soon.
    for n in 0..EVENTS {
        let frame = peer.text().await;
        assert!(frame.starts_with(&format!(r#"42["n",{n},"#)), "{}", &frame[..20]);
    }
    soon(sender).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_packet_that_would_make_the_server_close_is_refused_here() {
    let server = Server::bind().await;
    let client = server.client().start().unwrap();
    // The bound is not known yet.
    let asked = tokio::spawn(client.emit_ack("big", &"x".repeat(200)).into_future());
    let mut peer = server.accept().await;
    peer.send(r#"0{"sid":"e","pingInterval":25000,"pingTimeout":20000,"maxPayload":100}"#)
        .await;
    peer.text().await;
    peer.send(r#"40{"sid":"s"}"#).await;
    let refused = soon(asked).await.unwrap();
    assert!(
        matches!(refused, Err(AckError::Emit(EmitError::TooLarge { max: 100, .. }))),
        "{refused:?}"
    );
    // `42["e",""]` has ten bytes besides the text.
    let exactly = client.emit("e", &"x".repeat(90)).await;
    assert!(exactly.is_ok());
    let above = client.emit("e", &"x".repeat(91)).await;
    assert!(matches!(above, Err(EmitError::TooLarge { size: 101, max: 100 })));
    assert_eq!(peer.text().await.len(), 100);
}

#[tokio::test]
async fn reserved_names_are_refused() {
    let server = Server::bind().await;
    let client = server.client().start().unwrap();
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ] {
        assert!(matches!(
            client.emit(name, &()).await,
            Err(EmitError::ReservedEvent { .. })
        ));
    }
}

#[tokio::test]
async fn another_namespace_is_used_throughout() {
    let server = Server::bind().await;
    let builder = server
        .client()
        .namespace("/admin?level=9")
        .auth(json!({"token": "t"}));
    let script = async {
        let (mut peer, request) = server.accept_with_request().await;
        assert!(request.uri().query().unwrap().ends_with("&level=9"));
        peer.send(OPEN).await;
        assert_eq!(peer.text().await, r#"40/admin,{"token":"t"}"#);
        peer.send(r#"40{"sid":"root"}"#).await;
        peer.send(r#"40/admin,{"sid":"s"}"#).await;
        peer
    };
    let (client, mut peer) = tokio::join!(soon(builder.connect()), script);
    let client = client.unwrap();
    connected_as(&client, "s").await;
    client.emit("e", &1).await.unwrap();
    assert_eq!(peer.text().await, r#"42/admin,["e",1]"#);
    let mut events = client.subscribe("q");
    peer.send(r#"42/admin,3["q"]"#).await;
    soon(events.recv()).await.unwrap().ack(&2).unwrap();
    assert_eq!(peer.text().await, "43/admin,3[2]");
    let (frames, ()) = tokio::join!(peer.until_closed(), client.disconnect());
    assert_eq!(frames, ["41/admin,"]);
}

#[tokio::test]
async fn a_volatile_event_is_sent_now_or_never() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    assert!(client.emit_volatile("now", &1).unwrap());
    assert_eq!(peer.text().await, r#"42["now",1]"#);
    peer.kill();
    state(&client, |state| !state.is_connected()).await;
    assert!(!client.emit_volatile("never", &2).unwrap());
    client.emit("later", &3).await.unwrap();
    let mut peer = server.accept_connected("second").await;
    assert_eq!(peer.text().await, r#"42["later",3]"#);
    assert_eq!(client.stats().dropped, 1);
    soon(client.disconnect()).await;
    assert!(matches!(client.emit_volatile("late", &4), Err(EmitError::Closed)));
}

#[tokio::test]
async fn the_oldest_events_make_room_when_that_is_asked_for() {
    let server = Server::bind().await;
    let mut limits = Limits::default();
    limits.max_buffered_packets = 3;
    let builder = server.client().limits(limits).send_policy(SendPolicy::DropOldest);
    let (client, peer) = server.connected_by(builder).await;
    peer.kill();
    state(&client, |state| !state.is_connected()).await;
    let oldest = tokio::spawn(client.emit_ack("n", &"oldest").into_future());
    while client.stats().waiting == 0 {
        tokio::task::yield_now().await;
    }
    for n in 0..5 {
        client.emit("n", &n).await.unwrap();
    }
    let dropped = soon(oldest).await.unwrap();
    assert!(
        matches!(dropped, Err(AckError::Emit(EmitError::Dropped))),
        "{dropped:?}"
    );
    let mut peer = server.accept_connected("second").await;
    for n in 2..5 {
        assert_eq!(peer.text().await, format!(r#"42["n",{n}]"#));
    }
    assert_eq!(client.stats().dropped, 3);
}
