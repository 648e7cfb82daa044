//! A test that every [`EventLink`] has to pass.
//!
//! Connect your implementation to a server of your choice, wrap that server's side in a
//! [`ConformancePeer`] and call [`check`] from a test. It serves a small hub over the link and plays the
//! backend against it.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::memory::MemoryPeer;
use super::{EventLink, LinkOptions, serve};
use crate::context::CallContext;
use crate::error::CallError;
use crate::hub::{Hub, HubOptions};
use crate::tool::{ToolDefinition, ToolProvider, ToolResult, Toolset};
use crate::wire;

/// The backend's side of the connection under test.
pub trait ConformancePeer: Send {
    /// The next event that arrives from the link.
    fn receive(&mut self) -> BoxFuture<'_, Option<(String, Value)>>;
    /// Sends an event to the link.
    fn send<'a>(&'a mut self, event: &'a str, data: Value) -> BoxFuture<'a, ()>;
    /// Sends an event and waits for its acknowledgement; `None` when the transport has none.
    fn send_with_ack<'a>(&'a mut self, event: &'a str, data: Value) -> BoxFuture<'a, Option<Value>>;
}

impl ConformancePeer for MemoryPeer {
    fn receive(&mut self) -> BoxFuture<'_, Option<(String, Value)>> {
        Box::pin(Self::receive(self))
    }

    fn send<'a>(&'a mut self, event: &'a str, data: Value) -> BoxFuture<'a, ()> {
        Self::send(self, event, data);
        Box::pin(std::future::ready(()))
    }

    fn send_with_ack<'a>(&'a mut self, event: &'a str, data: Value) -> BoxFuture<'a, Option<Value>> {
        let answer = Self::send_with_ack(self, event, data);
        Box::pin(async move { answer.await.ok() })
    }
}

/// What a link did wrong.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the event link failed the step \"{step}\": {detail}")]
#[non_exhaustive]
pub struct ConformanceError {
    /// The step that failed.
    pub step: &'static str,
    /// What was seen and what was expected.
    pub detail: String,
}

const PATIENCE: Duration = Duration::from_secs(20);
const BURST: u64 = 100;

/// Runs every step. The link must report [`Ready`](super::LinkEvent::Ready) by itself once it is connected.
///
/// # Errors
///
/// The first step that failed.
pub async fn check<P: ConformancePeer>(link: Arc<dyn EventLink>, peer: P) -> Result<(), ConformanceError> {
    let hub = Hub::new(HubOptions::default());
    let echo = Arc::new(Echo {
        running: watch::Sender::new(1),
    });
    hub.add_provider(Arc::clone(&echo) as Arc<dyn ToolProvider>);
    let cancel = CancellationToken::new();
    let _stop_on_drop = cancel.clone().drop_guard();
    let server = tokio::spawn(serve(hub, link, LinkOptions::default(), cancel.clone()));
    let mut run = Run {
        peer,
        step: "tool:sync after the connect",
    };

    run.expect(wire::TOOL_SYNC, &sync("connected")).await?;
    run.listing().await?;
    run.calling().await?;
    run.burst().await?;
    run.step = "tool:sync after a change";
    echo.running.send_replace(0);
    run.expect(wire::TOOL_SYNC, &sync("offline")).await?;

    run.step = "stopping";
    cancel.cancel();
    match tokio::time::timeout(PATIENCE, server).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(run.failed(&error)),
        Err(_) => Err(run.failed("serve did not return after it was cancelled")),
    }
}

fn sync(status: &str) -> Value {
    json!({"tools": [{"skillId": "echo", "name": "Echo", "status": status, "tools": ["say"]}]})
}

fn call(id: &Value, text: &str) -> Value {
    json!({"requestId": id, "toolCall": {"name": "echo__say", "arguments": {"text": text}}})
}

fn answer(id: &Value, text: &str) -> Value {
    json!({"requestId": id, "result": {"content": [{"type": "text", "text": text}], "isError": false}})
}

struct Run<P> {
    peer: P,
    step: &'static str,
}

impl<P: ConformancePeer> Run<P> {
    async fn listing(&mut self) -> Result<(), ConformanceError> {
        self.step = "mcp:listTools";
        self.peer
            .send(wire::LIST_TOOLS, json!({"requestId": "list-1"}))
            .await;
        let tools = json!([{"name": "echo__say", "description": "Repeats the text", "inputSchema": {"type": "object"}}]);
        self.expect(
            wire::LIST_TOOLS_RESPONSE,
            &json!({"requestId": "list-1", "tools": tools}),
        )
        .await
    }

    async fn calling(&mut self) -> Result<(), ConformanceError> {
        self.step = "mcp:toolCall with text that is not ASCII";
        let id = json!("call-1");
        let text = "Grüße, 世界 \u{1F600} \"quoted\" \\ \n line";
        self.peer.send(wire::TOOL_CALL, call(&id, text)).await;
        self.expect(wire::TOOL_CALL_RESPONSE, &answer(&id, text)).await?;

        self.step = "mcp:toolCall with 256 KiB";
        let text = "x".repeat(256 * 1024);
        self.peer.send(wire::TOOL_CALL, call(&id, &text)).await;
        self.expect(wire::TOOL_CALL_RESPONSE, &answer(&id, &text)).await?;

        self.step = "mcp:toolCall with a wrong name";
        self.peer
            .send(
                wire::TOOL_CALL,
                json!({"requestId": 7, "toolCall": {"name": "nobody"}}),
            )
            .await;
        let reason = "Invalid tool name: nobody. Expected format: skillId__toolName";
        let mut wrong = answer(&json!(7), reason);
        wrong["result"]["isError"] = true.into();
        self.expect(wire::TOOL_CALL_RESPONSE, &wrong).await?;

        self.step = "mcp:request";
        self.peer
            .send(
                wire::MCP_REQUEST,
                json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}),
            )
            .await;
        self.expect(
            wire::MCP_RESPONSE,
            &json!({"jsonrpc": "2.0", "id": 1, "result": {}}),
        )
        .await?;

        self.step = "the acknowledgement of mcp:toolCall";
        let id = json!("call-2");
        let acked = self.peer.send_with_ack(wire::TOOL_CALL, call(&id, "acked"));
        let acked = tokio::time::timeout(PATIENCE, acked)
            .await
            .map_err(|_| self.failed("no acknowledgement"))?;
        if let Some(acked) = acked
            && acked != answer(&id, "acked")
        {
            return Err(self.failed(&acked));
        }
        self.expect(wire::TOOL_CALL_RESPONSE, &answer(&id, "acked")).await
    }

    async fn burst(&mut self) -> Result<(), ConformanceError> {
        self.step = "a hundred calls at once, one answer each";
        for id in 0..BURST {
            self.peer.send(wire::TOOL_CALL, call(&id.into(), "burst")).await;
        }
        let mut open: BTreeSet<u64> = (0..BURST).collect();
        while !open.is_empty() {
            let (_, data) = self.receive().await?;
            let id = data.get("requestId").and_then(Value::as_u64).unwrap_or(u64::MAX);
            if !open.remove(&id) || data != answer(&id.into(), "burst") {
                return Err(self.failed(&data));
            }
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<(String, Value), ConformanceError> {
        match tokio::time::timeout(PATIENCE, self.peer.receive()).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Err(self.failed("the link hung up")),
            Err(_) => Err(self.failed("nothing arrived")),
        }
    }

    async fn expect(&mut self, event: &str, data: &Value) -> Result<(), ConformanceError> {
        let (got_event, got) = self.receive().await?;
        if got_event == event && got == *data {
            return Ok(());
        }
        let mut detail = format!("expected {event} {data}, got {got_event} {got}");
        if let Some((cut, _)) = detail.char_indices().nth(2000) {
            detail.truncate(cut);
        }
        Err(ConformanceError {
            step: self.step,
            detail,
        })
    }

    fn failed<D: Debug + ?Sized>(&self, seen: &D) -> ConformanceError {
        ConformanceError {
            step: self.step,
            detail: format!("{seen:?}"),
        }
    }
}

/// One skill with one tool that repeats its text. The counter is 1 while it runs.
struct Echo {
    running: watch::Sender<u64>,
}

impl ToolProvider for Echo {
    fn toolsets(&self) -> Vec<Toolset> {
        let running = *self.running.borrow() == 1;
        vec![Toolset {
            id: "echo".into(),
            name: "Echo".into(),
            status: if running { "connected" } else { "offline" }.into(),
            running,
            tools: vec![ToolDefinition::new(
                "say",
                "Repeats the text",
                json!({"type": "object"}),
            )],
        }]
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.running.subscribe()
    }

    fn call<'a>(
        &'a self,
        _toolset: &'a str,
        tool: &'a str,
        args: Value,
        _ctx: CallContext,
    ) -> BoxFuture<'a, Result<ToolResult, CallError>> {
        let result = match args.get("text").and_then(Value::as_str) {
            Some(text) => Ok(ToolResult::text(text)),
            None => Err(CallError::InvalidArguments {
                tool: tool.into(),
                reason: "no text".into(),
            }),
        };
        Box::pin(std::future::ready(result))
    }
}
