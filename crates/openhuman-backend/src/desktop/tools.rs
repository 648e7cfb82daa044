//! A desktop's tools as the agent sees them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openhuman_agent::{ToolCall, ToolOutcome, ToolSpec, Tools};
use openhuman_mcp::wire::{self, ListTools, ListToolsResponse, ToolCallBody, ToolCallResponse};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::calls::Calls;

/// The longest tool name that model providers take.
const MAX_NAME: usize = 64;

/// Lists and calls the tools of one desktop over its socket.
pub(crate) struct DesktopTools {
    calls: Arc<Calls>,
    limit: usize,
    listed: Mutex<Listed>,
}

/// The last list, good until the desktop reports a change.
#[derive(Default)]
struct Listed {
    generation: u64,
    tools: Option<Vec<ToolSpec>>,
}

impl DesktopTools {
    pub(crate) fn new(calls: Arc<Calls>, limit: usize) -> Self {
        Self {
            calls,
            limit,
            listed: Mutex::default(),
        }
    }

    /// The desktop's tools have changed.
    pub(crate) fn forget(&self) {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.generation += 1;
        listed.tools = None;
    }

    async fn listed(&self) -> Vec<ToolSpec> {
        let generation = {
            let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(tools) = &listed.tools {
                return tools.clone();
            }
            listed.generation
        };
        let request = |request_id| payload(&ListTools { request_id });
        let answer = self
            .calls
            .request(wire::LIST_TOOLS, request, &CancellationToken::new())
            .await;
        let tools = match answer.map(serde_json::from_value::<ListToolsResponse>) {
            Ok(Ok(response)) => specs(response, self.limit),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a desktop sent a list of tools that cannot be read");
                return Vec::new();
            }
            Err(reason) => {
                tracing::warn!(%reason, "a desktop did not list its tools");
                return Vec::new();
            }
        };
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.generation == generation {
            listed.tools = Some(tools.clone());
        }
        tools
    }
}

impl Tools for DesktopTools {
    fn list(&self) -> BoxFuture<'_, Vec<ToolSpec>> {
        self.listed().boxed()
    }

    fn call<'a>(&'a self, call: &'a ToolCall, cancel: CancellationToken) -> BoxFuture<'a, ToolOutcome> {
        call_tool(&self.calls, &call.name, &call.arguments, cancel).boxed()
    }
}

/// Calls one tool over the socket and waits for its answer.
pub(crate) async fn call_tool(
    calls: &Calls,
    name: &str,
    arguments: &Value,
    cancel: CancellationToken,
) -> ToolOutcome {
    let request = |request_id| {
        let tool_call = ToolCallBody {
            name: name.to_owned(),
            arguments: arguments.clone(),
        };
        payload(&wire::ToolCall {
            request_id,
            tool_call,
        })
    };
    let answer = calls.request(wire::TOOL_CALL, request, &cancel).await;
    match answer.map(serde_json::from_value::<ToolCallResponse>) {
        Ok(Ok(response)) => ToolOutcome {
            text: response.result.to_text(),
            is_error: response.result.is_error,
        },
        Ok(Err(error)) => ToolOutcome {
            text: format!("The desktop's answer cannot be read: {error}"),
            is_error: true,
        },
        Err(reason) => ToolOutcome {
            text: reason.to_string(),
            is_error: true,
        },
    }
}

fn payload<T: serde::Serialize>(request: &T) -> Value {
    serde_json::to_value(request).unwrap_or_else(|error| {
        tracing::error!(%error, "a request could not be serialised");
        json!({})
    })
}

/// What of a list can be offered to a model: one bad name would make a provider refuse them all.
fn specs(response: ListToolsResponse, limit: usize) -> Vec<ToolSpec> {
    let mut names = HashSet::new();
    let (good, bad): (Vec<_>, Vec<_>) = response.tools.into_iter().partition(|tool| {
        let fits = (1..=MAX_NAME).contains(&tool.name.len())
            && tool
                .name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        fits && names.insert(tool.name.clone())
    });
    let left_out = bad.len() + good.len().saturating_sub(limit);
    if left_out > 0 {
        tracing::warn!(
            left_out,
            "tools with bad names or beyond the limit are not offered to the model"
        );
    }
    good.into_iter()
        .take(limit)
        .map(|tool| ToolSpec {
            name: tool.name,
            description: tool.description,
            parameters: if tool.input_schema.is_object() {
                tool.input_schema
            } else {
                json!({"type": "object"})
            },
            read_only: false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;
    use crate::desktop::calls::Outgoing;

    fn tools() -> (Arc<DesktopTools>, Arc<Calls>, mpsc::Receiver<Outgoing>) {
        let (outbox, out) = mpsc::channel(8);
        let calls = Arc::new(Calls::new(
            "ada".into(),
            "1".into(),
            outbox,
            CancellationToken::new(),
            Duration::from_secs(30),
        ));
        (Arc::new(DesktopTools::new(Arc::clone(&calls), 2)), calls, out)
    }

    fn list(tools: &Arc<DesktopTools>) -> tokio::task::JoinHandle<Vec<ToolSpec>> {
        let tools = Arc::clone(tools);
        tokio::spawn(async move { tools.list().await })
    }

    #[tokio::test]
    async fn a_list_is_kept_until_the_desktop_reports_a_change() {
        let (tools, calls, mut out) = tools();
        let listing = list(&tools);
        let (event, request) = out.recv().await.unwrap();
        assert_eq!(event, "mcp:listTools");
        let entry = |name: &str| json!({"name": name, "description": "d", "inputSchema": {"type": "object"}});
        let all = ["a__b", "no good", "a__b", "a__c", "a__d"].map(entry);
        calls.answered(json!({"requestId": request["requestId"], "tools": all}));
        let names: Vec<String> = listing.await.unwrap().into_iter().map(|tool| tool.name).collect();
        assert_eq!(
            names,
            ["a__b", "a__c"],
            "bad, double and surplus names are left out"
        );
        assert_eq!(list(&tools).await.unwrap().len(), 2, "no second request");

        tools.forget();
        let listing = list(&tools);
        let (_, request) = out.recv().await.unwrap();
        tools.forget();
        calls.answered(json!({"requestId": request["requestId"], "tools": []}));
        assert!(listing.await.unwrap().is_empty());
        let listing = list(&tools);
        let (_, request) = out.recv().await.expect("the outdated list was not kept");
        calls.answered(json!({"requestId": request["requestId"], "tools": "nonsense"}));
        assert!(listing.await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn calls_carry_name_and_arguments_and_answers_come_back() {
        let (tools, calls, mut out) = tools();
        let run = |call: ToolCall| {
            let tools = Arc::clone(&tools);
            tokio::spawn(async move { tools.call(&call, CancellationToken::new()).await })
        };
        let call = ToolCall {
            id: "c".into(),
            name: "a__b".into(),
            arguments: json!({"q": 1}),
        };
        let running = run(call.clone());
        let (event, request) = out.recv().await.unwrap();
        assert_eq!(event, "mcp:toolCall");
        assert_eq!(
            request["toolCall"],
            json!({"name": "a__b", "arguments": {"q": 1}})
        );
        let result = json!({"content": [{"type": "text", "text": "no"}], "isError": true});
        calls.answered(json!({"requestId": request["requestId"], "result": result}));
        assert_eq!(
            running.await.unwrap(),
            ToolOutcome {
                text: "no".into(),
                is_error: true
            }
        );

        let running = run(call);
        let (_, request) = out.recv().await.unwrap();
        calls.answered(json!({"requestId": request["requestId"], "result": 7}));
        let outcome = running.await.unwrap();
        assert!(
            outcome.is_error && outcome.text.contains("cannot be read"),
            "{}",
            outcome.text
        );
    }
}
