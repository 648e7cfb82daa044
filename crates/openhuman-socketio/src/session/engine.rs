//! Frames: what belongs to Engine.IO is dealt with here, messages become packets with their attachments.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Opened, Output, Partial, Phase, Session};
use crate::error::ProtocolError;
use crate::packet::{self, Body, Parser};
use crate::state::{Disconnect, DisconnectReason};

/// No server needs longer intervals than a day; the bound keeps clock arithmetic from overflowing.
const LONGEST_INTERVAL_MS: u64 = 24 * 3600 * 1000;

/// Longest data of a ping, in bytes, that is sent back; the protocol itself uses five.
const LONGEST_PING: usize = 125;

impl Session {
    pub(super) fn engine_packet(&mut self, now: Instant, frame: &Utf8Bytes) -> Result<(), ProtocolError> {
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
            #[serde(default, rename = "upgrades", deserialize_with = "offers_websocket")]
            can_upgrade: bool,
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
        self.phase = Phase::Open;
        let max_payload = open.max_payload.filter(|max| *max > 0);
        self.outputs.push_back(Output::Opened(Opened {
            sid: open.sid,
            can_upgrade: open.can_upgrade,
            max_payload: max_payload.map(|max| usize::try_from(max).unwrap_or(usize::MAX)),
        }));
        let authenticate = self.spaces.iter().map(|space| Output::Authenticate(space.id));
        self.outputs.extend(authenticate);
        Ok(())
    }

    fn message(&mut self, now: Instant, frame: &Utf8Bytes) -> Result<(), ProtocolError> {
        if self.partial.is_some() {
            return Err(ProtocolError::InterruptedPacket);
        }
        if self.config.parser != Parser::Json {
            return Err(ProtocolError::InvalidPacket {
                what: "a text frame, which the MessagePack parser does not know",
            });
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

    pub(super) fn attachment(&mut self, frame: Bytes) -> Result<(), ProtocolError> {
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

    #[cfg(feature = "msgpack")]
    pub(super) fn binary_packet(&mut self, frame: &[u8]) -> Result<(), ProtocolError> {
        let (frame, attachments) = crate::msgpack::decode(frame, &self.config.limits)?;
        let mut packet = packet::decode(&frame, 1, &self.config.limits)?;
        if let Body::Event { payload, .. } | Body::Ack { payload } = &mut packet.body {
            payload.attachments = attachments;
        }
        self.complete(&frame, packet)
    }
}

/// Looks for one name in a list that can be as long as the longest frame, without keeping it.
fn offers_websocket<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = bool;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of transports")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
            let mut found = false;
            while let Some(name) = seq.next_element::<String>()? {
                found |= name == "websocket";
            }
            Ok(found)
        }
    }

    deserializer.deserialize_seq(Names)
}
