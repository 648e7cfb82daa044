//! This crate's client.

use std::hint::black_box;
use std::time::{Duration, Instant};

use openhuman_socketio::{Backoff, Client, ClientBuilder};

use crate::measure::{BURST, Cpu, Message, Walls, report, resident};

pub(crate) async fn run(name: &str, url: &str) {
    match name {
        "connect" => connect(url).await,
        "emit" => emit(url).await,
        "receive" => receive(url).await,
        "ack" => ack(url).await,
        "memory" => memory(url, 1_000).await,
        "many" => many(url, 10_000).await,
        "decode" => decode(),
        other => panic!("unknown measurement {other}"),
    }
}

fn builder(url: &str) -> ClientBuilder {
    Client::builder(url).reconnect(Backoff::disabled())
}

async fn connected(url: &str) -> Client {
    builder(url).connect().await.expect("it connects")
}

async fn settled(client: &Client) {
    client.emit_ack("settle", &()).await.expect("an acknowledgement");
}

async fn connect(url: &str) {
    let mut walls = Walls::default();
    let cpu = Cpu::start();
    for _ in 0..200 {
        let started = Instant::now();
        let client = connected(url).await;
        walls.add(started);
        client.disconnect().await;
    }
    report(&[
        ("connect_p50_ms", walls.p50() / 1e3),
        ("connect_cpu_us", cpu.per(200)),
    ]);
}

async fn emit(url: &str) {
    const EVENTS: usize = 200_000;
    let client = connected(url).await;
    let message = Message::kilobyte();
    settled(&client).await;
    let cpu = Cpu::start();
    for _ in 0..EVENTS / BURST {
        for _ in 0..BURST {
            client.emit("sink", &message).await.expect("it emits");
        }
        tokio::task::yield_now().await;
    }
    settled(&client).await;
    report(&[("emit_1k_cpu_us", cpu.per(EVENTS))]);
}

async fn receive(url: &str) {
    const EVENTS: usize = 200_000;
    const STEP: usize = 1_000;
    let client = connected(url).await;
    settled(&client).await;
    // Nobody has subscribed: the events are not read.
    let cpu = Cpu::start();
    for _ in 0..EVENTS / STEP {
        client.emit("blast", &STEP).await.expect("it emits");
        settled(&client).await;
    }
    let ignored = cpu.per(EVENTS);

    let mut messages = client.subscribe("message");
    let cpu = Cpu::start();
    for _ in 0..EVENTS / STEP {
        client.emit("blast", &STEP).await.expect("it emits");
        for _ in 0..STEP {
            black_box(messages.recv().await.expect("an event"));
        }
    }
    let lazy = cpu.per(EVENTS);
    let cpu = Cpu::start();
    for _ in 0..EVENTS / STEP {
        client.emit("blast", &STEP).await.expect("it emits");
        for _ in 0..STEP {
            let event = messages.recv().await.expect("an event");
            let message: Message = event.arg().expect("a message");
            assert!(black_box(message).unread);
        }
    }
    assert_eq!(messages.lost(), 0);
    report(&[
        ("recv_1k_ignored_cpu_us", ignored),
        ("recv_1k_lazy_cpu_us", lazy),
        ("recv_1k_typed_cpu_us", cpu.per(EVENTS)),
    ]);
}

async fn ack(url: &str) {
    let client = connected(url).await;
    let mut walls = Walls::default();
    for _ in 0..20_000 {
        let started = Instant::now();
        client.emit_ack("echo", &1).await.expect("an acknowledgement");
        walls.add(started);
    }
    report(&[("ack_rtt_p50_us", walls.p50())]);
}

async fn hold(url: &str, count: usize) -> f64 {
    let before = resident();
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(connected(url).await);
    }
    // What connecting needed for a moment is given back first.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let used = resident() - before;
    std::mem::forget(clients);
    used
}

async fn memory(url: &str, count: usize) {
    report(&[("rss_per_conn_kib", hold(url, count).await / count as f64)]);
}

async fn many(url: &str, count: usize) {
    report(&[("conns_10k_mib", hold(url, count).await / 1024.0)]);
}

fn decode() {
    let frame = format!(r#"42["message",{}]"#, Message::kilobyte().json());
    let header = best(2_000_000, || {
        openhuman_socketio::fuzzing::header(black_box(frame.as_bytes()))
    });
    let check = best(200_000, || {
        openhuman_socketio::fuzzing::is_json(black_box(&frame[2..]))
    });
    report(&[("header_decode_ns", header), ("json_check_1k_ns", check)]);
}

/// Nanoseconds of one call, in the best of five series.
fn best<T>(calls: u32, mut call: impl FnMut() -> T) -> f64 {
    let series = |_| {
        let started = Instant::now();
        for _ in 0..calls {
            black_box(call());
        }
        started.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
    };
    (0..5).map(series).fold(f64::MAX, f64::min)
}
