//! Attachments.

use openhuman_socketio::{Binary, DisconnectReason};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::scripted::{Server, connected_as, soon};

/// B1.
#[tokio::test]
async fn an_attachment_with_a_record_separator_arrives_whole() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let mut events = client.subscribe("bin");
    let every_byte: Vec<u8> = (0..=255).collect();
    for bytes in [
        &b"\x01\x02\x03\x1e\x34\x41\x42\x43"[..],
        b"\x1e",
        b"",
        &every_byte,
    ] {
        peer.send(r#"451-["bin",{"_placeholder":true,"num":0}]"#).await;
        peer.send_binary(bytes).await;
        let event = soon(events.recv()).await.unwrap();
        assert_eq!(&event.arg::<Binary>().unwrap()[..], bytes);
        assert_eq!(event.attachments(), [bytes]);
    }
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Mixed {
    a: Binary,
    b: u8,
    c: Vec<Binary>,
}

/// B7.
#[tokio::test]
async fn several_attachments_keep_their_places_in_the_payload() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let mut events = client.subscribe("bin");
    peer.send(concat!(
        r#"453-["bin",{"a":{"_placeholder":true,"num":0},"b":7,"c":[{"_placeholder":true,"num":1},"#,
        r#"{"_placeholder":true,"num":2}]},"tail"]"#
    ))
    .await;
    for bytes in [&b"\x01\x02"[..], b"\x03\x04", b"\x05"] {
        peer.send_binary(bytes).await;
    }
    let event = soon(events.recv()).await.unwrap();
    assert_eq!(event.name(), "bin");
    let (mixed, tail): (Mixed, &str) = event.args().unwrap();
    let expected = Mixed {
        a: Binary::from(vec![1, 2]),
        b: 7,
        c: vec![Binary::from(vec![3, 4]), Binary::from(vec![5])],
    };
    assert_eq!((&mixed, tail), (&expected, "tail"));

    client.emit_args("bin", &(mixed, "tail")).await.unwrap();
    assert_eq!(
        peer.text().await,
        concat!(
            r#"453-["bin",{"a":{"_placeholder":true,"num":0},"b":7,"c":[{"_placeholder":true,"num":1},"#,
            r#"{"_placeholder":true,"num":2}]},"tail"]"#
        )
    );
    for bytes in [&b"\x01\x02"[..], b"\x03\x04", b"\x05"] {
        assert_eq!(peer.binary().await, bytes);
    }
}

/// A binary event that asks for an acknowledgement is type 5, not 6.
#[tokio::test]
async fn binary_travels_in_acknowledgements_both_ways() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let ask = client.emit_ack("up", &Binary::from(vec![1, 0x1e]));
    let script = async {
        assert_eq!(peer.text().await, r#"451-0["up",{"_placeholder":true,"num":0}]"#);
        assert_eq!(peer.binary().await, &b"\x01\x1e"[..]);
        peer.send(r#"461-0[{"_placeholder":true,"num":0},"more"]"#).await;
        peer.send_binary(b"\x1e\x02").await;
    };
    let (reply, ()) = tokio::join!(soon(ask.into_future()), script);
    let reply = reply.unwrap();
    let (bytes, more): (Binary, String) = reply.args().unwrap();
    assert_eq!((&bytes[..], more.as_str()), (&b"\x1e\x02"[..], "more"));

    let mut events = client.subscribe("down");
    peer.send(r#"451-5["down",{"_placeholder":true,"num":0}]"#).await;
    peer.send_binary(b"x").await;
    let event = soon(events.recv()).await.unwrap();
    assert!(event.wants_ack());
    event.ack(&json!("got it")).unwrap();
    assert_eq!(peer.text().await, r#"435["got it"]"#);
    peer.send(r#"426["down"]"#).await;
    let event = soon(events.recv()).await.unwrap();
    event.ack(&Binary::from(vec![9])).unwrap();
    assert_eq!(peer.text().await, r#"461-6[{"_placeholder":true,"num":0}]"#);
    assert_eq!(peer.binary().await, &b"\x09"[..]);
}

/// B6.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_binary_events_never_interleave() {
    const TASKS: u8 = 8;
    const EVENTS: u8 = 50;
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let senders: Vec<_> = (0..TASKS)
        .map(|task| {
            let client = client.clone();
            tokio::spawn(async move {
                for n in 0..EVENTS {
                    let parts = (Binary::from(vec![task, n, 0]), Binary::from(vec![task, n, 1]));
                    client.emit_args("part", &parts).await.unwrap();
                }
            })
        })
        .collect();
    let mut next = [0u8; TASKS as usize];
    for _ in 0..u32::from(TASKS) * u32::from(EVENTS) {
        assert!(peer.text().await.starts_with("452-"));
        let (first, second) = (peer.binary().await, peer.binary().await);
        assert_eq!((&first[..2], first[2], second[2]), (&second[..2], 0, 1));
        // The order of each task is kept.
        let expected = &mut next[usize::from(first[0])];
        assert_eq!(first[1], *expected);
        *expected += 1;
    }
    for sender in senders {
        soon(sender).await.unwrap();
    }
}

/// B15.
#[tokio::test]
async fn a_link_that_breaks_between_attachments_is_just_a_broken_link() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let mut all = client.subscribe_all();
    peer.send(r#"452-["bin",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
        .await;
    peer.send_binary(b"first").await;
    peer.kill();
    let mut peer = server.accept_connected("second").await;
    connected_as(&client, "second").await;
    assert_eq!(
        client.last_disconnect().unwrap().reason,
        DisconnectReason::TransportClose
    );
    peer.send(r#"42["whole"]"#).await;
    assert_eq!(soon(all.recv()).await.unwrap().name(), "whole");
}

/// B15.
#[tokio::test]
async fn absurd_counts_and_ids_end_the_link_without_a_panic() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    for (n, frame) in [
        r#"45300-["e"]"#,
        r#"42123456789012345678901234567890["e"]"#,
        "42-1[\"a\"]",
    ]
    .into_iter()
    .enumerate()
    {
        peer.send(frame).await;
        let sid = format!("again-{n}");
        peer = server.accept_connected(&sid).await;
        connected_as(&client, &sid).await;
        assert_eq!(
            client.last_disconnect().unwrap().reason,
            DisconnectReason::ParseError
        );
    }
}
