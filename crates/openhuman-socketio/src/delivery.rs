//! Events that are sent again until the server has acknowledged them, in order.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::ack::AckReply;
use crate::delivery::queue::Queue;
use crate::error::{DeliveryError, StoreError};
use crate::packet::{self, Encoded};
use crate::payload::{self, Shape};
use crate::shared::Shared;

mod queue;
mod window;

/// How events of a [`Delivery`] are sent again.
///
/// An event counts as delivered when the server's handler has acknowledged it. Until then it is sent again:
/// after each lost link, and when no acknowledgement comes in time. The server can therefore see an event
/// twice, at most [`window`](Self::window) of them for each time; [`message_ids`](Self::message_ids) lets it
/// notice.
#[derive(Clone)]
#[must_use = "does nothing until it is given to Client::delivery"]
pub struct Retries {
    max_tries: Option<u32>,
    ack_timeout: Duration,
    window: usize,
    max_waiting: usize,
    message_ids: bool,
    store: Option<Arc<dyn DeliveryStore>>,
}

impl fmt::Debug for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retries")
            .field("max_tries", &self.max_tries)
            .field("ack_timeout", &self.ack_timeout)
            .field("window", &self.window)
            .field("max_waiting", &self.max_waiting)
            .field("message_ids", &self.message_ids)
            .field("store", &self.store.is_some())
            .finish()
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            max_tries: None,
            ack_timeout: Duration::from_secs(10),
            window: 1,
            max_waiting: 10_000,
            message_ids: false,
            store: None,
        }
    }
}

impl Retries {
    /// Without end, 10 s for each acknowledgement, one event at a time, at most 10,000 waiting, in memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives an event up after this many acknowledgements that did not come in time, and goes on with the
    /// next. Lost links do not count. Default: never.
    pub fn max_tries(mut self, tries: u32) -> Self {
        self.max_tries = Some(tries.max(1));
        self
    }

    /// Sets the time allowed for one acknowledgement. Default 10 s.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = timeout;
        self
    }

    /// Sets how many events can be on their way at one time. Default 1, as in the JavaScript client: the next
    /// is sent when the one before is acknowledged. With more, the server still sees them in order: when one
    /// has to be sent again, so are those behind it.
    pub fn window(mut self, events: usize) -> Self {
        self.window = events.max(1);
        self
    }

    /// Sets how many events can wait; [`Delivery::send`] waits for a place. Default 10,000.
    pub fn max_waiting(mut self, events: usize) -> Self {
        self.max_waiting = events.max(1);
        self
    }

    /// Adds an id as last argument, the same each time the event is sent and different from that of every
    /// other event, so that the server can tell repetitions. Default: none.
    pub fn message_ids(mut self, add: bool) -> Self {
        self.message_ids = add;
        self
    }

    /// Keeps the events somewhere that outlives the process. What is there already is sent first.
    pub fn store(mut self, store: Arc<dyn DeliveryStore>) -> Self {
        self.store = Some(store);
        self
    }
}

/// What a [`DeliveryStore`] returns.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Ids grow in the order of sending.
    pub id: u64,
    /// The JSON list of the event's name and arguments, with placeholders for the attachments.
    pub body: String,
    /// The binary values.
    pub attachments: Vec<Bytes>,
}

/// Where events wait that must survive the end of the process. One [`Delivery`] uses a store at a time.
pub trait DeliveryStore: Send + Sync + 'static {
    /// All events that are there.
    fn load(&self) -> StoreFuture<'_, Vec<StoredEvent>>;

    /// Keeps an event; when this is done, the event is promised to be delivered.
    fn put(&self, event: StoredEvent) -> StoreFuture<'_, ()>;

    /// Forgets an event that was delivered or given up. One that cannot be forgotten is sent again by the
    /// next process.
    fn remove(&self, id: u64) -> StoreFuture<'_, ()>;
}

/// A queue of events that are sent until they are acknowledged; made by
/// [`Client::delivery`](crate::Client::delivery). Cloning is cheap.
///
/// It does not keep the connection open. When the last clone is dropped, what was taken is still delivered,
/// as long as there is a client.
#[derive(Debug, Clone)]
pub struct Delivery {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    message_ids: bool,
}

/// An event on its way into the queue.
#[derive(Debug)]
struct Order {
    encoded: Encoded,
    taken: oneshot::Sender<Result<(), DeliveryError>>,
    receipt: oneshot::Sender<Result<AckReply, DeliveryError>>,
}

/// Tells what became of an event. Dropping it does not cancel anything.
#[derive(Debug)]
#[must_use = "the event is delivered without it, but then nobody knows"]
pub struct Receipt(oneshot::Receiver<Result<AckReply, DeliveryError>>);

impl IntoFuture for Receipt {
    type Output = Result<AckReply, DeliveryError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.0.await.unwrap_or(Err(DeliveryError::Closed)) })
    }
}

impl Delivery {
    pub(crate) fn new(shared: Arc<Shared>, retries: Retries) -> Self {
        let (orders, receiver) = mpsc::channel(1);
        let message_ids = retries.message_ids;
        let queue = Queue::new(Arc::clone(&shared), retries, receiver);
        shared.runtime.spawn(queue.run());
        Self {
            shared,
            orders,
            message_ids,
        }
    }

    /// Takes an event with one argument, waiting for a place in the queue and until it is stored. Dropping the
    /// future leaves open whether the event was taken.
    ///
    /// # Errors
    /// [`DeliveryError::Emit`] when the event cannot be sent, [`DeliveryError::Store`] when it cannot be kept,
    /// and [`DeliveryError::Closed`].
    pub async fn send<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<Receipt, DeliveryError> {
        self.order(event, (data, Shape::One)).await
    }

    /// As [`send`](Self::send), with any number of arguments: a tuple, an array or a list.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_args<T: Serialize + ?Sized>(
        &self,
        event: &str,
        args: &T,
    ) -> Result<Receipt, DeliveryError> {
        self.order(event, (args, Shape::Spread)).await
    }

    async fn order<T: Serialize + ?Sized>(
        &self,
        event: &str,
        data: (&T, Shape),
    ) -> Result<Receipt, DeliveryError> {
        let outbox = &self.shared.outbox;
        let mut encoded = payload::encode_event(&outbox.namespace, None, event, data, &outbox.limits)?;
        if self.message_ids {
            let random = getrandom::u64().and_then(|high| Ok((high, getrandom::u64()?)));
            let (high, low) = random.map_err(|_| DeliveryError::NoRandomness)?;
            encoded = packet::with_argument(&encoded, &format!("\"{high:016x}{low:016x}\""));
        }
        let (taken, answer) = oneshot::channel();
        let (receipt, delivered) = oneshot::channel();
        let order = Order {
            encoded,
            taken,
            receipt,
        };
        self.orders.send(order).await.map_err(|_| DeliveryError::Closed)?;
        answer.await.unwrap_or(Err(DeliveryError::Closed))?;
        Ok(Receipt(delivered))
    }
}
