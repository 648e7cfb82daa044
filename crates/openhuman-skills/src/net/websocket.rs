//! WebSocket connections: the same stages as a request, then messages in both directions, limited and scanned.

mod talk;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::Url;

use self::talk::Talk;
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
