//! Bare frames over a WebSocket: the least that any client needs.

use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message as Frame, Utf8Bytes};

use crate::measure::{BURST, Cpu, Message, Walls, report, resident};

type Socket = WebSocketStream<TcpStream>;

pub(crate) async fn run(name: &str, url: &str) {
    match name {
        "connect" => connect(url).await,
        "emit" => emit(url).await,
        "receive" => receive(url).await,
        "ack" => ack(url).await,
        "memory" => memory(url, 1_000).await,
        other => panic!("unknown measurement {other}"),
    }
}

async fn text(socket: &mut Socket) -> Utf8Bytes {
    match socket.next().await {
        Some(Ok(Frame::Text(text))) => text,
        other => panic!("no text: {other:?}"),
    }
}

/// With the same exchange that a client has.
async fn connected(url: &str) -> Socket {
    let address = url.trim_start_matches("http://");
    let tcp = TcpStream::connect(address).await.expect("it connects");
    tcp.set_nodelay(true).expect("an option");
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(32 * 1024);
    let uri = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
    let (mut socket, _) = tokio_tungstenite::client_async_with_config(uri, tcp, Some(config))
        .await
        .expect("a WebSocket");
    assert!(text(&mut socket).await.starts_with('0'));
    socket.send(Frame::text("40")).await.expect("it sends");
    assert!(text(&mut socket).await.starts_with("40"));
    socket
}

async fn settled(socket: &mut Socket) {
    socket
        .send(Frame::text(r#"420["settle"]"#))
        .await
        .expect("it sends");
    assert!(text(socket).await.starts_with("43"));
}

async fn connect(url: &str) {
    let mut walls = Walls::default();
    let cpu = Cpu::start();
    for _ in 0..200 {
        let started = Instant::now();
        let mut socket = connected(url).await;
        walls.add(started);
        let _ = socket.close(None).await;
    }
    report(&[
        ("connect_p50_ms", walls.p50() / 1e3),
        ("connect_cpu_us", cpu.per(200)),
    ]);
}

async fn emit(url: &str) {
    const EVENTS: usize = 200_000;
    let mut socket = connected(url).await;
    let frame = Utf8Bytes::from(format!(r#"42["sink",{}]"#, Message::kilobyte().json()));
    settled(&mut socket).await;
    let cpu = Cpu::start();
    for _ in 0..EVENTS / BURST {
        for _ in 0..BURST {
            socket.feed(Frame::Text(frame.clone())).await.expect("it sends");
        }
        socket.flush().await.expect("it sends");
    }
    settled(&mut socket).await;
    report(&[("emit_1k_cpu_us", cpu.per(EVENTS))]);
}

async fn receive(url: &str) {
    const EVENTS: usize = 200_000;
    const STEP: usize = 1_000;
    let mut socket = connected(url).await;
    let cpu = Cpu::start();
    for _ in 0..EVENTS / STEP {
        let blast = format!(r#"42["blast",{STEP}]"#);
        socket.send(Frame::text(blast)).await.expect("it sends");
        for _ in 0..STEP {
            std::hint::black_box(text(&mut socket).await);
        }
    }
    report(&[("recv_1k_cpu_us", cpu.per(EVENTS))]);
}

async fn ack(url: &str) {
    let mut socket = connected(url).await;
    let mut walls = Walls::default();
    for n in 0..20_000 {
        let started = Instant::now();
        let ask = format!(r#"42{n}["echo",1]"#);
        socket.send(Frame::text(ask)).await.expect("it sends");
        assert!(text(&mut socket).await.starts_with("43"));
        walls.add(started);
    }
    report(&[("ack_rtt_p50_us", walls.p50())]);
}

async fn memory(url: &str, count: usize) {
    let before = resident();
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        sockets.push(connected(url).await);
    }
    report(&[("rss_per_conn_kib", (resident() - before) / count as f64)]);
    std::mem::forget(sockets);
}
