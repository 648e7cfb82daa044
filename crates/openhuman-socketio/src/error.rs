//! Errors, one enum for each family of operations.

use std::error::Error as StdError;
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use crate::state::Disconnect;

mod protocol;

pub use self::protocol::ProtocolError;

/// What an authentication function returns when it has no credentials to offer.
pub type AuthError = Box<dyn StdError + Send + Sync + 'static>;

/// A connection could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be used.
    #[error("cannot use the URL {url:?}: {problem}")]
    InvalidUrl {
        /// The URL as given, without credentials.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The namespace cannot be used.
    #[error(
        "cannot use the namespace {namespace:?}: it must start with '/', contain no ',' and fit the limits"
    )]
    InvalidNamespace {
        /// The namespace as given.
        namespace: String,
    },
    /// The namespace is in use on this connection already.
    #[error(
        "the namespace {namespace:?} is in use on this connection: use its client, or disconnect it first"
    )]
    NamespaceInUse {
        /// The namespace.
        namespace: String,
    },
    /// The proxy's address cannot be used.
    #[error("cannot use the proxy: {problem}")]
    InvalidProxy {
        /// What is wrong with it. The address is not repeated, as it can hold a password.
        problem: &'static str,
    },
    /// The TLS settings cannot be used.
    #[error("cannot use the TLS settings: {problem}")]
    InvalidTls {
        /// What is wrong with them.
        problem: String,
    },
    /// The proxy did not open a way to the server.
    #[error("the proxy {proxy} did not connect to the server: {problem}")]
    Proxy {
        /// Its host and port.
        proxy: String,
        /// What it answered.
        problem: String,
    },
    /// The first request of long-polling failed.
    #[error("long-polling could not begin: {message}")]
    Polling {
        /// What went wrong.
        message: String,
    },
    /// A request header cannot be used.
    #[error("cannot use the request header {name:?}: {problem}")]
    InvalidHeader {
        /// Name of the header. The value is not repeated, as it can be a secret.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The call was made outside a tokio runtime.
    #[error("no tokio runtime is running: call connect() or start() from inside one")]
    NoRuntime,
    /// The attempt did not finish in time.
    #[error("no connection within {after:?}: check the address, or raise connect_timeout")]
    Timeout {
        /// The time that was allowed.
        after: Duration,
    },
    /// The TCP connection could not be opened.
    #[error("cannot reach {host}:{port}: {source}")]
    Unreachable {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The TLS handshake failed.
    #[error("the TLS handshake with {host} failed: {source}")]
    Tls {
        /// Host name or address.
        host: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The server answered the first request with an HTTP error, or without opening a WebSocket.
    #[error("the server answered HTTP {status} instead of opening the connection: {body}")]
    Http {
        /// HTTP status code.
        status: u16,
        /// The beginning of the answer's text; can be empty.
        body: String,
    },
    /// The WebSocket handshake failed.
    #[error("the WebSocket handshake failed: {message}")]
    WebSocket {
        /// What went wrong.
        message: String,
    },
    /// The authentication function failed, panicked or returned something that is not an object.
    #[error("no credentials for the connection: {source}")]
    Auth {
        /// What the function reported.
        source: AuthError,
    },
    /// The server refused the namespace with CONNECT_ERROR.
    #[error("the server refused the connection: {message}")]
    Rejected {
        /// The server's message, at most about 1 KiB of it; can be empty.
        message: String,
        /// The server's `data`, when it sent any.
        data: Option<Value>,
    },
    /// The server does not speak Socket.IO 5.
    #[error("the server does not speak Socket.IO protocol 5: {what}")]
    UnsupportedServer {
        /// How that was noticed.
        what: &'static str,
    },
    /// The link was lost before the namespace was connected.
    #[error("the link was lost before the connection was up: {0}")]
    Lost(Disconnect),
    /// The client was disconnected or dropped while it was connecting.
    #[error("the client was disconnected while it was connecting")]
    Closed,
}

impl ConnectError {
    /// The same once more, for another namespace whose attempt ended with it.
    pub(crate) fn copy(&self) -> Self {
        let copied = |source: &std::io::Error| std::io::Error::new(source.kind(), source.to_string());
        match self {
            Self::Timeout { after } => Self::Timeout { after: *after },
            Self::Unreachable { host, port, source } => Self::Unreachable {
                host: host.clone(),
                port: *port,
                source: copied(source),
            },
            Self::Tls { host, source } => Self::Tls {
                host: host.clone(),
                source: copied(source),
            },
            Self::Http { status, body } => Self::Http {
                status: *status,
                body: body.clone(),
            },
            Self::Proxy { proxy, problem } => Self::Proxy {
                proxy: proxy.clone(),
                problem: problem.clone(),
            },
            Self::InvalidTls { problem } => Self::InvalidTls {
                problem: problem.clone(),
            },
            Self::Polling { message } => Self::Polling {
                message: message.clone(),
            },
            Self::UnsupportedServer { what } => Self::UnsupportedServer { what },
            Self::Lost(disconnect) => Self::Lost(disconnect.clone()),
            Self::Closed => Self::Closed,
            Self::WebSocket { message } => Self::WebSocket {
                message: message.clone(),
            },
            other => Self::WebSocket {
                message: other.to_string(),
            },
        }
    }

    /// True when the server answered and refused, so that the same attempt would be refused again.
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected { .. })
    }

    /// True when the attempt ran out of time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }
}

/// A packet could not be accepted for sending.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The protocol reserves this name for itself.
    #[error("the event name {name:?} is reserved by the protocol: choose another")]
    ReservedEvent {
        /// The reserved name.
        name: String,
    },
    /// The event name crosses [`Limits::max_event_name_bytes`](crate::Limits::max_event_name_bytes).
    #[error("the event name has {size} bytes; the limit is {max}")]
    EventNameTooLong {
        /// Size in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The payload could not be written as JSON.
    #[error("the payload cannot be written as JSON: {0}")]
    Serialize(#[from] serde_json::Error),
    /// The arguments of `emit_args` are not a tuple, array or list.
    #[error("the arguments must be a tuple, an array or a list")]
    ArgsNotList,
    /// The payload has more attachments than
    /// [`Limits::max_send_attachments`](crate::Limits::max_send_attachments).
    #[error(
        "the payload has {count} attachments; the limit is {max}, above which servers close the connection"
    )]
    TooManyAttachments {
        /// Number of attachments.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// A frame is larger than the server's `maxPayload` or the whole send buffer.
    #[error("the packet needs {size} bytes; the most that can be sent is {max}")]
    TooLarge {
        /// Size in bytes.
        size: usize,
        /// The bound in bytes.
        max: usize,
    },
    /// The send buffer is full and the [`SendPolicy`](crate::SendPolicy) is not to wait.
    #[error("the send buffer is full: send less, wait, or raise its limits")]
    BufferFull,
    /// The event waited in the send buffer and was dropped for newer ones ([`SendPolicy::DropOldest`]).
    ///
    /// [`SendPolicy::DropOldest`]: crate::SendPolicy::DropOldest
    #[error("the event was dropped from the full send buffer for a newer one")]
    Dropped,
    /// There is no connection and the [`SendPolicy`](crate::SendPolicy) is not to buffer.
    #[error("there is no connection to the server at the moment")]
    NotConnected,
    /// The acknowledgement belongs to a connection that has been replaced; the server no longer waits for it.
    #[error("the connection that asked for this acknowledgement is gone")]
    ConnectionReplaced,
    /// The event was acknowledged before, perhaps by another subscriber.
    #[error("this event was acknowledged before")]
    AlreadyAcknowledged,
    /// The connection was lost while [`Client::flush`](crate::Client::flush) waited.
    #[error("the connection was lost before everything was written")]
    Lost,
    /// The client has been disconnected and will not connect again.
    #[error("the client is closed: build a new one to connect again")]
    Closed,
}

/// An acknowledgement did not arrive.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AckError {
    /// No acknowledgement in the time allowed.
    #[error("no acknowledgement within {after:?}")]
    Timeout {
        /// The time that was allowed.
        after: Duration,
    },
    /// The connection was lost after the event was sent; whether the server handled it is unknown.
    #[error("the connection was lost before the acknowledgement arrived")]
    Disconnected,
    /// [`Limits::max_pending_acks`](crate::Limits::max_pending_acks) acknowledgements are being awaited.
    #[error("{max} acknowledgements are being awaited already")]
    TooManyPending {
        /// The limit.
        max: usize,
    },
    /// The event could not be sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
}

impl AckError {
    /// True when the time allowed has passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }
}

/// What a [`DeliveryStore`](crate::DeliveryStore) reports.
pub type StoreError = Box<dyn StdError + Send + Sync + 'static>;

/// An event of a [`Delivery`](crate::Delivery) was not taken or not delivered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The event cannot be sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The event could not be sent to this server.
    #[error("the event was given up: {0}")]
    Ack(AckError),
    /// The server did not acknowledge the event, as often as it was tried.
    #[error("the event was given up: the server never acknowledged it")]
    GivenUp,
    /// The event could not be stored, and was not taken.
    #[error("the event could not be stored: {0}")]
    Store(StoreError),
    /// There is no randomness for the event's id.
    #[error("the system has no random numbers for the event's id")]
    NoRandomness,
    /// The client is closed. Stored events stay stored; others are gone.
    #[error("the client is closed")]
    Closed,
}

/// Received arguments do not have the type that was asked for.
#[derive(Debug, Error)]
#[error("the arguments do not have the expected shape: {0}")]
pub struct DecodeError(#[from] serde_json::Error);
