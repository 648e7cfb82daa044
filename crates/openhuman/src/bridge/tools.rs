//! The hub as the agent's tools.

use futures_util::future::BoxFuture;
use openhuman_agent::{ToolCall, ToolOutcome, ToolSpec, Tools};
use openhuman_mcp::{CallContext, Hub, Origin};
use tokio_util::sync::CancellationToken;

pub(crate) struct HubTools {
    hub: Hub,
}

impl HubTools {
    pub(crate) fn new(hub: Hub) -> Self {
        Self { hub }
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
            ToolOutcome {
                text: result.to_text(),
                is_error: result.is_error,
            }
        })
    }
}
