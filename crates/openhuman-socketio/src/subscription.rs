//! Delivery of events to the application.
//!
//! The reader puts events into bounded queues and goes on; it never waits and never runs code of the
//! application.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use tokio::task::AbortHandle;

use crate::error::ProtocolError;
use crate::event::{AckSender, Event};
use crate::limits::Limits;
use crate::packet::Name;
use crate::payload::Payload;

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    bytes: usize,
    lost: u64,
    closed: bool,
    /// Who waits for an event. Taken by the first of a burst, so that the others wake nobody.
    consumer: Option<Waker>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: Event, limits: &Limits) {
        let mut waiting = self.lock();
        waiting.bytes = waiting.bytes.saturating_add(event.size());
        waiting.events.push_back(event);
        let before = waiting.lost;
        // The newest event is always kept.
        while waiting.events.len() > 1
            && (waiting.events.len() > limits.subscription_events
                || waiting.bytes > limits.subscription_bytes)
        {
            if let Some(oldest) = waiting.events.pop_front() {
                waiting.bytes = waiting.bytes.saturating_sub(oldest.size());
                waiting.lost += 1;
            }
        }
        let lost = waiting.lost;
        let consumer = waiting.consumer.take();
        drop(waiting);
        if before == 0 && lost > 0 {
            tracing::warn!("a subscription is too slow: its oldest events are being dropped");
        }
        if let Some(consumer) = consumer {
            consumer.wake();
        }
    }

    fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let consumer = waiting.consumer.take();
        drop(waiting);
        if let Some(consumer) = consumer {
            consumer.wake();
        }
    }
}

/// FNV-1a: names are short, and every event is looked up. Only the application adds names, so that a server has nothing
/// to gain from collisions.
#[derive(Debug)]
struct NameHasher(u64);

impl Default for NameHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Debug, Default)]
struct Queues {
    by_name: HashMap<String, Vec<Arc<Queue>>, BuildHasherDefault<NameHasher>>,
    all: Vec<Arc<Queue>>,
    closed: bool,
}

/// All subscriptions of a client.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    queues: RwLock<Queues>,
}

impl Registry {
    pub(crate) fn subscribe(self: &Arc<Self>, name: Option<&str>) -> Subscription {
        let queue = Arc::new(Queue::default());
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        if queues.closed {
            queue.close();
        } else {
            match name {
                Some(name) => queues
                    .by_name
                    .entry(name.to_owned())
                    .or_default()
                    .push(Arc::clone(&queue)),
                None => queues.all.push(Arc::clone(&queue)),
            }
        }
        drop(queues);
        Subscription {
            queue,
            registry: Arc::clone(self),
            name: name.map(str::to_owned),
        }
    }

    fn unsubscribe(&self, name: Option<&str>, queue: &Arc<Queue>) {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        let others = |list: &mut Vec<Arc<Queue>>| list.retain(|other| !Arc::ptr_eq(other, queue));
        match name {
            None => others(&mut queues.all),
            Some(name) => {
                if let Some(list) = queues.by_name.get_mut(name) {
                    others(list);
                    if list.is_empty() {
                        queues.by_name.remove(name);
                    }
                }
            }
        }
    }

    pub(crate) fn is_unused(&self) -> bool {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.all.is_empty() && queues.by_name.is_empty()
    }

    /// Hands the event to every subscriber of its name. Its JSON is only read when there is one, and the right to
    /// acknowledge only made then.
    pub(crate) fn deliver(
        &self,
        name: Name,
        payload: Payload,
        ack: impl FnOnce() -> Option<AckSender>,
        limits: &Limits,
    ) -> Result<(), ProtocolError> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        let named = queues.by_name.get(name.as_str(&payload.frame));
        let mut wanted = named.into_iter().flatten().chain(&queues.all);
        let Some(mut queue) = wanted.next() else {
            return Ok(());
        };
        if !payload.is_json() {
            return Err(ProtocolError::InvalidPacket {
                what: "malformed JSON",
            });
        }
        let event = Event::new(name, payload, ack());
        for other in wanted {
            queue.push(event.clone(), limits);
            queue = other;
        }
        queue.push(event, limits);
        Ok(())
    }

    /// Ends all subscriptions once they have given out what waits.
    pub(crate) fn close(&self) {
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        queues.closed = true;
        let named = std::mem::take(&mut queues.by_name);
        let all = std::mem::take(&mut queues.all);
        drop(queues);
        for queue in named.values().flatten().chain(&all) {
            queue.close();
        }
    }
}

/// Received events, as a [`Stream`]. Dropping it ends the subscription.
///
/// It survives reconnections, and ends when the client is disconnected or has failed for good. At most
/// [`Limits::subscription_events`] events and [`Limits::subscription_bytes`] bytes wait in it; when a
/// subscriber is slower than the server, the oldest events are dropped and counted in
/// [`lost`](Self::lost).
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
    registry: Arc<Registry>,
    name: Option<String>,
}

impl Subscription {
    /// The next event, or `None` when there will be none. Nothing is lost if the future is dropped.
    pub async fn recv(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Events dropped so far because this subscription was full.
    pub fn lost(&self) -> u64 {
        self.queue.lock().lost
    }

    /// Runs a handler for each event, one after the other.
    pub(crate) fn listen<F, Fut>(mut self, runtime: &tokio::runtime::Handle, mut handler: F) -> Listener
    where
        F: FnMut(Event) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let task = runtime.spawn(async move {
            while let Some(event) = self.recv().await {
                handler(event).await;
            }
        });
        Listener {
            task: task.abort_handle(),
            detached: false,
        }
    }

    fn poll_event(&self, cx: &Context<'_>) -> Poll<Option<Event>> {
        let mut waiting = self.queue.lock();
        match waiting.events.pop_front() {
            Some(event) => {
                waiting.bytes = waiting.bytes.saturating_sub(event.size());
                Poll::Ready(Some(event))
            }
            None if waiting.closed => Poll::Ready(None),
            None => {
                match &mut waiting.consumer {
                    Some(consumer) => consumer.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

/// A running handler; made by [`Client::on`](crate::Client::on). Dropping it ends the handler, where it is.
///
/// A handler that panics ends; the connection goes on.
#[derive(Debug)]
pub struct Listener {
    task: AbortHandle,
    detached: bool,
}

impl Listener {
    /// Lets the handler run until the client is closed.
    pub fn detach(mut self) {
        self.detached = true;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if !self.detached {
            self.task.abort();
        }
    }
}

impl Stream for Subscription {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.registry.unsubscribe(self.name.as_deref(), &self.queue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Body, decode};

    fn deliver(registry: &Registry, text: &str, limits: &Limits) {
        let packet = decode(&text.into(), 0, &Limits::default()).unwrap();
        match packet.body {
            Body::Event { name, payload } => registry.deliver(name, payload, || None, limits).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn wants(registry: &Registry, name: &str) -> bool {
        let queues = registry.queues.read().unwrap();
        !queues.all.is_empty() || queues.by_name.contains_key(name)
    }

    fn names(subscription: &mut Subscription) -> Vec<String> {
        let mut names = Vec::new();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(event)) = Pin::new(&mut *subscription).poll_next(&mut cx) {
            names.push(event.data().to_string());
        }
        names
    }

    #[test]
    fn a_slow_subscriber_loses_the_oldest_and_can_count_them() {
        let registry = Arc::new(Registry::default());
        let limits = Limits {
            subscription_events: 3,
            ..Limits::default()
        };
        let mut slow = registry.subscribe(Some("n"));
        for n in 0..10 {
            deliver(&registry, &format!(r#"2["n",{n}]"#), &limits);
        }
        assert_eq!(slow.lost(), 7);
        assert_eq!(names(&mut slow), ["7", "8", "9"]);
    }

    #[test]
    fn bytes_are_bounded_but_one_event_always_fits() {
        let registry = Arc::new(Registry::default());
        let limits = Limits {
            subscription_bytes: 5,
            ..Limits::default()
        };
        let mut all = registry.subscribe(None);
        deliver(&registry, r#"2["n",1]"#, &limits);
        deliver(&registry, r#"2["n",2]"#, &limits);
        assert_eq!(names(&mut all), ["2"]);
        assert_eq!(all.lost(), 1);
    }

    #[test]
    fn dropping_a_subscription_ends_it() {
        let registry = Arc::new(Registry::default());
        let named = registry.subscribe(Some("n"));
        let all = registry.subscribe(None);
        assert!(wants(&registry, "other"));
        drop(all);
        assert!(!wants(&registry, "other"));
        assert!(wants(&registry, "n"));
        drop(named);
        assert!(!wants(&registry, "n"));
    }

    #[test]
    fn closing_gives_out_what_waits_and_then_ends() {
        let registry = Arc::new(Registry::default());
        let mut subscription = registry.subscribe(Some("n"));
        deliver(&registry, r#"2["n",1]"#, &Limits::default());
        registry.close();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(
            Pin::new(&mut subscription).poll_next(&mut cx),
            Poll::Ready(Some(_))
        ));
        assert!(matches!(
            Pin::new(&mut subscription).poll_next(&mut cx),
            Poll::Ready(None)
        ));
        let mut late = registry.subscribe(None);
        assert!(matches!(
            Pin::new(&mut late).poll_next(&mut cx),
            Poll::Ready(None)
        ));
    }
}
