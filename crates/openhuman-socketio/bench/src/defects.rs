//! The scenarios of this crate's regression tests, with rust_socketio 0.6 as the client. Each says whether the
//! client got it wrong; that it gets something right is no failure of this program.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, SinkExt, StreamExt};
use rust_socketio::asynchronous::{Client, ClientBuilder};
use rust_socketio::{Event, Payload, TransportType};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const OPEN: &str =
    r#"0{"sid":"engine","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
/// Long enough for everything on the loopback.
const WHILE: Duration = Duration::from_millis(1_500);

type Socket = WebSocketStream<TcpStream>;
type Seen = Arc<Mutex<Vec<(String, String)>>>;

struct Server {
    listener: TcpListener,
    url: String,
}

impl Server {
    async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        Self { listener, url }
    }

    async fn accept(&self) -> Socket {
        let (tcp, _) = self.listener.accept().await.expect("a connection");
        let mut socket = tokio_tungstenite::accept_async(tcp).await.expect("a WebSocket");
        send(&mut socket, OPEN).await;
        socket
    }

    /// Accepts a connection and its namespace; returns the frames before CONNECT.
    async fn connected(&self) -> (Socket, Vec<String>) {
        let mut socket = self.accept().await;
        let mut before = Vec::new();
        loop {
            let frame = text(&mut socket).await.expect("CONNECT");
            if frame.starts_with("40") {
                break;
            }
            before.push(frame);
        }
        send(&mut socket, r#"40{"sid":"s"}"#).await;
        (socket, before)
    }

    fn builder(&self, seen: &Seen) -> ClientBuilder {
        let (any, close) = (Arc::clone(seen), Arc::clone(seen));
        ClientBuilder::new(self.url.as_str())
            .transport_type(TransportType::Websocket)
            .reconnect(false)
            .on_any(move |event, payload, _| {
                any.lock()
                    .expect("a lock")
                    .push((event.to_string(), format!("{payload:?}")));
                async {}.boxed()
            })
            .on(Event::Close, move |payload, _| {
                close
                    .lock()
                    .expect("a lock")
                    .push(("close handler".to_owned(), format!("{payload:?}")));
                async {}.boxed()
            })
    }

    async fn pair(&self, seen: &Seen) -> (Client, Socket) {
        let (client, (socket, _)) = tokio::join!(self.builder(seen).connect(), self.connected());
        sleep(Duration::from_millis(50)).await;
        (client.expect("a client"), socket)
    }
}

async fn send(socket: &mut Socket, frame: &str) {
    let _ = socket.send(Message::Text(frame.to_owned())).await;
}

async fn text(socket: &mut Socket) -> Option<String> {
    loop {
        match timeout(WHILE, socket.next()).await.ok()?? {
            Ok(Message::Text(text)) => return Some(text),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

fn saw(seen: &Seen, wanted: impl Fn(&str, &str) -> bool) -> bool {
    seen.lock()
        .expect("a lock")
        .iter()
        .any(|(name, payload)| wanted(name, payload))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    control().await;
    let mut wrong = 0;
    let mut say = |number: &str, what: &str, is_wrong: bool| {
        wrong += usize::from(is_wrong);
        println!("{number:4} {} {what}", if is_wrong { "WRONG" } else { "right" });
    };
    say("B1", "an attachment with the byte 0x1E arrives whole", b1().await);
    say(
        "B2",
        "nothing is sent before the namespace is accepted",
        b2().await,
    );
    let (b3, b18) = b3_b18().await;
    say("B3", "500 acknowledgements at once each reach their caller", b3);
    say(
        "B4",
        "an acknowledgement that never comes is reported",
        b4().await,
    );
    say("B5", "a handler can wait for an acknowledgement", b5().await);
    say("B6", "concurrent binary events do not interleave", b6().await);
    say("B7", "several attachments keep their places", b7().await);
    say("B8", "a killed server is reported", b8().await);
    say("B10", "a limit of two attempts is kept", b10().await);
    say("B11", "a connection is up within 20 ms", b11().await);
    say("B15", "a packet with an id of 2^40 is taken", b15().await);
    say("B17", "an event without arguments keeps its name", b17().await);
    say("B18", "the arguments of an acknowledgement are arguments", b18);
    say("B19", "an event before the CONNECT ack waits for it", b19().await);
    say("B20", "no PONG without a PING", b20().await);
    println!("{wrong} of 15 wrong");
}

/// What the client gets right shows that the scenarios can tell right from wrong.
async fn control() {
    let (server, seen) = (Server::bind().await, Seen::default());
    let (client, mut socket) = server.pair(&seen).await;
    send(&mut socket, r#"42["plain",1]"#).await;
    send(&mut socket, r#"425["asking",1]"#).await;
    send(&mut socket, r#"451-["bin",{"_placeholder":true,"num":0}]"#).await;
    let _ = socket.send(Message::Binary(vec![1, 2, 0x1f, b'4', b'A'])).await;
    let answers = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&answers);
    let callback = move |payload: Payload, _: Client| {
        assert!(format!("{payload:?}").contains("Number(7)"));
        counter.fetch_add(1, Ordering::Relaxed);
        async {}.boxed()
    };
    let _ = client.emit_with_ack("q", json!(1), WHILE, callback).await;
    loop {
        let frame = text(&mut socket).await.expect("the question");
        if let Some((id, _)) = frame.get(2..).and_then(|rest| rest.split_once(r#"["q""#)) {
            send(&mut socket, &format!("43{id}[7]")).await;
            break;
        }
    }
    sleep(WHILE).await;
    assert!(saw(&seen, |name, _| name == "plain"));
    assert!(saw(&seen, |name, _| name == "asking"));
    assert!(saw(&seen, |_, payload| payload.contains("\\x1f")), "{seen:?}");
    assert_eq!(answers.load(Ordering::Relaxed), 1);
}

async fn b1() -> bool {
    let (server, seen) = (Server::bind().await, Seen::default());
    let (_client, mut socket) = server.pair(&seen).await;
    send(&mut socket, r#"451-["bin",{"_placeholder":true,"num":0}]"#).await;
    let _ = socket
        .send(Message::Binary(vec![1, 2, 3, 0x1e, b'4', b'A']))
        .await;
    sleep(WHILE).await;
    !saw(&seen, |_, payload| {
        payload.contains("\\x1e") || payload.contains("30, 52, 65")
    })
}

async fn b2() -> bool {
    let (server, seen) = (Server::bind().await, Seen::default());
    let connecting = async {
        let client = server.builder(&seen).connect().await.expect("a client");
        let _ = client.emit("early", json!(1)).await;
        client
    };
    let script = async {
        let mut socket = server.accept().await;
        let mut frames = Vec::new();
        while let Some(frame) = text(&mut socket).await {
            frames.push(frame);
        }
        // CONNECT was never answered.
        frames.iter().any(|frame| frame.starts_with("42"))
    };
    let (_client, early) = tokio::join!(timeout(WHILE * 3, connecting), script);
    early
}

async fn b3_b18() -> (bool, bool) {
    const COUNT: usize = 500;
    let (server, seen) = (Server::bind().await, Seen::default());
    let (client, mut socket) = server.pair(&seen).await;
    let answers: Arc<Mutex<HashMap<usize, Vec<String>>>> = Arc::default();
    for n in 0..COUNT {
        let answers = Arc::clone(&answers);
        let callback = move |payload: Payload, _: Client| {
            answers
                .lock()
                .expect("a lock")
                .entry(n)
                .or_default()
                .push(format!("{payload:?}"));
            async {}.boxed()
        };
        let _ = client.emit_with_ack("n", json!(n), WHILE * 4, callback).await;
    }
    for _ in 0..COUNT {
        let Some(frame) = text(&mut socket).await else {
            break;
        };
        if let Some((id, value)) = frame[2..].split_once(r#"["n","#) {
            send(&mut socket, &format!("43{id}[{}]", value.trim_end_matches(']'))).await;
        }
    }
    sleep(WHILE).await;
    let answers = answers.lock().expect("a lock");
    let right = |n: usize| {
        let own = answers.get(&n).map_or(&[][..], Vec::as_slice);
        own.len() == 1 && own[0].contains(&format!("Number({n})"))
    };
    let nested = answers.values().flatten().any(|answer| answer.contains("Array"));
    ((0..COUNT).any(|n| !right(n)), nested)
}

async fn b4() -> bool {
    let (server, seen) = (Server::bind().await, Seen::default());
    let (client, _socket) = server.pair(&seen).await;
    let called = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&called);
    let callback = move |_: Payload, _: Client| {
        counter.fetch_add(1, Ordering::Relaxed);
        async {}.boxed()
    };
    let asked = client
        .emit_with_ack("q", json!(1), Duration::from_millis(50), callback)
        .await;
    sleep(WHILE).await;
    asked.is_ok() && called.load(Ordering::Relaxed) == 0
}

async fn b5() -> bool {
    let (server, seen) = (Server::bind().await, Seen::default());
    let done = Arc::new(AtomicUsize::new(0));
    let finished = Arc::clone(&done);
    let builder = server.builder(&seen).on("ask", move |_, client: Client| {
        let finished = Arc::clone(&finished);
        async move {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let sender = Mutex::new(Some(sender));
            let callback = move |_: Payload, _: Client| {
                if let Some(sender) = sender.lock().expect("a lock").take() {
                    let _ = sender.send(());
                }
                async {}.boxed()
            };
            let _ = client.emit_with_ack("back", json!(1), WHILE, callback).await;
            if receiver.await.is_ok() {
                finished.fetch_add(1, Ordering::Relaxed);
            }
        }
        .boxed()
    });
    let (client, (mut socket, _)) = tokio::join!(builder.connect(), server.connected());
    let _client = client.expect("a client");
    send(&mut socket, r#"42["ask",1]"#).await;
    if let Some(frame) = text(&mut socket).await {
        let id = frame[2..].split('[').next().unwrap_or_default().to_owned();
        send(&mut socket, &format!("43{id}[1]")).await;
    }
    sleep(WHILE).await;
    done.load(Ordering::Relaxed) == 0
}

async fn b6() -> bool {
    let (server, seen) = (Server::bind().await, Seen::default());
    let (client, mut socket) = server.pair(&seen).await;
    for _ in 0..8 {
        let client = client.clone();
        tokio::spawn(async move {
            for n in 0..100u8 {
                let bytes = bytes::Bytes::from(vec![n; 2_000]);
                let _ = client.emit("bin", Payload::Binary(bytes)).await;
            }
        });
    }
    let mut expects_binary = false;
    for _ in 0..1_600 {
        match timeout(WHILE, socket.next()).await {
            Ok(Some(Ok(Message::Text(frame)))) if frame.starts_with("45") => {
                if expects_binary {
                    return true;
                }
                expects_binary = true;
            }
            Ok(Some(Ok(Message::Binary(_)))) => {
                if !expects_binary {
                    return true;
                }
                expects_binary = false;
            }
            Ok(Some(Ok(_))) => {}
            _ => break,
        }
    }
    false
}

async fn b7() -> bool {
    let (server, seen) = (Server::bind().await, Seen::default());
    let (_client, mut socket) = server.pair(&seen).await;
    let header =
        r#"452-["bin",{"a":{"_placeholder":true,"num":0},"b":7,"c":{"_placeholder":true,"num":1}},"tail"]"#;
    send(&mut socket, header).await;
    for bytes in [vec![1, 2], vec![3, 4]] {
        let _ = socket.send(Message::Binary(bytes)).await;
    }
    sleep(WHILE).await;
    !saw(&seen, |name, payload| name == "bin" && payload.contains("tail"))
}

async fn b8() -> bool {
    let (server, seen) = (Server::bind().await, Seen::default());
    let (_client, socket) = server.pair(&seen).await;
    drop(socket);
    sleep(WHILE).await;
    !saw(&seen, |name, _| name == "close handler")
}

async fn b10() -> bool {
    let (server, seen) = (Server::bind().await, Seen::default());
    let builder = server
        .builder(&seen)
        .reconnect(true)
        .reconnect_delay(10, 20)
        .max_reconnect_attempts(2);
    let (client, (socket, _)) = tokio::join!(builder.connect(), server.connected());
    let _client = client.expect("a client");
    drop(socket);
    let mut attempts = 0;
    let until = Instant::now() + WHILE;
    while let Ok(Ok((tcp, _))) = timeout(
        until.saturating_duration_since(Instant::now()),
        server.listener.accept(),
    )
    .await
    {
        attempts += 1;
        drop(tcp);
    }
    attempts > 2
}

async fn b11() -> bool {
    let (server, seen) = (Server::bind().await, Seen::default());
    let opened = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&opened);
    let builder = server.builder(&seen).on(Event::Connect, move |_, _| {
        told.notify_one();
        async {}.boxed()
    });
    let started = Instant::now();
    let waiting = async {
        let client = builder.connect().await;
        opened.notified().await;
        (client, started.elapsed())
    };
    let (waited, _socket) = tokio::join!(timeout(WHILE, waiting), server.connected());
    waited.is_ok_and(|(_, elapsed)| elapsed > Duration::from_millis(20))
}

async fn b15() -> bool {
    let (server, seen) = (Server::bind().await, Seen::default());
    let (_client, mut socket) = server.pair(&seen).await;
    send(&mut socket, r#"421099511627776["big",1]"#).await;
    sleep(WHILE).await;
    !saw(&seen, |name, _| name == "big")
}

async fn b17() -> bool {
    let (server, seen) = (Server::bind().await, Seen::default());
    let (_client, mut socket) = server.pair(&seen).await;
    send(&mut socket, r#"42["alone"]"#).await;
    sleep(WHILE).await;
    !saw(&seen, |name, _| name == "alone")
}

async fn b19() -> bool {
    let (server, seen) = (Server::bind().await, Seen::default());
    let script = async {
        let mut socket = server.accept().await;
        while text(&mut socket)
            .await
            .is_some_and(|frame| !frame.starts_with("40"))
        {}
        send(&mut socket, r#"42["early",1]"#).await;
        sleep(Duration::from_millis(300)).await;
        let early = saw(&seen, |name, _| name == "early");
        send(&mut socket, r#"40{"sid":"s"}"#).await;
        early
    };
    let (_client, early) = tokio::join!(server.builder(&seen).connect(), script);
    early
}

async fn b20() -> bool {
    let (server, seen) = (Server::bind().await, Seen::default());
    let (_client, (mut socket, before)) = tokio::join!(server.builder(&seen).connect(), server.connected());
    before.iter().any(|frame| frame == "3") || text(&mut socket).await.is_some_and(|frame| frame == "3")
}
