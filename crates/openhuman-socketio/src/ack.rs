//! Acknowledgements that the application waits for.

use std::collections::HashMap;
use std::fmt;
use std::future::IntoFuture;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::error::{AckError, DecodeError, EmitError};
use crate::packet::Encoded;
use crate::payload::Payload;
use crate::shared::Shared;

pub(crate) type Reply = Result<AckReply, AckError>;

#[derive(Debug)]
struct Pending {
    reply: oneshot::Sender<Reply>,
    /// The event has left the send buffer, so a lost link means a lost acknowledgement.
    sent: bool,
}

/// The table of awaited acknowledgements. Ids only grow, so a late reply can never reach another caller.
#[derive(Debug)]
pub(crate) struct Acks {
    next: AtomicU64,
    max: usize,
    pending: Mutex<HashMap<u64, Pending>>,
}

impl Acks {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            next: AtomicU64::new(0),
            max,
            pending: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn insert(&self, id: u64) -> Result<oneshot::Receiver<Reply>, AckError> {
        let mut pending = self.lock();
        if pending.len() >= self.max {
            return Err(AckError::TooManyPending { max: self.max });
        }
        let (reply, receiver) = oneshot::channel();
        pending.insert(id, Pending { reply, sent: false });
        Ok(receiver)
    }

    fn remove(&self, id: u64) -> Option<Pending> {
        self.lock().remove(&id)
    }

    pub(crate) fn mark_sent(&self, id: u64) {
        if let Some(pending) = self.lock().get_mut(&id) {
            pending.sent = true;
        }
    }

    /// True when somebody waits for this reply to an event that was sent.
    pub(crate) fn expects(&self, id: u64) -> bool {
        self.lock().get(&id).is_some_and(|pending| pending.sent)
    }

    pub(crate) fn resolve(&self, id: u64, reply: Reply) {
        if let Some(pending) = self.remove(id) {
            // The caller may have stopped waiting a moment ago.
            let _ = pending.reply.send(reply);
        }
    }

    /// Fails what was sent; what still waits in the send buffer keeps waiting.
    pub(crate) fn link_down(&self) {
        self.fail(|pending| pending.sent, || AckError::Disconnected);
    }

    pub(crate) fn close(&self) {
        self.fail(|_| true, || AckError::Emit(EmitError::Closed));
    }

    fn fail(&self, which: impl Fn(&Pending) -> bool, error: impl Fn() -> AckError) {
        let failed: Vec<_> = self.lock().extract_if(|_, pending| which(pending)).collect();
        for (_, pending) in failed {
            let error = if pending.sent {
                AckError::Disconnected
            } else {
                error()
            };
            let _ = pending.reply.send(Err(error));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

/// What the other side answered to an event.
#[derive(Debug, Clone)]
pub struct AckReply {
    payload: Payload,
}

impl AckReply {
    pub(crate) fn new(payload: Payload) -> Self {
        Self { payload }
    }

    /// All arguments as a tuple or list. A tuple longer than the list is filled with null; surplus
    /// arguments are ignored.
    ///
    /// # Errors
    /// [`DecodeError`] when an argument has another type.
    pub fn args<'de, T: Deserialize<'de>>(&'de self) -> Result<T, DecodeError> {
        self.payload.args(0)
    }

    /// The first argument as `T`.
    ///
    /// # Errors
    /// [`DecodeError`] when it is missing or has another type.
    pub fn arg<'de, T: Deserialize<'de>>(&'de self) -> Result<T, DecodeError> {
        self.payload.args::<(T,)>(0).map(|(value,)| value)
    }

    /// The first argument, or null. Binary values appear as their placeholder objects.
    pub fn value(&self) -> Value {
        self.payload.first(0)
    }

    /// The binary attachments, in the order of their numbers.
    pub fn attachments(&self) -> &[Bytes] {
        &self.payload.attachments
    }
}

/// An event that asks for an acknowledgement; made by [`Client::emit_ack`](crate::Client::emit_ack).
///
/// Nothing happens until it is awaited. Dropping the future cancels it: an event that still waits in the
/// send buffer is not sent, and a reply that comes later is ignored.
#[must_use = "nothing is sent until this is awaited"]
pub struct EmitAck {
    shared: Arc<Shared>,
    id: u64,
    encoded: Result<Encoded, EmitError>,
    timeout: Duration,
}

impl fmt::Debug for EmitAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmitAck")
            .field("id", &self.id)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl EmitAck {
    pub(crate) fn new(shared: Arc<Shared>, id: u64, encoded: Result<Encoded, EmitError>) -> Self {
        Self {
            timeout: shared.ack_timeout,
            shared,
            id,
            encoded,
        }
    }

    /// Sets the time allowed, from the first poll to the reply, waiting for a connection included. Default:
    /// [`ClientBuilder::ack_timeout`](crate::ClientBuilder::ack_timeout), 30 s.
    pub fn timeout(mut self, after: Duration) -> Self {
        self.timeout = after;
        self
    }

    async fn run(self) -> Reply {
        let Self {
            shared,
            id,
            encoded,
            timeout: after,
        } = self;
        let timer = {
            let _runtime = shared.runtime.enter();
            tokio::time::sleep(after)
        };
        let work = async {
            let encoded = encoded?;
            let reply = shared.acks.insert(id)?;
            let _slot = Slot::new(&shared, id);
            shared.send(encoded, Some(id)).await?;
            reply.await.unwrap_or(Err(AckError::Disconnected))
        };
        tokio::select! {
            biased;
            reply = work => reply,
            () = timer => Err(AckError::Timeout { after }),
        }
    }
}

impl IntoFuture for EmitAck {
    type Output = Result<AckReply, AckError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Sends an event at once, on this link only, and returns the future of the reply. Several in a row go out in
/// their order, which futures that are polled later would not promise.
pub(crate) fn ask_now(
    shared: &Arc<Shared>,
    encoded: Encoded,
    id: u64,
    link: u64,
    after: Duration,
) -> Result<BoxFuture<'static, Reply>, AckError> {
    let reply = shared.acks.insert(id)?;
    let slot = Slot::new(shared, id);
    shared.outbox.send_on(encoded, id, link)?;
    Ok(Box::pin(async move {
        let _slot = slot;
        match tokio::time::timeout(after, reply).await {
            Ok(reply) => reply.unwrap_or(Err(AckError::Disconnected)),
            Err(_) => Err(AckError::Timeout { after }),
        }
    }))
}

/// Frees a place in the table, however the wait ends.
struct Slot {
    shared: Arc<Shared>,
    id: u64,
}

impl Slot {
    fn new(shared: &Arc<Shared>, id: u64) -> Self {
        let shared = Arc::clone(shared);
        Self { shared, id }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self
            .shared
            .acks
            .remove(self.id)
            .is_some_and(|pending| !pending.sent)
        {
            self.shared.outbox.cancel(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> AckReply {
        AckReply::new(Payload::new(text.into(), 0))
    }

    #[test]
    fn ids_only_grow_and_replies_reach_their_caller_once() {
        let acks = Acks::new(10);
        let ids: Vec<u64> = (0..5).map(|_| acks.next_id()).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4]);
        let mut receivers: Vec<_> = ids.iter().map(|id| acks.insert(*id).unwrap()).collect();
        for id in ids.iter().rev() {
            acks.mark_sent(*id);
            acks.resolve(*id, Ok(reply(&format!("[{id}]"))));
            acks.resolve(*id, Ok(reply("[\"twice\"]")));
        }
        for (id, receiver) in receivers.iter_mut().enumerate() {
            assert_eq!(receiver.try_recv().unwrap().unwrap().value(), id);
        }
        assert_eq!(acks.len(), 0);
    }

    #[test]
    fn the_table_is_bounded_and_a_lost_link_fails_only_what_was_sent() {
        let acks = Acks::new(2);
        let mut sent = acks.insert(1).unwrap();
        let mut waiting = acks.insert(2).unwrap();
        assert!(matches!(acks.insert(3), Err(AckError::TooManyPending { max: 2 })));
        acks.mark_sent(1);
        acks.link_down();
        assert!(matches!(sent.try_recv().unwrap(), Err(AckError::Disconnected)));
        assert!(waiting.try_recv().is_err());
        acks.close();
        assert!(matches!(
            waiting.try_recv().unwrap(),
            Err(AckError::Emit(EmitError::Closed))
        ));
    }

    #[test]
    fn an_acknowledgement_for_an_event_not_yet_sent_is_not_believed() {
        let acks = Acks::new(2);
        let _receiver = acks.insert(0).unwrap();
        assert!(!acks.expects(0));
        acks.mark_sent(0);
        assert!(acks.expects(0));
        assert!(!acks.expects(1));
    }
}
