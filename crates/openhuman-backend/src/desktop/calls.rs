//! Requests to a desktop and what is waiting for their answers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openhuman_mcp::wire::{RequestId, ToolSync};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// An event on its way to the socket.
pub(crate) type Outgoing = (Cow<'static, str>, Value);

const WEBHOOK_REQUEST: &str = "webhook:request";
pub(crate) const WEBHOOK_RESPONSE: &str = "webhook:response";

/// The way to one desktop, shared by its task and its turns.
pub(crate) struct Calls {
    pub(crate) user: String,
    /// Begins every request id. A desktop may send what it could not say before it lost another connection; such
    /// an answer must not meet a request of this one.
    connection: String,
    outbox: mpsc::Sender<Outgoing>,
    gone: CancellationToken,
    deadline: Duration,
    serial: AtomicU64,
    turns: AtomicUsize,
    pending: Mutex<HashMap<RequestId, oneshot::Sender<Value>>>,
    sync: Mutex<ToolSync>,
}

/// Why a desktop gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("The desktop disconnected before it answered")]
    Gone,
    #[error("The desktop did not answer within {} s", .0.as_secs())]
    Deadline(Duration),
    #[error("The call was cancelled")]
    Cancelled,
}

impl Calls {
    pub(crate) fn new(
        user: String,
        connection: String,
        outbox: mpsc::Sender<Outgoing>,
        gone: CancellationToken,
        deadline: Duration,
    ) -> Self {
        Self {
            user,
            connection,
            outbox,
            gone,
            deadline,
            serial: AtomicU64::new(0),
            turns: AtomicUsize::new(0),
            pending: Mutex::default(),
            sync: Mutex::default(),
        }
    }

    /// Sends an event, waiting while the socket is slow. It is dropped when the desktop is gone.
    pub(crate) async fn send(&self, event: impl Into<Cow<'static, str>>, payload: Value) {
        let event = event.into();
        let sent = self
            .gone
            .run_until_cancelled(self.outbox.send((event.clone(), payload)))
            .await;
        if !matches!(sent, Some(Ok(()))) {
            tracing::debug!(%event, "an event was dropped because the desktop is gone");
        }
    }

    /// Sends a request and waits for the answer with the same id.
    pub(crate) async fn request(
        &self,
        event: &'static str,
        build: impl FnOnce(RequestId) -> Value,
        cancel: &CancellationToken,
    ) -> Result<Value, NoAnswer> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let id = RequestId::from(format!("{}-{serial:x}", self.connection));
        let (answer, answered) = oneshot::channel();
        self.pending().insert(id.clone(), answer);
        let _forget = Forget { calls: self, id: &id };
        let exchange = async {
            self.send(event, build(id.clone())).await;
            answered.await.map_err(|_| NoAnswer::Gone)
        };
        tokio::select! {
            biased;
            () = self.gone.cancelled() => Err(NoAnswer::Gone),
            () = cancel.cancelled() => Err(NoAnswer::Cancelled),
            answer = exchange => answer,
            () = tokio::time::sleep(self.deadline) => Err(NoAnswer::Deadline(self.deadline)),
        }
    }

    /// Passes a webhook's request on and waits for its answer, which carries the same correlation id.
    pub(crate) async fn webhook(
        &self,
        mut request: Value,
        cancel: &CancellationToken,
    ) -> Result<Value, NoAnswer> {
        let build = |id: RequestId| {
            request["correlationId"] = serde_json::to_value(id).unwrap_or_default();
            request
        };
        self.request(WEBHOOK_REQUEST, build, cancel).await
    }

    /// Hands an answer to whoever waits for it. A late or invented one is dropped.
    pub(crate) fn answered(&self, data: Value) {
        let id = data.get("requestId").and_then(RequestId::from_value);
        self.hand_over(id, data);
    }

    /// As [`answered`](Self::answered), for webhooks.
    pub(crate) fn webhook_answered(&self, data: Value) {
        let id = data.get("correlationId").and_then(RequestId::from_value);
        self.hand_over(id, data);
    }

    fn hand_over(&self, id: Option<RequestId>, data: Value) {
        let waiting = id.and_then(|id| self.pending().remove(&id));
        match waiting {
            Some(waiting) => {
                // The waiting side may have given up this very moment.
                let _ = waiting.send(data);
            }
            None => tracing::debug!("an answer that nobody waits for was dropped"),
        }
    }

    pub(crate) fn synced(&self, sync: ToolSync) {
        *self.sync.lock().unwrap_or_else(PoisonError::into_inner) = sync;
    }

    pub(crate) fn sync(&self) -> ToolSync {
        self.sync.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn turn_started(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn turn_ended(&self) {
        self.turns.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }

    /// How many requests wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.pending().len()
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<RequestId, oneshot::Sender<Value>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a request however its waiting ends.
struct Forget<'a> {
    calls: &'a Calls,
    id: &'a RequestId,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.calls.pending().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn calls() -> (Arc<Calls>, mpsc::Receiver<Outgoing>, CancellationToken) {
        let (outbox, out) = mpsc::channel(8);
        let gone = CancellationToken::new();
        (connected_as("1", outbox, &gone), out, gone)
    }

    fn connected_as(
        connection: &str,
        outbox: mpsc::Sender<Outgoing>,
        gone: &CancellationToken,
    ) -> Arc<Calls> {
        let deadline = Duration::from_secs(30);
        Arc::new(Calls::new(
            "ada".into(),
            connection.into(),
            outbox,
            gone.clone(),
            deadline,
        ))
    }

    fn ask(
        calls: &Arc<Calls>,
        cancel: &CancellationToken,
    ) -> tokio::task::JoinHandle<Result<Value, NoAnswer>> {
        let (calls, cancel) = (Arc::clone(calls), cancel.clone());
        tokio::spawn(async move { calls.request("ask", |id| json!({"requestId": id}), &cancel).await })
    }

    #[tokio::test]
    async fn answers_find_their_request_in_any_order() {
        let (calls, mut out, _gone) = calls();
        let cancel = CancellationToken::new();
        let first = ask(&calls, &cancel);
        let (_, first_sent) = out.recv().await.unwrap();
        let second = ask(&calls, &cancel);
        let (_, second_sent) = out.recv().await.unwrap();
        assert_ne!(first_sent, second_sent);
        calls.answered(json!({"requestId": "unknown"}));
        calls.answered(json!(null));
        calls.answered(json!({"requestId": second_sent["requestId"], "n": 2}));
        calls.answered(json!({"requestId": first_sent["requestId"], "n": 1}));
        calls.answered(json!({"requestId": first_sent["requestId"], "n": 3}));
        assert_eq!(first.await.unwrap().unwrap()["n"], 1);
        assert_eq!(second.await.unwrap().unwrap()["n"], 2);
        assert_eq!(calls.waiting(), 0);
    }

    #[tokio::test]
    async fn an_answer_from_before_a_reconnect_does_not_answer_a_new_call() {
        let (old, mut old_out, gone) = calls();
        let cancel = CancellationToken::new();
        let lost = ask(&old, &cancel);
        let (_, late) = old_out.recv().await.unwrap();
        gone.cancel();
        assert_eq!(lost.await.unwrap(), Err(NoAnswer::Gone));

        let (outbox, mut out) = mpsc::channel(8);
        let new = connected_as("2", outbox, &CancellationToken::new());
        let asked = ask(&new, &cancel);
        let (_, request) = out.recv().await.unwrap();
        new.answered(json!({"requestId": late["requestId"], "of": "the old call"}));
        new.answered(json!({"requestId": request["requestId"], "of": "the new call"}));
        assert_eq!(asked.await.unwrap().unwrap()["of"], "the new call");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_at_the_deadline_and_leaves_nothing_behind() {
        let (calls, _out, _gone) = calls();
        let started = tokio::time::Instant::now();
        let answer = ask(&calls, &CancellationToken::new()).await.unwrap();
        assert_eq!(
            answer.unwrap_err().to_string(),
            "The desktop did not answer within 30 s"
        );
        assert_eq!(started.elapsed(), Duration::from_secs(30));
        assert_eq!(calls.waiting(), 0);
    }

    #[tokio::test]
    async fn a_desktop_that_leaves_fails_everything_in_flight() {
        let (calls, mut out, gone) = calls();
        let cancel = CancellationToken::new();
        let asked = [ask(&calls, &cancel), ask(&calls, &cancel)];
        out.recv().await.unwrap();
        out.recv().await.unwrap();
        gone.cancel();
        for asked in asked {
            assert_eq!(asked.await.unwrap(), Err(NoAnswer::Gone));
        }
        assert_eq!(ask(&calls, &cancel).await.unwrap(), Err(NoAnswer::Gone));
        assert_eq!(calls.waiting(), 0);
    }

    #[tokio::test]
    async fn a_cancelled_call_stops_waiting() {
        let (calls, mut out, _gone) = calls();
        let cancel = CancellationToken::new();
        let asked = ask(&calls, &cancel);
        out.recv().await.unwrap();
        cancel.cancel();
        assert_eq!(asked.await.unwrap(), Err(NoAnswer::Cancelled));
        assert_eq!(calls.waiting(), 0);
    }
}
