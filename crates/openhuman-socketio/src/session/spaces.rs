//! Packets that have all their attachments, each for its namespace.

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Incoming, Output, Session, Stage};
use crate::error::ProtocolError;
use crate::packet::{self, Body, Packet};

impl Session {
    /// Acts on a packet that has all its attachments.
    pub(super) fn complete(&mut self, frame: &Utf8Bytes, packet: Packet) -> Result<(), ProtocolError> {
        let namespace = packet.header.namespace(frame);
        let Some(at) = self
            .spaces
            .iter()
            .position(|space| *space.namespace == *namespace)
        else {
            self.stray(namespace, &packet.body);
            return Ok(());
        };
        let space = self.spaces[at].id;
        match packet.body {
            Body::Connect { sid, pid } => self.connected(at, sid, pid),
            Body::Disconnect => {
                self.spaces.swap_remove(at);
                self.outputs.push_back(Output::Left(space));
            }
            Body::ConnectError(rejection) => {
                self.spaces.swap_remove(at);
                self.outputs.push_back(Output::Rejected(space, rejection));
            }
            Body::Event { name, payload } => {
                return self.event(
                    at,
                    Incoming {
                        name,
                        payload,
                        ack_id: packet.header.id,
                    },
                );
            }
            Body::Ack { payload } => {
                if let Some(id) = packet.header.id {
                    self.outputs.push_back(Output::Ack { space, id, payload });
                }
            }
        }
        Ok(())
    }

    /// A packet for a namespace that is not on this link. One that the server connects too late is left at
    /// once, so that the server does not keep it.
    fn stray(&mut self, namespace: &str, body: &Body) {
        let abandoned = self.abandoned.iter().position(|name| **name == *namespace);
        let Some(at) = abandoned else { return };
        if matches!(body, Body::Connect { .. } | Body::ConnectError(_)) {
            self.abandoned.swap_remove(at);
        }
        if matches!(body, Body::Connect { .. }) {
            let frame = packet::encode_disconnect(namespace);
            self.outputs.push_back(Output::Control(frame));
        }
    }

    fn connected(&mut self, at: usize, sid: Option<String>, pid: Option<String>) {
        let space = &mut self.spaces[at];
        match (space.stage, sid) {
            (_, None) => self.end(Output::Unsupported(
                "it accepted the namespace without a session id",
            )),
            (Stage::Connecting | Stage::Connected, Some(sid)) => {
                space.stage = Stage::Connected;
                let id = space.id;
                let early = std::mem::take(&mut space.early);
                self.outputs.push_back(Output::Connected { space: id, sid, pid });
                self.outputs
                    .extend(early.into_iter().map(|event| Output::Event(id, event)));
            }
            // Servers of version 2 accept the root namespace without being asked.
            (Stage::Authenticating, Some(_)) => self.end(Output::Unsupported(
                "it accepted a namespace that was not asked for",
            )),
        }
    }

    fn event(&mut self, at: usize, event: Incoming) -> Result<(), ProtocolError> {
        let space = &mut self.spaces[at];
        if space.stage == Stage::Connected {
            self.outputs.push_back(Output::Event(space.id, event));
            return Ok(());
        }
        // A server that restores a session sends what was missed before it confirms the namespace.
        let max = self.config.limits.max_early_events;
        let bytes: usize = space.early.iter().map(|early| early.payload.size()).sum();
        if space.early.len() >= max || bytes > self.config.limits.subscription_bytes {
            return Err(ProtocolError::TooManyEarlyEvents { max });
        }
        space.early.push(event);
        Ok(())
    }
}
