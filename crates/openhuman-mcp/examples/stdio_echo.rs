//! An MCP server with two tools on standard input and output, for trying out clients:
//!
//! ```text
//! cargo run -p openhuman-mcp --example stdio_echo
//! ```

use std::sync::Arc;

use futures_util::future::BoxFuture;
use openhuman_mcp::{
    Annotations, CallContext, CallError, CancellationToken, Hub, HubOptions, ServerInfo, ToolDefinition,
    ToolProvider, ToolResult, Toolset, stdio,
};
use serde_json::{Value, json};
use tokio::sync::watch;

/// `demo__echo` repeats its text; `demo__grow` adds another tool, so that the list changes.
struct Demo {
    grown: watch::Sender<u64>,
}

impl ToolProvider for Demo {
    fn toolsets(&self) -> Vec<Toolset> {
        let schema = json!({
            "type": "object",
            "properties": {"text": {"type": "string", "description": "What to repeat"}},
            "required": ["text"],
        });
        let echo = ToolDefinition::new("echo", "Repeats the text", schema);
        let grow = ToolDefinition::new(
            "grow",
            "Adds one more tool to the list",
            json!({"type": "object"}),
        );
        let mut tools = vec![echo.with_annotations(Annotations::read_only()), grow];
        let grown = *self.grown.borrow();
        tools.extend(
            (1..=grown).map(|n| ToolDefinition::new(format!("extra-{n}"), "Does nothing", Value::Null)),
        );
        vec![Toolset {
            id: "demo".into(),
            name: "Demo".into(),
            status: "connected".into(),
            running: true,
            tools,
        }]
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }

    fn call<'a>(
        &'a self,
        _toolset: &'a str,
        tool: &'a str,
        args: Value,
        _ctx: CallContext,
    ) -> BoxFuture<'a, Result<ToolResult, CallError>> {
        Box::pin(async move {
            match (tool, args.get("text").and_then(Value::as_str)) {
                ("echo", Some(text)) => Ok(ToolResult::text(text)),
                ("echo", None) => Err(CallError::InvalidArguments {
                    tool: tool.into(),
                    reason: "the text is missing".into(),
                }),
                ("grow", _) => {
                    self.grown.send_modify(|value| *value += 1);
                    Ok(ToolResult::json(json!({"tools": *self.grown.borrow() + 2})))
                }
                _ => Ok(ToolResult::text("nothing was done")),
            }
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), openhuman_mcp::StdioError> {
    let hub = Hub::new(HubOptions::default());
    hub.add_provider(Arc::new(Demo {
        grown: watch::Sender::new(0),
    }));
    let info = ServerInfo {
        name: "openhuman-stdio-echo".into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    stdio::serve(hub, info, CancellationToken::new()).await
}
