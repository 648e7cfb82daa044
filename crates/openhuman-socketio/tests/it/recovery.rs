//! Sessions that the server restores after a lost link.

use openhuman_socketio::State;
use serde_json::json;

use crate::node::Node;
use crate::scripted::{Server, soon, state};

#[tokio::test]
async fn the_private_id_and_the_last_offset_are_offered_and_the_state_tells() {
    let server = Server::bind().await;
    let connecting = server.client().auth(json!({"token": "t"})).connect();
    let (client, mut peer) = tokio::join!(soon(connecting), async {
        let (mut peer, connect) = server.accept_connect().await;
        assert_eq!(connect, r#"40{"token":"t"}"#);
        peer.send(r#"40{"sid":"s","pid":"private"}"#).await;
        peer
    });
    let client = client.unwrap();
    let mut events = client.subscribe("e");
    let recovered = |wanted: bool| move |state: &State| matches!(state, State::Connected { recovered, .. } if *recovered == wanted);
    state(&client, recovered(false)).await;
    peer.send(r#"42["e",1,"offset-1"]"#).await;
    // Not an offset, and not an event that anybody subscribed to.
    peer.send(r#"42["e",2]"#).await;
    peer.send(r#"42["nobody","offset-2"]"#).await;
    for n in 1..3 {
        assert_eq!(soon(events.recv()).await.unwrap().data(), json!(n));
    }
    client
        .emit_ack("seen", &())
        .timeout(std::time::Duration::from_millis(1))
        .await
        .unwrap_err();
    peer.kill();
    let (mut peer, connect) = server.accept_connect().await;
    assert_eq!(connect, r#"40{"offset":"offset-2","pid":"private","token":"t"}"#);
    // What was missed comes before the CONNECT ack.
    peer.send(r#"42["e",3,"offset-3"]"#).await;
    peer.send(r#"40{"sid":"s","pid":"private"}"#).await;
    assert_eq!(soon(events.recv()).await.unwrap().data(), json!(3));
    state(&client, recovered(true)).await;
    peer.kill();
    // The server has forgotten: a new session, and nothing of the old one.
    let (mut peer, connect) = server.accept_connect().await;
    assert_eq!(connect, r#"40{"offset":"offset-3","pid":"private","token":"t"}"#);
    peer.send(r#"40{"sid":"s2","pid":"other"}"#).await;
    state(&client, recovered(false)).await;
    peer.kill();
    let (_peer, connect) = server.accept_connect().await;
    assert_eq!(connect, r#"40{"pid":"other","token":"t"}"#);
}

/// A short form of the torture: numbered events over many cuts, none missing, none twice.
#[tokio::test]
async fn node_restores_the_session_over_and_over() {
    let options = json!({"connectionStateRecovery": {}, "pingInterval": 25_000, "pingTimeout": 20_000});
    let Some(mut node) = Node::start_with(&options).await else {
        return;
    };
    let mut builder = node.client().auth(json!({"token": "good"}));
    let mut numbers = builder.subscribe("number");
    let client = soon(builder.connect()).await.unwrap();
    node.report("connect").await;
    // One event gives the first offset.
    node.tell(json!({"do": "numbers", "from": 0, "to": 1})).await;
    assert_eq!(soon(numbers.recv()).await.unwrap().data(), json!(0));
    let (cuts, step) = (crate::torture::scale(20, 1_000), 50);
    for cut in 0..cuts {
        let from = 1 + cut * 2 * step;
        node.tell(json!({"do": "numbers", "from": from, "to": from + step}))
            .await;
        node.tell(json!({"do": "cut"})).await;
        node.tell(json!({"do": "numbers", "from": from + step, "to": from + 2 * step}))
            .await;
        assert_eq!(node.report("connect").await["recovered"], true, "cut {cut}");
        for n in from..from + 2 * step {
            assert_eq!(soon(numbers.recv()).await.unwrap().data(), json!(n));
        }
    }
    assert_eq!(numbers.lost(), 0);
    state(&client, |state| {
        matches!(state, State::Connected { recovered: true, .. })
    })
    .await;
    assert_eq!(client.stats().links, cuts as u64 + 1);
}
