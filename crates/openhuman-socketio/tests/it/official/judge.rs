//! A server over HTTP that does what a test says and keeps a list of what the client does wrong.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use openhuman_socketio::{Client, ClientBuilder, Transports};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::scripted::{quick, soon};

/// Of the handshake; the session is called `e`.
pub(super) const OPEN: &str =
    r#"0{"sid":"e","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}"#;

/// One request, which waits for its answer.
pub(super) struct Exchange {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    headers: Vec<(String, String)>,
    pub(super) body: String,
    answer: oneshot::Sender<Answer>,
}

enum Answer {
    Http(String),
    WebSocket(oneshot::Sender<Socket>),
}

impl Exchange {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a parameter of the query, and that it is there once.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let mut values = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .filter(|(key, _)| *key == name);
        let first = values.next().map(|(_, value)| value);
        assert!(values.next().is_none(), "{name} is there twice: {}", self.target);
        first
    }

    pub(super) fn ok(self, body: &str) {
        self.status("200 OK", body);
    }

    pub(super) fn status(self, status: &str, body: &str) {
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = self.answer.send(Answer::Http(answer));
    }

    /// Accepts a WebSocket.
    pub(super) async fn upgrade(self) -> Socket {
        let (sender, socket) = oneshot::channel();
        let _ = self.answer.send(Answer::WebSocket(sender));
        soon(socket).await.unwrap()
    }
}

/// The server's end of a WebSocket.
pub(super) struct Socket(WebSocketStream<BufReader<TcpStream>>);

impl Socket {
    pub(super) async fn send(&mut self, frame: &str) {
        self.0.send(Message::text(frame)).await.unwrap();
    }

    /// The next text frame, or `None` when there will be none.
    pub(super) async fn text(&mut self) -> Option<String> {
        match soon(self.0.next()).await {
            Some(Ok(Message::Text(text))) => Some(text.to_string()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => None,
            Some(Ok(other)) => panic!("{other:?}"),
        }
    }
}

pub(super) struct Judge {
    pub(super) url: String,
    arriving: mpsc::UnboundedReceiver<Exchange>,
    waiting: VecDeque<Exchange>,
    faults: Arc<Mutex<Vec<String>>>,
}

impl Judge {
    pub(super) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, arriving) = mpsc::unbounded_channel();
        let faults = Arc::<Mutex<Vec<String>>>::default();
        let in_flight = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&faults);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (sender, faults, in_flight) =
                    (sender.clone(), Arc::clone(&noted), Arc::clone(&in_flight));
                tokio::spawn(connection(tcp, sender, faults, in_flight));
            }
        });
        Self {
            url,
            arriving,
            waiting: VecDeque::new(),
            faults,
        }
    }

    pub(super) fn client(&self, transports: Transports) -> ClientBuilder {
        Client::builder(&self.url)
            .transports(transports)
            .reconnect(quick())
    }

    /// The next request of this method.
    pub(super) async fn next(&mut self, method: &str) -> Exchange {
        loop {
            if let Some(at) = self.waiting.iter().position(|exchange| exchange.method == method) {
                return self.waiting.remove(at).unwrap();
            }
            let exchange = soon(self.arriving.recv()).await.unwrap();
            self.waiting.push_back(exchange);
        }
    }

    /// Requests that have come and that nobody has asked for.
    pub(super) fn unasked(&mut self) -> Vec<String> {
        while let Ok(exchange) = self.arriving.try_recv() {
            self.waiting.push_back(exchange);
        }
        let shown =
            |exchange: &Exchange| format!("{} {} {}", exchange.method, exchange.target, exchange.body);
        self.waiting.iter().map(shown).collect()
    }

    /// Opens a session over long-polling: CONNECT is answered, the next GET waits.
    pub(super) async fn session(&mut self, builder: ClientBuilder) -> Client {
        let connecting = tokio::spawn(builder.connect());
        self.next("GET").await.ok(OPEN);
        let post = self.next("POST").await;
        assert_eq!(post.body, "40");
        post.ok("ok");
        self.next("GET").await.ok(r#"40{"sid":"s"}"#);
        soon(connecting).await.unwrap().unwrap()
    }

    /// What the client has done wrong so far must be nothing.
    pub(super) fn verdict(&self) {
        assert_eq!(*self.faults.lock().unwrap(), Vec::<String>::new());
    }
}

async fn connection(
    tcp: TcpStream,
    sender: mpsc::UnboundedSender<Exchange>,
    faults: Arc<Mutex<Vec<String>>>,
    in_flight: Arc<Mutex<Vec<String>>>,
) {
    let mut stream = BufReader::new(tcp);
    while let Some((exchange, answer)) = read(&mut stream).await {
        let key = exchange.header("sec-websocket-key").map(str::to_owned);
        let what = if key.is_some() {
            "WebSocket"
        } else {
            exchange.method.as_str()
        }
        .to_owned();
        {
            let mut in_flight = in_flight.lock().unwrap();
            if in_flight.contains(&what) {
                faults
                    .lock()
                    .unwrap()
                    .push(format!("two at a time: {what} {}", exchange.target));
            }
            in_flight.push(what.clone());
        }
        if exchange.query("EIO") != Some("4") {
            faults
                .lock()
                .unwrap()
                .push(format!("another version: {}", exchange.target));
        }
        let _ = sender.send(exchange);
        let answered = answer.await;
        in_flight.lock().unwrap().retain(|other| *other != what);
        match answered {
            Ok(Answer::Http(text)) => {
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Ok(Answer::WebSocket(taker)) => {
                let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
                let head = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
                let _ = taker.send(Socket(socket));
                return;
            }
            Err(_) => return,
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<(Exchange, oneshot::Receiver<Answer>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let first = lines.remove(0);
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let (sender, answer) = oneshot::channel();
    let mut exchange = Exchange {
        method,
        target,
        headers,
        body: String::new(),
        answer: sender,
    };
    let length = exchange
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    exchange.body = String::from_utf8(body).unwrap();
    Some((exchange, answer))
}
