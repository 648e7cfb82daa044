//! When the next `tool:sync` goes out.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::hub::Hub;

/// How long to wait before a refused `tool:sync` is sent again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// When the next `tool:sync` goes out: pure state, the time is an argument.
#[derive(Default)]
pub(super) struct Schedule {
    connected: bool,
    sending: bool,
    due: Option<Due>,
    last: Option<Arc<str>>,
}

#[derive(Clone, Copy)]
enum Due {
    Now,
    At(Instant),
}

impl Schedule {
    pub(super) fn ready(&mut self) {
        self.connected = true;
        self.last = None;
        self.due = Some(Due::Now);
    }

    pub(super) fn lost(&mut self) {
        *self = Self::default();
    }

    /// The first change of a burst starts the clock; later ones ride along.
    pub(super) fn changed(&mut self, now: Instant, coalesce: Duration) {
        if self.connected && self.due.is_none() {
            self.due = Some(Due::At(now + coalesce));
        }
    }

    /// A payload that was refused is tried again, unless the connection turns out to be lost.
    pub(super) fn sent(&mut self, worked: bool, now: Instant) {
        self.sending = false;
        if !worked && self.connected {
            self.last = None;
            self.due.get_or_insert(Due::At(now + RETRY));
        }
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        match self.due {
            Some(Due::At(at)) if !self.sending => Some(at),
            _ => None,
        }
    }

    pub(super) fn due(&mut self, now: Instant, hub: &Hub) -> Option<Arc<str>> {
        let ripe = match self.due {
            Some(Due::Now) => true,
            Some(Due::At(at)) => now >= at,
            None => false,
        };
        if !ripe || self.sending {
            return None;
        }
        self.due = None;
        let payload: Arc<str> = hub.catalog().sync_text().into();
        if self.last.as_ref() == Some(&payload) {
            return None;
        }
        self.sending = true;
        self.last = Some(Arc::clone(&payload));
        Some(payload)
    }
}
