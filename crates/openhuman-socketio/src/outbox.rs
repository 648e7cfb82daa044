//! Packets that wait to be written: bounded in number and bytes, removed in groups.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use crate::bell::Bell;
use crate::error::EmitError;
use crate::limits::Limits;
use crate::packet::Encoded;

mod queue;

use self::queue::Inner;
pub(crate) use self::queue::{Evicted, Group};

/// What happens to a packet that cannot be written at once.
///
/// Packets accepted while there is no connection are written, in order, when there is one. A packet that
/// was being written when the link broke is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SendPolicy {
    /// Keep it, with or without a connection; when the buffer is full, `emit` waits for space. The default.
    #[default]
    Wait,
    /// Keep it, with or without a connection; when the buffer is full, fail with
    /// [`EmitError::BufferFull`].
    FailWhenFull,
    /// Without a connection, fail with [`EmitError::NotConnected`]; otherwise as `Wait`.
    FailWhenOffline,
    /// Keep it, with or without a connection; when the buffer is full, drop the oldest events for it. Those
    /// that asked for an acknowledgement end with [`EmitError::Dropped`], the others are counted in
    /// [`Stats::dropped`](crate::Stats::dropped).
    DropOldest,
}

/// Packets that may wait before a volatile event for it to be written soon.
const SOON_PACKETS: usize = 64;

/// The send buffer, shared by the clients that fill it and the driver that empties it.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) namespace: Arc<str>,
    pub(crate) limits: Limits,
    policy: SendPolicy,
    inner: Mutex<Inner>,
    slots: Semaphore,
    bytes: Semaphore,
    byte_budget: u32,
    /// Longest frame that the server accepts.
    max_payload: AtomicUsize,
    close_requested: AtomicBool,
    bell: Arc<Bell>,
}

impl Outbox {
    pub(crate) fn new(namespace: Arc<str>, limits: Limits, policy: SendPolicy, bell: Arc<Bell>) -> Self {
        let byte_budget = u32::try_from(limits.max_buffered_bytes)
            .unwrap_or(u32::MAX)
            .max(1);
        let slots = limits.max_buffered_packets.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            namespace,
            policy,
            inner: Mutex::default(),
            slots: Semaphore::new(slots),
            bytes: Semaphore::new(byte_budget as usize),
            byte_budget,
            max_payload: AtomicUsize::new(usize::MAX),
            close_requested: AtomicBool::new(false),
            bell,
            limits,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cost(&self, encoded: &Encoded) -> u32 {
        u32::try_from(encoded.size())
            .unwrap_or(u32::MAX)
            .clamp(1, self.byte_budget)
    }

    fn check_payload(&self, encoded: &Encoded) -> Result<(), EmitError> {
        let max = self.max_payload.load(Ordering::Relaxed);
        let size = encoded.largest_frame();
        if size > max {
            Err(EmitError::TooLarge { size, max })
        } else {
            Ok(())
        }
    }

    pub(crate) fn set_max_payload(&self, max: Option<usize>) {
        self.max_payload
            .store(max.unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Accepts an event, waiting for space if the policy says so; returns the acknowledgements that were asked
    /// for by events dropped for it, and how many events that were. Nothing is accepted if the future is
    /// dropped before it is ready.
    pub(crate) async fn send(&self, encoded: Encoded, ack: Option<u64>) -> Result<Evicted, EmitError> {
        self.check_payload(&encoded)?;
        {
            let inner = self.lock();
            if inner.closed {
                return Err(EmitError::Closed);
            }
            if self.policy == SendPolicy::FailWhenOffline && inner.link.is_none() {
                return Err(EmitError::NotConnected);
            }
        }
        let cost = self.cost(&encoded);
        let mut evicted = Evicted::default();
        let (slot, bytes) = match self.policy {
            SendPolicy::FailWhenFull => self.try_reserve(cost)?,
            SendPolicy::DropOldest => loop {
                match self.try_reserve(cost) {
                    Err(EmitError::BufferFull) if self.evict(&mut evicted) => {}
                    reserved => break reserved?,
                }
            },
            SendPolicy::Wait | SendPolicy::FailWhenOffline => {
                let slot = self.slots.acquire().await.map_err(|_| EmitError::Closed)?;
                let bytes = self.bytes.acquire_many(cost).await;
                (slot, bytes.map_err(|_| EmitError::Closed)?)
            }
        };
        let group = Group::new(encoded, ack, None, cost);
        self.push(group, slot, bytes).map(|()| evicted)
    }

    /// Accepts an event if it can be written soon: there is a connection, and not much waits before it.
    /// Otherwise does nothing and returns false.
    pub(crate) fn send_volatile(&self, encoded: Encoded) -> Result<bool, EmitError> {
        self.check_payload(&encoded)?;
        {
            let inner = self.lock();
            if inner.closed {
                return Err(EmitError::Closed);
            }
            if inner.link.is_none() || inner.queue.len() >= SOON_PACKETS {
                return Ok(false);
            }
        }
        let cost = self.cost(&encoded);
        match self.try_reserve(cost) {
            Ok((slot, bytes)) => self
                .push(Group::new(encoded, None, None, cost), slot, bytes)
                .map(|()| true),
            Err(EmitError::BufferFull) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Drops the oldest event; replies stay.
    fn evict(&self, evicted: &mut Evicted) -> bool {
        let mut inner = self.lock();
        let oldest = inner.queue.iter().position(|group| group.link.is_none());
        let Some(group) = oldest.and_then(|at| inner.queue.remove(at)) else {
            return false;
        };
        inner.settle();
        drop(inner);
        self.release(&group);
        evicted.events += 1;
        evicted.acks.extend(group.ack);
        true
    }

    /// Accepts an event that may go out on this link only, or fails at once.
    pub(crate) fn send_on(&self, encoded: Encoded, ack: u64, link: u64) -> Result<(), EmitError> {
        self.send_bound(encoded, Some(ack), link)
    }

    /// Number of the connected link.
    pub(crate) fn link(&self) -> Option<u64> {
        self.lock().link
    }

    /// Drops the events that asked for these acknowledgements and still wait, all at once: what has gone out
    /// before is the beginning of what was accepted.
    pub(crate) fn cancel_all(&self, acks: &[u64]) {
        let mut inner = self.lock();
        let (cancelled, kept): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut inner.queue)
            .into_iter()
            .partition(|group| group.ack.is_some_and(|ack| acks.contains(&ack)));
        inner.queue = kept;
        inner.settle();
        drop(inner);
        for group in &cancelled {
            self.release(group);
        }
    }

    /// Accepts a reply for the link that asked for it, or fails at once.
    pub(crate) fn send_reply(&self, encoded: Encoded, link: u64) -> Result<(), EmitError> {
        self.send_bound(encoded, None, link)
    }

    fn send_bound(&self, encoded: Encoded, ack: Option<u64>, link: u64) -> Result<(), EmitError> {
        self.check_payload(&encoded)?;
        let cost = self.cost(&encoded);
        let (slot, bytes) = self.try_reserve(cost)?;
        self.push(Group::new(encoded, ack, Some(link), cost), slot, bytes)
    }

    fn try_reserve(&self, cost: u32) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), EmitError> {
        let full = |error| match error {
            tokio::sync::TryAcquireError::Closed => EmitError::Closed,
            tokio::sync::TryAcquireError::NoPermits => EmitError::BufferFull,
        };
        let slot = self.slots.try_acquire().map_err(full)?;
        let bytes = self.bytes.try_acquire_many(cost).map_err(full)?;
        Ok((slot, bytes))
    }

    fn push(
        &self,
        mut group: Group,
        slot: SemaphorePermit<'_>,
        bytes: SemaphorePermit<'_>,
    ) -> Result<(), EmitError> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(EmitError::Closed);
        }
        if group.link.is_some() && group.link != inner.link {
            return Err(EmitError::ConnectionReplaced);
        }
        slot.forget();
        bytes.forget();
        inner.accepted += 1;
        group.seq = inner.accepted;
        inner.queue.push_back(group);
        let connected = inner.link.is_some();
        drop(inner);
        if connected {
            self.bell.ring();
        }
        Ok(())
    }

    fn release(&self, group: &Group) {
        self.slots.add_permits(1);
        self.bytes.add_permits(group.cost as usize);
    }

    /// Takes the oldest packet. `Err` is one that the server would answer by closing the connection.
    pub(crate) fn pop(&self) -> Option<Result<Group, (Group, EmitError)>> {
        let mut inner = self.lock();
        let group = inner.queue.pop_front()?;
        let checked = self.check_payload(&group.encoded);
        match checked {
            Ok(()) => inner.popped = group.seq,
            Err(_) => inner.settle(),
        }
        drop(inner);
        self.release(&group);
        Some(match checked {
            Ok(()) => Ok(group),
            Err(error) => Err((group, error)),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().queue.is_empty()
    }

    /// Drops the event that asked for this acknowledgement, if it still waits.
    pub(crate) fn cancel(&self, ack: u64) {
        let mut inner = self.lock();
        let found = inner.queue.iter().position(|group| group.ack == Some(ack));
        if let Some(group) = found.and_then(|at| inner.queue.remove(at)) {
            inner.settle();
            drop(inner);
            self.release(&group);
        }
    }

    /// Waits until everything accepted so far has been written to the operating system.
    pub(crate) async fn flush(&self) -> Result<(), EmitError> {
        let written = {
            let mut inner = self.lock();
            if inner.closed {
                return Err(EmitError::Closed);
            }
            let target = inner.accepted;
            if inner.flushed >= target {
                return Ok(());
            }
            let (sender, written) = oneshot::channel();
            inner.waiters.retain(|(_, waiter)| !waiter.is_closed());
            inner.waiters.push((target, sender));
            written
        };
        self.bell.ring();
        written.await.unwrap_or(Err(EmitError::Closed))
    }

    /// Everything taken so far has been written.
    pub(crate) fn mark_flushed(&self) {
        let mut inner = self.lock();
        let taken = inner.taken();
        inner.answer(taken, || Ok(()));
    }

    /// A link is connected; returns its number.
    pub(crate) fn link_up(&self) -> u64 {
        let mut inner = self.lock();
        inner.last_link += 1;
        inner.link = Some(inner.last_link);
        inner.last_link
    }

    /// The link is gone, and with it what was taken but not written, and what was meant for it alone; returns
    /// the acknowledgements that the latter asked for.
    pub(crate) fn link_down(&self) -> Vec<u64> {
        let mut inner = self.lock();
        inner.link = None;
        let (stale, kept): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut inner.queue)
            .into_iter()
            .partition(|group| group.link.is_some());
        inner.queue = kept;
        let taken = inner.taken();
        if inner.flushed < taken {
            inner.answer(taken, || Err(EmitError::Lost));
        }
        drop(inner);
        for group in &stale {
            self.release(group);
        }
        self.max_payload.store(usize::MAX, Ordering::Relaxed);
        stale.iter().filter_map(|group| group.ack).collect()
    }

    /// Nothing will be written any more.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.link = None;
        inner.queue.clear();
        inner.answer(u64::MAX, || Err(EmitError::Closed));
        drop(inner);
        self.slots.close();
        self.bytes.close();
    }

    /// Accepts nothing more; what was accepted is still written, if there is a connection.
    pub(crate) fn request_close(&self) {
        self.lock().closed = true;
        self.slots.close();
        self.bytes.close();
        self.close_requested.store(true, Ordering::Release);
        self.bell.announce();
    }

    pub(crate) fn close_requested(&self) -> bool {
        self.close_requested.load(Ordering::Acquire)
    }

    /// Packets that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().queue.len()
    }
}

#[cfg(test)]
mod tests;
