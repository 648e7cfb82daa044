//! One link from the Engine.IO handshake to its end, without I/O: frames and the time go in, actions come
//! out. A test of a fifty second silence takes microseconds.
//!
//! Several namespaces share a link. Each joins it, is connected or refused, and leaves it, without touching
//! the others; only what breaks the protocol or the link itself ends all of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::error::ProtocolError;
use crate::limits::Limits;
use crate::packet::{self, Name, Packet, Parser, Rejection};
use crate::payload::Payload;
use crate::state::{Disconnect, DisconnectReason};

mod engine;
mod spaces;

/// A namespace of a connection, the same over all its links.
pub(crate) type SpaceId = u64;

/// What a link needs to know.
#[derive(Debug, Clone)]
pub(crate) struct SessionConfig {
    pub(crate) limits: Limits,
    /// Added to `pingInterval + pingTimeout` before the link counts as silent.
    pub(crate) heartbeat_slack: Duration,
    pub(crate) parser: Parser,
}

/// An event for the application.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Incoming {
    pub(crate) name: Name,
    pub(crate) payload: Payload,
    pub(crate) ack_id: Option<u64>,
}

/// What the server said about itself when it opened the engine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Opened {
    pub(crate) sid: String,
    /// A WebSocket can replace long-polling.
    pub(crate) can_upgrade: bool,
    /// Longest frame the server accepts, when it said so.
    pub(crate) max_payload: Option<usize>,
}

/// What the driver has to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    /// The engine is open.
    Opened(Opened),
    /// Get the credentials, then call [`Session::authenticate`].
    Authenticate(SpaceId),
    /// Write this Engine.IO frame before anything else that waits.
    Send(Utf8Bytes),
    /// Write this packet before those of the application, but not between a packet and its attachments.
    Control(Utf8Bytes),
    /// The namespace is connected.
    Connected {
        space: SpaceId,
        sid: String,
        /// The private id with which the session can be restored later.
        pid: Option<String>,
    },
    /// The server refused the namespace.
    Rejected(SpaceId, Rejection),
    /// The server does not speak this version. The link is over.
    Unsupported(&'static str),
    /// The namespace's attempt ran out of time.
    TimedOut(SpaceId),
    /// The server disconnected the namespace.
    Left(SpaceId),
    /// Deliver an event.
    Event(SpaceId, Incoming),
    /// Resolve an acknowledgement.
    Ack {
        space: SpaceId,
        id: u64,
        payload: Payload,
    },
    /// The link is over.
    Closed(Disconnect),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for the Engine.IO open packet.
    Opening,
    Open,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waiting for the credentials.
    Authenticating,
    /// Waiting for the CONNECT ack.
    Connecting,
    Connected,
}

/// A namespace on this link.
#[derive(Debug)]
struct Space {
    id: SpaceId,
    namespace: Arc<str>,
    stage: Stage,
    /// When the attempt must have led to a connection.
    deadline: Instant,
    early: Vec<Incoming>,
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
    spaces: Vec<Space>,
    /// Namespaces that were given up before the server answered.
    abandoned: Vec<Arc<str>>,
    /// Silence that ends the link; known once the engine is open.
    idle_limit: Option<Duration>,
    last_heard: Instant,
    partial: Option<Partial>,
    outputs: VecDeque<Output>,
}

impl Session {
    pub(crate) fn new(config: SessionConfig, now: Instant) -> Self {
        Self {
            config,
            phase: Phase::Opening,
            spaces: Vec::new(),
            abandoned: Vec::new(),
            idle_limit: None,
            last_heard: now,
            partial: None,
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Begins to connect a namespace, at once or when the engine is open.
    pub(crate) fn join(&mut self, id: SpaceId, namespace: Arc<str>, deadline: Instant) {
        if self.phase == Phase::Over {
            return;
        }
        self.spaces.push(Space {
            id,
            namespace,
            stage: Stage::Authenticating,
            deadline,
            early: Vec::new(),
        });
        if self.phase == Phase::Open {
            self.outputs.push_back(Output::Authenticate(id));
        }
    }

    /// Gives a namespace up, telling the server if it knows it.
    pub(crate) fn leave(&mut self, id: SpaceId) {
        let Some(space) = self.remove(id) else { return };
        match space.stage {
            Stage::Connected => {
                let frame = packet::encode_disconnect(&space.namespace);
                self.outputs.push_back(Output::Control(frame));
            }
            // A DISCONNECT now would be about a namespace that the server has not connected yet, which
            // official servers answer by closing the whole link.
            Stage::Connecting if !self.abandoned.contains(&space.namespace) => {
                self.abandoned.push(space.namespace);
            }
            Stage::Authenticating | Stage::Connecting => {}
        }
    }

    fn remove(&mut self, id: SpaceId) -> Option<Space> {
        let at = self.spaces.iter().position(|space| space.id == id)?;
        Some(self.spaces.swap_remove(at))
    }

    pub(crate) fn is_connected(&self, id: SpaceId) -> bool {
        self.spaces
            .iter()
            .any(|space| space.id == id && space.stage == Stage::Connected)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.phase == Phase::Over {
            return None;
        }
        let attempts = self.spaces.iter().filter(|space| space.stage != Stage::Connected);
        let attempts = attempts.map(|space| space.deadline);
        let partial = self.partial.as_ref().map(|partial| partial.deadline);
        attempts.chain(self.idle_deadline()).chain(partial).min()
    }

    fn idle_deadline(&self) -> Option<Instant> {
        self.idle_limit.map(|limit| self.last_heard + limit)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.phase == Phase::Over {
            return;
        }
        let late = |space: &Space| space.stage != Stage::Connected && now >= space.deadline;
        let late: Vec<SpaceId> = self
            .spaces
            .iter()
            .filter(|space| late(space))
            .map(|space| space.id)
            .collect();
        for id in late {
            self.leave(id);
            self.outputs.push_back(Output::TimedOut(id));
        }
        if self.idle_deadline().is_some_and(|deadline| now >= deadline) {
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

    /// Sends CONNECT with this payload.
    pub(crate) fn authenticate(&mut self, id: SpaceId, payload: Option<&Value>) {
        let waiting = |space: &&mut Space| space.id == id && space.stage == Stage::Authenticating;
        let open = self.phase == Phase::Open;
        if let Some(space) = self.spaces.iter_mut().find(waiting).filter(|_| open) {
            space.stage = Stage::Connecting;
            let frame = packet::encode_connect(&space.namespace, payload);
            self.outputs.push_back(Output::Control(frame));
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
        let taken = match self.config.parser {
            Parser::Json => self.attachment(frame),
            #[cfg(feature = "msgpack")]
            Parser::MessagePack => self.binary_packet(&frame),
        };
        if let Err(error) = taken {
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
        self.spaces.clear();
        self.outputs.push_back(last);
    }
}

#[cfg(test)]
mod tests;
