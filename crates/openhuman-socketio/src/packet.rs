//! The Socket.IO 5 packet codec.
//!
//! Decoding looks at the header only and keeps offsets into the received frame; the JSON body is left as
//! it is until someone asks for it. Encoding writes one text frame and collects the attachments.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::payload::Payload;

mod decode;
mod encode;

pub(crate) use self::decode::{decode, decode_header};
pub(crate) use self::encode::{
    begin, body_of_event, encode_connect, encode_disconnect, event_of_body, finish, with_argument, with_id,
};

/// Names that Socket.IO uses for its own events.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// How packets are written on the wire; both sides must use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Parser {
    /// Text frames with JSON, binary values behind them: the parser of every server that was not told
    /// otherwise. The default.
    #[default]
    Json,
    /// One MessagePack map for each packet, as `socket.io-msgpack-parser` writes it.
    #[cfg(feature = "msgpack")]
    MessagePack,
}

/// The packet type, the digit at the start of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Connect,
    Disconnect,
    Event,
    Ack,
    ConnectError,
    BinaryEvent,
    BinaryAck,
}

/// The head of a packet. Ranges are offsets into the frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) attachments: usize,
    /// `None` is the root namespace `/`.
    namespace: Option<Range<usize>>,
    pub(crate) id: Option<u64>,
    /// Where the JSON starts; the end of the frame when there is none.
    body: usize,
}

impl Header {
    pub(crate) fn namespace<'a>(&self, frame: &'a str) -> &'a str {
        self.namespace
            .as_ref()
            .and_then(|range| frame.get(range.clone()))
            .unwrap_or("/")
    }

    /// Where the JSON starts; the end of the frame when there is none.
    pub(crate) fn body_start(&self) -> usize {
        self.body
    }
}

/// A refused CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

/// What a packet carries behind its header.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    Connect {
        sid: Option<String>,
        /// The private id with which the session can be restored later.
        pid: Option<String>,
    },
    Disconnect,
    ConnectError(Rejection),
    Event {
        name: Name,
        payload: Payload,
    },
    Ack {
        payload: Payload,
    },
}

/// A decoded packet; `header.attachments` binary frames follow it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Packet {
    pub(crate) header: Header,
    pub(crate) body: Body,
}

/// An event name: a part of the frame, or a string of its own when it was escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Plain(Range<usize>),
    Escaped(Box<str>),
}

impl Name {
    pub(crate) fn as_str<'a>(&'a self, frame: &'a str) -> &'a str {
        match self {
            Self::Plain(range) => frame.get(range.clone()).unwrap_or_default(),
            Self::Escaped(name) => name,
        }
    }
}

/// A packet ready to be written: one text frame, then its attachments, with nothing between.
#[derive(Clone, PartialEq)]
pub(crate) struct Encoded {
    pub(crate) text: Utf8Bytes,
    pub(crate) attachments: Vec<Bytes>,
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the application sends can be confidential.
        write!(f, "Encoded({} bytes)", self.size())
    }
}

impl Encoded {
    /// Bytes of all frames.
    pub(crate) fn size(&self) -> usize {
        self.attachments.iter().map(Bytes::len).sum::<usize>() + self.text.len()
    }

    /// Bytes of the largest frame.
    pub(crate) fn largest_frame(&self) -> usize {
        self.attachments
            .iter()
            .map(Bytes::len)
            .fold(self.text.len(), usize::max)
    }
}

#[cfg(test)]
mod official;
#[cfg(test)]
mod tests;
