//! Rows 20 and 21 of the contract's list of failures that must not come back.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openhuman_socketio::{AckError, Backoff, Binary, EmitError, Limits, SendPolicy, State};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::scripted::{Server, quick, soon, state};

/// Everything that is logged, with its level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let mut text = Text(attributes.metadata().name().to_owned());
        attributes.record(&mut text);
        self.0
            .lock()
            .unwrap()
            .push((*attributes.metadata().level(), text.0));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        let mut text = Text(String::new());
        values.record(&mut text);
        self.0.lock().unwrap().push((Level::ERROR, text.0));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push((*event.metadata().level(), text.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Frames that are wrong in every part of the grammar, and cut inside characters of more than one byte.
fn malformed() -> Vec<Vec<u8>> {
    let whole = [
        "",
        "4",
        "42",
        "4é",
        "é",
        "42é",
        "42[",
        "42[\"é",
        "42[\"\u{1f600}\",1",
        "42/é",
        "42/é,",
        "42/\u{1f600},[\"x\"",
        "45",
        "45é-[]",
        "451-",
        "451é-[\"x\"]",
        "43é[]",
        "4318446744073709551616[]",
        "44é",
        "44\"é",
        "40é",
        "40{\"sid\":1}",
        "40{\"sid\":\"é",
        "41é",
        "9",
        "2é\u{1f600}",
        "0",
        "0é",
        "0{\"sid\":\"é\"",
        "42[\"\\ud800\"]",
        "42[\"\\u00\"]",
        "42[{\"a\":\"é\"}]",
        "42[\"x\",\"\u{0}\"]",
        "\u{1e}",
        "42[\"x\"]\u{1e}42[\"y\"]",
    ];
    let mut frames: Vec<Vec<u8>> = whole.iter().map(|text| text.as_bytes().to_vec()).collect();
    let good = "42/\u{fc},7[\"n\u{e4}me\\u00e9\",{\"k\u{1f600}\":[\"\u{20ac}\",null,1e3]}]".as_bytes();
    frames.extend((1..good.len()).map(|at| good[..at].to_vec()));
    frames
}

/// Each of them is sent raw, so that text that is not UTF-8 arrives as such; a panic would end the task, and the state
/// would say so instead of trying again.
#[tokio::test]
async fn row_20_malformed_or_non_ascii_frames_never_panic() {
    let server = Server::bind().await;
    let client = server.client().namespace("/\u{fc}").start().unwrap();
    let mut all = client.subscribe_all();
    let mut links = 0;
    for frame in malformed() {
        let (mut peer, connect) = server.accept_connect().await;
        links += 1;
        assert_eq!(connect, "40/\u{fc},");
        peer.send("40/\u{fc},{\"sid\":\"s\"}").await;
        state(&client, State::is_connected).await;
        peer.send_raw_text(&frame).await;
        // Whatever that was, a good event follows: it arrives, or the link was given up.
        let _ = peer.try_send("42/\u{fc},[\"after\"]").await;
        tokio::select! {
            event = all.recv() => drop(event.expect("the client goes on")),
            _ = state(&client, |state| !state.is_connected()) => {}
        }
        peer.kill();
        let now = client.state().borrow().clone();
        assert!(
            !now.is_final(),
            "{:?} ended the client: {now:?}",
            String::from_utf8_lossy(&frame)
        );
    }
    // Still all there.
    let mut peer = server.accept_connect().await.0;
    peer.send("40/\u{fc},{\"sid\":\"last\"}").await;
    state(
        &client,
        |state| matches!(state, State::Connected { sid, .. } if sid == "last"),
    )
    .await;
    assert_eq!(client.stats().links, links + 1);
}

#[tokio::test]
async fn row_20_payloads_are_not_logged() {
    const SECRET: &str = "s3cret-of-the-user";
    let log = Log::default();
    // With a single subscriber in the process, tracing asks the current thread's whether a call site is of interest,
    // and remembers the answer for all: the tests on other threads, which have none, would switch lines off for
    // this one. With a second subscriber alive it asks all of them.
    let _second = tracing::Dispatch::new(Log::default());
    let _guard = tracing::subscriber::set_default(log.clone());
    let server = Server::bind().await;
    let builder = server
        .client()
        .auth(json!({"token": SECRET}))
        .query([("key", SECRET)])
        .headers([("Authorization", SECRET)])
        .limits({
            let mut limits = Limits::default();
            limits.subscription_events = 1;
            limits
        });
    let (client, mut peer) = server.connected_by(builder).await;
    let mut events = client.subscribe("tool");
    let mut arguments = client.subscribe_outgoing();
    // Events with arguments both ways, acknowledgements, attachments, a full subscription, and garbage.
    client.emit("tool", &json!({"argument": SECRET})).await.unwrap();
    client
        .emit("bytes", &Binary::from(SECRET.as_bytes()))
        .await
        .unwrap();
    arguments.recv().await.unwrap();
    for _ in 0..3 {
        peer.send(&format!(r#"421["tool",{{"argument":"{SECRET}"}}]"#))
            .await;
    }
    let event = soon(events.recv()).await.unwrap();
    event.ack(SECRET).unwrap();
    let late = client
        .emit_ack("ask", SECRET)
        .timeout(Duration::from_millis(1))
        .await;
    let late = late.unwrap_err();
    tracing::info!(%late, ?client, "what an application would log");
    for frame in [
        format!(r#"42["tool",{SECRET}]"#),
        format!("4{SECRET}"),
        format!(r#"44{{"message":1,"x":"{SECRET}""#),
    ] {
        let _ = peer.try_send(&frame).await;
        state(&client, |state| !state.is_connected()).await;
        tracing::info!(lost = ?client.last_disconnect(), state = ?*client.state().borrow(), "and this");
        peer.kill();
        peer = server.accept_connected("again").await;
        state(&client, State::is_connected).await;
    }
    soon(async { tokio::join!(client.disconnect(), peer.until_closed()) }).await;

    let log = log.0.lock().unwrap();
    let said = |what: &str| log.iter().any(|(_, text)| text.contains(what));
    // The log is really seen.
    assert!(said("connected") && said("parse error"), "{log:#?}");
    let ours = log.iter().filter(|(_, text)| !text.contains("tungstenite"));
    for (level, text) in ours {
        assert!(
            *level == Level::TRACE || !text.contains(SECRET),
            "{level}: {text}"
        );
        // Not even there: what this crate logs has no payloads.
        assert!(!text.contains(SECRET), "{level}: {text}");
    }
}

#[tokio::test]
async fn row_21_reconnect_uses_jitter_and_a_fresh_token() {
    let server = Server::bind().await;
    let count = Arc::new(AtomicU32::new(0));
    let asked = Arc::clone(&count);
    // Long enough for a watcher to see each.
    let longest = Duration::from_millis(80);
    let backoff = Backoff::new(longest, longest).jitter(0.5);
    let client = server
        .client()
        .reconnect(backoff)
        .auth_fn(move || {
            let n = asked.fetch_add(1, Ordering::Relaxed);
            async move { Ok(json!({"token": n})) }
        })
        .start()
        .unwrap();
    let mut delays = Vec::new();
    for n in 0..12 {
        let (mut peer, connect) = server.accept_connect().await;
        assert_eq!(connect, format!(r#"40{{"token":{n}}}"#));
        peer.send(r#"40{"sid":"s"}"#).await;
        state(&client, State::is_connected).await;
        peer.kill();
        let State::Reconnecting {
            attempt: 1, delay, ..
        } = state(&client, |state| matches!(state, State::Reconnecting { .. })).await
        else {
            panic!("the first attempt after a loss")
        };
        delays.push(delay);
    }
    assert_eq!(count.load(Ordering::Relaxed), 12);
    // From half of it to the whole wait, and hardly ever the same.
    let range = longest / 2..=longest;
    assert!(delays.iter().all(|delay| range.contains(delay)), "{delays:?}");
    delays.sort();
    delays.dedup();
    assert!(delays.len() >= 6, "{delays:?}");
}

#[tokio::test]
async fn row_21_disconnect_and_handshake_pings_are_handled() {
    let server = Server::bind().await;
    let builder = server.client().reconnect_after_server_disconnect(true);
    let connecting = tokio::spawn(builder.connect());
    let mut peer = server.accept().await;
    peer.send(crate::scripted::OPEN).await;
    assert_eq!(peer.text().await, "40");
    // The server has not accepted yet, and pings all the same.
    peer.send("2").await;
    assert_eq!(peer.text().await, "3");
    peer.send(r#"40{"sid":"s"}"#).await;
    let client = soon(connecting).await.unwrap().unwrap();
    peer.send("41").await;
    peer.until_closed().await;
    // Seen, told, and followed by a new connection because the link of the app asks for it.
    let _peer = server.accept_connected("second").await;
    state(
        &client,
        |state| matches!(state, State::Connected { sid, .. } if sid == "second"),
    )
    .await;
    assert_eq!(
        client.last_disconnect().unwrap().to_string(),
        "io server disconnect"
    );
}

#[tokio::test]
async fn row_21_the_queue_is_bounded() {
    let server = Server::bind().await;
    let mut limits = Limits::default();
    limits.max_buffered_packets = 3;
    limits.max_buffered_bytes = 1_000;
    let builder = || server.client().limits(limits.clone()).reconnect(quick());
    let full = builder().send_policy(SendPolicy::FailWhenFull).start().unwrap();
    for n in 0..3 {
        full.emit("n", &n).await.unwrap();
    }
    assert!(matches!(full.emit("n", &3).await, Err(EmitError::BufferFull)));
    assert_eq!(full.stats().waiting, 3);
    let bytes = builder().send_policy(SendPolicy::FailWhenFull).start().unwrap();
    bytes.emit("n", &"x".repeat(900)).await.unwrap();
    assert!(matches!(
        bytes.emit("n", &"x".repeat(100)).await,
        Err(EmitError::BufferFull)
    ));
}

#[tokio::test]
async fn row_21_events_raised_offline_are_kept_or_reported() {
    let server = Server::bind().await;
    // Kept, in order, and sent when there is a connection.
    let client = server.client().start().unwrap();
    for n in 0..10 {
        client.emit("n", &n).await.unwrap();
    }
    let mut peer = server.accept_connected("s").await;
    for n in 0..10 {
        assert_eq!(peer.text().await, format!(r#"42["n",{n}]"#));
    }
    soon(async { tokio::join!(client.disconnect(), peer.until_closed()) }).await;

    // Or reported, each in the way that was asked for.
    let client = server
        .client()
        .send_policy(SendPolicy::FailWhenOffline)
        .start()
        .unwrap();
    assert!(matches!(client.emit("n", &1).await, Err(EmitError::NotConnected)));
    let asked = client.emit_ack("n", &1).await;
    assert!(
        matches!(asked, Err(AckError::Emit(EmitError::NotConnected))),
        "{asked:?}"
    );
    assert!(!client.emit_volatile("n", &1).unwrap());
    assert_eq!(client.stats().dropped, 1);
    client.disconnect().await;
    assert!(matches!(client.emit("n", &1).await, Err(EmitError::Closed)));
}
