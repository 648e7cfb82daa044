//! What the clients of one namespace and the driver of the connection share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime;
use tokio::sync::watch;

use crate::ack::Acks;
use crate::error::{AckError, EmitError};
use crate::outbox::{Evicted, Outbox};
use crate::packet::Encoded;
use crate::state::{Disconnect, State};
use crate::stats::Counters;
use crate::subscription::Registry;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) runtime: runtime::Handle,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) acks: Acks,
    pub(crate) registry: Arc<Registry>,
    /// Subscriptions to what goes out.
    pub(crate) outgoing: Arc<Registry>,
    /// Of the whole connection.
    pub(crate) counters: Arc<Counters>,
    /// Time allowed for an acknowledgement when none is given.
    pub(crate) ack_timeout: Duration,
    state: watch::Sender<State>,
    last_disconnect: Mutex<Option<Disconnect>>,
}

impl Shared {
    pub(crate) fn new(
        runtime: runtime::Handle,
        outbox: Outbox,
        registry: Arc<Registry>,
        counters: Arc<Counters>,
        ack_timeout: Duration,
    ) -> Self {
        Self {
            runtime,
            acks: Acks::new(outbox.limits.max_pending_acks),
            outbox: Arc::new(outbox),
            registry,
            outgoing: Arc::default(),
            counters,
            ack_timeout,
            state: watch::Sender::new(State::Connecting),
            last_disconnect: Mutex::new(None),
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.send_replace(state);
    }

    /// Accepts an event for sending, and settles what was dropped for it.
    pub(crate) async fn send(&self, encoded: Encoded, ack: Option<u64>) -> Result<(), EmitError> {
        let Evicted { events, acks } = self.outbox.send(encoded, ack).await?;
        if events > 0 {
            self.counters.add_dropped(events);
            for id in acks {
                self.acks.resolve(id, Err(AckError::Emit(EmitError::Dropped)));
            }
        }
        Ok(())
    }

    pub(crate) fn last_disconnect(&self) -> Option<Disconnect> {
        self.last_disconnect
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_last_disconnect(&self, disconnect: Disconnect) {
        *self
            .last_disconnect
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(disconnect);
    }

    /// Fails what depended on the link that is gone.
    pub(crate) fn link_down(&self) {
        let unsent = self.outbox.link_down();
        self.acks.link_down();
        for id in unsent {
            self.acks.resolve(id, Err(AckError::Disconnected));
        }
    }

    /// Ends everything. The state is published last, so that whoever waits for it sees the rest done.
    pub(crate) fn close(&self, state: State) {
        self.outbox.close();
        self.acks.close();
        self.registry.close();
        self.outgoing.close();
        self.set_state(state);
    }
}
