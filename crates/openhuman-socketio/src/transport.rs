//! The two transports, behind one face: whole Engine.IO frames in and out, by polling.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Error as WsError, Message, Utf8Bytes};

use crate::polling::Polling;
use crate::session::Opened;

mod ahead;
mod dial;

use self::ahead::ReadAhead;
pub(crate) use self::dial::{Dialer, http_error};

/// A byte stream in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(crate) type WebSocket = WebSocketStream<ReadAhead>;

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
    /// HTTP long-polling, replaced by a WebSocket as soon as one is open; or a WebSocket at once when long-polling is
    /// refused. `tryAllTransports` of the JavaScript client.
    PollingOrWebSocket,
    /// HTTP long-polling only.
    Polling,
}

impl Transports {
    /// Long-polling is replaced by a WebSocket.
    pub(crate) fn upgrade(self) -> bool {
        matches!(self, Self::PollingThenWebSocket | Self::PollingOrWebSocket)
    }
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
        Message::Close(frame) => Err(closed(frame)),
    }
}

/// A close frame with what it says, if it says anything.
fn closed(frame: Option<CloseFrame>) -> Failure {
    match frame {
        Some(frame) => Failure::ClosedWith {
            code: frame.code.into(),
            reason: frame.reason.as_str().to_owned(),
        },
        None => Failure::Closed,
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
    /// The peer went away and said why.
    ClosedWith { code: u16, reason: String },
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
            Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
            None => return Err(Failure::Closed),
            Some(Err(error)) => return Err(error.into()),
        }
    }
}
