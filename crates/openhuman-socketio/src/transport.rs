//! The two transports, behind one face: whole Engine.IO frames in and out, by polling.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error as WsError, Message, Utf8Bytes};

use crate::cookies::Cookies;
use crate::endpoint::Endpoint;
use crate::error::ConnectError;
use crate::limits::Limits;
use crate::polling::Polling;
use crate::proxy::Proxy;
use crate::session::Opened;
use crate::tls::Tls;

/// Small on purpose: the buffer exists for as long as the connection, and grows for long messages.
const READ_BUFFER: usize = 4 * 1024;
/// Frames are gathered up to this size before they go to the operating system.
const WRITE_BUFFER: usize = 32 * 1024;
/// How much of an HTTP error answer is repeated in an error.
const SHOWN_BODY: usize = 200;

/// A byte stream in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(crate) type WebSocket = WebSocketStream<Box<dyn Duplex>>;

/// Which transports are used, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Transports {
    /// WebSocket only. The default: the fewest round trips, and no need for sticky sessions.
    #[default]
    WebSocket,
    /// WebSocket, or HTTP long-polling when the server or something before it refuses the WebSocket.
    WebSocketOrPolling,
    /// HTTP long-polling, replaced by a WebSocket as soon as one is open. The JavaScript client's default.
    PollingThenWebSocket,
    /// HTTP long-polling only.
    Polling,
}

/// One Engine.IO frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Its first character is the packet's type.
    Text(Utf8Bytes),
    /// The attachment of a message.
    Binary(Bytes),
}

impl Frame {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// What a transport has to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Frame(Frame),
    /// Nothing for the session, but something may have to be written now.
    Progress,
}

/// Everything needed to open a transport, shared by all that belong to one connection.
pub(crate) struct Dialer {
    pub(crate) endpoint: Endpoint,
    pub(crate) tls: Tls,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) transports: Transports,
    pub(crate) limits: Limits,
    pub(crate) cookies: Cookies,
}

impl Dialer {
    /// Opens the first transport. The caller bounds the time.
    pub(crate) async fn open(self: &Arc<Self>) -> Result<Transport, ConnectError> {
        let socket = match self.transports {
            Transports::WebSocket => self.websocket(None).await?,
            Transports::WebSocketOrPolling => match self.websocket(None).await {
                Ok(socket) => socket,
                Err(error @ (ConnectError::Http { .. } | ConnectError::WebSocket { .. })) => {
                    tracing::debug!(%error, "no WebSocket: trying long-polling");
                    let polling = Polling::open(Arc::clone(self)).await;
                    // The first error is the one that says more when nothing works.
                    return polling.map(Transport::polling).map_err(|_| error);
                }
                Err(error) => return Err(error),
            },
            Transports::PollingThenWebSocket | Transports::Polling => {
                return Polling::open(Arc::clone(self)).await.map(Transport::polling);
            }
        };
        Ok(Transport::websocket(socket, VecDeque::new()))
    }

    /// Opens a WebSocket, for a new session or to take over the one with this id.
    pub(crate) async fn websocket(&self, sid: Option<&str>) -> Result<WebSocket, ConnectError> {
        let stream = self.stream().await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(self.limits.max_frame_bytes))
            .max_frame_size(Some(self.limits.max_frame_bytes));
        let request = self.endpoint.request(sid, self.cookies.header().as_deref())?;
        match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, response)) => {
                for header in response.headers().get_all("set-cookie") {
                    self.cookies.take(&String::from_utf8_lossy(header.as_bytes()));
                }
                Ok(socket)
            }
            Err(WsError::Http(response)) => Err(websocket_refused(&response)),
            Err(error) => Err(ConnectError::WebSocket {
                message: error.to_string(),
            }),
        }
    }

    /// Opens a stream to the server: TCP, through the proxy if there is one, with TLS if the address says so.
    pub(crate) async fn stream(&self) -> Result<Box<dyn Duplex>, ConnectError> {
        let Endpoint { host, port, .. } = &self.endpoint;
        let stream: Box<dyn Duplex> = match &self.proxy {
            None => Box::new(connect_tcp(host, *port).await?),
            Some(proxy) => {
                let stream = connect_tcp(&proxy.host, proxy.port).await?;
                proxy.tunnel(Box::new(stream), host, *port).await?
            }
        };
        if !self.endpoint.secure {
            return Ok(stream);
        }
        let failed = |source| ConnectError::Tls {
            host: host.clone(),
            source,
        };
        let config = self.tls.config(host).await?;
        let name = ServerName::try_from(host.clone()).map_err(|error| failed(io::Error::other(error)))?;
        let secured = TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(failed)?;
        Ok(Box::new(secured))
    }
}

async fn connect_tcp(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let unreachable = |source| ConnectError::Unreachable {
        host: host.to_owned(),
        port,
        source,
    };
    let tcp = TcpStream::connect((host, port)).await.map_err(unreachable)?;
    // Small frames must not wait for the acknowledgement of the one before: with a PONG ahead of CONNECT,
    // that alone makes an attempt take 40 ms longer.
    tcp.set_nodelay(true).map_err(unreachable)?;
    Ok(tcp)
}

fn websocket_refused(response: &Response) -> ConnectError {
    let body = response.body().as_deref().unwrap_or_default();
    http_error(response.status().as_u16(), body)
}

/// An answer that is not what was asked for, shown short and in one line.
pub(crate) fn http_error(status: u16, body: &[u8]) -> ConnectError {
    let body = String::from_utf8_lossy(body.get(..SHOWN_BODY).unwrap_or(body));
    let body = body
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>();
    ConnectError::Http {
        status,
        body: body.trim().to_owned(),
    }
}

/// An open transport.
pub(crate) enum Transport {
    WebSocket {
        socket: Box<WebSocket>,
        /// Frames that were accepted for long-polling before the upgrade.
        backlog: VecDeque<Frame>,
    },
    Polling(Box<Polling>),
}

impl Transport {
    fn websocket(socket: WebSocket, backlog: VecDeque<Frame>) -> Self {
        let socket = Box::new(socket);
        Self::WebSocket { socket, backlog }
    }

    fn polling(polling: Polling) -> Self {
        Self::Polling(Box::new(polling))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::WebSocket { .. } => "websocket",
            Self::Polling(_) => "polling",
        }
    }

    /// The session is open: long-polling can go on, and look for a WebSocket.
    pub(crate) fn opened(&mut self, opened: &Opened) {
        if let Self::Polling(polling) = self {
            polling.opened(opened);
        }
    }

    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Failure>> {
        match self {
            Self::WebSocket { socket, .. } => match ready!(socket.poll_next_unpin(cx)) {
                Some(Ok(message)) => Poll::Ready(received(message)),
                Some(Err(error)) => Poll::Ready(Err(error.into())),
                None => Poll::Ready(Err(Failure::Closed)),
            },
            Self::Polling(polling) => {
                if let Some((socket, backlog)) = polling.poll_upgrade(cx) {
                    tracing::debug!("upgraded to a WebSocket");
                    *self = Self::websocket(socket, backlog);
                    return Poll::Ready(Ok(Received::Progress));
                }
                polling.poll_receive(cx)
            }
        }
    }

    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match self {
            Self::WebSocket { socket, backlog } => loop {
                ready!(socket.poll_ready_unpin(cx))?;
                match backlog.pop_front() {
                    Some(frame) => socket.start_send_unpin(message(frame))?,
                    None => return Poll::Ready(Ok(())),
                }
            },
            Self::Polling(polling) => polling.poll_ready(cx),
        }
    }

    pub(crate) fn start_send(&mut self, frame: Frame) -> Result<(), Failure> {
        match self {
            Self::WebSocket { socket, .. } => Ok(socket.start_send_unpin(message(frame))?),
            Self::Polling(polling) => {
                polling.start_send(frame);
                Ok(())
            }
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        ready!(self.poll_ready(cx))?;
        match self {
            Self::WebSocket { socket, .. } => socket.poll_flush_unpin(cx).map_err(Failure::from),
            Self::Polling(polling) => polling.poll_flush(cx),
        }
    }

    /// Says good-bye and waits until that is written.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        match self {
            Self::WebSocket { socket, .. } => socket.poll_close_unpin(cx).map_err(Failure::from),
            Self::Polling(polling) => polling.poll_close(cx),
        }
    }
}

fn received(message: Message) -> Result<Received, Failure> {
    match message {
        Message::Text(text) => Ok(Received::Frame(Frame::Text(text))),
        Message::Binary(bytes) => Ok(Received::Frame(Frame::Binary(bytes))),
        // The WebSocket has an answer waiting.
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(Received::Progress),
        Message::Close(_) => Err(Failure::Closed),
    }
}

fn message(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => Message::Text(text),
        Frame::Binary(bytes) => Message::Binary(bytes),
    }
}

/// The parts of a transport failure that callers tell apart.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The peer went away.
    Closed,
    /// The peer announced more than is accepted.
    TooLarge { size: usize, max: usize },
    /// Anything else.
    Other(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<WsError> for Failure {
    fn from(error: WsError) -> Self {
        use tungstenite::error::{CapacityError, ProtocolError};
        match error {
            WsError::ConnectionClosed
            | WsError::AlreadyClosed
            | WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Closed,
            WsError::Io(error) => error.into(),
            WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
                Self::TooLarge { size, max: max_size }
            }
            other => Self::Other(other.to_string()),
        }
    }
}

/// As a future, for the probe of an upgrade: sends one text and returns the next that comes.
pub(crate) async fn ask(socket: &mut WebSocket, question: &'static str) -> Result<Utf8Bytes, Failure> {
    socket.send(Message::text(question)).await?;
    let mut socket = Pin::new(socket);
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Binary(_))) => {
                return Err(Failure::Other("an unexpected binary frame".to_owned()));
            }
            Some(Ok(Message::Close(_))) | None => return Err(Failure::Closed),
            Some(Err(error)) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialer(url: &str) -> Dialer {
        Dialer {
            endpoint: Endpoint::new(url, "/socket.io/", None, &[]).unwrap(),
            tls: Tls::default(),
            proxy: None,
            transports: Transports::default(),
            limits: Limits::default(),
            cookies: Cookies::default(),
        }
    }

    #[tokio::test]
    async fn small_frames_are_sent_at_once() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tcp = connect_tcp("127.0.0.1", port).await.unwrap();
        assert!(tcp.nodelay().unwrap());
    }

    /// A plain connection pays for TLS neither in time nor in memory.
    #[tokio::test]
    async fn a_plain_connection_makes_no_tls_configuration() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialer = dialer(&format!("http://{}", listener.local_addr().unwrap()));
        let server = async {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio_tungstenite::accept_async(tcp).await.unwrap()
        };
        let (client, _server) = tokio::join!(dialer.websocket(None), server);
        assert!(client.is_ok());
        assert!(!dialer.tls.is_made());
    }

    #[test]
    fn an_http_error_is_shown_short_and_in_one_line() {
        let body = format!("line\r\n{}", "x".repeat(500));
        let ConnectError::Http { status, body } = http_error(503, body.as_bytes()) else {
            panic!("another error")
        };
        assert_eq!(status, 503);
        assert!(body.starts_with("line  x") && body.len() == SHOWN_BODY);
    }
}
