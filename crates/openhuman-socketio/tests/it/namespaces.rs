//! Several namespaces on one connection.

use std::time::Duration;

use openhuman_socketio::{AckError, ConnectError, DisconnectReason, EmitError, State};
use serde_json::json;

use crate::node::Node;
use crate::scripted::{OPEN, Server, connected_as, quick, soon, state};

/// A second namespace asks for itself on the link that is there.
#[tokio::test]
async fn a_second_namespace_uses_the_same_link() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let mut builder = client.namespace("/admin").auth(json!({"role": "boss"}));
    let mut early = builder.subscribe("early");
    let (admin, ()) = tokio::join!(soon(builder.connect()), async {
        assert_eq!(peer.text().await, r#"40/admin,{"role":"boss"}"#);
        peer.send(r#"42/admin,["early",1]"#).await;
        peer.send(r#"40/admin,{"sid":"a"}"#).await;
    });
    let admin = admin.unwrap();
    assert_eq!(soon(early.recv()).await.unwrap().data(), json!(1));
    assert!(server.is_quiet());

    // Events, acknowledgements and their ids are each namespace's own.
    let (mut here, mut there) = (client.subscribe("e"), admin.subscribe("e"));
    peer.send(r#"42/admin,["e","there"]"#).await;
    peer.send(r#"42["e","here"]"#).await;
    assert_eq!(soon(here.recv()).await.unwrap().data(), json!("here"));
    assert_eq!(soon(there.recv()).await.unwrap().data(), json!("there"));
    let asks = async { tokio::join!(client.emit_ack("q", &1), admin.emit_ack("q", &2)) };
    let answers = async {
        let mut asked = [peer.text().await, peer.text().await];
        asked.sort();
        assert_eq!(asked, [r#"42/admin,0["q",2]"#, r#"420["q",1]"#]);
        peer.send(r#"43/admin,0["from admin"]"#).await;
        peer.send(r#"430["from root"]"#).await;
    };
    let ((root_reply, admin_reply), ()) = tokio::join!(soon(asks), answers);
    assert_eq!(root_reply.unwrap().value(), json!("from root"));
    assert_eq!(admin_reply.unwrap().value(), json!("from admin"));

    // Leaving one leaves the other alone.
    soon(admin.disconnect()).await;
    assert_eq!(peer.text().await, "41/admin,");
    assert!(client.state().borrow().is_connected());
    assert!(matches!(admin.emit("late", &()).await, Err(EmitError::Closed)));
    client.emit("still", &()).await.unwrap();
    assert_eq!(peer.text().await, r#"42["still",null]"#);
    // The last one closes the connection.
    let (frames, ()) = tokio::join!(peer.until_closed(), soon(client.disconnect()));
    assert_eq!(frames, ["41"]);
}

#[tokio::test]
async fn a_refused_namespace_leaves_the_others_connected() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let (refused, ()) = tokio::join!(soon(client.namespace("/x").connect()), async {
        assert_eq!(peer.text().await, "40/x,");
        peer.send(r#"44/x,{"message":"not for you"}"#).await;
    });
    assert!(matches!(refused, Err(ConnectError::Rejected { message, .. }) if message == "not for you"));
    assert!(client.state().borrow().is_connected());
    // It is not asked for again, and its name is free.
    let (again, ()) = tokio::join!(soon(client.namespace("/x").connect()), async {
        assert_eq!(peer.text().await, "40/x,");
        peer.send(r#"40/x,{"sid":"x"}"#).await;
    });
    let x = again.unwrap();
    assert!(matches!(
        client.namespace("/x").start(),
        Err(ConnectError::NamespaceInUse { .. })
    ));
    // The server throws one out; the other stays.
    peer.send("41/x,").await;
    let ended = state(&x, State::is_final).await;
    let reason = Some(DisconnectReason::ServerDisconnect);
    assert_eq!(ended, State::Disconnected { reason });
    assert!(client.state().borrow().is_connected());
    assert!(client.namespace("bad").start().is_err());
    assert!(client.namespace("/a?query=1").start().is_err());
}

#[tokio::test]
async fn a_lost_link_brings_every_namespace_back_on_one_new_link() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let mut others = Vec::new();
    for n in 0..20 {
        let (connected, ()) = tokio::join!(soon(client.namespace(&format!("/n{n}")).connect()), async {
            assert_eq!(peer.text().await, format!("40/n{n},"));
            peer.send(&format!(r#"40/n{n},{{"sid":"first-{n}"}}"#)).await;
        });
        others.push(connected.unwrap());
    }
    let ask = tokio::spawn(others[3].emit_ack("q", &()).into_future());
    assert_eq!(peer.text().await, r#"42/n3,0["q",null]"#);
    peer.kill();
    assert!(matches!(soon(ask).await.unwrap(), Err(AckError::Disconnected)));
    let mut peer = server.accept().await;
    peer.send(OPEN).await;
    for _ in 0..21 {
        let connect = peer.text().await;
        let namespace = connect.strip_prefix("40").unwrap();
        peer.send(&format!(r#"40{namespace}{{"sid":"second{namespace}"}}"#))
            .await;
    }
    connected_as(&client, "second").await;
    for (n, other) in others.iter().enumerate() {
        connected_as(other, &format!("second/n{n},")).await;
        assert_eq!(
            other.last_disconnect().unwrap().reason,
            DisconnectReason::TransportClose
        );
    }
    assert_eq!(client.stats().links, 2);
    assert!(server.is_quiet());
}

/// A namespace whose server takes its time does not hold up the others, and one that is asked for while the
/// link is down is connected with the next one.
#[tokio::test]
async fn namespaces_wait_for_nobody() {
    let server = Server::bind().await;
    let builder = server.client().connect_timeout(Duration::from_millis(300));
    let (client, mut peer) = server.connected_by(builder).await;
    let slow = client.namespace("/slow").start().unwrap();
    assert_eq!(peer.text().await, "40/slow,");
    state(&slow, |state| matches!(state, State::Reconnecting { .. })).await;
    client.emit("meanwhile", &()).await.unwrap();
    // Tried again on the same link, and the late answer counts.
    let mut frames = vec![peer.text().await];
    while frames.last().is_none_or(|frame| frame != "40/slow,") {
        frames.push(peer.text().await);
    }
    assert!(frames.contains(&r#"42["meanwhile",null]"#.to_owned()));
    peer.send(r#"40/slow,{"sid":"late"}"#).await;
    connected_as(&slow, "late").await;
    peer.kill();
    state(&client, |state| !state.is_connected()).await;
    let new = client.namespace("/new").start().unwrap();
    let mut peer = server.accept().await;
    peer.send(OPEN).await;
    let mut connects = Vec::new();
    while connects.len() < 3 {
        connects.push(peer.text().await);
    }
    connects.sort();
    assert_eq!(connects, ["40", "40/new,", "40/slow,"]);
    peer.send(r#"40/new,{"sid":"new"}"#).await;
    connected_as(&new, "new").await;
}

/// A client whose last namespace has gone can connect again with the same settings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnected_client_connects_again() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let (_, ()) = tokio::join!(peer.until_closed(), soon(client.disconnect()));
    let (again, mut peer) = tokio::join!(
        soon(client.namespace("/").connect()),
        server.accept_connected("second")
    );
    let again = again.unwrap();
    connected_as(&again, "second").await;
    // Over and over, also while the task of the connection before is just ending.
    let mut last = again;
    for n in 0..50 {
        let sid = n.to_string();
        let next = last.namespace("/");
        let (_, ()) = tokio::join!(peer.until_closed(), soon(last.disconnect()));
        let (connected, accepted) = tokio::join!(soon(next.connect()), server.accept_connected(&sid));
        (last, peer) = (connected.unwrap(), accepted);
    }
}

/// While the attachments of a packet are being written, no other packet comes between, of whatever namespace.
#[tokio::test]
async fn a_connect_never_comes_between_a_packet_and_its_attachments() {
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let big = openhuman_socketio::Binary::from(vec![7; 900_000]);
    for _ in 0..10 {
        client.emit("big", &big).await.unwrap();
    }
    let other = client.namespace("/other").start().unwrap();
    let mut connects = 0;
    for _ in 0..10 {
        loop {
            let text = peer.text().await;
            if text == "40/other," {
                connects += 1;
                continue;
            }
            assert!(text.starts_with(r#"451-["big","#), "{text}");
            break;
        }
        assert_eq!(peer.binary().await.len(), 900_000);
    }
    if connects == 0 {
        assert_eq!(peer.text().await, "40/other,");
    }
    drop(other);
}

#[tokio::test]
async fn node_serves_two_namespaces_on_one_connection() {
    let Some(mut node) = Node::start().await else {
        return;
    };
    let client = node.connected().await;
    let admin = client.namespace("/admin").auth(json!({"token": "good"}));
    let admin = soon(admin.connect()).await.unwrap();
    let refused = soon(client.namespace("/admin2").connect()).await;
    assert!(matches!(refused, Err(ConnectError::Rejected { message, .. }) if message == "Invalid namespace"));
    for namespace in [&client, &admin] {
        let reply = soon(namespace.emit_ack("echo-ack", &"x").into_future())
            .await
            .unwrap();
        assert_eq!(reply.value(), "x");
    }
    soon(admin.disconnect()).await;
    node.report("disconnect").await;
    // The server still knows the other namespace, and the connection is the same.
    let reply = soon(client.emit_ack("echo-ack", &"y").into_future())
        .await
        .unwrap();
    assert_eq!(reply.value(), "y");
    assert_eq!(client.stats().links, 1);
    assert!(client.last_disconnect().is_none());
}

#[tokio::test]
async fn a_first_connection_that_fails_tells_every_namespace() {
    let server = Server::bind().await;
    let client = server
        .client()
        .reconnect(quick().max_attempts(1))
        .start()
        .unwrap();
    let other = client.namespace("/other");
    let script = async {
        for _ in 0..2 {
            server.accept().await.kill();
        }
    };
    let (other, ()) = tokio::join!(soon(other.connect()), script);
    assert!(matches!(other, Err(ConnectError::Lost(_))), "{other:?}");
    let failed = state(&client, State::is_final).await;
    assert!(matches!(failed, State::Failed { .. }));
}
