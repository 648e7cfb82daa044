//! What a server can do wrong.

use std::time::Duration;

use thiserror::Error;

/// The peer broke the protocol, crossed one of the [`Limits`](crate::Limits), or the transport failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// An Engine.IO frame could not be read.
    #[error("the server sent an invalid Engine.IO frame: {what}")]
    InvalidFrame {
        /// The part that is wrong.
        what: &'static str,
    },
    /// A Socket.IO packet could not be read.
    #[error("the server sent an invalid Socket.IO packet: {what}")]
    InvalidPacket {
        /// The part that is wrong.
        what: &'static str,
    },
    /// A WebSocket message is longer than [`Limits::max_frame_bytes`](crate::Limits::max_frame_bytes).
    #[error(
        "the server sent a message of {size} bytes; the limit is {max}: raise max_frame_bytes if it is expected"
    )]
    FrameTooLarge {
        /// Announced size in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// A packet announces more than [`Limits::max_attachments`](crate::Limits::max_attachments) attachments.
    #[error("the server announced {count} attachments; the limit is {max}")]
    TooManyAttachments {
        /// Announced number.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// The attachments of a packet together cross
    /// [`Limits::max_attachment_bytes`](crate::Limits::max_attachment_bytes).
    #[error("the attachments of a packet reached {size} bytes; the limit is {max}")]
    AttachmentsTooLarge {
        /// Bytes received so far.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// A namespace name is longer than [`Limits::max_namespace_bytes`](crate::Limits::max_namespace_bytes).
    #[error("the server sent a namespace name of {size} bytes; the limit is {max}")]
    NamespaceTooLong {
        /// Received size in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// An event name is longer than [`Limits::max_event_name_bytes`](crate::Limits::max_event_name_bytes).
    #[error("the server sent an event name of {size} bytes; the limit is {max}")]
    EventNameTooLong {
        /// Received size in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// An event carries one of the names that the protocol reserves.
    #[error("the server sent an event with the reserved name {name:?}")]
    ReservedEvent {
        /// The reserved name.
        name: String,
    },
    /// The attachments of a packet did not all arrive in
    /// [`Limits::completion_timeout`](crate::Limits::completion_timeout).
    #[error("only {received} of {expected} attachments arrived within {after:?}")]
    IncompletePacket {
        /// Attachments that arrived.
        received: usize,
        /// Attachments that were announced.
        expected: usize,
        /// The time that was allowed.
        after: Duration,
    },
    /// A binary message arrived that no packet announced.
    #[error("the server sent a binary message that no packet announced")]
    UnexpectedBinary,
    /// Another packet arrived between a packet and its attachments.
    #[error("the server sent another packet before all attachments of the last one")]
    InterruptedPacket,
    /// More than [`Limits::max_early_events`](crate::Limits::max_early_events) events arrived before the
    /// namespace was connected.
    #[error("more than {max} events arrived before the namespace was connected")]
    TooManyEarlyEvents {
        /// The limit.
        max: usize,
    },
    /// The server closed the WebSocket, with one of the codes of RFC 6455: 1009 after a message that is too long.
    #[error("the server closed the WebSocket with code {code}, saying {reason:?}")]
    Closed {
        /// The code.
        code: u16,
        /// The server's words, often none.
        reason: String,
    },
    /// The transport failed below the protocol.
    #[error("the transport failed: {message}")]
    Transport {
        /// What the transport reported.
        message: String,
    },
}
