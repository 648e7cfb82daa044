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

use crate::link::{BackendEvent, SocketState, SocketStatus};

/// How long after the CONNECT ack a backend may take to say `ready`; then the ack counts as ready.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// Webhooks that are answered at once; beyond them the answer is 503.
const WEBHOOKS: usize = 64;

/// Events waiting for the hub. The client's own queue holds what comes beyond it.
const QUEUE: usize = 256;

/// [`EventLink`] over a [`Client`]. Dropping it ends its task; the client belongs to the caller.
pub(crate) struct SocketLink {
    client: Client,
    events: Mutex<mpsc::Receiver<LinkEvent>>,
    _pump: AbortOnDropHandle<()>,
}

/// Where the pump reports what the user can see.
#[derive(Clone)]
pub(crate) struct StatusReporter {
    pub(crate) status: watch::Sender<SocketStatus>,
    pub(crate) chat: broadcast::Sender<BackendEvent>,
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
        let pump = Pump {
            client: client.clone(),
            webhooks: Arc::new(Semaphore::new(WEBHOOKS)),
            events,
            engine,
            report,
            hub: sender,
            ready_by: None,
            connected: None,
        };
        let task = tokio::spawn(async move {
            tokio::select! {
                () = pump.run() => {}
                () = cancel.cancelled() => {}
            }
        });
        Self {
            client,
            events: Mutex::new(receiver),
            _pump: AbortOnDropHandle::new(task),
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
    ready_by: Option<Instant>,
    /// The id of the connection, while there is one.
    connected: Option<String>,
}

impl Pump {
    async fn run(mut self) {
        let mut states = self.client.state();
        states.mark_changed();
        loop {
            let ready_by = self.ready_by;
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
                event = self.events.recv() => match event {
                    Some(event) => self.event(event).await,
                    None => false,
                },
                () = wait_until(ready_by) => self.ready().await,
            };
            if !going_on {
                return;
            }
        }
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
        self.report.status.send_replace(SocketStatus::from(state));
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
                self.report.status.send_modify(|status| {
                    status.status = SocketState::Error;
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
                self.engine.server_event(&name, event.data()).await;
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
mod tests {
    use futures_util::future::BoxFuture;
    use openhuman_mcp::link::conformance::{ConformancePeer, check};
    use serde_json::json;
    use socketioxide::SocketIo;
    use socketioxide::extract::{Data, Event as EventName, SocketRef};

    use super::*;

    /// The server's side of one connection.
    struct Peer {
        socket: SocketRef,
        events: mpsc::UnboundedReceiver<(String, Value)>,
    }

    impl ConformancePeer for Peer {
        fn receive(&mut self) -> BoxFuture<'_, Option<(String, Value)>> {
            Box::pin(self.events.recv())
        }

        fn send<'a>(&'a mut self, event: &'a str, data: Value) -> BoxFuture<'a, ()> {
            self.socket.emit(event, &data).unwrap();
            Box::pin(std::future::ready(()))
        }

        fn send_with_ack<'a>(&'a mut self, event: &'a str, data: Value) -> BoxFuture<'a, Option<Value>> {
            let answer = self.socket.emit_with_ack::<_, Value>(event, &data).unwrap();
            Box::pin(async move { answer.await.ok() })
        }
    }

    /// A real Socket.IO server that says `ready` to the first client and hands out its side.
    async fn server() -> (String, tokio::sync::oneshot::Receiver<Peer>) {
        // The default of 100 kB is less than the conformance test sends; our own backend allows more too.
        let (layer, io) = SocketIo::builder().max_payload(1_000_000).build_layer();
        let (connected, peer) = tokio::sync::oneshot::channel();
        let connected = Arc::new(std::sync::Mutex::new(Some(connected)));
        io.ns("/", move |socket: SocketRef| {
            let (sender, events) = mpsc::unbounded_channel();
            socket.on_fallback(move |EventName(name): EventName, Data(data): Data<Value>| {
                let _ = sender.send((name, data));
                std::future::ready(())
            });
            socket.emit("ready", &json!({})).unwrap();
            if let Some(connected) = connected.lock().unwrap().take() {
                let _ = connected.send(Peer { socket, events });
            }
            std::future::ready(())
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().layer(layer)).await });
        (url, peer)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_socket_is_a_conforming_event_link() {
        let (url, peer) = server().await;
        let mut builder = Client::builder(&url);
        let events = builder.subscribe_all();
        let client = builder.connect().await.unwrap();
        let engine = Engine::builder().build().unwrap();
        let report = StatusReporter {
            status: watch::Sender::default(),
            chat: broadcast::channel(8).0,
        };
        let link = SocketLink::new(client, events, engine, report, CancellationToken::new());
        check(Arc::new(link), peer.await.unwrap()).await.unwrap();
    }
}
