//! The hub as the agent's tools. Long results are shortened before the model reads them.

use futures_util::future::BoxFuture;
use openhuman_agent::{ToolCall, ToolOutcome, ToolSpec, Tools};
use openhuman_mcp::{CallContext, Hub, Origin};
use openhuman_memory::Memory;
use openhuman_memory::compress::{MIN_BYTES, ToolOutput};
use tokio_util::sync::CancellationToken;

use super::memory::TOOLSET;

/// The tools for one thread, in whose name the originals of shortened results are kept.
pub(crate) struct HubTools {
    hub: Hub,
    memory: Memory,
    thread: String,
}

impl HubTools {
    pub(crate) fn new(hub: Hub, memory: Memory, thread: String) -> Self {
        Self { hub, memory, thread }
    }

    /// The result as the model reads it. One that cannot be shortened is given as it is.
    async fn shortened(&self, call: &ToolCall, text: String) -> String {
        // What the memory's own tools give has the right size already.
        if text.len() < MIN_BYTES || call.name.starts_with(&format!("{TOOLSET}__")) {
            return text;
        }
        let (memory, thread, tool) = (self.memory.clone(), self.thread.clone(), call.name.clone());
        let command = ["command", "cmd"]
            .iter()
            .find_map(|name| call.arguments.get(name)?.as_str())
            .unwrap_or_default()
            .to_owned();
        let whole = text.clone();
        let short = tokio::task::spawn_blocking(move || {
            let output = ToolOutput {
                tool: &tool,
                command: &command,
                text: &whole,
            };
            memory.shorten(&thread, &output)
        });
        match short.await {
            Ok(Ok(short)) => with_tool_name(short.text, short.original.as_deref()),
            Ok(Err(error)) => {
                tracing::warn!(%error, tool = call.name, "a tool's result was not shortened");
                text
            }
            Err(error) => {
                tracing::warn!(%error, tool = call.name, "a tool's result was not shortened");
                text
            }
        }
    }
}

/// Names the tool that gives the whole text, in the place where the memory names its own call.
fn with_tool_name(text: String, original: Option<&str>) -> String {
    match original {
        Some(id) => text.replacen(
            &format!("expand({id})"),
            &format!("{TOOLSET}__expand {}", serde_json::json!({ "id": id })),
            1,
        ),
        None => text,
    }
}

impl Tools for HubTools {
    fn list(&self) -> BoxFuture<'_, Vec<ToolSpec>> {
        let catalog = self.hub.catalog();
        Box::pin(async move {
            catalog
                .tools
                .iter()
                .map(|tool| ToolSpec {
                    name: tool.name.clone(),
                    description: tool.description.clone(),
                    parameters: tool.input_schema.clone(),
                    read_only: tool.annotations.read_only,
                })
                .collect()
        })
    }

    fn call<'a>(&'a self, call: &'a ToolCall, cancel: CancellationToken) -> BoxFuture<'a, ToolOutcome> {
        Box::pin(async move {
            let context = CallContext {
                cancel,
                ..CallContext::new(Origin::Agent)
            };
            let result = self.hub.call(&call.name, call.arguments.clone(), context).await;
            let is_error = result.is_error;
            let text = self.shortened(call, result.to_text()).await;
            ToolOutcome { text, is_error }
        })
    }
}
