//! What one desktop may ask of the backend.

use std::time::Duration;

/// The limits of a backend. All have defaults that suit a small team.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest message a desktop may send, in bytes; a longer one closes the connection. Default: 4 MiB.
    pub message_bytes: usize,
    /// Chat turns that one desktop may run at once. Default: 4.
    pub turns: usize,
    /// Desktops that may be connected at once. Default: 1,024.
    pub desktops: usize,
    /// Received events that may wait to be handled; a desktop that floods is disconnected. Default: 1,024.
    pub inbox: usize,
    /// Tools of one desktop that are offered to the model; the rest is left out. Default: 256.
    pub tools: usize,
    /// How long a tool call may take. Default: 30 s.
    pub tool_deadline: Duration,
    /// How long a session token is good. Default: 30 days.
    pub session: Duration,
    /// Conversations that are remembered; the least recently used one is forgotten. Default: 1,024.
    pub threads: usize,
    /// How much of one conversation is remembered, in bytes of text. Default: 256 KiB.
    pub thread_bytes: usize,
    /// How long a shutdown waits for running turns to end. Default: 3 s.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 4 * 1024 * 1024,
            turns: 4,
            desktops: 1024,
            inbox: 1024,
            tools: 256,
            tool_deadline: Duration::from_secs(30),
            session: Duration::from_secs(30 * 24 * 60 * 60),
            threads: 1024,
            thread_bytes: 256 * 1024,
            shutdown: Duration::from_secs(3),
        }
    }
}
