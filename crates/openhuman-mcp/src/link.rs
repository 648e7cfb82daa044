//! The hub over an event connection such as Socket.IO.
//!
//! [`serve`] answers `mcp:listTools`, `mcp:toolCall` and `mcp:request` and keeps the other side informed
//! with `tool:sync`. What carries the events is an [`EventLink`]: two methods, so that any Socket.IO client
//! fits. [`memory::pair`] is one without a network and [`conformance::check`] tests any other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::context::{CallContext, Origin};
use crate::hub::Hub;
use crate::info::ServerInfo;
use crate::request::{self, Call, Method, Request, decode};
use crate::tool::ToolResult;
use crate::wire::{self, McpResponse, RequestId, ToolCallResponse};

pub mod conformance;
mod event;
pub mod memory;
#[cfg(feature = "stdio")]
mod message;
mod schedule;

pub use event::{AckSender, EventLink, LinkError, LinkEvent};
use schedule::Schedule;

/// Answers that may wait for a slow connection beside the calls; then nothing more is read from it.
const MAX_ANSWERS: usize = 1024;

/// How [`serve`] behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkOptions {
    /// How long changes are collected before one `tool:sync` goes out. Default: 10 ms.
    pub coalesce: Duration,
    /// How many calls may run at once on this connection; more are answered with an error. Default: 10,240.
    pub max_in_flight: usize,
    /// How the server introduces itself in `mcp:message`.
    pub info: ServerInfo,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            coalesce: Duration::from_millis(10),
            max_in_flight: 10_240,
            info: ServerInfo::default(),
        }
    }
}

/// Serves the hub on a link until `cancel` fires or the link closes for good.
///
/// Every request that has an id gets exactly one answer, and so does every request that asked for an
/// acknowledgement. When the connection is lost, running calls are cancelled and nothing is replayed.
pub async fn serve(hub: Hub, link: Arc<dyn EventLink>, options: LinkOptions, cancel: CancellationToken) {
    let mut changes = hub.changes();
    let mut server = Server {
        hub,
        link,
        options,
        tasks: JoinSet::new(),
        running: HashMap::new(),
        serial: 0,
        #[cfg(feature = "stdio")]
        session: message::Session::default(),
    };
    let mut sync = Schedule::default();
    loop {
        let now = Instant::now();
        if let Some(payload) = sync.due(now, &server.hub) {
            server.send_sync(payload);
        }
        let wake = sync.wake_at();
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            Some(done) = server.tasks.join_next() => server.finished(done, &mut sync),
            event = server.link.next(), if server.has_room() => match event {
                Some(LinkEvent::Ready) => sync.ready(),
                Some(LinkEvent::Lost) => {
                    sync.lost();
                    server.drop_everything().await;
                }
                Some(LinkEvent::Event { name, data, ack }) => server.handle(&name, &data, ack),
                None => break,
            },
            changed = changes.changed() => match changed {
                // The clock starts when the hub noticed the change, not when it had listed the tools again.
                Ok(()) => sync.changed(
                    server.hub.catalog().noticed.unwrap_or_else(Instant::now),
                    server.options.coalesce,
                ),
                Err(_) => break,
            },
            () = sleep_until(wake) => {}
        }
    }
    server.drop_everything().await;
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

/// What a finished task was.
enum Done {
    Sync(Result<(), LinkError>),
    Call(Option<(RequestId, u64)>),
    Answer,
}

struct Server {
    hub: Hub,
    link: Arc<dyn EventLink>,
    options: LinkOptions,
    tasks: JoinSet<Done>,
    /// Calls that came as `mcp:request`, which can be cancelled by id.
    running: HashMap<RequestId, (u64, CancellationToken)>,
    serial: u64,
    #[cfg(feature = "stdio")]
    session: message::Session,
}

impl Server {
    /// Whether another event can be taken in. Refusals wait for the connection too, so that a peer which asks and
    /// does not read the answers must be held back.
    fn has_room(&self) -> bool {
        self.tasks.len() < self.options.max_in_flight.saturating_add(MAX_ANSWERS)
    }

    fn handle(&mut self, event: &str, data: &Value, ack: Option<AckSender>) {
        #[cfg(feature = "stdio")]
        if event == wire::MCP_MESSAGE {
            let refused = self.session.take(&self.hub, &self.link, &self.options.info, data);
            if let Some(response) = refused {
                self.answer(wire::MCP_MESSAGE, &response, true, None);
            }
            // An acknowledgement says only that the message arrived.
            if let Some(ack) = ack {
                self.tasks.spawn(async move {
                    let _gone = ack.send(Value::Null).await;
                    Done::Answer
                });
            }
            return;
        }
        match decode(event, data) {
            Request::Ignore => {}
            Request::List { id } if id.is_none() && ack.is_none() => {
                tracing::debug!(event, "a request without an id was ignored");
            }
            Request::List { id } => {
                let text = request::list_tools_response(id.as_ref(), &self.hub.catalog());
                self.answer_text(wire::LIST_TOOLS_RESPONSE, text, id.is_some(), ack);
            }
            Request::Call { id, .. } if id.is_none() && ack.is_none() => {
                tracing::debug!(event, "a request without an id was ignored");
            }
            Request::Call { id, call } => self.call(id, call.map_err(ToolResult::from), ack),
            Request::BadRpc(response) => self.answer(wire::MCP_RESPONSE, &response, true, ack),
            Request::Rpc { id, method } => self.rpc(id, method, ack),
        }
    }

    fn rpc(&mut self, id: Option<RequestId>, method: Method, ack: Option<AckSender>) {
        match method {
            Method::Cancelled(target) => {
                if let Some((_, token)) = self.running.remove(&target) {
                    token.cancel();
                }
            }
            Method::Ping => {
                let response = McpResponse::result(id, Value::Object(serde_json::Map::new()));
                self.answer(wire::MCP_RESPONSE, &response, true, ack);
            }
            Method::ListTools => {
                let text = request::tools_list(id.as_ref(), &self.hub.catalog());
                self.answer_text(wire::MCP_RESPONSE, text, true, ack);
            }
            Method::CallTool(call) => self.rpc_call(id, call, ack),
        }
    }

    fn call(&mut self, id: Option<RequestId>, call: Result<Call, ToolResult>, ack: Option<AckSender>) {
        let call = self.admit(call);
        let (hub, link) = (self.hub.clone(), Arc::clone(&self.link));
        self.tasks.spawn(async move {
            let result = match call {
                Ok(call) => {
                    hub.call(&call.name, call.arguments, CallContext::new(Origin::SocketIo))
                        .await
                }
                Err(result) => result,
            };
            let emit = id.is_some();
            let response = ToolCallResponse {
                request_id: id,
                result,
            };
            respond(link.as_ref(), wire::TOOL_CALL_RESPONSE, &response, emit, ack).await;
            Done::Call(None)
        });
    }

    fn rpc_call(&mut self, id: Option<RequestId>, call: Call, ack: Option<AckSender>) {
        let call = self.admit(Ok(call));
        let ctx = CallContext::new(Origin::SocketIo);
        self.serial += 1;
        let serial = self.serial;
        if let Some(id) = &id {
            self.running.insert(id.clone(), (serial, ctx.cancel.clone()));
        }
        let (hub, link) = (self.hub.clone(), Arc::clone(&self.link));
        self.tasks.spawn(async move {
            let result = match call {
                Ok(call) => hub.call(&call.name, call.arguments, ctx).await,
                Err(result) => result,
            };
            let response = request::call_response(id.clone(), &result);
            respond(link.as_ref(), wire::MCP_RESPONSE, &response, true, ack).await;
            Done::Call(id.map(|id| (id, serial)))
        });
    }

    fn admit(&self, call: Result<Call, ToolResult>) -> Result<Call, ToolResult> {
        if self.tasks.len() < self.options.max_in_flight {
            return call;
        }
        Err(ToolResult::error(format!(
            "Too many calls are running on this connection (limit {}); wait for an answer and try again",
            self.options.max_in_flight
        )))
    }

    fn answer<T: Serialize>(&mut self, event: &'static str, payload: &T, emit: bool, ack: Option<AckSender>) {
        let link = Arc::clone(&self.link);
        match serde_json::to_value(payload) {
            Ok(payload) => {
                self.tasks.spawn(async move {
                    respond(link.as_ref(), event, &payload, emit, ack).await;
                    Done::Answer
                });
            }
            Err(error) => tracing::error!(event, %error, "an answer could not be serialised"),
        }
    }

    /// As [`answer`](Self::answer), for a text that the catalog put together.
    fn answer_text(&mut self, event: &'static str, text: String, emit: bool, ack: Option<AckSender>) {
        let link = Arc::clone(&self.link);
        self.tasks.spawn(async move {
            if let Some(ack) = ack
                && let Ok(payload) = serde_json::from_str(&text)
                && let Err(error) = ack.send(payload).await
            {
                tracing::debug!(event, %error, "an acknowledgement was not sent");
            }
            if emit && let Err(error) = emit_text(link.as_ref(), event, text).await {
                tracing::debug!(event, %error, "an answer was not sent");
            }
            Done::Answer
        });
    }

    fn send_sync(&mut self, payload: Arc<str>) {
        let link = Arc::clone(&self.link);
        self.tasks.spawn(async move {
            Done::Sync(emit_text(link.as_ref(), wire::TOOL_SYNC, payload.as_ref().to_owned()).await)
        });
    }

    fn finished(&mut self, done: Result<Done, tokio::task::JoinError>, sync: &mut Schedule) {
        match done {
            Ok(Done::Sync(sent)) => {
                if let Err(error) = &sent {
                    tracing::debug!(%error, "tool:sync was not sent");
                }
                sync.sent(sent.is_ok(), Instant::now());
            }
            Ok(Done::Call(Some((id, serial)))) => {
                if self.running.get(&id).is_some_and(|(latest, _)| *latest == serial) {
                    self.running.remove(&id);
                }
            }
            Ok(Done::Call(None) | Done::Answer) => {}
            Err(error) => tracing::error!(%error, "a task of the event link failed"),
        }
    }

    async fn drop_everything(&mut self) {
        #[cfg(feature = "stdio")]
        self.session.end().await;
        self.running.clear();
        self.tasks.shutdown().await;
    }
}

async fn emit_text(link: &dyn EventLink, event: &str, text: String) -> Result<(), LinkError> {
    let text = RawValue::from_string(text).map_err(|error| LinkError::Failed(error.to_string()))?;
    link.emit_text(event, text).await
}

async fn respond<T: Serialize>(
    link: &dyn EventLink,
    event: &str,
    payload: &T,
    emit: bool,
    ack: Option<AckSender>,
) {
    let payload = match serde_json::to_value(payload) {
        Ok(payload) => payload,
        Err(error) => {
            tracing::error!(event, %error, "an answer could not be serialised");
            return;
        }
    };
    if let Some(ack) = ack
        && let Err(error) = ack.send(payload.clone()).await
    {
        tracing::debug!(event, %error, "an acknowledgement was not sent");
    }
    if emit && let Err(error) = link.emit(event, payload).await {
        tracing::debug!(event, %error, "an answer was not sent");
    }
}

#[cfg(test)]
mod tests;
