//! One WebSocket, driven by polling: reading, writing, timers and credentials in turn, so that no part can
//! hold up another.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::Value;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::Message;

use crate::ack::AckReply;
use crate::client::Auth;
use crate::driver::{Driver, Ready};
use crate::error::{AckError, AuthError, ConnectError, ProtocolError};
use crate::event::{AckSender, Event};
use crate::lifecycle::End;
use crate::packet;
use crate::session::{Incoming, Output, Session};
use crate::shared::Shared;
use crate::state::{Disconnect, DisconnectReason, State};
use crate::transport::{Failure, WebSocket};

/// Frames read or written before the other direction gets its turn.
const BATCH: usize = 64;
/// Turns before the task gives way to others.
const TURNS: usize = 8;
/// Frames that may wait to go before everything else; a server that reads leaves none waiting.
const MAX_URGENT: usize = 64;
/// Longest time for writing what waits and closing when the application disconnects.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// Longest time for telling the server that a link is over.
const FAREWELL_WAIT: Duration = Duration::from_millis(250);

/// Progress of an orderly close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// Writing what was accepted before.
    Draining,
    /// Writing DISCONNECT.
    Leaving,
    /// Writing the WebSocket's close frame.
    Farewell,
    /// Waiting for the server to close the stream.
    Waiting,
}

pub(crate) struct Link<'a> {
    socket: WebSocket,
    session: Session,
    driver: &'a Driver,
    shared: &'a Arc<Shared>,
    ready: &'a mut Option<Ready>,
    /// At most one task, which asks the application for credentials; aborted with the link.
    asking: JoinSet<Result<Value, AuthError>>,
    /// Frames that go before everything else: PONG, CONNECT, DISCONNECT.
    urgent: VecDeque<Message>,
    /// The attachments of the packet that is being written.
    rest: VecDeque<Bytes>,
    needs_flush: bool,
    timer: Pin<Box<Sleep>>,
    /// When the timer fires; `None` when it is not set.
    armed: Option<Instant>,
    closing: Option<(Closing, Instant)>,
    /// Number of the connected link.
    number: Option<u64>,
    end: Option<End>,
}

impl<'a> Link<'a> {
    pub(crate) fn new(
        socket: WebSocket,
        session: Session,
        driver: &'a Driver,
        ready: &'a mut Option<Ready>,
    ) -> Self {
        Self {
            socket,
            session,
            driver,
            shared: &driver.shared,
            ready,
            asking: JoinSet::new(),
            urgent: VecDeque::new(),
            rest: VecDeque::new(),
            needs_flush: false,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            closing: None,
            number: None,
            end: None,
        }
    }

    /// Works until nothing is left to do; ready when the link is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.shared.outbox.register(cx.waker());
        for _ in 0..TURNS {
            self.check_close_request();
            self.poll_credentials(cx);
            let read = self.poll_read(cx);
            let wrote = self.poll_write(cx);
            let fired = self.poll_timer(cx);
            self.act();
            if let Some(end) = self.end.take() {
                return Poll::Ready(end);
            }
            if !(read || wrote || fired) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Tells the server that the link is over, if that can be done quickly.
    pub(crate) async fn finish(mut self) {
        let farewell = tokio::time::timeout(FAREWELL_WAIT, self.socket.close(None)).await;
        // It may be gone already.
        drop(farewell);
    }

    fn over(&mut self, end: End) {
        if self.end.is_none() {
            self.end = Some(end);
        }
    }

    fn over_by(&mut self, disconnect: Disconnect) {
        let end = match (self.number, self.closing) {
            (Some(_), Some(_)) => End::Lost(Disconnect::new(DisconnectReason::ClientDisconnect)),
            (Some(_), None) => End::Lost(disconnect),
            (None, Some(_)) => End::NotConnected(ConnectError::Closed),
            (None, None) => End::NotConnected(ConnectError::Lost(disconnect)),
        };
        self.over(end);
    }

    fn check_close_request(&mut self) {
        if self.closing.is_some() || !self.shared.outbox.close_requested() {
            return;
        }
        if self.session.is_connected() {
            let now = tokio::time::Instant::now().into_std();
            self.closing = Some((Closing::Draining, now + CLOSE_WAIT));
        } else {
            self.over(End::NotConnected(ConnectError::Closed));
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let closing = self.closing.map(|(_, deadline)| deadline);
        let Some(deadline) = [self.session.deadline(), closing].into_iter().flatten().min() else {
            return false;
        };
        // A deadline that moves away, as with every frame, needs no new timer before the old one fires.
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.timer.as_mut().reset(deadline.into());
            self.armed = Some(deadline);
        }
        if self.timer.poll_unpin(cx).is_pending() {
            return false;
        }
        self.armed = None;
        let now = tokio::time::Instant::now().into_std();
        self.session.handle_timeout(now);
        if closing.is_some_and(|deadline| now >= deadline) {
            self.over_by(Disconnect::new(DisconnectReason::ClientDisconnect));
        }
        true
    }

    fn poll_credentials(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(Some(answer)) = self.asking.poll_join_next(cx) {
            match credentials(answer) {
                Ok(auth) => self.session.authenticate(Some(&auth)),
                Err(source) => self.over(End::NotConnected(ConnectError::Auth { source })),
            }
            self.act();
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        let now = tokio::time::Instant::now().into_std();
        for taken in 0..BATCH {
            if self.end.is_some() {
                return true;
            }
            match self.socket.poll_next_unpin(cx) {
                // What was taken can have given the other parts something to do.
                Poll::Pending => return taken > 0,
                Poll::Ready(Some(Ok(message))) => self.take(now, message),
                Poll::Ready(Some(Err(error))) => self.failed(error.into()),
                Poll::Ready(None) => self.failed(Failure::Closed),
            }
        }
        true
    }

    fn take(&mut self, now: Instant, message: Message) {
        match message {
            Message::Text(frame) => self.session.handle_text(now, &frame),
            Message::Binary(frame) => self.session.handle_binary(now, frame),
            // The WebSocket has an answer waiting.
            Message::Ping(_) => self.needs_flush = true,
            Message::Close(_) => {
                let waiting = self.closing.is_some_and(|(stage, _)| stage == Closing::Waiting);
                if !waiting {
                    self.failed(Failure::Closed);
                }
            }
            Message::Pong(_) | Message::Frame(_) => {}
        }
        self.act();
    }

    fn failed(&mut self, failure: Failure) {
        self.over_by(match failure {
            Failure::Closed => Disconnect::new(DisconnectReason::TransportClose),
            Failure::TooLarge { size, max } => Disconnect::because(
                DisconnectReason::TransportError,
                ProtocolError::FrameTooLarge { size, max },
            ),
            Failure::Other(message) => Disconnect::because(
                DisconnectReason::TransportError,
                ProtocolError::Transport { message },
            ),
        });
    }

    /// Does what the session asks for.
    fn act(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(frame) if self.urgent.len() < MAX_URGENT => {
                    self.urgent.push_back(Message::Text(frame));
                }
                Output::Send(_) => self.failed(Failure::Other(
                    "the server sends pings and does not read the answers".to_owned(),
                )),
                Output::Opened { max_payload } => {
                    self.shared.outbox.set_max_payload(max_payload);
                    self.ask_for_credentials();
                }
                Output::Connected { sid } => self.connected(sid),
                Output::Event(event) => self.deliver(event),
                Output::Ack { id, payload } => {
                    if self.shared.acks.expects(id) {
                        if payload.is_json() {
                            self.shared.acks.resolve(id, Ok(AckReply::new(payload)));
                        } else {
                            self.session.violation(ProtocolError::InvalidPacket {
                                what: "malformed JSON",
                            });
                        }
                    }
                }
                Output::Rejected(rejection) => {
                    let packet::Rejection { message, data } = rejection;
                    self.over(End::NotConnected(ConnectError::Rejected { message, data }));
                }
                Output::Unsupported(what) => {
                    self.over(End::NotConnected(ConnectError::UnsupportedServer { what }));
                }
                Output::TimedOut => self.over(End::NotConnected(self.driver.timed_out())),
                Output::Closed(disconnect) => self.over_by(disconnect),
            }
        }
    }

    fn ask_for_credentials(&mut self) {
        match &self.driver.auth {
            Auth::None => self.session.authenticate(None),
            Auth::Fixed(auth) => match checked(auth.clone()) {
                Ok(auth) => self.session.authenticate(Some(&auth)),
                Err(source) => self.over(End::NotConnected(ConnectError::Auth { source })),
            },
            Auth::Dynamic(auth) => {
                let auth = Arc::clone(auth);
                self.asking.spawn(async move { auth().await });
            }
        }
    }

    fn connected(&mut self, sid: String) {
        tracing::debug!("connected");
        if self.number.is_none() {
            self.number = Some(self.shared.outbox.link_up());
        }
        self.shared.set_state(State::Connected { sid });
        if let Some(ready) = self.ready.take() {
            // If the caller is gone, so is the last client, and the close request follows.
            let _ = ready.send(Ok(()));
        }
    }

    fn deliver(&mut self, event: Incoming) {
        let Incoming {
            name,
            payload,
            ack_id,
        } = event;
        let registry = &self.shared.registry;
        if self.closing.is_some() || !registry.wants(name.as_str(payload.frame.as_str())) {
            return;
        }
        if !payload.is_json() {
            self.session.violation(ProtocolError::InvalidPacket {
                what: "malformed JSON",
            });
            return;
        }
        let ack = ack_id
            .zip(self.number)
            .map(|(id, link)| AckSender::new(Arc::clone(&self.shared.outbox), id, link));
        registry.deliver(&Event::new(name, payload, ack), &self.shared.outbox.limits);
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut wrote = false;
        for _ in 0..BATCH {
            if self.end.is_some() {
                return true;
            }
            match self.socket.poll_ready_unpin(cx) {
                Poll::Pending => return wrote,
                Poll::Ready(Err(error)) => {
                    self.failed(error.into());
                    return true;
                }
                Poll::Ready(Ok(())) => {}
            }
            let Some(message) = self.next_message() else { break };
            wrote = true;
            self.needs_flush = true;
            if let Err(error) = self.socket.start_send_unpin(message) {
                self.failed(error.into());
                return true;
            }
        }
        if self.needs_flush {
            match self.socket.poll_flush_unpin(cx) {
                Poll::Pending => return wrote,
                Poll::Ready(Err(error)) => {
                    self.failed(error.into());
                    return true;
                }
                Poll::Ready(Ok(())) => {
                    self.needs_flush = false;
                    if self.rest.is_empty() {
                        self.shared.outbox.mark_flushed();
                    }
                }
            }
        }
        self.poll_close(cx) || wrote
    }

    /// The next frame to write. Only a PONG may come between a packet and its attachments.
    fn next_message(&mut self) -> Option<Message> {
        if let Some(message) = self.urgent.pop_front() {
            return Some(message);
        }
        if let Some(bytes) = self.rest.pop_front() {
            return Some(Message::Binary(bytes));
        }
        let may_write =
            self.session.is_connected() && self.closing.is_none_or(|(stage, _)| stage == Closing::Draining);
        if !may_write {
            return None;
        }
        loop {
            match self.shared.outbox.pop()? {
                Ok(group) => {
                    if let Some(id) = group.ack {
                        self.shared.acks.mark_sent(id);
                    }
                    self.rest.extend(group.encoded.attachments);
                    return Some(Message::Text(group.encoded.text));
                }
                Err((group, error)) => {
                    tracing::warn!(%error, "a buffered packet was dropped");
                    if let Some(id) = group.ack {
                        self.shared.acks.resolve(id, Err(AckError::Emit(error)));
                    }
                }
            }
        }
    }

    /// Takes an orderly close one step further once everything before is written.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((stage, deadline)) = self.closing else {
            return false;
        };
        let nothing_waits = !self.needs_flush && self.urgent.is_empty() && self.rest.is_empty();
        let next = match stage {
            Closing::Draining if nothing_waits && self.shared.outbox.is_empty() => {
                let frame = packet::encode_disconnect(&self.shared.outbox.namespace);
                self.urgent.push_back(Message::Text(frame));
                Closing::Leaving
            }
            Closing::Leaving if nothing_waits => Closing::Farewell,
            Closing::Farewell => match self.socket.poll_close_unpin(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) => Closing::Waiting,
                Poll::Ready(Err(error)) => {
                    self.failed(error.into());
                    return true;
                }
            },
            Closing::Draining | Closing::Leaving | Closing::Waiting => return false,
        };
        self.closing = Some((next, deadline));
        true
    }
}

/// The answer of the application's function, whatever became of it.
fn credentials(answer: Result<Result<Value, AuthError>, JoinError>) -> Result<Value, AuthError> {
    match answer {
        Ok(answer) => checked(answer?),
        Err(error) if error.is_panic() => Err("the authentication function panicked".into()),
        Err(error) => Err(error.into()),
    }
}

fn checked(auth: Value) -> Result<Value, AuthError> {
    if auth.is_object() {
        Ok(auth)
    } else {
        Err("the CONNECT payload must be a JSON object".into())
    }
}
