//! WebSocket connections.

/// The sockets of one run.
#[derive(Default)]
pub(crate) struct Sockets;
