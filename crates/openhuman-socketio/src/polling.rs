//! HTTP long-polling: one GET waits for what the server has to say, one POST at a time carries what the
//! client has to say; and the upgrade to a WebSocket.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::error::ConnectError;
use crate::http::{Answer, Connection};
use crate::session::Opened;
use crate::transport::{Dialer, Failure, Frame, Received, WebSocket, ask, http_error};

mod body;

pub(crate) use self::body::Frames;

/// Between the packets of one body.
const SEPARATOR: u8 = 0x1e;
/// Frames that are taken before the POST that carries them has begun.
const MAX_WAITING_FRAMES: usize = 256;
const MAX_WAITING_BYTES: usize = 256 * 1024;
/// Longest time for the WebSocket that shall replace long-polling; servers give up after the same.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// Servers close idle connections after some seconds; a request on one that is just being closed is lost.
const REUSE_LIMIT: Duration = Duration::from_secs(2);

/// A stream that can carry another request, and since when it is idle.
type Idle = Option<(Connection, Instant)>;
type Exchange = BoxFuture<'static, Result<(Answer, Idle), Failure>>;

/// Where the upgrade stands.
enum Upgrade {
    /// None is wanted, or it has failed.
    None,
    /// A WebSocket is being opened and tried.
    Probing(BoxFuture<'static, Result<WebSocket, Failure>>),
    /// The WebSocket works: no new request begins, and those under way come to their end.
    Pausing(Box<WebSocket>),
}

/// An open session over long-polling.
pub(crate) struct Polling {
    dialer: Arc<Dialer>,
    /// Known once the session is open; no request is made before.
    sid: Option<String>,
    max_payload: usize,
    incoming: Frames,
    outgoing: VecDeque<Frame>,
    outgoing_bytes: usize,
    get: Option<Exchange>,
    post: Option<Exchange>,
    idle_get: Idle,
    idle_post: Idle,
    upgrade: Upgrade,
    closing: bool,
    requests: u64,
}

impl Polling {
    /// Makes the first request, whose answer opens the session.
    pub(crate) async fn open(dialer: Arc<Dialer>) -> Result<Self, ConnectError> {
        let stream = dialer.stream().await?;
        let head = head(&dialer, "GET", None, 0, None);
        let mut connection = Connection::new(stream);
        let answer = connection
            .exchange(&head, b"", dialer.limits.max_frame_bytes)
            .await;
        let answer = answer.map_err(|error| ConnectError::Polling {
            message: error.to_string(),
        })?;
        if answer.status != 200 {
            return Err(http_error(answer.status, &answer.body));
        }
        take_cookies(&dialer, &answer);
        Ok(Self {
            idle_get: answer.reusable.then(|| (connection, Instant::now())),
            idle_post: None,
            dialer,
            sid: None,
            max_payload: usize::MAX,
            incoming: Frames::new(answer.body),
            outgoing: VecDeque::new(),
            outgoing_bytes: 0,
            get: None,
            post: None,
            upgrade: Upgrade::None,
            closing: false,
            requests: 1,
        })
    }

    pub(crate) fn opened(&mut self, opened: &Opened) {
        self.sid = Some(opened.sid.clone());
        self.max_payload = opened.max_payload.unwrap_or(usize::MAX);
        // As a fallback it stays: the WebSocket has just been refused.
        let wanted = self.dialer.transports.upgrade();
        if wanted && opened.can_upgrade {
            let (dialer, sid) = (Arc::clone(&self.dialer), opened.sid.clone());
            self.upgrade = Upgrade::Probing(Box::pin(probe(dialer, sid)));
        }
    }

    /// Takes the upgrade as far as it goes; returns the WebSocket that takes over and what it has to send.
    pub(crate) fn poll_upgrade(&mut self, cx: &mut Context<'_>) -> Option<(WebSocket, VecDeque<Frame>)> {
        if let Upgrade::Probing(probe) = &mut self.upgrade {
            match probe.poll_unpin(cx) {
                Poll::Pending => return None,
                Poll::Ready(Ok(socket)) => self.upgrade = Upgrade::Pausing(Box::new(socket)),
                Poll::Ready(Err(failure)) => {
                    tracing::debug!(?failure, "no WebSocket: staying with long-polling");
                    self.upgrade = Upgrade::None;
                }
            }
        }
        // What the server sent by long-polling comes before what it sends by WebSocket.
        let paused = self.get.is_none() && self.post.is_none() && self.incoming.is_empty();
        if !paused || self.closing || !self.is_pausing() {
            return None;
        }
        let Upgrade::Pausing(socket) = std::mem::replace(&mut self.upgrade, Upgrade::None) else {
            return None;
        };
        self.dialer.upgraded.store(true, Ordering::Relaxed);
        let mut frames = std::mem::take(&mut self.outgoing);
        frames.push_front(Frame::Text(Utf8Bytes::from_static("5")));
        Some((*socket, frames))
    }

    fn is_pausing(&self) -> bool {
        matches!(self.upgrade, Upgrade::Pausing(_))
    }

    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Failure>> {
        loop {
            if let Some(frame) = self.incoming.next() {
                let failed = |what: &str| Failure::Other(what.to_owned());
                return Poll::Ready(frame.map(Received::Frame).map_err(failed));
            }
            if self.get.is_none() {
                if self.sid.is_none() || self.closing || self.is_pausing() {
                    return Poll::Pending;
                }
                let idle = self.idle_get.take();
                self.get = Some(self.exchange("GET", idle, Bytes::new()));
            }
            let Some(get) = &mut self.get else {
                return Poll::Pending;
            };
            let answer = ready!(get.poll_unpin(cx));
            self.get = None;
            let (answer, idle) = answer?;
            self.idle_get = idle;
            take_cookies(&self.dialer, &answer);
            self.incoming = Frames::new(answer.body);
        }
    }

    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        while self.outgoing.len() >= MAX_WAITING_FRAMES || self.outgoing_bytes >= MAX_WAITING_BYTES {
            ready!(self.poll_post(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn start_send(&mut self, frame: Frame) {
        self.outgoing_bytes += frame.len();
        self.outgoing.push_back(frame);
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        while !self.outgoing.is_empty() || self.post.is_some() {
            ready!(self.poll_post(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when one POST has come to its end.
    fn poll_post(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.post.is_none() {
            if self.sid.is_none() || self.is_pausing() {
                // Looked at again when the session opens, or the upgrade ends.
                return Poll::Pending;
            }
            let body = self.batch();
            let idle = self.idle_post.take();
            self.post = Some(self.exchange("POST", idle, body));
        }
        let Some(post) = &mut self.post else {
            return Poll::Pending;
        };
        let answer = ready!(post.poll_unpin(cx));
        self.post = None;
        let (answer, idle) = answer?;
        self.idle_post = idle;
        take_cookies(&self.dialer, &answer);
        Poll::Ready(Ok(()))
    }

    /// As many of the waiting frames as the server takes at once, but at least one.
    fn batch(&mut self) -> Bytes {
        let mut body = Vec::new();
        while let Some(frame) = self.outgoing.front() {
            let length = match frame {
                Frame::Text(text) => text.len(),
                Frame::Binary(bytes) => 1 + bytes.len().div_ceil(3) * 4,
            };
            if !body.is_empty() && body.len() + 1 + length > self.max_payload {
                break;
            }
            if !body.is_empty() {
                body.push(SEPARATOR);
            }
            match frame {
                Frame::Text(text) => body.extend_from_slice(text.as_bytes()),
                Frame::Binary(bytes) => {
                    body.push(b'b');
                    body.extend_from_slice(BASE64.encode(bytes).as_bytes());
                }
            }
            self.outgoing_bytes = self.outgoing_bytes.saturating_sub(frame.len());
            self.outgoing.pop_front();
        }
        body.into()
    }

    /// Sends the close packet.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.sid.is_none() {
            return Poll::Ready(Ok(()));
        }
        if !self.closing {
            self.closing = true;
            // An upgrade that the server has not been told of is as if it had never been tried.
            self.upgrade = Upgrade::None;
            self.start_send(Frame::Text(Utf8Bytes::from_static("1")));
        }
        self.poll_flush(cx)
    }

    fn exchange(&mut self, method: &'static str, idle: Idle, body: Bytes) -> Exchange {
        self.requests += 1;
        let dialer = Arc::clone(&self.dialer);
        let length = (method == "POST").then_some(body.len());
        let head = head(&dialer, method, self.sid.as_deref(), self.requests, length);
        Box::pin(async move {
            let fresh = idle.filter(|(_, since)| since.elapsed() < REUSE_LIMIT);
            let mut connection = match fresh.and_then(|(connection, _)| connection.if_quiet()) {
                Some(connection) => connection,
                None => Connection::new(
                    dialer
                        .stream()
                        .await
                        .map_err(|error| Failure::Other(error.to_string()))?,
                ),
            };
            let answer = connection
                .exchange(&head, &body, dialer.limits.max_frame_bytes)
                .await?;
            if answer.status != 200 {
                return Err(Failure::Other(
                    http_error(answer.status, &answer.body).to_string(),
                ));
            }
            let idle = answer.reusable.then(|| (connection, Instant::now()));
            Ok((answer, idle))
        })
    }
}

async fn probe(dialer: Arc<Dialer>, sid: String) -> Result<WebSocket, Failure> {
    let probe = async {
        let opened = dialer.websocket(Some(&sid)).await;
        let mut socket = opened.map_err(|error| Failure::Other(error.to_string()))?;
        match ask(&mut socket, "2probe").await?.as_str() {
            "3probe" => Ok(socket),
            other => Err(Failure::Other(format!(
                "the probe was answered with {} bytes of something else",
                other.len()
            ))),
        }
    };
    match tokio::time::timeout(PROBE_LIMIT, probe).await {
        Ok(probed) => probed,
        Err(_) => Err(Failure::Other("the probe was not answered".to_owned())),
    }
}

fn take_cookies(dialer: &Dialer, answer: &Answer) {
    for cookie in answer.headers("set-cookie") {
        dialer.cookies.take(cookie, SystemTime::now());
    }
}

/// The head of a request; `number` keeps caches from answering it.
fn head(dialer: &Dialer, method: &str, sid: Option<&str>, number: u64, length: Option<usize>) -> Vec<u8> {
    let endpoint = &dialer.endpoint;
    let target = endpoint.target("polling", sid);
    let mut head = format!(
        "{method} {target}&t={number} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\n",
        endpoint.authority
    );
    if let Some(length) = length {
        head.push_str(&format!(
            "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {length}\r\n"
        ));
    }
    if let Some(cookies) = dialer.cookies.header(SystemTime::now()) {
        head.push_str(&format!("Cookie: {cookies}\r\n"));
    }
    let mut head = head.into_bytes();
    for (name, value) in &endpoint.headers {
        // Values can have bytes that are no text.
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[cfg(test)]
mod official;
#[cfg(test)]
mod tests;
