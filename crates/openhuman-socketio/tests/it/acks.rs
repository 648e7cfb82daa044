//! Acknowledgements.

use std::time::Duration;

use futures_util::future::join_all;
use openhuman_socketio::{AckError, AckReply, EmitError, Limits};
use serde_json::{Value, json};

use crate::scripted::{Server, connected_as, soon};

/// The id in a frame like `42<id>["name",..]`.
fn id(frame: &str) -> u64 {
    let digits: String = frame.chars().skip(2).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// B3.
#[tokio::test]
async fn five_hundred_acks_at_once_each_reach_their_caller() {
    const COUNT: u64 = 500;
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let asks: Vec<_> = (0..COUNT)
        .map(|n| client.emit_ack("n", &n).into_future())
        .collect();
    let script = async {
        let mut frames = Vec::new();
        for _ in 0..COUNT {
            frames.push(peer.text().await);
        }
        // In the reverse order, each one twice.
        for frame in frames.iter().rev() {
            let n: Value = serde_json::from_str(&frame[frame.find('[').unwrap()..]).unwrap();
            let ack = format!("43{}[{}]", id(frame), n[1]);
            peer.send(&ack).await;
            peer.send(&ack).await;
        }
    };
    let (replies, ()) = tokio::join!(soon(join_all(asks)), script);
    for (n, reply) in replies.into_iter().enumerate() {
        assert_eq!(reply.unwrap().arg::<usize>().unwrap(), n);
    }
}

/// B4.
#[tokio::test]
async fn an_ack_that_never_comes_is_reported_and_its_place_is_free_again() {
    let server = Server::bind().await;
    let mut limits = Limits::default();
    limits.max_pending_acks = 1;
    let (client, mut peer) = server.connected_by(server.client().limits(limits)).await;
    let after = Duration::from_millis(20);
    for round in 0..5 {
        let reply = client.emit_ack("silence", &round).timeout(after).await;
        assert!(matches!(reply, Err(AckError::Timeout { after: is }) if is == after));
        let late = id(&peer.text().await);
        peer.send(&format!(r#"43{late}["too late"]"#)).await;
    }
    let ask = client.emit_ack("answered", &()).into_future();
    let script = async {
        let frame = peer.text().await;
        peer.send(&format!(r#"43{}["in time"]"#, id(&frame))).await;
    };
    let (reply, ()) = tokio::join!(soon(ask), script);
    assert_eq!(reply.unwrap().value(), json!("in time"));
}

#[tokio::test]
async fn more_acks_than_allowed_are_refused() {
    let server = Server::bind().await;
    let mut limits = Limits::default();
    limits.max_pending_acks = 2;
    let (client, mut peer) = server.connected_by(server.client().limits(limits)).await;
    let waiting: Vec<_> = (0..2)
        .map(|n| tokio::spawn(client.emit_ack("n", &n).into_future()))
        .collect();
    let frames = [peer.text().await, peer.text().await];
    let refused = client.emit_ack("n", &2).await;
    assert!(matches!(refused, Err(AckError::TooManyPending { max: 2 })));
    for frame in frames {
        peer.send(&format!("43{}[1]", id(&frame))).await;
    }
    for reply in waiting {
        assert_eq!(soon(reply).await.unwrap().unwrap().value(), json!(1));
    }
}

/// B5.
#[tokio::test]
async fn an_ack_can_be_awaited_while_an_event_is_handled() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let mut events = client.subscribe("go");
    let handler = async {
        let event = soon(events.recv()).await.unwrap();
        let reply = soon(client.emit_ack("question", &event.data()).into_future())
            .await
            .unwrap();
        reply.value()
    };
    let script = async {
        peer.send(r#"42["go",1]"#).await;
        let frame = peer.text().await;
        peer.send(&format!("43{}[2]", id(&frame))).await;
    };
    let (value, ()) = tokio::join!(handler, script);
    assert_eq!(value, json!(2));
}

/// B18.
#[tokio::test]
async fn ack_arguments_arrive_as_arguments() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let mut ask = async |answer: &str| -> AckReply {
        let script = async {
            let frame = peer.text().await;
            peer.send(&format!("43{}{answer}", id(&frame))).await;
        };
        let (reply, ()) = tokio::join!(soon(client.emit_ack("q", &()).into_future()), script);
        reply.unwrap()
    };
    let reply = ask(r#"[null,{"a":1},"x"]"#).await;
    let (error, object, text): (Option<String>, Value, &str) = reply.args().unwrap();
    assert_eq!((error, object, text), (None, json!({"a": 1}), "x"));
    let reply = ask("[]").await;
    assert_eq!(reply.value(), Value::Null);
    assert!(reply.arg::<String>().is_err());
}

#[tokio::test]
async fn a_lost_link_fails_what_was_sent_and_keeps_what_was_not() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let sent = tokio::spawn(client.emit_ack("sent", &()).into_future());
    assert_eq!(peer.text().await, r#"420["sent",null]"#);
    peer.kill();
    assert!(matches!(soon(sent).await.unwrap(), Err(AckError::Disconnected)));
    // The next link comes only when the test accepts it.
    let waiting = client.emit_ack("waiting", &()).into_future();
    let script = async {
        let mut peer = server.accept_connected("second").await;
        assert_eq!(peer.text().await, r#"421["waiting",null]"#);
        peer.send("431[true]").await;
        peer
    };
    let (reply, _peer) = tokio::join!(soon(waiting), script);
    assert_eq!(reply.unwrap().value(), json!(true));
}

#[tokio::test]
async fn a_cancelled_ack_that_was_not_sent_is_never_sent() {
    let server = Server::bind().await;
    let client = server.client().start().unwrap();
    let cancelled = client.emit_ack("cancelled", &()).timeout(Duration::ZERO).await;
    assert!(cancelled.unwrap_err().is_timeout());
    let dropped = tokio::time::timeout(Duration::ZERO, client.emit_ack("dropped", &())).await;
    assert!(dropped.is_err());
    client.emit("kept", &()).await.unwrap();
    let mut peer = server.accept_connected("s").await;
    assert_eq!(peer.text().await, r#"42["kept",null]"#);
}

#[tokio::test]
async fn the_server_gets_one_answer_on_the_link_that_asked() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let (mut first, mut second) = (client.subscribe("q"), client.subscribe_all());
    peer.send(r#"4212["q"]"#).await;
    let mut fast = soon(first.recv()).await.unwrap();
    fast.take_ack().unwrap().send_args(&("a", 1)).unwrap();
    assert!(!fast.wants_ack());
    assert_eq!(peer.text().await, r#"4312["a",1]"#);
    let slow = soon(second.recv()).await.unwrap();
    assert!(matches!(slow.ack(&()), Err(EmitError::AlreadyAcknowledged)));

    peer.send(r#"4213["q"]"#).await;
    let stale = soon(first.recv()).await.unwrap();
    peer.kill();
    let mut peer = server.accept_connected("second").await;
    connected_as(&client, "second").await;
    assert!(matches!(stale.ack(&()), Err(EmitError::ConnectionReplaced)));
    client.emit("next", &()).await.unwrap();
    assert_eq!(peer.text().await, r#"42["next",null]"#);
    // Nobody waits for this one, so nothing is sent.
    peer.send(r#"42["q"]"#).await;
    soon(first.recv()).await.unwrap().ack(&()).unwrap();
    client.emit("last", &()).await.unwrap();
    assert_eq!(peer.text().await, r#"42["last",null]"#);
}

#[tokio::test]
async fn disconnecting_ends_every_wait() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let sent = tokio::spawn(client.emit_ack("sent", &()).into_future());
    peer.text().await;
    let (_, ()) = tokio::join!(peer.until_closed(), client.disconnect());
    assert!(matches!(soon(sent).await.unwrap(), Err(AckError::Disconnected)));
    let after = client.emit_ack("after", &()).await;
    assert!(matches!(after, Err(AckError::Emit(EmitError::Closed))));
}
