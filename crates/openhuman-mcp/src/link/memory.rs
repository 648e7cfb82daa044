//! An [`EventLink`] inside one process, for tests and for embedding.

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{AckSender, EventLink, LinkError, LinkEvent};

/// Two connected ends: the link for [`serve`](super::serve) and the peer that plays the backend.
pub fn pair() -> (MemoryLink, MemoryPeer) {
    let (to_peer, from_link) = mpsc::unbounded_channel();
    let (to_link, from_peer) = mpsc::unbounded_channel();
    (
        MemoryLink {
            out: to_peer,
            events: Mutex::new(from_peer),
        },
        MemoryPeer {
            out: to_link,
            events: from_link,
        },
    )
}

/// The end that is served.
#[derive(Debug)]
pub struct MemoryLink {
    out: mpsc::UnboundedSender<(String, Value)>,
    events: Mutex<mpsc::UnboundedReceiver<LinkEvent>>,
}

impl EventLink for MemoryLink {
    fn emit<'a>(&'a self, event: &'a str, data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
        let sent = self
            .out
            .send((event.to_owned(), data))
            .map_err(|_| LinkError::NotConnected);
        Box::pin(async move { sent })
    }

    fn next(&self) -> BoxFuture<'_, Option<LinkEvent>> {
        Box::pin(async { self.events.lock().await.recv().await })
    }
}

/// The end that plays the backend. Dropping it closes the link for good.
#[derive(Debug)]
pub struct MemoryPeer {
    out: mpsc::UnboundedSender<LinkEvent>,
    events: mpsc::UnboundedReceiver<(String, Value)>,
}

impl MemoryPeer {
    /// Reports that the connection is up.
    pub fn ready(&self) {
        self.push(LinkEvent::Ready);
    }

    /// Reports that the connection broke.
    pub fn lost(&self) {
        self.push(LinkEvent::Lost);
    }

    /// Sends an event.
    pub fn send(&self, event: &str, data: Value) {
        self.push(LinkEvent::Event {
            name: event.to_owned(),
            data,
            ack: None,
        });
    }

    /// Sends an event that wants an acknowledgement. The receiver fails when none can come any more.
    pub fn send_with_ack(&self, event: &str, data: Value) -> oneshot::Receiver<Value> {
        let (answer, receiver) = oneshot::channel();
        let ack = AckSender::new(move |data| {
            let sent = answer.send(data).map_err(|_| LinkError::NotConnected);
            Box::pin(async move { sent })
        });
        self.push(LinkEvent::Event {
            name: event.to_owned(),
            data,
            ack: Some(ack),
        });
        receiver
    }

    /// The next event from the served end, or `None` when it is gone.
    pub async fn receive(&mut self) -> Option<(String, Value)> {
        self.events.recv().await
    }

    /// The next event if there is one already.
    pub fn try_receive(&mut self) -> Option<(String, Value)> {
        self.events.try_recv().ok()
    }

    fn push(&self, event: LinkEvent) {
        // A served end that is gone shows in `receive`.
        let _ = self.out.send(event);
    }
}
