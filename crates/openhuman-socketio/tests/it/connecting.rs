//! Settings and attempts: up to the connection, or to the reason why there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use openhuman_socketio::{Client, ConnectError, EmitError, State};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::scripted::{OPEN, Server, connected_as, soon, state};

#[tokio::test]
async fn connect_returns_after_the_connect_ack() {
    let server = Server::bind().await;
    let connecting = tokio::spawn(server.client().connect());
    let (mut peer, connect) = server.accept_connect().await;
    assert_eq!(connect, "40");
    peer.send("2").await;
    assert_eq!(peer.text().await, "3");
    assert!(!connecting.is_finished());
    peer.send(r#"40{"sid":"abc"}"#).await;
    let client = soon(connecting).await.unwrap().unwrap();
    let connected = State::Connected {
        sid: "abc".into(),
        recovered: false,
    };
    assert_eq!(*client.state().borrow(), connected);
}

#[tokio::test]
async fn the_request_has_the_path_query_and_headers() {
    let server = Server::bind().await;
    let _client = Client::builder(&format!("{}/base/?tenant=a", server.url))
        .path("/custom/")
        .headers([("X-Trace", "7"), ("Authorization", "Bearer t")])
        .start()
        .unwrap();
    let (_peer, request) = server.accept_with_request().await;
    assert_eq!(request.uri(), "/base/custom/?EIO=4&transport=websocket&tenant=a");
    assert_eq!(request.headers()["x-trace"], "7");
    assert_eq!(request.headers()["authorization"], "Bearer t");
}

#[tokio::test]
async fn a_refusal_carries_the_servers_message_and_data() {
    let server = Server::bind().await;
    let script = async {
        let (mut peer, _) = server.accept_connect().await;
        peer.send(r#"44{"message":"bad token","data":{"code":401}}"#)
            .await;
        peer.until_closed().await
    };
    let (refused, _) = tokio::join!(soon(server.client().connect()), script);
    match refused {
        Err(ConnectError::Rejected { message, data }) => {
            assert_eq!(
                (message.as_str(), data),
                ("bad token", Some(json!({"code": 401})))
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(server.is_quiet());
}

#[tokio::test]
async fn a_refused_client_stops_unless_told_to_go_on() {
    let server = Server::bind().await;
    let client = server.client().start().unwrap();
    let (mut peer, _) = server.accept_connect().await;
    peer.send(r#"44{"message":"bad token"}"#).await;
    let failed = state(&client, State::is_final).await;
    assert!(matches!(failed, State::Failed { error } if error.contains("bad token")));
    assert!(server.is_quiet());
    assert!(matches!(client.emit("e", &()).await, Err(EmitError::Closed)));

    let client = server.client().reconnect_after_rejection(true).start().unwrap();
    let (mut peer, _) = server.accept_connect().await;
    peer.send(r#"44{"message":"bad token"}"#).await;
    let _peer = server.accept_connected("second").await;
    connected_as(&client, "second").await;
}

#[tokio::test]
async fn credentials_are_asked_for_afresh_for_every_attempt() {
    let server = Server::bind().await;
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let builder = server.client().auth_fn(move || {
        let n = counter.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            tokio::task::yield_now().await;
            match n {
                2 => Err("the token service is down".into()),
                3 => panic!("a bug in the application"),
                4 => Ok(json!("not an object")),
                n => Ok(json!({ "token": format!("t{n}") })),
            }
        }
    });
    let client = builder.start().unwrap();
    let (mut peer, connect) = server.accept_connect().await;
    assert_eq!(connect, r#"40{"token":"t1"}"#);
    peer.send(r#"40{"sid":"first"}"#).await;
    connected_as(&client, "first").await;
    peer.kill();
    // Three attempts without credentials: nothing is sent on them.
    for _ in 0..3 {
        let mut peer = server.accept().await;
        peer.send(OPEN).await;
        assert!(peer.until_closed().await.is_empty());
    }
    let (mut peer, connect) = server.accept_connect().await;
    assert_eq!(connect, r#"40{"token":"t5"}"#);
    peer.send(r#"40{"sid":"second"}"#).await;
    connected_as(&client, "second").await;
    assert_eq!(asked.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn slow_credentials_hold_up_neither_the_heartbeat_nor_the_time_limit() {
    let server = Server::bind().await;
    let after = Duration::from_secs(1);
    let builder = server
        .client()
        .connect_timeout(after)
        .auth_fn(std::future::pending);
    let script = async {
        let mut peer = server.accept().await;
        peer.send(OPEN).await;
        peer.send("2").await;
        assert_eq!(peer.text().await, "3");
        peer.until_closed().await
    };
    let (result, frames) = tokio::join!(soon(builder.connect()), script);
    assert!(matches!(result, Err(ConnectError::Timeout { after: is }) if is == after));
    assert!(frames.is_empty());
}

#[tokio::test]
async fn a_server_that_says_nothing_runs_into_the_time_limit() {
    let server = Server::bind().await;
    let after = Duration::from_millis(50);
    let result = tokio::join!(
        soon(server.client().connect_timeout(after).connect()),
        server.accept_tcp()
    )
    .0;
    assert!(matches!(result, Err(ConnectError::Timeout { after: is }) if is == after));
}

#[tokio::test]
async fn a_time_limit_after_the_handshake_is_told_as_it_was_set_and_not_as_zero() {
    let server = Server::bind().await;
    let after = Duration::from_secs(1);
    let result = tokio::join!(
        soon(server.client().connect_timeout(after).connect()),
        server.accept_connect()
    )
    .0;
    assert!(matches!(result, Err(ConnectError::Timeout { after: is }) if is == after));
}

#[tokio::test]
async fn an_http_error_is_told_with_its_text() {
    let server = Server::bind().await;
    let script = async {
        let mut tcp = server.accept_tcp().await;
        let mut request = [0; 2048];
        let _ = soon(tcp.read(&mut request)).await.unwrap();
        let body = r#"{"code":4,"message":"Forbidden"}"#;
        let answer = format!(
            "HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        tcp.write_all(answer.as_bytes()).await.unwrap();
        tcp
    };
    let (result, _tcp) = tokio::join!(soon(server.client().connect()), script);
    let Err(ConnectError::Http { status, body }) = result else {
        panic!("{result:?}")
    };
    assert_eq!(status, 403);
    assert!(body.contains("Forbidden"), "{body}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_once() {
    for (url, namespace) in [("ftp://127.0.0.1", "/"), ("http://127.0.0.1", "admin"), ("", "/")] {
        assert!(
            Client::builder(url).namespace(namespace).start().is_err(),
            "{url} {namespace}"
        );
    }
    let outside = std::thread::spawn(|| Client::builder("http://127.0.0.1").start());
    assert!(matches!(outside.join().unwrap(), Err(ConnectError::NoRuntime)));
}
