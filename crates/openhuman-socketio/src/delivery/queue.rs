//! The task behind a [`Delivery`](super::Delivery): what is on its way, what comes next, and what is sent again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use super::{Order, Retries, StoredEvent};
use crate::ack::{self, AckReply};
use crate::delivery::window::{Entry, Window};
use crate::error::{AckError, DeliveryError, EmitError, StoreError};
use crate::packet;
use crate::shared::Shared;

/// Shortest and longest pause after an attempt that failed on a link that is up.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Queue {
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
    pub(super) fn new(shared: Arc<Shared>, retries: Retries, orders: mpsc::Receiver<Order>) -> Self {
        Self {
            shared,
            window: Window::new(retries.window, retries.max_tries),
            retries,
            orders,
        }
    }

    pub(super) async fn run(mut self) {
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
