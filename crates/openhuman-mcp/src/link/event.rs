//! What carries the events.

use futures_util::future::BoxFuture;
use serde_json::Value;
use serde_json::value::RawValue;

/// A connection that carries named events both ways and comes back after it was lost.
pub trait EventLink: Send + Sync {
    /// Sends one event. `Ok` means that the transport took it, not that the other side has it.
    ///
    /// # Errors
    ///
    /// When there is no connection or the transport refused the payload.
    fn emit<'a>(&'a self, event: &'a str, data: Value) -> BoxFuture<'a, Result<(), LinkError>>;

    /// As [`emit`](Self::emit), for a payload that is JSON text already. A transport that writes text implements it to
    /// spare the way over a tree of values, which the lists of a large catalog are worth.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    fn emit_text<'a>(&'a self, event: &'a str, data: Box<RawValue>) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async move {
            let data =
                serde_json::from_str(data.get()).map_err(|error| LinkError::Failed(error.to_string()))?;
            self.emit(event, data).await
        })
    }

    /// The next thing that happened, in order. `None` when the link is closed for good. Dropping the
    /// future must not lose an event.
    fn next(&self) -> BoxFuture<'_, Option<LinkEvent>>;
}

/// What a link reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum LinkEvent {
    /// The other side is there and authenticated: send `tool:sync` now. It may come more than once.
    Ready,
    /// The connection broke. Everything in flight is cancelled.
    Lost,
    /// An event arrived.
    Event {
        /// Its name.
        name: String,
        /// Its first argument, or null.
        data: Value,
        /// Present when the other side asked for an acknowledgement.
        ack: Option<AckSender>,
    },
}

/// Answers one acknowledgement.
pub struct AckSender(Box<dyn FnOnce(Value) -> BoxFuture<'static, Result<(), LinkError>> + Send>);

impl AckSender {
    /// Wraps what sends the acknowledgement.
    pub fn new<F>(send: F) -> Self
    where
        F: FnOnce(Value) -> BoxFuture<'static, Result<(), LinkError>> + Send + 'static,
    {
        Self(Box::new(send))
    }

    /// Sends it.
    ///
    /// # Errors
    ///
    /// When the connection is gone.
    pub async fn send(self, data: Value) -> Result<(), LinkError> {
        (self.0)(data).await
    }
}

impl std::fmt::Debug for AckSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AckSender(..)")
    }
}

/// Why an event could not be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// There is no connection.
    #[error("the event was not sent because the connection is down; it is sent again after the next connect")]
    NotConnected,
    /// The transport refused it.
    #[error("the event was not sent: {0}")]
    Failed(String),
}
