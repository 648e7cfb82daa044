//! The figures of a link, for a status page and for `doctor`.

use std::sync::atomic::{AtomicU64, Ordering};

use openhuman_socketio::Client;
use schemars::JsonSchema;
use serde::Serialize;

/// What a link has done so far, over all of its connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct LinkReport {
    /// The backend's address.
    pub backend: String,
    /// Connections that were made: the first one and those that repaired it.
    pub connections: u64,
    /// Frames received, heartbeats included, and the bytes in them.
    pub frames_received: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Frames sent, heartbeats included.
    pub frames_sent: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Answers of the backend that are awaited.
    pub pending_acks: u64,
    /// Events that wait to be sent.
    pub waiting: u64,
    /// Events of the backend that were dropped because this side did not keep up.
    pub lost_events: u64,
    /// How many of them were for skills only: their queue was full, and nothing else waits for it.
    pub lost_skill_events: u64,
    /// Why the last connection ended, with the error behind it where there is one.
    pub last_disconnect: Option<String>,
}

/// What the routing of events counts.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    lost: AtomicU64,
    skills: AtomicU64,
}

impl Figures {
    /// The client's queue has dropped this many events so far.
    pub(crate) fn set_lost(&self, lost: u64) {
        self.lost.store(lost, Ordering::Relaxed);
    }

    /// An event found the queue of the skills full.
    pub(crate) fn add_skill(&self) {
        self.skills.fetch_add(1, Ordering::Relaxed);
    }

    /// All events that were dropped.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed) + self.skills.load(Ordering::Relaxed)
    }

    pub(crate) fn report(&self, client: &Client, backend: &str) -> LinkReport {
        let stats = client.stats();
        LinkReport {
            backend: backend.to_owned(),
            connections: stats.links,
            frames_received: stats.frames_received,
            bytes_received: stats.bytes_received,
            frames_sent: stats.frames_sent,
            bytes_sent: stats.bytes_sent,
            pending_acks: stats.pending_acks,
            waiting: stats.waiting,
            lost_events: self.lost(),
            lost_skill_events: self.skills.load(Ordering::Relaxed),
            last_disconnect: client.last_disconnect().map(|last| last.to_string()),
        }
    }
}
