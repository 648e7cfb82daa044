//! What a caller can see of the connection.

use std::fmt;
use std::time::Duration;

use crate::error::ProtocolError;

/// State of a client, published through [`Client::state`](crate::Client::state).
///
/// `Disconnected` and `Failed` are final: the client does not connect again, its subscriptions end and
/// sending fails with [`EmitError::Closed`](crate::EmitError::Closed).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The connection ended and is not tried again.
    Disconnected {
        /// Why it ended.
        reason: Option<DisconnectReason>,
    },
    /// An attempt to connect is under way.
    Connecting,
    /// The server has accepted the namespace.
    Connected {
        /// The session id that the server gave to this connection.
        sid: String,
        /// True when the server restored the session of the last connection: what it sent meanwhile follows,
        /// and rooms and data are kept. False on a first connection, on servers without connection state
        /// recovery, and when the session was gone.
        recovered: bool,
    },
    /// The connection is down; the next attempt follows after `delay`.
    Reconnecting {
        /// Number of the coming attempt, from 1; starts again after an established connection is lost.
        attempt: u32,
        /// Time to the next attempt, counted from the moment this state was published.
        delay: Duration,
        /// Why there is no connection.
        error: String,
    },
    /// No connection, and no further attempt will be made.
    Failed {
        /// Why.
        error: String,
    },
}

impl State {
    /// True in `Connected`.
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }

    /// True in the final states, `Disconnected` and `Failed`.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Disconnected { .. } | Self::Failed { .. })
    }
}

/// Why an established connection ended. The texts are those of the JavaScript client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// The server sent DISCONNECT. Not followed by a new attempt unless
    /// [`reconnect_after_server_disconnect`](crate::ClientBuilder::reconnect_after_server_disconnect) is set.
    ServerDisconnect,
    /// The application called [`Client::disconnect`](crate::Client::disconnect) or dropped the last client.
    ClientDisconnect,
    /// The server was silent for `pingInterval + pingTimeout` and the slack.
    PingTimeout,
    /// The link was closed.
    TransportClose,
    /// The link failed.
    TransportError,
    /// The server sent something that breaks the protocol or a limit.
    ParseError,
}

impl DisconnectReason {
    /// The text that the JavaScript client uses for this reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServerDisconnect => "io server disconnect",
            Self::ClientDisconnect => "io client disconnect",
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::ParseError => "parse error",
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The end of a link: the reason and, where there is one, the error behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// Why the link ended.
    pub reason: DisconnectReason,
    /// The protocol violation, crossed limit or transport failure behind it.
    pub error: Option<ProtocolError>,
}

impl Disconnect {
    pub(crate) fn new(reason: DisconnectReason) -> Self {
        Self { reason, error: None }
    }

    pub(crate) fn because(reason: DisconnectReason, error: ProtocolError) -> Self {
        Self {
            reason,
            error: Some(error),
        }
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{}: {error}", self.reason),
            None => write!(f, "{}", self.reason),
        }
    }
}
