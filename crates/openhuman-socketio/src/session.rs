//! One link from the Engine.IO handshake to its end, without I/O: frames and the time go in, actions come
//! out. A test of a fifty second silence takes microseconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::error::ProtocolError;
use crate::limits::Limits;
use crate::packet::{self, Body, Name, Packet, Rejection};
use crate::payload::Payload;
use crate::state::{Disconnect, DisconnectReason};

/// No server needs longer intervals than a day; the bound keeps clock arithmetic from overflowing.
const LONGEST_INTERVAL_MS: u64 = 24 * 3600 * 1000;

/// Longest data of a ping, in bytes, that is sent back; the protocol itself uses five.
const LONGEST_PING: usize = 125;

/// What a link needs to know.
#[derive(Debug, Clone)]
pub(crate) struct SessionConfig {
    pub(crate) namespace: String,
    pub(crate) limits: Limits,
    /// Added to `pingInterval + pingTimeout` before the link counts as silent.
    pub(crate) heartbeat_slack: Duration,
}

/// An event for the application.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Incoming {
    pub(crate) name: Name,
    pub(crate) payload: Payload,
    pub(crate) ack_id: Option<u64>,
}

/// What the driver has to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    /// The engine is open: get the credentials, then call [`Session::authenticate`].
    Opened {
        /// Longest frame the server accepts, when it said so.
        max_payload: Option<usize>,
    },
    /// Write this frame before anything else that waits.
    Send(Utf8Bytes),
    /// The namespace is connected.
    Connected { sid: String },
    /// The server refused the namespace.
    Rejected(Rejection),
    /// The server does not speak this version.
    Unsupported(&'static str),
    /// The attempt ran out of time.
    TimedOut,
    /// Deliver an event.
    Event(Incoming),
    /// Resolve an acknowledgement.
    Ack { id: u64, payload: Payload },
    /// The link is over.
    Closed(Disconnect),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for the Engine.IO open packet.
    Opening,
    /// Waiting for the credentials.
    Authenticating,
    /// Waiting for the CONNECT ack.
    Connecting,
    Connected,
    Over,
}

/// A packet whose attachments are still arriving.
#[derive(Debug)]
struct Partial {
    packet: Packet,
    attachments: Vec<Bytes>,
    size: usize,
    deadline: Instant,
}

/// The state machine of one link.
#[derive(Debug)]
pub(crate) struct Session {
    config: SessionConfig,
    phase: Phase,
    /// When the attempt must have led to a connection.
    connect_deadline: Instant,
    /// Silence that ends the link; known once the engine is open.
    idle_limit: Option<Duration>,
    last_heard: Instant,
    partial: Option<Partial>,
    early: Vec<Incoming>,
    outputs: VecDeque<Output>,
}

impl Session {
    pub(crate) fn new(config: SessionConfig, now: Instant, connect_deadline: Instant) -> Self {
        Self {
            config,
            phase: Phase::Opening,
            connect_deadline,
            idle_limit: None,
            last_heard: now,
            partial: None,
            early: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let connect = match self.phase {
            Phase::Opening | Phase::Authenticating | Phase::Connecting => Some(self.connect_deadline),
            Phase::Connected => None,
            Phase::Over => return None,
        };
        let partial = self.partial.as_ref().map(|partial| partial.deadline);
        [connect, self.idle_deadline(), partial]
            .into_iter()
            .flatten()
            .min()
    }

    fn idle_deadline(&self) -> Option<Instant> {
        self.idle_limit.map(|limit| self.last_heard + limit)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.phase == Phase::Over {
            return;
        }
        if self.phase != Phase::Connected && now >= self.connect_deadline {
            self.end(Output::TimedOut);
        } else if self.idle_deadline().is_some_and(|deadline| now >= deadline) {
            self.end(Output::Closed(Disconnect::new(DisconnectReason::PingTimeout)));
        } else if let Some(partial) = self.partial.as_ref().filter(|partial| now >= partial.deadline) {
            let error = ProtocolError::IncompletePacket {
                received: partial.attachments.len(),
                expected: partial.packet.header.attachments,
                after: self.config.limits.completion_timeout,
            };
            self.violation(error);
        }
    }

    /// Sends CONNECT with these credentials.
    pub(crate) fn authenticate(&mut self, auth: Option<&Value>) {
        if self.phase == Phase::Authenticating {
            self.phase = Phase::Connecting;
            let frame = packet::encode_connect(&self.config.namespace, auth);
            self.outputs.push_back(Output::Send(frame));
        }
    }

    /// Takes one text frame.
    pub(crate) fn handle_text(&mut self, now: Instant, frame: &Utf8Bytes) {
        if self.phase == Phase::Over {
            return;
        }
        self.last_heard = now;
        if let Err(error) = self.engine_packet(now, frame) {
            self.violation(error);
        }
    }

    /// Takes one binary frame.
    pub(crate) fn handle_binary(&mut self, now: Instant, frame: Bytes) {
        if self.phase == Phase::Over {
            return;
        }
        self.last_heard = now;
        if let Err(error) = self.attachment(frame) {
            self.violation(error);
        }
    }

    /// Ends the link because the peer broke the protocol.
    pub(crate) fn violation(&mut self, error: ProtocolError) {
        self.end(Output::Closed(Disconnect::because(
            DisconnectReason::ParseError,
            error,
        )));
    }

    fn end(&mut self, last: Output) {
        self.phase = Phase::Over;
        self.partial = None;
        self.early.clear();
        self.outputs.push_back(last);
    }

    fn engine_packet(&mut self, now: Instant, frame: &Utf8Bytes) -> Result<(), ProtocolError> {
        let kind = frame.as_bytes().first();
        if self.phase == Phase::Opening && !matches!(kind, Some(b'0' | b'1' | b'2' | b'6')) {
            return Err(ProtocolError::InvalidFrame {
                what: "expected the open packet first",
            });
        }
        match kind {
            Some(b'0') if self.phase == Phase::Opening => self.open(frame),
            Some(b'0') => Err(ProtocolError::InvalidFrame {
                what: "a second open packet",
            }),
            Some(b'1') => {
                self.end(Output::Closed(Disconnect::new(DisconnectReason::TransportClose)));
                Ok(())
            }
            Some(b'2') => {
                let data = frame.as_str().get(1..).unwrap_or_default();
                if data.len() > LONGEST_PING {
                    return Err(ProtocolError::InvalidFrame {
                        what: "a ping with too much data",
                    });
                }
                self.outputs.push_back(Output::Send(format!("3{data}").into()));
                Ok(())
            }
            // A pong that nobody asked for, and the filler that servers send around an upgrade.
            Some(b'3' | b'6') => Ok(()),
            Some(b'4') => self.message(now, frame),
            Some(_) => Err(ProtocolError::InvalidFrame {
                what: "unknown packet type",
            }),
            None => Err(ProtocolError::InvalidFrame { what: "empty frame" }),
        }
    }

    fn open(&mut self, frame: &Utf8Bytes) -> Result<(), ProtocolError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Open {
            sid: String,
            #[serde(default = "default_interval")]
            ping_interval: u64,
            #[serde(default = "default_timeout")]
            ping_timeout: u64,
            max_payload: Option<u64>,
        }
        fn default_interval() -> u64 {
            25_000
        }
        fn default_timeout() -> u64 {
            20_000
        }
        let json = frame.as_str().get(1..).unwrap_or_default();
        let open: Open = serde_json::from_str(json).map_err(|_| ProtocolError::InvalidFrame {
            what: "malformed open packet",
        })?;
        if open.sid.is_empty() {
            return Err(ProtocolError::InvalidFrame {
                what: "the open packet has no session id",
            });
        }
        let silence =
            open.ping_interval.min(LONGEST_INTERVAL_MS) + open.ping_timeout.min(LONGEST_INTERVAL_MS);
        self.idle_limit = Some(Duration::from_millis(silence) + self.config.heartbeat_slack);
        self.phase = Phase::Authenticating;
        let max_payload = open.max_payload.filter(|max| *max > 0);
        self.outputs.push_back(Output::Opened {
            max_payload: max_payload.map(|max| usize::try_from(max).unwrap_or(usize::MAX)),
        });
        Ok(())
    }

    fn message(&mut self, now: Instant, frame: &Utf8Bytes) -> Result<(), ProtocolError> {
        if self.partial.is_some() {
            return Err(ProtocolError::InterruptedPacket);
        }
        let packet = packet::decode(frame, 1, &self.config.limits)?;
        if packet.header.attachments > 0 {
            self.partial = Some(Partial {
                packet,
                attachments: Vec::new(),
                size: 0,
                deadline: now + self.config.limits.completion_timeout,
            });
            return Ok(());
        }
        self.complete(frame, packet)
    }

    fn attachment(&mut self, frame: Bytes) -> Result<(), ProtocolError> {
        let mut partial = self.partial.take().ok_or(ProtocolError::UnexpectedBinary)?;
        partial.size = partial.size.saturating_add(frame.len());
        let max = self.config.limits.max_attachment_bytes;
        if partial.size > max {
            return Err(ProtocolError::AttachmentsTooLarge {
                size: partial.size,
                max,
            });
        }
        partial.attachments.push(frame);
        if partial.attachments.len() < partial.packet.header.attachments {
            self.partial = Some(partial);
            return Ok(());
        }
        let Partial {
            mut packet,
            attachments,
            ..
        } = partial;
        let frame = match &mut packet.body {
            Body::Event { payload, .. } | Body::Ack { payload } => {
                payload.attachments = attachments;
                payload.frame.clone()
            }
            Body::Connect { .. } | Body::Disconnect | Body::ConnectError(_) => return Ok(()),
        };
        self.complete(&frame, packet)
    }

    /// Acts on a packet that has all its attachments.
    fn complete(&mut self, frame: &Utf8Bytes, packet: Packet) -> Result<(), ProtocolError> {
        if packet.header.namespace(frame) != self.config.namespace {
            return Ok(());
        }
        match packet.body {
            Body::Connect { sid } => self.connected(sid),
            Body::Disconnect => {
                self.end(Output::Closed(Disconnect::new(
                    DisconnectReason::ServerDisconnect,
                )));
            }
            Body::ConnectError(rejection) => self.end(Output::Rejected(rejection)),
            Body::Event { name, payload } => {
                return self.event(Incoming {
                    name,
                    payload,
                    ack_id: packet.header.id,
                });
            }
            Body::Ack { payload } => {
                if let Some(id) = packet.header.id {
                    self.outputs.push_back(Output::Ack { id, payload });
                }
            }
        }
        Ok(())
    }

    fn connected(&mut self, sid: Option<String>) {
        match (self.phase, sid) {
            (_, None) => self.end(Output::Unsupported(
                "it accepted the namespace without a session id",
            )),
            (Phase::Connecting | Phase::Connected, Some(sid)) => {
                self.phase = Phase::Connected;
                self.outputs.push_back(Output::Connected { sid });
                self.outputs.extend(self.early.drain(..).map(Output::Event));
            }
            // Servers of version 2 accept the root namespace without being asked.
            (_, Some(_)) => self.end(Output::Unsupported(
                "it accepted a namespace that was not asked for",
            )),
        }
    }

    fn event(&mut self, event: Incoming) -> Result<(), ProtocolError> {
        if self.phase == Phase::Connected {
            self.outputs.push_back(Output::Event(event));
            return Ok(());
        }
        // A server that restores a session sends what was missed before it confirms the namespace.
        let max = self.config.limits.max_early_events;
        let bytes: usize = self.early.iter().map(|early| early.payload.size()).sum();
        if self.early.len() >= max || bytes > self.config.limits.subscription_bytes {
            return Err(ProtocolError::TooManyEarlyEvents { max });
        }
        self.early.push(event);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
