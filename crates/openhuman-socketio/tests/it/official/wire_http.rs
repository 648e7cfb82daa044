//! The server suites turned round, long-polling and the upgrade: a server judges what this client does where the suites
//! judge a server.

use std::time::Duration;

use openhuman_socketio::{Binary, ConnectError, DisconnectReason, Transports};
use serde_json::json;

use super::case;
use super::judge::{Judge, OPEN};
use crate::scripted::{soon, state};

#[tokio::test]
async fn handshakes() {
    case(
        "handshake, HTTP long-polling: successfully opens a session",
        async {
            let mut judge = Judge::bind().await;
            let _client = judge.client(Transports::Polling).start().unwrap();
            let get = judge.next("GET").await;
            assert!(get.target.starts_with("/socket.io/?"), "{}", get.target);
            assert_eq!(get.query("sid"), None);
            get.ok(OPEN);
            // The session is used as it was opened, and nothing is asked twice.
            let (get, post) = (judge.next("GET").await, judge.next("POST").await);
            for request in [&get, &post] {
                assert_eq!(
                    (request.query("sid"), request.query("transport")),
                    (Some("e"), Some("polling"))
                );
            }
            assert_eq!(post.body, "40");
            assert!(judge.unasked().is_empty());
            judge.verdict();
        },
    )
    .await;

    for (title, code, message) in [
        (
            "handshake, HTTP long-polling: fails with an invalid 'EIO' query parameter",
            5,
            "Unsupported protocol version",
        ),
        (
            "handshake, HTTP long-polling: fails with an invalid 'transport' query parameter",
            0,
            "Transport unknown",
        ),
        (
            "handshake, HTTP long-polling: fails with an invalid request method",
            2,
            "Bad handshake method",
        ),
    ] {
        case(title, async {
            let mut judge = Judge::bind().await;
            let connecting = tokio::spawn(judge.client(Transports::Polling).connect());
            let get = judge.next("GET").await;
            assert_eq!(
                (get.query("EIO"), get.query("transport")),
                (Some("4"), Some("polling"))
            );
            get.status(
                "400 Bad Request",
                &json!({"code": code, "message": message}).to_string(),
            );
            let refused = connecting.await.unwrap();
            let Err(ConnectError::Http { status: 400, body }) = refused else {
                panic!("{refused:?}")
            };
            assert!(body.contains(message), "{body}");
            assert!(judge.unasked().is_empty());
        })
        .await;
    }
}

#[tokio::test]
async fn messages() {
    case(
        "message, HTTP long-polling: sends and receives a payload containing one plain text packet",
        async {
            let mut judge = Judge::bind().await;
            let client = judge.session(judge.client(Transports::Polling)).await;
            let mut events = client.subscribe("hello");
            client.emit("hello", &1).await.unwrap();
            let post = judge.next("POST").await;
            assert_eq!(post.body, r#"42["hello",1]"#);
            assert_eq!(post.header("content-type"), Some("text/plain;charset=UTF-8"));
            post.ok("ok");
            judge.next("GET").await.ok(r#"42["hello",2]"#);
            assert_eq!(events.recv().await.unwrap().data(), 2);
            judge.verdict();
        },
    )
    .await;

    case(
        "message, HTTP long-polling: sends and receives a payload containing several plain text packets",
        async {
            let mut judge = Judge::bind().await;
            let client = judge.session(judge.client(Transports::Polling)).await;
            let mut events = client.subscribe("n");
            client.emit("n", &1).await.unwrap();
            let first = judge.next("POST").await;
            // While that one is under way, the others gather.
            client.emit("n", &2).await.unwrap();
            client.emit("n", &3).await.unwrap();
            tokio::task::yield_now().await;
            first.ok("ok");
            assert_eq!(judge.next("POST").await.body, "42[\"n\",2]\u{1e}42[\"n\",3]");
            judge
                .next("GET")
                .await
                .ok("42[\"n\",1]\u{1e}42[\"n\",2]\u{1e}42[\"n\",3]");
            for n in 1..=3 {
                assert_eq!(events.recv().await.unwrap().data(), n);
            }
            judge.verdict();
        },
    )
    .await;

    case(
        "message, HTTP long-polling: sends and receives a payload containing plain text and binary packets",
        async {
            let mut judge = Judge::bind().await;
            let client = judge.session(judge.client(Transports::Polling)).await;
            let mut events = client.subscribe("bin");
            let bytes = Binary::from(vec![1, 2, 3, 4]);
            client.emit("bin", &bytes).await.unwrap();
            let body = "451-[\"bin\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQIDBA==";
            let post = judge.next("POST").await;
            assert_eq!(post.body, body);
            post.ok("ok");
            judge.next("GET").await.ok(body);
            assert_eq!(events.recv().await.unwrap().arg::<Binary>().unwrap(), bytes);
            judge.verdict();
        },
    )
    .await;

    case(
        "message, HTTP long-polling: closes the session upon invalid packet format",
        async {
            let mut judge = Judge::bind().await;
            let client = judge.session(judge.client(Transports::Polling)).await;
            judge.next("GET").await.ok("abc");
            state(&client, |state| !state.is_connected()).await;
            assert_eq!(
                client.last_disconnect().unwrap().reason,
                DisconnectReason::ParseError
            );
            // Good-bye to the old session, or nothing; then a new one.
            let fresh = loop {
                let get = judge.next("GET").await;
                if get.query("sid").is_none() {
                    break get;
                }
            };
            fresh.ok(OPEN);
            judge.verdict();
        },
    )
    .await;

    case(
        "message, HTTP long-polling: closes the session upon duplicate poll requests",
        async {
            let mut judge = Judge::bind().await;
            let client = judge.session(judge.client(Transports::Polling)).await;
            let mut events = client.subscribe("n");
            for n in 0..50 {
                client.emit("n", &n).await.unwrap();
                judge.next("POST").await.ok("ok");
                judge.next("GET").await.ok(&format!(r#"42["n",{n}]"#));
                assert_eq!(events.recv().await.unwrap().data(), n);
            }
            // Never two GETs or two POSTs at a time: the judge has watched each.
            judge.verdict();
        },
    )
    .await;

    case(
        "message, HTTP long-polling: closes the session upon cancelled polling request",
        async {
            let mut judge = Judge::bind().await;
            let client = judge.session(judge.client(Transports::Polling)).await;
            // The GET that waits is not given up while the client lives, whatever it sends.
            let waiting = judge.next("GET").await;
            for n in 0..20 {
                client.emit("n", &n).await.unwrap();
                judge.next("POST").await.ok("ok");
            }
            let mut events = client.subscribe("late");
            waiting.ok(r#"42["late"]"#);
            events.recv().await.unwrap();
            judge.verdict();
        },
    )
    .await;
}

#[tokio::test]
async fn heartbeats_and_the_end() {
    case("heartbeat, HTTP long-polling: sends ping/pong packets", async {
        let mut judge = Judge::bind().await;
        let client = judge.session(judge.client(Transports::Polling)).await;
        for _ in 0..3 {
            judge.next("GET").await.ok("2");
            let post = judge.next("POST").await;
            assert_eq!(post.body, "3");
            post.ok("ok");
        }
        assert!(client.state().borrow().is_connected());
        judge.verdict();
    })
    .await;

    case(
        "heartbeat, HTTP long-polling: closes the session upon ping timeout",
        async {
            let mut judge = Judge::bind().await;
            let builder = judge.client(Transports::Polling).heartbeat_slack(Duration::ZERO);
            let client = judge.session(builder).await;
            let _never_answered = judge.next("GET").await;
            state(&client, |state| !state.is_connected()).await;
            assert_eq!(
                client.last_disconnect().unwrap().reason,
                DisconnectReason::PingTimeout
            );
        },
    )
    .await;

    case("close, HTTP long-polling: forcefully closes the session", async {
        let mut judge = Judge::bind().await;
        let client = judge.session(judge.client(Transports::Polling)).await;
        let get = judge.next("GET").await;
        let leaving = tokio::spawn(async move { client.disconnect().await });
        let mut said = Vec::new();
        while said.last().is_none_or(|last| last != "1") {
            let post = judge.next("POST").await;
            said.extend(post.body.split('\u{1e}').map(str::to_owned));
            post.ok("ok");
        }
        assert_eq!(said, ["41", "1"]);
        get.ok("6");
        leaving.await.unwrap();
        assert!(judge.unasked().is_empty());

        // And the other way round: the server's good-bye is the end of the session, and is not answered.
        let client = judge.session(judge.client(Transports::Polling)).await;
        judge.next("GET").await.ok("1");
        state(&client, |state| !state.is_connected()).await;
        assert_eq!(
            client.last_disconnect().unwrap().reason,
            DisconnectReason::TransportClose
        );
        judge.verdict();
    })
    .await;
}

#[tokio::test]
async fn upgrades() {
    case(
        "upgrade: successfully upgrades from HTTP long-polling to WebSocket",
        async {
            let mut judge = Judge::bind().await;
            let connecting = tokio::spawn(judge.client(Transports::PollingThenWebSocket).connect());
            judge.next("GET").await.ok(OPEN);
            let post = judge.next("POST").await;
            assert_eq!(post.body, "40");
            post.ok("ok");
            // A GET waits and a WebSocket for the same session is asked for, in either order.
            let (one, other) = (judge.next("GET").await, judge.next("GET").await);
            let (poll, upgrade) = if one.query("transport") == Some("polling") {
                (one, other)
            } else {
                (other, one)
            };
            assert_eq!(
                (upgrade.query("transport"), upgrade.query("sid")),
                (Some("websocket"), Some("e"))
            );
            let mut socket = upgrade.upgrade().await;
            assert_eq!(socket.text().await.unwrap(), "2probe");
            poll.ok(r#"40{"sid":"s"}"#);
            let client = connecting.await.unwrap().unwrap();
            // Nothing goes over the WebSocket before the probe is answered; long-polling goes on.
            client.emit("n", &1).await.unwrap();
            let post = judge.next("POST").await;
            assert_eq!(post.body, r#"42["n",1]"#);
            post.ok("ok");
            let poll = judge.next("GET").await;
            socket.send("3probe").await;
            client.emit("n", &2).await.unwrap();
            // The GET is waited for, and the upgrade is confirmed before anything else.
            poll.ok("6");
            assert_eq!(socket.text().await.unwrap(), "5");
            assert_eq!(socket.text().await.unwrap(), r#"42["n",2]"#);
            let mut events = client.subscribe("hello");
            socket.send(r#"42["hello"]"#).await;
            events.recv().await.unwrap();
            assert_eq!(client.stats().upgrades, 1);

            let _title = "upgrade: ignores HTTP requests with same sid after upgrade";
            let _title = "upgrade: ignores WebSocket connection with same sid after upgrade";
            for n in 0..20 {
                client.emit("n", &n).await.unwrap();
                assert_eq!(socket.text().await.unwrap(), format!(r#"42["n",{n}]"#));
            }
            assert!(judge.unasked().is_empty(), "{:?}", judge.unasked());
            judge.verdict();
            let leaving = tokio::spawn(async move { client.disconnect().await });
            assert_eq!(socket.text().await.unwrap(), "41");
            assert_eq!(socket.text().await, None);
            soon(leaving).await.unwrap();
        },
    )
    .await;

    // What the suites do not ask: the request that the upgrade waits for can be the POST.
    case("an upgrade whose last request is a POST", async {
        let mut judge = Judge::bind().await;
        let connecting = tokio::spawn(judge.client(Transports::PollingThenWebSocket).connect());
        judge.next("GET").await.ok(OPEN);
        judge.next("POST").await.ok("ok");
        let (one, other) = (judge.next("GET").await, judge.next("GET").await);
        let (poll, upgrade) = if one.query("transport") == Some("polling") {
            (one, other)
        } else {
            (other, one)
        };
        let mut socket = upgrade.upgrade().await;
        assert_eq!(socket.text().await.unwrap(), "2probe");
        poll.ok(r#"40{"sid":"s"}"#);
        let client = connecting.await.unwrap().unwrap();
        let poll = judge.next("GET").await;
        client.emit("n", &1).await.unwrap();
        let post = judge.next("POST").await;
        socket.send("3probe").await;
        let mut events = client.subscribe("last");
        poll.ok(r#"42["last"]"#);
        events.recv().await.unwrap();
        post.ok("ok");
        assert_eq!(socket.text().await.unwrap(), "5");
        judge.verdict();
    })
    .await;

    // What the suites do not ask: an answer to the probe that is none leaves the session where it is.
    case("a probe that is answered with something else", async {
        let mut judge = Judge::bind().await;
        let connecting = tokio::spawn(judge.client(Transports::PollingThenWebSocket).connect());
        judge.next("GET").await.ok(OPEN);
        judge.next("POST").await.ok("ok");
        let (one, other) = (judge.next("GET").await, judge.next("GET").await);
        let (poll, upgrade) = if one.query("transport") == Some("polling") {
            (one, other)
        } else {
            (other, one)
        };
        let mut socket = upgrade.upgrade().await;
        assert_eq!(socket.text().await.unwrap(), "2probe");
        socket.send("3something").await;
        assert_eq!(socket.text().await, None);
        poll.ok(r#"40{"sid":"s"}"#);
        let client = connecting.await.unwrap().unwrap();
        client.emit("n", &1).await.unwrap();
        assert_eq!(judge.next("POST").await.body, r#"42["n",1]"#);
        assert_eq!(client.stats().upgrades, 0);
        judge.verdict();
    })
    .await;
}
