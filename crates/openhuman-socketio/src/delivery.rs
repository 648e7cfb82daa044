//! Events that are sent again until the server has acknowledged them, in order.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::ack::{self, AckReply};
use crate::delivery::window::{Entry, Window};
use crate::error::{AckError, DeliveryError, EmitError, StoreError};
use crate::packet::{self, Encoded};
use crate::payload::{self, Shape};
use crate::shared::Shared;

mod window;

/// Shortest and longest pause after an attempt that failed on a link that is up.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

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
        let queue = Queue {
            shared: Arc::clone(&shared),
            window: Window::new(retries.window, retries.max_tries),
            retries,
            orders: receiver,
        };
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

/// The task behind a [`Delivery`].
struct Queue {
    shared: Arc<Shared>,
    retries: Retries,
    window: Window,
    orders: mpsc::Receiver<Order>,
}

/// The event's id, the acknowledgement's, and what came of it.
type Answer = (u64, u64, Result<AckReply, AckError>);

/// The events that are being sent, all on one link: the next begins from the first that was not acknowledged.
#[derive(Default)]
struct Flight {
    link: Option<u64>,
    acks: Vec<u64>,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
}

impl Flight {
    fn end(&mut self, shared: &Shared) {
        // Before the futures are dropped, each of which would take back its own event only.
        shared.outbox.cancel_all(&self.acks);
        self.answers.clear();
        self.acks.clear();
        self.link = None;
    }
}

impl Queue {
    async fn run(mut self) {
        if let Err(error) = self.load().await {
            tracing::error!(%error, "stored events cannot be read: the queue ends");
            return;
        }
        let mut states = self.shared.watch();
        let mut flight = Flight::default();
        let mut failures = 0u32;
        let mut pause = None;
        let mut open = true;
        loop {
            if states.borrow_and_update().is_final() || (!open && self.window.is_empty()) {
                return;
            }
            if pause.is_none() && !self.launch(&mut flight) {
                pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
            }
            let room = open && self.window.len() < self.retries.max_waiting;
            tokio::select! {
                order = self.orders.recv(), if room => match order {
                    Some(order) => self.take(order).await,
                    None => open = false,
                },
                Some((id, ack, answer)) = flight.answers.next(), if !flight.answers.is_empty() => match answer {
                    Ok(reply) => {
                        failures = 0;
                        flight.acks.retain(|other| *other != ack);
                        let receipt = self.window.acknowledged(id);
                        self.finish(id, receipt, Ok(reply)).await;
                    }
                    Err(error) => {
                        flight.end(&self.shared);
                        failures = failures.saturating_add(1);
                        self.failed(id, error).await;
                        pause = Some(Box::pin(tokio::time::sleep(pause_after(failures))));
                    }
                },
                () = async { if let Some(pause) = &mut pause { pause.await } }, if pause.is_some() => pause = None,
                changed = states.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Sends what the window allows. False when there is no place for it at the moment.
    fn launch(&mut self, flight: &mut Flight) -> bool {
        if flight.answers.is_empty() {
            flight.link = self.shared.outbox.link();
        }
        let Some(link) = flight.link else { return true };
        while let Some((id, encoded)) = self.window.next() {
            let ack = self.shared.acks.next_id();
            let encoded = packet::with_id(&self.shared.outbox.namespace, &encoded, ack);
            match ack::ask_now(&self.shared, encoded, ack, link, self.retries.ack_timeout) {
                Ok(answer) => {
                    flight.acks.push(ack);
                    flight
                        .answers
                        .push(Box::pin(async move { (id, ack, answer.await) }));
                }
                // The application's own events fill the buffer: later.
                Err(AckError::Emit(EmitError::BufferFull) | AckError::TooManyPending { .. }) => {
                    self.window.not_sent(id);
                    return false;
                }
                Err(error) => {
                    flight
                        .answers
                        .push(Box::pin(std::future::ready((id, ack, Err(error)))));
                    return true;
                }
            }
        }
        true
    }

    async fn load(&mut self) -> Result<(), StoreError> {
        let Some(store) = &self.retries.store else {
            return Ok(());
        };
        let mut events = store.load().await?;
        events.sort_by_key(|event| event.id);
        for event in events {
            let namespace = &self.shared.outbox.namespace;
            let encoded = packet::event_of_body(namespace, &event.body, event.attachments);
            self.window.restore(event.id, encoded);
        }
        Ok(())
    }

    async fn take(&mut self, order: Order) {
        let id = self.window.next_id();
        if let Some(store) = &self.retries.store {
            let namespace = &self.shared.outbox.namespace;
            let event = StoredEvent {
                id,
                body: packet::body_of_event(namespace, &order.encoded).to_owned(),
                attachments: order.encoded.attachments.clone(),
            };
            if let Err(source) = store.put(event).await {
                let _ = order.taken.send(Err(DeliveryError::Store(source)));
                return;
            }
        }
        self.window
            .push(Entry::new(id, order.encoded, Some(order.receipt)));
        // The caller may have stopped waiting; the event is kept all the same.
        let _ = order.taken.send(Ok(()));
    }

    async fn failed(&mut self, id: u64, error: AckError) {
        let counts = error.is_timeout();
        let hopeless = matches!(
            &error,
            AckError::Emit(
                EmitError::TooLarge { .. } | EmitError::TooManyAttachments { .. } | EmitError::Serialize(_)
            )
        );
        if let Some((id, receipt)) = self.window.failed(id, counts, hopeless) {
            let error = if hopeless {
                DeliveryError::Ack(error)
            } else {
                DeliveryError::GivenUp
            };
            self.finish(id, receipt, Err(error)).await;
        }
    }

    async fn finish(
        &mut self,
        id: u64,
        receipt: Option<oneshot::Sender<Result<AckReply, DeliveryError>>>,
        result: Result<AckReply, DeliveryError>,
    ) {
        if let Some(store) = &self.retries.store
            && let Err(error) = store.remove(id).await
        {
            tracing::warn!(%error, "a delivered event stays in the store, and will be sent again");
        }
        if let Some(receipt) = receipt {
            let _ = receipt.send(result);
        }
    }
}

fn pause_after(failures: u32) -> Duration {
    PAUSE
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(LONGEST_PAUSE)
}
