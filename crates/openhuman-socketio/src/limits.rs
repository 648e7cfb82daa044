//! Upper bounds on everything the peer can send and everything that waits in memory.

use std::time::Duration;

/// Upper bounds for one client.
///
/// Every value that a server controls has a bound here; crossing one ends the connection with a typed
/// [`ProtocolError`](crate::ProtocolError) instead of growing memory. The bounds on what the application
/// sends produce a typed [`EmitError`](crate::EmitError) and leave the connection alone.
///
/// ```
/// use openhuman_socketio::Limits;
///
/// let mut limits = Limits::default();
/// limits.max_frame_bytes = 1024 * 1024;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest WebSocket message accepted from the server, in bytes. Default 16 MiB.
    pub max_frame_bytes: usize,
    /// Most binary attachments in one received packet. Default 10, as in the JavaScript parser.
    pub max_attachments: usize,
    /// Most bytes in all attachments of one received packet. Default 16 MiB.
    pub max_attachment_bytes: usize,
    /// Time within which all attachments of a packet must arrive. Default 30 s.
    pub completion_timeout: Duration,
    /// Longest namespace name accepted, in bytes. Default 256.
    pub max_namespace_bytes: usize,
    /// Longest event name, in bytes, in both directions. Default 1024.
    pub max_event_name_bytes: usize,
    /// Most events held back when they arrive before the namespace is connected. Default 1024.
    pub max_early_events: usize,
    /// Most binary attachments in one sent packet. Default 10: official servers close the link above it.
    pub max_send_attachments: usize,
    /// Most acknowledgements that can be awaited at one time. Default 65,536.
    pub max_pending_acks: usize,
    /// Most packets that wait to be written. Default 10,000.
    pub max_buffered_packets: usize,
    /// Most bytes that wait to be written. Default 16 MiB.
    pub max_buffered_bytes: usize,
    /// Most events that wait in one subscription. Default 1024.
    pub subscription_events: usize,
    /// Most bytes that wait in one subscription. Default 16 MiB.
    pub subscription_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            max_frame_bytes: 16 * MIB,
            max_attachments: 10,
            max_attachment_bytes: 16 * MIB,
            completion_timeout: Duration::from_secs(30),
            max_namespace_bytes: 256,
            max_event_name_bytes: 1024,
            max_early_events: 1024,
            max_send_attachments: 10,
            max_pending_acks: 65_536,
            max_buffered_packets: 10_000,
            max_buffered_bytes: 16 * MIB,
            subscription_events: 1024,
            subscription_bytes: 16 * MIB,
        }
    }
}
