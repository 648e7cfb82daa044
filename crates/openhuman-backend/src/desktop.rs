//! One connected desktop: a task that owns its turns, and the calls that go out to it.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures_util::{FutureExt, StreamExt};
use openhuman_agent::{FailureKind, TurnEvent, TurnInput};
use openhuman_mcp::wire;
use serde_json::{Value, json};
use socketioxide::SendError;
use socketioxide::SocketError;
use socketioxide::extract::SocketRef;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::chat::{self, Start, TurnId};
use crate::session::Session;
use crate::shared::Shared;

mod calls;
mod tools;

pub(crate) use calls::Calls;
use calls::{Outgoing, WEBHOOK_RESPONSE};
pub(crate) use tools::{DesktopTools, call_tool};

const NEWER: &str = "Cancelled by newer request";
const CANCELLED: &str = "Cancelled";
const STOPPING: &str = "The backend is shutting down; send the message again in a moment";

/// Events that may wait for a slow socket before turns have to wait too.
const OUTBOX: usize = 256;
/// How long the writer waits before it tries a full socket again.
const RETRY: std::time::Duration = std::time::Duration::from_millis(5);

/// An event as it arrived.
pub(crate) type Incoming = (String, Value);

/// What a desktop needs to start, made while the connection is being accepted.
pub(crate) struct Arrival {
    pub(crate) session: Session,
    pub(crate) inbox: mpsc::Receiver<Incoming>,
    /// Fires when the socket is gone or floods.
    pub(crate) gone: CancellationToken,
    pub(crate) _slot: OwnedSemaphorePermit,
}

/// A turn that is running.
struct Running {
    request_id: String,
    cancel: CancellationToken,
    /// Why it was cancelled, if it was.
    reason: Arc<OnceLock<&'static str>>,
}

struct Desktop {
    shared: Arc<Shared>,
    user: String,
    calls: Arc<Calls>,
    tools: Arc<DesktopTools>,
    turns: JoinSet<TurnId>,
    running: HashMap<String, Running>,
}

/// Serves one desktop until it leaves, its session ends or the backend stops.
pub(crate) async fn serve(shared: Arc<Shared>, socket: SocketRef, arrival: Arrival) {
    let Arrival {
        session,
        mut inbox,
        gone,
        _slot,
    } = arrival;
    let (outbox, to_write) = mpsc::channel(OUTBOX);
    let writer = tokio::spawn(write(socket.clone(), to_write));
    let calls = Arc::new(Calls::new(
        session.user.clone(),
        shared.next_serial(),
        outbox,
        gone.clone(),
        shared.limits.tool_deadline,
    ));
    let tools = Arc::new(DesktopTools::new(Arc::clone(&calls), shared.limits.tools));
    let _listed = shared.enter(&calls, &tools);
    let mut desktop = Desktop {
        user: session.user,
        calls: Arc::clone(&calls),
        tools,
        turns: JoinSet::new(),
        running: HashMap::new(),
        shared: Arc::clone(&shared),
    };
    calls.send("ready", json!({})).await;

    let expiry = tokio::time::sleep(shared.until(session.expires_ms));
    tokio::pin!(expiry);
    let stopping = loop {
        tokio::select! {
            biased;
            () = gone.cancelled() => break false,
            () = shared.stop.cancelled() => break true,
            () = &mut expiry => break false,
            Some(ended) = desktop.turns.join_next() => desktop.ended(ended),
            event = inbox.recv() => match event {
                Some((name, data)) => desktop.handle(&name, data).await,
                None => break false,
            },
        }
    };
    if stopping {
        desktop.finish(STOPPING).await;
    } else {
        // Nobody is left to hear an answer, so the turns end where they are.
        gone.cancel();
        desktop.abandon().await;
        // A session that ended must not come back by itself; a socket that is gone does not mind.
        socket.disconnect().ok();
    }
    drop((desktop, calls, _listed));
    if let Err(error) = writer.await {
        tracing::error!(%error, "the writer of a desktop failed");
    }
}

/// Moves events to the socket, whose own buffer is small and refuses when it is full.
async fn write(socket: SocketRef, mut outbox: mpsc::Receiver<Outgoing>) {
    while let Some((event, payload)) = outbox.recv().await {
        loop {
            match socket.emit(event.as_ref(), &payload) {
                Ok(()) => break,
                Err(SendError::Socket(SocketError::InternalChannelFull)) => tokio::time::sleep(RETRY).await,
                Err(error) => {
                    tracing::debug!(%error, %event, "an event was not sent");
                    return;
                }
            }
        }
    }
}

impl Desktop {
    async fn handle(&mut self, event: &str, data: Value) {
        match event {
            wire::TOOL_SYNC => match serde_json::from_value(data) {
                Ok(sync) => {
                    self.calls.synced(sync);
                    self.tools.forget();
                }
                Err(error) => tracing::warn!(%error, "a tool:sync event could not be read"),
            },
            WEBHOOK_RESPONSE => self.calls.webhook_answered(data),
            wire::LIST_TOOLS_RESPONSE | wire::TOOL_CALL_RESPONSE => self.calls.answered(data),
            chat::START => match Start::parse(data) {
                Ok(start) => self.start(start).await,
                Err((thread_id, message)) => {
                    let payload =
                        json!({"thread_id": thread_id, "message": message, "error_type": "inference"});
                    self.calls.send(chat::ERROR, payload).await;
                }
            },
            chat::CANCEL => {
                let text = |key| data.get(key).and_then(Value::as_str);
                if let Some(thread) = text("thread_id")
                    && self.runs(thread, text("request_id"))
                {
                    self.cancel(thread, CANCELLED);
                }
            }
            _ => tracing::debug!(event, "an unknown event was ignored"),
        }
    }

    async fn start(&mut self, start: Start) {
        let id = TurnId {
            thread_id: start.thread_id.clone(),
            request_id: self.shared.next_serial(),
        };
        if self.shared.takes_nothing_new() {
            let (event, payload) = id.error("inference", STOPPING);
            self.calls.send(event, payload).await;
            return;
        }
        self.cancel(&start.thread_id, NEWER);
        let limit = self.shared.limits.turns;
        // A cancelled turn still has last words to say; a desktop that does not read them must not pile them up.
        if self.running.len() >= limit || self.turns.len() >= limit.saturating_mul(2) {
            let message = format!(
                "Too many turns are running on this connection (limit {limit}); wait for an answer and try again"
            );
            let (event, payload) = id.error("inference", &message);
            self.calls.send(event, payload).await;
            return;
        }
        let running = Running {
            request_id: id.request_id.clone(),
            cancel: CancellationToken::new(),
            reason: Arc::default(),
        };
        let turn = Turn {
            id,
            user: self.user.clone(),
            shared: Arc::clone(&self.shared),
            calls: Arc::clone(&self.calls),
            cancel: running.cancel.clone(),
            reason: Arc::clone(&running.reason),
        };
        self.calls.turn_started();
        self.shared.metrics.turns.add();
        self.running.insert(start.thread_id.clone(), running);
        let tools = Arc::clone(&self.tools);
        self.turns.spawn(turn.run(start, tools));
    }

    /// Whether the thread's running turn is meant: a request that names none means whichever runs, and one that
    /// names another comes too late.
    fn runs(&self, thread: &str, request: Option<&str>) -> bool {
        let running = self.running.get(thread);
        running.is_some_and(|running| request.is_none_or(|request| request == running.request_id))
    }

    fn cancel(&mut self, thread: &str, reason: &'static str) {
        if let Some(running) = self.running.remove(thread) {
            // The first reason stays.
            let _ = running.reason.set(reason);
            running.cancel.cancel();
        }
    }

    fn ended(&mut self, ended: Result<TurnId, tokio::task::JoinError>) {
        self.calls.turn_ended();
        match ended {
            Ok(id) => {
                if self
                    .running
                    .get(&id.thread_id)
                    .is_some_and(|running| running.request_id == id.request_id)
                {
                    self.running.remove(&id.thread_id);
                }
            }
            Err(error) => tracing::error!(%error, "a turn ended abnormally"),
        }
    }

    /// Ends every turn without waiting for its last words.
    async fn abandon(&mut self) {
        for (_, running) in self.running.drain() {
            running.cancel.cancel();
        }
        self.turns.shutdown().await;
    }

    /// Cancels every turn and waits, within bounds, until each has said so.
    async fn finish(&mut self, reason: &'static str) {
        let threads: Vec<String> = self.running.keys().cloned().collect();
        for thread in threads {
            self.cancel(&thread, reason);
        }
        let drained = tokio::time::timeout(self.shared.limits.shutdown, async {
            while let Some(ended) = self.turns.join_next().await {
                self.ended(ended);
            }
        });
        if drained.await.is_err() {
            tracing::warn!(
                turns = self.turns.len(),
                "turns did not end in time and were dropped"
            );
            self.abandon().await;
        }
    }
}

struct Turn {
    id: TurnId,
    user: String,
    shared: Arc<Shared>,
    calls: Arc<Calls>,
    cancel: CancellationToken,
    reason: Arc<OnceLock<&'static str>>,
}

impl Turn {
    /// Runs the turn. After `chat_accepted` there is exactly one `chat_done` or `chat_error`.
    async fn run(self, start: Start, tools: Arc<DesktopTools>) -> TurnId {
        self.calls.send(chat::ACCEPTED, self.id.payload(json!({}))).await;
        let answered = AssertUnwindSafe(self.stream(start, tools)).catch_unwind().await;
        if !matches!(answered, Ok(true)) {
            let (event, payload) = self.id.error(
                "inference",
                "The turn ended without an answer; send the message again",
            );
            self.calls.send(event, payload).await;
        }
        self.id
    }

    /// Whether a last event was sent.
    async fn stream(&self, start: Start, tools: Arc<DesktopTools>) -> bool {
        let history = self.shared.conversations().history(&self.user, &start.thread_id);
        let input = TurnInput {
            history,
            prompt: start.message,
            context: start.context,
        };
        let mut events = self.shared.agent(tools).run(input, self.cancel.clone());
        while let Some(event) = events.next().await {
            let event = match (event, self.reason.get()) {
                (
                    TurnEvent::Failed {
                        kind: FailureKind::Cancelled,
                        ..
                    },
                    Some(reason),
                ) => TurnEvent::Failed {
                    kind: FailureKind::Cancelled,
                    message: (*reason).to_owned(),
                },
                (event, _) => event,
            };
            if matches!(event, TurnEvent::Failed { .. }) {
                self.shared.metrics.turns_failed.add();
            }
            let last = matches!(event, TurnEvent::Done { .. } | TurnEvent::Failed { .. });
            let payload = self.id.event(&event);
            // Remembered before it is said: the next message may follow at once.
            if let TurnEvent::Done { messages, .. } = event {
                self.shared
                    .conversations()
                    .append(&self.user, &self.id.thread_id, messages);
            }
            if let Some((name, payload)) = payload {
                self.calls.send(name, payload).await;
            }
            if last {
                return true;
            }
        }
        false
    }
}
