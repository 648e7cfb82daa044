//! Figures of a connection.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a connection has done so far, over all its links and namespaces.
///
/// Read one by one while the connection goes on, so that they need not fit together exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Engine.IO frames received, heartbeats included.
    pub frames_received: u64,
    /// Bytes in them.
    pub bytes_received: u64,
    /// Engine.IO frames given to the transport, heartbeats included.
    pub frames_sent: u64,
    /// Bytes in them.
    pub bytes_sent: u64,
    /// Links opened, that is, first connection and reconnections.
    pub links: u64,
    /// WebSockets that replaced long-polling.
    pub upgrades: u64,
    /// Events dropped from the send buffer for newer ones, and volatile events that were not sent.
    pub dropped: u64,
    /// Events that wait to be written in the namespace that was asked.
    pub waiting: u64,
    /// Acknowledgements awaited in the namespace that was asked.
    pub pending_acks: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    frames_received: AtomicU64,
    bytes_received: AtomicU64,
    frames_sent: AtomicU64,
    bytes_sent: AtomicU64,
    links: AtomicU64,
    upgrades: AtomicU64,
    dropped: AtomicU64,
}

impl Counters {
    pub(crate) fn received(&self, bytes: usize) {
        self.frames_received.fetch_add(1, Ordering::Relaxed);
        self.bytes_received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.frames_sent.fetch_add(1, Ordering::Relaxed);
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_link(&self) {
        self.links.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_upgrade(&self) {
        self.upgrades.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_dropped(&self, events: u64) {
        self.dropped.fetch_add(events, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, waiting: usize, pending_acks: usize) -> Stats {
        Stats {
            frames_received: self.frames_received.load(Ordering::Relaxed),
            bytes_received: self.bytes_received.load(Ordering::Relaxed),
            frames_sent: self.frames_sent.load(Ordering::Relaxed),
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            links: self.links.load(Ordering::Relaxed),
            upgrades: self.upgrades.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            waiting: waiting as u64,
            pending_acks: pending_acks as u64,
        }
    }
}
