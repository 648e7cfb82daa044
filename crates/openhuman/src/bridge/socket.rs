//! The Socket.IO client as the hub's event link, as the way of server events to skills, and as visible state.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use openhuman_mcp::{AckSender, EventLink, LinkError, LinkEvent};
use openhuman_skills::{Engine, WebhookRequest, WebhookResponse};
use openhuman_socketio::{Client, Event, State, Subscription};
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore, broadcast, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::link::{BackendEvent, Figures, SocketStatus};

/// How long after the CONNECT ack a backend may take to say `ready`; then the ack counts as ready.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// Webhooks that are answered at once; beyond them the answer is 503.
const WEBHOOKS: usize = 64;

/// Events waiting for the hub. The client's own queue holds what comes beyond it.
const QUEUE: usize = 256;

/// Events waiting to be handed to skills. What comes beyond it is dropped and counted: no skill holds up a tool call.
const SKILL_EVENTS: usize = 1024;

/// How long after the user was told of lost events they are told again.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// [`EventLink`] over a [`Client`]. Dropping it ends its tasks; the client belongs to the caller.
pub(crate) struct SocketLink {
    client: Client,
    events: Mutex<mpsc::Receiver<LinkEvent>>,
    _pump: AbortOnDropHandle<()>,
    _skills: AbortOnDropHandle<()>,
}

/// Where the pump reports what the user can see.
#[derive(Clone)]
pub(crate) struct StatusReporter {
    status: watch::Sender<SocketStatus>,
    chat: broadcast::Sender<BackendEvent>,
    backend: String,
    figures: Arc<Figures>,
}

impl StatusReporter {
    pub(crate) fn new(
        status: watch::Sender<SocketStatus>,
        chat: broadcast::Sender<BackendEvent>,
        backend: String,
        figures: Arc<Figures>,
    ) -> Self {
        Self {
            status,
            chat,
            backend,
            figures,
        }
    }

    /// Shows a state of the client.
    pub(crate) fn publish(&self, state: &State) {
        self.status.send_replace(SocketStatus {
            backend: Some(self.backend.clone()),
            lost_events: self.figures.lost(),
            ..SocketStatus::of(state, jiff::Timestamp::now().as_millisecond())
        });
    }

    fn told_lost(&self) {
        let lost = self.figures.lost();
        self.status.send_if_modified(|status| {
            let grew = status.lost_events != lost;
            status.lost_events = lost;
            grew
        });
    }
}

impl SocketLink {
    /// Starts routing the client's events: `mcp:*` to the hub, `chat_*` to the conversations, the rest to skills.
    ///
    /// The subscription is from before the connection was made, so that not even the first event is missed.
    pub(crate) fn new(
        client: Client,
        events: Subscription,
        engine: Engine,
        report: StatusReporter,
        cancel: CancellationToken,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (skills, mut for_skills) = mpsc::channel::<(String, Value)>(SKILL_EVENTS);
        let pump = Pump {
            client: client.clone(),
            webhooks: Arc::new(Semaphore::new(WEBHOOKS)),
            events,
            engine: engine.clone(),
            report,
            hub: sender,
            skills,
            ready_by: None,
            connected: None,
            lost: 0,
            told: None,
        };
        let task = tokio::spawn(async move {
            tokio::select! {
                () = pump.run() => {}
                () = cancel.cancelled() => {}
            }
        });
        // Apart from the pump, and in the order of the events. Ends when the pump does.
        let hand_over = tokio::spawn(async move {
            while let Some((name, data)) = for_skills.recv().await {
                engine.server_event(&name, data).await;
            }
        });
        Self {
            client,
            events: Mutex::new(receiver),
            _pump: AbortOnDropHandle::new(task),
            _skills: AbortOnDropHandle::new(hand_over),
        }
    }
}

impl EventLink for SocketLink {
    fn emit<'a>(&'a self, event: &'a str, data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async move {
            self.client
                .emit(event, &data)
                .await
                .map_err(|error| LinkError::Failed(error.to_string()))
        })
    }

    fn next(&self) -> BoxFuture<'_, Option<LinkEvent>> {
        Box::pin(async move { self.events.lock().await.recv().await })
    }
}

struct Pump {
    client: Client,
    /// Webhooks that are being answered.
    webhooks: Arc<Semaphore>,
    events: Subscription,
    engine: Engine,
    report: StatusReporter,
    hub: mpsc::Sender<LinkEvent>,
    skills: mpsc::Sender<(String, Value)>,
    ready_by: Option<Instant>,
    /// The id of the connection, while there is one.
    connected: Option<String>,
    /// Events that are known to be lost, and when that was said last.
    lost: u64,
    told: Option<Instant>,
}

impl Pump {
    async fn run(mut self) {
        let mut states = self.client.state();
        states.mark_changed();
        loop {
            // What is due is said at once: a timer of no time takes a moment, in which an event could block for long.
            if self.tell_by().is_some_and(|at| at <= Instant::now()) {
                self.tell_lost();
            }
            let (ready_by, tell_by) = (self.ready_by, self.tell_by());
            let going_on = tokio::select! {
                // The state is published before the first event of a connection, and has to be seen before it.
                biased;
                changed = states.changed() => match changed {
                    Ok(()) => {
                        let state = states.borrow_and_update().clone();
                        self.state(&state).await
                    }
                    Err(_) => false,
                },
                // Before the events, or a flood would keep it from being said.
                () = wait_until(tell_by) => {
                    self.tell_lost();
                    true
                }
                event = self.events.recv() => match event {
                    Some(event) => self.event(event).await,
                    None => false,
                },
                () = wait_until(ready_by) => self.ready().await,
            };
            if !going_on {
                return;
            }
            self.report.figures.set_lost(self.events.lost());
        }
    }

    /// When lost events that were not told yet are due to be.
    fn tell_by(&self) -> Option<Instant> {
        if self.report.figures.lost() == self.lost {
            return None;
        }
        Some(self.told.map_or_else(Instant::now, |told| told + TELL_EVERY))
    }

    fn tell_lost(&mut self) {
        self.lost = self.report.figures.lost();
        self.told = Some(Instant::now());
        tracing::warn!(
            lost = self.lost,
            "events of the backend were dropped: this side does not keep up with them"
        );
        self.report.told_lost();
    }

    async fn state(&mut self, state: &State) -> bool {
        let connected = match state {
            State::Connected { sid, .. } => Some(sid.clone()),
            _ => None,
        };
        // A connection that was replaced while nobody looked was lost as well.
        let lost = self.connected.is_some() && self.connected != connected;
        // A connection that is new has to be told everything again.
        self.ready_by = connected.is_some().then(|| Instant::now() + READY_WITHIN);
        self.connected = connected;
        self.report.publish(state);
        if lost {
            let _ = self.report.chat.send(BackendEvent::Lost);
            return self.hub.send(LinkEvent::Lost).await.is_ok();
        }
        true
    }

    async fn event(&mut self, mut event: Event) -> bool {
        let name = event.name().to_owned();
        match name.as_str() {
            "ready" => self.ready().await,
            "error" => {
                let reason = event.data();
                let reason = reason
                    .get("message")
                    .and_then(Value::as_str)
                    .unwrap_or("the backend reported an error");
                // The connection is up: only what was said changes.
                self.report.status.send_modify(|status| {
                    status.error = Some(reason.to_owned());
                });
                true
            }
            _ if name.starts_with("mcp:") => {
                let data = event.data();
                let ack = event.take_ack().map(|ack| {
                    AckSender::new(move |answer: Value| {
                        let sent = ack
                            .send(&answer)
                            .map_err(|error| LinkError::Failed(error.to_string()));
                        Box::pin(std::future::ready(sent))
                    })
                });
                self.hub.send(LinkEvent::Event { name, data, ack }).await.is_ok()
            }
            _ if name.starts_with("chat_") || name == "tool_call" || name == "tool_result" => {
                let _ = self.report.chat.send(BackendEvent::Chat {
                    name,
                    data: event.data(),
                });
                true
            }
            "webhook:request" => {
                self.webhook(event.data());
                true
            }
            _ => {
                if self.skills.try_send((name, event.data())).is_err() {
                    self.report.figures.add_skill();
                }
                true
            }
        }
    }

    /// Lets the skill that registered the tunnel answer, while other events go on.
    fn webhook(&self, data: Value) {
        let (client, engine) = (self.client.clone(), self.engine.clone());
        let turn = self.webhooks.clone().try_acquire_owned();
        // Ends at the engine's limit for webhooks.
        tokio::spawn(async move {
            let correlation = data.get("correlationId").cloned().unwrap_or(Value::Null);
            let answer = match serde_json::from_value::<WebhookRequest>(data) {
                Ok(_) if turn.is_err() => WebhookResponse::error(503, "too many requests at once"),
                Ok(request) => engine.webhook_request(request).await,
                Err(error) => {
                    tracing::warn!(%error, "a webhook request that cannot be read");
                    WebhookResponse::error(400, "bad request")
                }
            };
            let Ok(mut answer) = serde_json::to_value(answer) else {
                return;
            };
            answer["correlationId"] = correlation;
            if let Err(error) = client.emit("webhook:response", &answer).await {
                tracing::warn!(%error, "the answer to a webhook was not sent");
            }
        });
    }

    async fn ready(&mut self) -> bool {
        self.ready_by = None;
        self.hub.send(LinkEvent::Ready).await.is_ok()
    }
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
