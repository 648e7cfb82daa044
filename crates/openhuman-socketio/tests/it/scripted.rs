//! A server that does what a test says, over a real WebSocket on the loopback.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use openhuman_socketio::{Backoff, Client, ClientBuilder, State};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// Long enough for a loaded machine; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const OPEN: &str =
    r#"0{"sid":"engine","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

/// Bounds a wait, so that a broken client fails its test instead of hanging it.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("nothing happened for too long")
}

pub(crate) struct Server {
    listener: TcpListener,
    pub(crate) url: String,
}

impl Server {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// A builder with short waits.
    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder(&self.url).reconnect(quick())
    }

    pub(crate) async fn accept_tcp(&self) -> TcpStream {
        soon(self.listener.accept()).await.unwrap().0
    }

    /// True when nobody is waiting to be accepted.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        self.listener.poll_accept(&mut cx).is_pending()
    }

    /// Accepts a WebSocket; nothing has been said on it.
    pub(crate) async fn accept(&self) -> Peer {
        self.accept_with_request().await.0
    }

    /// As `accept`, with the request's line and headers.
    #[expect(clippy::result_large_err, reason = "the shape of the callback is given")]
    pub(crate) async fn accept_with_request(&self) -> (Peer, Request) {
        let tcp = self.accept_tcp().await;
        tcp.set_nodelay(true).unwrap();
        let mut seen = None;
        let callback = |request: &Request, response: Response| {
            seen = Some(request.clone());
            Ok(response)
        };
        let socket = soon(tokio_tungstenite::accept_hdr_async(tcp, callback))
            .await
            .unwrap();
        (Peer { socket }, seen.unwrap())
    }

    /// As `accept`, where the connection may break at any time.
    pub(crate) async fn try_accept(&self) -> Option<Peer> {
        let tcp = self.accept_tcp().await;
        let socket = soon(tokio_tungstenite::accept_async(tcp)).await.ok()?;
        Some(Peer { socket })
    }

    /// Accepts a connection up to its CONNECT, which is returned and not answered.
    pub(crate) async fn accept_connect(&self) -> (Peer, String) {
        let mut peer = self.accept().await;
        peer.send(OPEN).await;
        let connect = peer.text().await;
        assert!(
            connect.starts_with("40"),
            "the first frame must be CONNECT, not {connect:?}"
        );
        (peer, connect)
    }

    /// Accepts a connection and its namespace.
    pub(crate) async fn accept_connected(&self, sid: &str) -> Peer {
        let (mut peer, _) = self.accept_connect().await;
        peer.send(&format!(r#"40{{"sid":"{sid}"}}"#)).await;
        peer
    }

    /// A connected client and the server's end of it.
    pub(crate) async fn connected(&self) -> (Client, Peer) {
        self.connected_by(self.client()).await
    }

    pub(crate) async fn connected_by(&self, builder: ClientBuilder) -> (Client, Peer) {
        let (client, peer) = tokio::join!(soon(builder.connect()), self.accept_connected("first"));
        (client.unwrap(), peer)
    }
}

pub(crate) fn quick() -> Backoff {
    Backoff::new(Duration::from_millis(5), Duration::from_millis(20))
}

/// The server's end of a connection.
pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
}

impl Peer {
    pub(crate) async fn send(&mut self, frame: &str) {
        self.socket.send(Message::text(frame)).await.unwrap();
    }

    /// As `send`, where the client may be gone.
    pub(crate) async fn try_send(
        &mut self,
        frame: &str,
    ) -> Result<(), tokio_tungstenite::tungstenite::Error> {
        soon(self.socket.send(Message::text(frame))).await
    }

    /// As `send_binary`, where the client may be gone.
    pub(crate) async fn try_send_binary(
        &mut self,
        bytes: &[u8],
    ) -> Result<(), tokio_tungstenite::tungstenite::Error> {
        soon(self.socket.send(Message::binary(bytes.to_vec()))).await
    }

    pub(crate) async fn send_binary(&mut self, bytes: &[u8]) {
        self.socket.send(Message::binary(bytes.to_vec())).await.unwrap();
    }

    /// A text frame with these bytes, which need not be text.
    pub(crate) async fn send_raw_text(&mut self, bytes: &[u8]) {
        let opcode = OpCode::Data(Data::Text);
        let frame = Frame::message(bytes.to_vec(), opcode, true);
        self.socket.send(Message::Frame(frame)).await.unwrap();
    }

    /// One text in several frames, with a ping between them.
    pub(crate) async fn send_fragments(&mut self, parts: &[&[u8]]) {
        for (at, part) in parts.iter().enumerate() {
            let kind = if at == 0 { Data::Text } else { Data::Continue };
            let last = at + 1 == parts.len();
            let frame = Frame::message(part.to_vec(), OpCode::Data(kind), last);
            self.socket.send(Message::Frame(frame)).await.unwrap();
            self.socket.send(Message::Ping(Bytes::new())).await.unwrap();
        }
    }

    pub(crate) async fn next(&mut self) -> Option<Message> {
        soon(self.socket.next()).await.and_then(Result::ok)
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("expected a text frame, got {other:?}"),
        }
    }

    pub(crate) async fn binary(&mut self) -> Bytes {
        match self.next().await {
            Some(Message::Binary(bytes)) => bytes,
            other => panic!("expected a binary frame, got {other:?}"),
        }
    }

    /// Waits until the client has closed the connection; returns the text frames before that.
    pub(crate) async fn until_closed(&mut self) -> Vec<String> {
        let mut frames = Vec::new();
        while let Some(message) = self.next().await {
            match message {
                Message::Text(text) => frames.push(text.to_string()),
                Message::Close(_) => {
                    // Lets the close handshake finish.
                    let _ = self.socket.flush().await;
                    break;
                }
                _ => {}
            }
        }
        frames
    }

    /// Closes the WebSocket with a code.
    pub(crate) async fn close_with(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        self.socket.close(Some(frame)).await.unwrap();
    }

    /// Breaks the connection without a word, as a killed process does.
    pub(crate) fn kill(self) {
        drop(self.socket);
    }
}

/// Waits for a state.
pub(crate) async fn state(client: &Client, wanted: impl Fn(&State) -> bool) -> State {
    let mut watch = client.state();
    soon(watch.wait_for(|state| wanted(state))).await.unwrap().clone()
}

pub(crate) async fn connected_as(client: &Client, sid: &str) {
    state(
        client,
        |state| matches!(state, State::Connected { sid: is, .. } if is == sid),
    )
    .await;
}
