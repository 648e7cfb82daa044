//! rust_socketio 0.6, measured as the others are: `rival MEASUREMENT URL`.

#[path = "../../examples/bench_socketio/measure.rs"]
mod measure;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use measure::{BURST, Cpu, Message, Walls, report, resident};
use rust_socketio::asynchronous::{Client, ClientBuilder};
use rust_socketio::{Payload, TransportType};
use serde_json::{Value, json};
use tokio::sync::Notify;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(url)) = (arguments.next(), arguments.next()) else {
        panic!("usage: rival MEASUREMENT URL");
    };
    match name.as_str() {
        "connect" => connect(&url).await,
        "emit" => emit(&url).await,
        "receive" => receive(&url).await,
        "ack" => ack(&url).await,
        "memory" => memory(&url, 1_000).await,
        other => panic!("unknown measurement {other}"),
    }
}

fn builder(url: &str) -> ClientBuilder {
    ClientBuilder::new(url).transport_type(TransportType::Websocket)
}

/// `connect` returns before the server has accepted the namespace, so the event "open" counts.
async fn connected(url: &str) -> Client {
    let open = Arc::new(Notify::new());
    let told = Arc::clone(&open);
    let client = builder(url)
        .on("open", move |_, _| {
            told.notify_one();
            async {}.boxed()
        })
        .connect()
        .await
        .expect("it connects");
    open.notified().await;
    client
}

async fn connect(url: &str) {
    let mut walls = Walls::default();
    let cpu = Cpu::start();
    for _ in 0..200 {
        let started = Instant::now();
        let client = connected(url).await;
        walls.add(started);
        let _ = client.disconnect().await;
    }
    report(&[
        ("connect_p50_ms", walls.p50() / 1e3),
        ("connect_cpu_us", cpu.per(200)),
    ]);
}

async fn settled(client: &Client) {
    let done = Arc::new(Notify::new());
    let told = Arc::clone(&done);
    let callback = move |_: Payload, _: Client| {
        told.notify_one();
        async {}.boxed()
    };
    client
        .emit_with_ack(
            "settle",
            json!(null),
            std::time::Duration::from_secs(60),
            callback,
        )
        .await
        .expect("it emits");
    done.notified().await;
}

async fn emit(url: &str) {
    const EVENTS: usize = 40_000;
    let client = connected(url).await;
    let message = Message::kilobyte();
    settled(&client).await;
    let cpu = Cpu::start();
    for _ in 0..EVENTS / BURST {
        for _ in 0..BURST {
            let value = serde_json::to_value(&message).expect("it is JSON");
            client.emit("sink", value).await.expect("it emits");
        }
        tokio::task::yield_now().await;
    }
    settled(&client).await;
    report(&[("emit_1k_cpu_us", cpu.per(EVENTS))]);
}

async fn receive(url: &str) {
    const EVENTS: usize = 40_000;
    let done = Arc::new(Notify::new());
    let open = Arc::new(Notify::new());
    let count = Arc::new(AtomicUsize::new(0));
    let (told, opened, counted) = (Arc::clone(&done), Arc::clone(&open), Arc::clone(&count));
    let client = builder(url)
        .on("open", move |_, _| {
            opened.notify_one();
            async {}.boxed()
        })
        .on("message", move |payload: Payload, _| {
            if let Payload::Text(values) = payload {
                let message: Message = values
                    .into_iter()
                    .next()
                    .map(|value| serde_json::from_value::<Message>(value).expect("a message"))
                    .expect("an argument");
                assert!(message.unread);
                if counted.fetch_add(1, Ordering::Relaxed) + 1 == EVENTS {
                    told.notify_one();
                }
            }
            async {}.boxed()
        })
        .connect()
        .await
        .expect("it connects");
    open.notified().await;
    let cpu = Cpu::start();
    client.emit("blast", json!(EVENTS)).await.expect("it emits");
    done.notified().await;
    report(&[("recv_1k_typed_cpu_us", cpu.per(EVENTS))]);
}

async fn ack(url: &str) {
    const ROUNDS: usize = 5_000;
    let client = connected(url).await;
    let mut walls = Walls::default();
    for _ in 0..ROUNDS {
        let done = Arc::new(Notify::new());
        let told = Arc::clone(&done);
        let callback = move |_: Payload, _: Client| {
            told.notify_one();
            async {}.boxed()
        };
        let started = Instant::now();
        let limit = std::time::Duration::from_secs(60);
        client
            .emit_with_ack("echo", Value::from(1), limit, callback)
            .await
            .expect("it emits");
        done.notified().await;
        walls.add(started);
    }
    report(&[("ack_rtt_p50_us", walls.p50())]);
}

async fn memory(url: &str, count: usize) {
    let before = resident();
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(connected(url).await);
    }
    report(&[("rss_per_conn_kib", (resident() - before) / count as f64)]);
    drop(clients);
}
