//! The client under losses of every kind. Short by default; `cargo xtask torture socketio` runs the full length.

use std::time::Duration;

use openhuman_socketio::{Backoff, Client, Limits, Retries, State};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::node::Node;
use crate::scripted::{OPEN, Server, connected_as, quick, soon, state};

/// Set for the full length.
const FULL: &str = "OPENHUMAN_SOCKETIO_TORTURE";

pub(crate) fn scale(short: usize, full: usize) -> usize {
    if std::env::var_os(FULL).is_some() {
        full
    } else {
        short
    }
}

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// A server that restarts again and again leaves no task, file, acknowledgement or memory behind.
#[tokio::test]
async fn restarts_leave_nothing_behind() {
    let server = Server::bind().await;
    let wait = Duration::from_millis(1);
    let builder = server.client().reconnect(Backoff::new(wait, wait));
    let (client, mut peer) = server.connected_by(builder).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut before = (0, 0, 0);
    let rounds = scale(300, 10_000);
    for n in 0..rounds {
        if n == rounds / 10 {
            // Everything has had its first time.
            before = (tasks(), open_files(), resident_kib());
        }
        let asking = client.emit_ack("q", &n).into_future();
        let killing = async {
            peer.text().await;
            peer.kill();
            server.accept_connected(&format!("{n}")).await
        };
        let (answer, next) = tokio::join!(soon(asking), killing);
        assert!(answer.is_err());
        peer = next;
        connected_as(&client, &format!("{n}")).await;
    }
    let stats = client.stats();
    assert_eq!(stats.links, rounds as u64 + 1);
    assert_eq!((stats.pending_acks, stats.waiting), (0, 0));
    assert_eq!(tasks(), before.0);
    // Other tests open files in the same process, except when this one runs alone at full length.
    if scale(0, 1) == 1 {
        assert_eq!(open_files(), before.1);
        let grown = resident_kib().saturating_sub(before.2);
        println!("{rounds} restarts: {grown} KiB grown");
        assert!(grown < 1024, "{grown} KiB");
    }
}

/// Numbered events through random kills: none is lost and the order is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbered_events_survive_random_kills() {
    const WINDOW: usize = 64;
    let events = scale(5_000, 1_000_000) as u64;
    let server = Server::bind().await;
    let (client, mut peer) = server.connected().await;
    let delivery = client.delivery(Retries::new().window(WINDOW).ack_timeout(Duration::from_secs(60)));
    let sender = tokio::spawn(async move {
        for n in 0..events {
            drop(delivery.send("n", &n).await.unwrap());
        }
        delivery
    });
    let mut random = Random(0x9e37_79b9);
    let (mut next, mut repeated, mut kills) = (0, 0u64, 0u64);
    while next < events {
        for _ in 0..random.below(2_000) {
            if next == events {
                break;
            }
            let frame = peer.text().await;
            let (id, value) = frame[2..].split_once(r#"["n","#).unwrap();
            let value: u64 = value.trim_end_matches(']').parse().unwrap();
            assert!(value <= next, "{value} came before {next}");
            repeated += u64::from(value < next);
            next = next.max(value + 1);
            // Some acknowledgements are lost with the link.
            if peer.try_send(&format!("43{id}[]")).await.is_err() {
                break;
            }
        }
        if next < events {
            peer.kill();
            kills += 1;
            peer = server.accept_connected(&format!("{kills}")).await;
        }
    }
    println!("{events} events, {kills} kills, {repeated} repeated");
    assert!(
        repeated <= kills * WINDOW as u64,
        "{repeated} repeated in {kills} kills"
    );
    soon(sender).await.unwrap();
}

/// So many acknowledgements at once, answered in another order, each reach their caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_in_any_order_reach_their_callers() {
    let count = scale(5_000, 100_000);
    let server = Server::bind().await;
    let mut limits = Limits::default();
    limits.max_pending_acks = count;
    limits.max_buffered_packets = count;
    let (client, mut peer) = server.connected_by(server.client().limits(limits)).await;
    let asks: Vec<_> = (0..count)
        .map(|n| {
            tokio::spawn(
                client
                    .emit_ack("n", &n)
                    .timeout(Duration::from_secs(300))
                    .into_future(),
            )
        })
        .collect();
    let mut questions = Vec::with_capacity(count);
    for _ in 0..count {
        let frame = peer.text().await;
        let (id, value) = frame[2..].split_once(r#"["n","#).unwrap();
        questions.push((id.to_owned(), value.trim_end_matches(']').to_owned()));
    }
    let mut random = Random(0x1234_5678);
    for at in (1..count).rev() {
        questions.swap(at, usize::try_from(random.below(at as u64 + 1)).unwrap());
    }
    let answering = async {
        for (id, value) in &questions {
            peer.send(&format!("43{id}[{value}]")).await;
            if random.below(10) == 0 {
                // Again, with something else: nobody may see it.
                peer.send(&format!(r#"43{id}["twice"]"#)).await;
            }
        }
    };
    let collecting = async {
        for (n, ask) in asks.into_iter().enumerate() {
            assert_eq!(soon(ask).await.unwrap().unwrap().value(), json!(n));
        }
    };
    tokio::join!(answering, collecting);
    assert_eq!(client.stats().pending_acks, 0);
}

/// Passes bytes from the server on in pieces of `step`, and resets the connection after `cut` of them; returns how
/// many there were.
async fn relay(listener: &TcpListener, target: &str, step: usize, cut: usize) -> usize {
    let (client, _) = soon(listener.accept()).await.unwrap();
    client.set_nodelay(true).unwrap();
    let server = TcpStream::connect(target).await.unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        from_client
    });
    let mut left = cut;
    let mut buffer = vec![0; step];
    while left > 0 {
        let want = step.min(left);
        let Ok(read @ 1..) = from_server.read(&mut buffer[..want]).await else {
            break;
        };
        if to_client.write_all(&buffer[..read]).await.is_err() {
            break;
        }
        left -= read;
    }
    up.abort();
    if let Ok(from_client) = up.await {
        drop(from_client);
    }
    // With data unread or unsent this is a reset, otherwise an end: both happen to clients.
    drop((to_client, from_server));
    cut - left
}

/// What a server says in a short session with everything in it, and the client that hears all of it.
async fn session(peer: &mut crate::scripted::Peer) {
    let _ = peer.try_send(r#"42["a",{"k":"\u00e4"}]"#).await;
    let _ = peer.try_send(r#"451-["b",{"_placeholder":true,"num":0}]"#).await;
    let _ = peer.try_send_binary(&[1, 0x1e, 3]).await;
    let _ = peer.try_send("2").await;
    let _ = peer.try_send(r#"42["last"]"#).await;
}

/// Frames cut into single bytes arrive as they were.
#[tokio::test]
async fn single_bytes_make_whole_frames() {
    let server = Server::bind().await;
    let target = server.url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    for step in [1, 2, 3, 7] {
        let mut builder = Client::builder(&url).reconnect(quick());
        let mut all = builder.subscribe_all();
        let relaying = relay(&listener, &target, step, usize::MAX);
        let talking = async {
            let (client, mut peer) = tokio::join!(soon(builder.connect()), server.accept_connected("s"));
            let client = client.unwrap();
            session(&mut peer).await;
            for name in ["a", "b", "last"] {
                let event = soon(all.recv()).await.unwrap();
                assert_eq!(event.name(), name);
                if name == "b" {
                    assert_eq!(event.attachments()[0][..], [1, 0x1e, 3]);
                }
            }
            assert_eq!(peer.text().await, "3");
            let (_, ()) = tokio::join!(peer.until_closed(), soon(client.disconnect()));
        };
        tokio::join!(relaying, talking);
    }
}

/// The connection breaks behind every byte of a session; each time the client comes back by itself.
#[tokio::test]
async fn a_connection_can_break_behind_any_byte() {
    let server = Server::bind().await;
    let target = server.url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (longest, ()) = tokio::join!(relay(&listener, &target, 64, usize::MAX), async {
        let client = Client::builder(&url).start().unwrap();
        let mut peer = server.accept_connected("s").await;
        session(&mut peer).await;
        assert_eq!(peer.text().await, "3");
        let (_, ()) = tokio::join!(peer.until_closed(), soon(client.disconnect()));
    });
    // The last bytes are the answer to the client's good-bye.
    let longest = longest - 4;
    assert!(longest > 200, "{longest}");
    for cut in (0..longest).step_by(scale(13, 1)) {
        let mut builder = Client::builder(&url).reconnect(quick());
        let mut all = builder.subscribe_all();
        let client = builder.start().unwrap();
        // The first link breaks, at whatever the server is doing then.
        let broken = async {
            let mut peer = server.try_accept().await?;
            peer.try_send(OPEN).await.ok()?;
            peer.try_send(r#"40{"sid":"broken"}"#).await.ok()?;
            session(&mut peer).await;
            peer.until_closed().await;
            Some(())
        };
        tokio::join!(relay(&listener, &target, 64, cut), broken);
        while let Some(Some(_)) = futures_util::FutureExt::now_or_never(all.recv()) {}
        let relaying = relay(&listener, &target, 64, usize::MAX);
        let whole = async {
            let mut peer = server.accept_connected("whole").await;
            session(&mut peer).await;
            // What came before the break may be here as well; the last of the second link comes last.
            connected_as(&client, "whole").await;
            while soon(all.recv()).await.unwrap().name() != "last" {}
            let (_, ()) = tokio::join!(peer.until_closed(), soon(client.disconnect()));
        };
        tokio::join!(relaying, whole);
    }
}

/// A server that cannot be reached for a month is not asked more often than the waits allow, and found when it
/// is there again.
#[tokio::test(start_paused = true)]
async fn a_month_offline_is_a_bounded_number_of_attempts() {
    let days = scale(1, 30) as u64;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::builder(&format!("http://{address}")).start().unwrap();
    let mut states = client.state();
    let start = tokio::time::Instant::now();
    let mut attempts = 0u64;
    while start.elapsed() < Duration::from_secs(days * 24 * 3600) {
        states.changed().await.unwrap();
        if let State::Reconnecting { delay, .. } = &*states.borrow_and_update() {
            assert!(*delay <= Duration::from_secs(30) && *delay >= Duration::from_millis(500));
            attempts += 1;
        }
    }
    // From 15 s to 30 s each, but for the first few.
    let (most, least) = (days * 24 * 240 + 10, days * 24 * 120 - 10);
    println!("{attempts} attempts in {days} days");
    assert!(
        attempts <= most && attempts >= least,
        "{attempts} attempts in {days} days"
    );
    // Virtual time must not outrun what real sockets need.
    tokio::time::resume();
    let listener = TcpListener::bind(address).await.unwrap();
    let accepted = tokio::time::timeout(Duration::from_secs(40), listener.accept()).await;
    accepted.expect("the server is found again").unwrap();
}

/// A process that is stopped keeps its connections open and says nothing.
#[cfg(unix)]
#[tokio::test]
async fn a_stopped_server_is_noticed_and_its_late_words_are_ignored() {
    let signal = |pid: u32, name: &str| {
        let status = std::process::Command::new("kill")
            .args([name, &pid.to_string()])
            .status();
        assert!(status.unwrap().success());
    };
    let Some(mut node) = Node::start().await else {
        return;
    };
    let slack = Duration::from_millis(200);
    for round in 0..scale(1, 20) {
        let builder = node
            .client()
            .auth(json!({"token": "good"}))
            .heartbeat_slack(slack);
        let client = soon(builder.connect()).await.unwrap();
        node.report("connect").await;
        let mut echo = client.subscribe("echo");
        client.emit("echo", &"before").await.unwrap();
        assert_eq!(soon(echo.recv()).await.unwrap().data(), json!("before"));
        signal(node.pid(), "-STOP");
        let stopped = std::time::Instant::now();
        state(&client, |state| !state.is_connected()).await;
        let noticed = stopped.elapsed();
        let lost = client.last_disconnect().unwrap();
        // The server's part: pings every 300 ms, and 2 s for the answer.
        let limit = Duration::from_millis(2_300) + slack;
        println!("round {round}: noticed after {noticed:?}");
        assert_eq!(lost.reason.as_str(), "ping timeout");
        // At most one ping came before, 300 ms earlier.
        assert!(
            noticed + Duration::from_millis(400) >= limit,
            "too early: {noticed:?}"
        );
        if scale(0, 1) == 1 {
            assert!(
                noticed <= limit + Duration::from_millis(100),
                "too late: {noticed:?}"
            );
        }
        signal(node.pid(), "-CONT");
        state(&client, State::is_connected).await;
        client.emit("echo", &"after").await.unwrap();
        let after: Value = soon(echo.recv()).await.unwrap().data();
        assert_eq!(after, json!("after"));
        soon(client.disconnect()).await;
    }
}
