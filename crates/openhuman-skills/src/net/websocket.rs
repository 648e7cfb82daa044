//! WebSocket connections: the same stages as a request, then messages in both directions, limited and scanned.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::Url;

use super::authorise::authorise_socket;
use super::client::{Client, Egress, late};
use super::error::{NetError, NetErrorKind};
use super::note::Note;
use super::request::{Request, address};
use super::transport::BoxedConnection;
use crate::{Destination, Grant};

/// Connections of one skill, those that are being opened included.
const MOST: usize = 8;
/// The longest message in either direction, in bytes.
const MAX_MESSAGE: usize = 1024 * 1024;
/// Bytes that may wait to be sent on one connection.
const MAX_QUEUED: usize = 4 * MAX_MESSAGE;
/// Messages that wait for the skill; then the other side waits.
const INCOMING: usize = 16;
/// What a refused message counts until it is recorded, in bytes.
const REFUSED: usize = 4096;
/// Bytes of one connection, both directions together.
const MAX_TOTAL: u64 = 1024 * 1024 * 1024;
const OPENING: Duration = Duration::from_secs(20);
/// The other side has this long to agree to the end.
const CLOSING: Duration = Duration::from_secs(3);
/// When nothing comes for this long, it is asked whether it is there; after as long again it is gone.
const QUIET: Duration = Duration::from_secs(45);

/// The sockets of one run.
#[derive(Default)]
pub(crate) struct Sockets {
    open: Mutex<HashMap<u32, Socket>>,
    places: Arc<AtomicUsize>,
    next: AtomicU32,
}

struct Socket {
    url: Url,
    to: Destination,
    out: mpsc::UnboundedSender<Out>,
    queued: Arc<AtomicUsize>,
    incoming: Arc<tokio::sync::Mutex<mpsc::Receiver<Incoming>>>,
    task: AbortHandle,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

enum Out {
    /// With its length, and the handles of the secrets inside.
    Message(Message, usize, Vec<String>),
    /// A message that must not leave, and why: for the record.
    Refused(String),
    Close(Option<CloseFrame>),
}

/// What a skill hears of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Text(String),
    Binary(Vec<u8>),
    /// The last word.
    Closed {
        code: u16,
        reason: String,
        clean: bool,
    },
}

/// A place among the connections of a skill.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Sockets {
    fn place(&self) -> Result<Place, NetError> {
        let place = Place(Arc::clone(&self.places));
        if self.places.fetch_add(1, Ordering::AcqRel) >= MOST {
            return Err(NetError::failed(format!(
                "more than {MOST} WebSocket connections at once"
            )));
        }
        Ok(place)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u32, Socket>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message; gives the bytes that wait now.
    pub(crate) fn send(&self, egress: &Egress, id: u32, message: Message) -> Result<usize, NetError> {
        let length = message.len();
        if length > MAX_MESSAGE {
            return Err(NetError::invalid(format!(
                "a message has at most {MAX_MESSAGE} bytes, this one {length}"
            )));
        }
        let (out, queued, to) = match self.open().get(&id) {
            Some(socket) => (socket.out.clone(), Arc::clone(&socket.queued), socket.to.clone()),
            // Closed meanwhile: the standard drops the message.
            None => return Ok(0),
        };
        let (next, length, refusal) = match egress.sealer().message(message, &to) {
            Ok((message, used)) => {
                let length = message.len();
                (Out::Message(message, length, used), length, None)
            }
            Err(error) if matches!(error.kind, NetErrorKind::Refused(_)) => {
                (Out::Refused(error.message.clone()), REFUSED, Some(error))
            }
            Err(error) => return Err(error),
        };
        let waiting = queued.fetch_add(length, Ordering::AcqRel) + length;
        if waiting > MAX_QUEUED {
            queued.fetch_sub(length, Ordering::AcqRel);
            return Err(NetError::failed(format!(
                "more than {MAX_QUEUED} bytes wait to be sent; wait for bufferedAmount"
            )));
        }
        if out.send(next).is_err() {
            queued.fetch_sub(length, Ordering::AcqRel);
        }
        refusal.map_or(Ok(waiting), Err)
    }

    /// The bytes that wait to be sent.
    pub(crate) fn queued(&self, id: u32) -> usize {
        self.open()
            .get(&id)
            .map_or(0, |socket| socket.queued.load(Ordering::Acquire))
    }

    /// Begins to close a connection, after what is queued.
    pub(crate) fn close(&self, id: u32, code: Option<u16>, reason: &str) {
        if let Some(socket) = self.open().get(&id) {
            let frame = code.map(|code| CloseFrame {
                code: CloseCode::from(code),
                reason: reason.into(),
            });
            let _ = socket.out.send(Out::Close(frame));
        }
    }

    /// The next message; after the last word the connection is forgotten.
    pub(crate) async fn next(&self, id: u32) -> Incoming {
        let gone = Incoming::Closed {
            code: 1006,
            reason: String::new(),
            clean: false,
        };
        let Some(incoming) = self.open().get(&id).map(|socket| Arc::clone(&socket.incoming)) else {
            return gone;
        };
        let next = incoming.lock().await.recv().await.unwrap_or(gone);
        if matches!(next, Incoming::Closed { .. }) {
            let socket = self.open().remove(&id);
            drop(socket);
        }
        next
    }

    /// Closes what a new grant does not allow.
    pub(super) fn recheck(&self, grant: &Grant) {
        self.open().retain(|_, socket| {
            let request = Request::parse(socket.url.as_str(), &serde_json::Value::Null);
            request
                .and_then(|request| authorise_socket(request, grant))
                .is_ok()
        });
    }

    pub(super) fn close_all(&self) {
        let all = std::mem::take(&mut *self.open());
        drop(all);
    }
}

/// Reads a WebSocket address; what it is connected as has the scheme of http.
pub(crate) fn socket_address(text: &str) -> Result<Url, NetError> {
    let url = address(text)?;
    let scheme = match url.scheme() {
        "wss" | "https" => "https",
        "ws" | "http" => "http",
        other => {
            return Err(NetError::invalid(format!(
                "`{other}:` is not a WebSocket address; use wss:"
            )));
        }
    };
    // `Url::set_scheme` refuses none of these: all four are special.
    let rest = url
        .as_str()
        .split_once(':')
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    address(&format!("{scheme}:{rest}"))
}

impl Client {
    /// Opens a connection; gives its number and the protocol the server chose.
    pub(crate) async fn open_socket(
        &self,
        egress: &Egress,
        url: Url,
        protocols: &[String],
    ) -> Result<(u32, String), NetError> {
        let place = egress.run.sockets.place()?;
        let request = Request::parse(url.as_str(), &serde_json::Value::Null)?;
        let begun = self.recorder.begin(egress, &request.method, &request.url);
        let mut note = timeout(OPENING, begun)
            .await
            .unwrap_or_else(|_| Err(late(OPENING)))?;
        note.scheme(if url.scheme() == "https" { "wss" } else { "ws" });
        let opened = timeout(OPENING, self.shake_hands(egress, request, protocols, &mut note)).await;
        let (stream, protocol, to) = match opened.unwrap_or_else(|_| Err(late(OPENING))) {
            Ok(opened) => opened,
            Err(error) => {
                note.fail(&error);
                self.want(egress, &error);
                return Err(error);
            }
        };
        let sockets = &egress.run.sockets;
        let id = sockets.next.fetch_add(1, Ordering::Relaxed);
        let (out, outgoing) = mpsc::unbounded_channel();
        let (heard, incoming) = mpsc::channel(INCOMING);
        let queued = Arc::new(AtomicUsize::new(0));
        let talk = Talk {
            stream,
            outgoing,
            heard,
            queued: Arc::clone(&queued),
            note,
            egress: egress.clone(),
            total: 0,
            _place: place,
        };
        // Ends with the connection, or when the socket is dropped with the run of its skill.
        let task = tokio::spawn(talk.run()).abort_handle();
        let incoming = Arc::new(tokio::sync::Mutex::new(incoming));
        let socket = Socket {
            url,
            to,
            out,
            queued,
            incoming,
            task,
        };
        sockets.open().insert(id, socket);
        if egress.run.is_closed() {
            sockets.close_all();
        }
        Ok((id, protocol))
    }

    async fn shake_hands(
        &self,
        egress: &Egress,
        request: Request,
        protocols: &[String],
        note: &mut Note,
    ) -> Result<(WebSocketStream<BoxedConnection>, String, Destination), NetError> {
        let authorised = authorise_socket(request, &egress.grant)?;
        let to = authorised.to().clone();
        let (sealed, _) = self.seal(egress, authorised, note).await?;
        let endpoint = sealed.wire.endpoint;
        let scheme = if endpoint.secure { "wss" } else { "ws" };
        let uri = format!("{scheme}://{}{}", endpoint.authority(), sealed.wire.target);
        let mut message = http::Request::get(uri)
            .body(())
            .map_err(|error| NetError::invalid(format!("the URL cannot be sent: {error}")))?;
        *message.headers_mut() = sealed.wire.headers;
        let headers = message.headers_mut();
        headers.remove(http::header::ACCEPT_ENCODING);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let key = tokio_tungstenite::tungstenite::handshake::client::generate_key();
        let key = HeaderValue::from_str(&key).map_err(|_| NetError::failed("no key for the handshake"))?;
        headers.insert(SEC_WEBSOCKET_KEY, key);
        if !protocols.is_empty() {
            let all = HeaderValue::from_str(&protocols.join(", "))
                .map_err(|_| NetError::invalid("a protocol is not a token"))?;
            headers.insert(SEC_WEBSOCKET_PROTOCOL, all);
        }
        let connection = self.transport.connect(endpoint);
        let connection = connection
            .await
            .map_err(|error| NetError::failed(error.to_string()))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE))
            .max_write_buffer_size(MAX_QUEUED);
        let (stream, response) = client_async_with_config(message, connection, Some(config))
            .await
            .map_err(|error| NetError::failed(format!("the server refuses the WebSocket: {error}")))?;
        note.opened().await?;
        let protocol = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
        let protocol = protocol
            .and_then(|protocol| protocol.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        Ok((stream, protocol, to))
    }
}

/// One open connection. Dropping it cuts it off and writes its record.
struct Talk {
    stream: WebSocketStream<BoxedConnection>,
    outgoing: mpsc::UnboundedReceiver<Out>,
    heard: mpsc::Sender<Incoming>,
    queued: Arc<AtomicUsize>,
    note: Note,
    egress: Egress,
    total: u64,
    _place: Place,
}

impl Talk {
    async fn run(mut self) {
        let (code, reason, clean) = self.talk().await;
        self.note.ended(code);
        let reason = String::from_utf8_lossy(&self.clean(reason.as_bytes())).into_owned();
        let heard = self.heard.clone();
        // The record and the place are free before the skill has read its last message.
        drop(self);
        let _ = heard.send(Incoming::Closed { code, reason, clean }).await;
    }

    /// Until the end: its code, its reason, and whether both sides agreed.
    async fn talk(&mut self) -> (u16, String, bool) {
        let mut asked = false;
        let mut quiet = Instant::now() + QUIET;
        loop {
            // While the skill has not taken what came, nothing more is read: the other side waits.
            let room = self.heard.clone();
            let step = tokio::select! {
                out = self.outgoing.recv() => Step::Out(out),
                heard = async {
                    let place = room.reserve().await;
                    (place, self.stream.next().await)
                } => Step::In(heard.1),
                () = tokio::time::sleep_until(quiet) => Step::Quiet,
            };
            match step {
                Step::Out(Some(Out::Refused(reason))) => {
                    let recorded = self.note.refused(reason).await;
                    self.queued.fetch_sub(REFUSED, Ordering::AcqRel);
                    if let Err(error) = recorded {
                        return (1006, error.message, false);
                    }
                }
                Step::Out(Some(Out::Message(message, length, secrets))) => {
                    if let Err(error) = self.note.uses(&secrets).await {
                        return (1006, error.message, false);
                    }
                    self.note.sent_more(length);
                    self.total += length as u64;
                    let sent = self.stream.send(message).await;
                    self.queued.fetch_sub(length, Ordering::AcqRel);
                    if let Err(error) = sent {
                        return lost(&error);
                    }
                }
                Step::Out(Some(Out::Close(frame))) => return self.say_goodbye(frame).await,
                Step::Out(None) => return (1006, String::new(), false),
                Step::In(Some(Ok(message))) => {
                    (asked, quiet) = (false, Instant::now() + QUIET);
                    self.note.received(message.len());
                    self.total += message.len() as u64;
                    let heard = match message {
                        Message::Text(text) => Incoming::Text(
                            String::from_utf8_lossy(&self.clean(text.as_str().as_bytes())).into_owned(),
                        ),
                        Message::Binary(bytes) => Incoming::Binary(self.clean(&bytes)),
                        Message::Close(frame) => return self.answer_goodbye(frame).await,
                        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                    };
                    // There is room: only this task fills it.
                    if self.heard.send(heard).await.is_err() {
                        return (1006, String::new(), false);
                    }
                }
                Step::In(Some(Err(error))) => return lost(&error),
                Step::In(None) => return (1006, String::new(), false),
                Step::Quiet if asked => return (1006, "the other side does not answer".to_owned(), false),
                Step::Quiet => {
                    (asked, quiet) = (true, Instant::now() + QUIET);
                    if let Err(error) = self.stream.send(Message::Ping(bytes::Bytes::new())).await {
                        return lost(&error);
                    }
                }
            }
            if self.total > MAX_TOTAL {
                let frame = CloseFrame {
                    code: CloseCode::Size,
                    reason: "the connection has used up its bytes".into(),
                };
                return self.say_goodbye(Some(frame)).await;
            }
        }
    }

    /// We close first.
    async fn say_goodbye(&mut self, frame: Option<CloseFrame>) -> (u16, String, bool) {
        let goodbye = async {
            if self.stream.close(frame).await.is_err() {
                return None;
            }
            while let Some(Ok(message)) = self.stream.next().await {
                if let Message::Close(frame) = message {
                    return Some(described(frame));
                }
            }
            None
        };
        match timeout(CLOSING, goodbye).await {
            Ok(Some((code, reason))) => (code, reason, true),
            _ => (1006, String::new(), false),
        }
    }

    /// The other side closes first; tungstenite answers while the stream is read to its end.
    async fn answer_goodbye(&mut self, frame: Option<CloseFrame>) -> (u16, String, bool) {
        let rest = async { while let Some(Ok(_)) = self.stream.next().await {} };
        let _ = timeout(CLOSING, rest).await;
        let (code, reason) = described(frame);
        (code, reason, true)
    }

    fn clean(&self, text: &[u8]) -> Vec<u8> {
        match self.egress.run.revealed.scanner() {
            Some(scanner) => scanner.redact(text).into_owned(),
            None => text.to_vec(),
        }
    }
}

enum Step {
    Out(Option<Out>),
    In(Option<Result<Message, Error>>),
    Quiet,
}

fn described(frame: Option<CloseFrame>) -> (u16, String) {
    frame.map_or((1005, String::new()), |frame| {
        (frame.code.into(), frame.reason.as_str().to_owned())
    })
}

fn lost(error: &Error) -> (u16, String, bool) {
    match error {
        Error::Capacity(_) => (
            1009,
            format!("a message has more than {MAX_MESSAGE} bytes"),
            false,
        ),
        Error::Utf8(_) => (1007, "the text is not UTF-8".to_owned(), false),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => (1006, String::new(), false),
        Error::Protocol(_) => (1002, error.to_string(), false),
        _ => (1006, String::new(), false),
    }
}
