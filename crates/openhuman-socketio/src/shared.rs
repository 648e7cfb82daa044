//! What the clients and the driver of one connection share.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime;
use tokio::sync::watch;

use crate::ack::Acks;
use crate::outbox::Outbox;
use crate::state::{Disconnect, State};
use crate::subscription::Registry;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) runtime: runtime::Handle,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) acks: Acks,
    pub(crate) registry: Arc<Registry>,
    state: watch::Sender<State>,
    last_disconnect: Mutex<Option<Disconnect>>,
}

impl Shared {
    pub(crate) fn new(runtime: runtime::Handle, outbox: Outbox, registry: Arc<Registry>) -> Self {
        Self {
            runtime,
            acks: Acks::new(outbox.limits.max_pending_acks),
            outbox: Arc::new(outbox),
            registry,
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
        self.outbox.link_down();
        self.acks.link_down();
    }

    /// Ends everything. The state is published last, so that whoever waits for it sees the rest done.
    pub(crate) fn close(&self, state: State) {
        self.outbox.close();
        self.acks.close();
        self.registry.close();
        self.set_state(state);
    }
}
