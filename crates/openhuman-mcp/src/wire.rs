//! The Socket.IO events, exactly as existing backends send and expect them.
//!
//! | Event | Sent by | Payload |
//! |---|---|---|
//! | `mcp:listTools` | backend | [`ListTools`] |
//! | `mcp:listToolsResponse` | desktop | [`ListToolsResponse`] |
//! | `mcp:toolCall` | backend | [`ToolCall`] |
//! | `mcp:toolCallResponse` | desktop | [`ToolCallResponse`] |
//! | `tool:sync` | desktop | [`ToolSync`] |
//! | `mcp:request`, `mcp:response` | backend, desktop | [`McpRequest`], [`McpResponse`] |
//! | `mcp:message` | both | any JSON-RPC message of MCP, see `docs/mcp-over-socketio.md` |

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::catalog::Catalog;
use crate::tool::ToolResult;

/// `mcp:listTools`
pub const LIST_TOOLS: &str = "mcp:listTools";
/// `mcp:listToolsResponse`
pub const LIST_TOOLS_RESPONSE: &str = "mcp:listToolsResponse";
/// `mcp:toolCall`
pub const TOOL_CALL: &str = "mcp:toolCall";
/// `mcp:toolCallResponse`
pub const TOOL_CALL_RESPONSE: &str = "mcp:toolCallResponse";
/// `tool:sync`
pub const TOOL_SYNC: &str = "tool:sync";
/// `mcp:request`
pub const MCP_REQUEST: &str = "mcp:request";
/// `mcp:message`
pub const MCP_MESSAGE: &str = "mcp:message";
/// `mcp:response`
pub const MCP_RESPONSE: &str = "mcp:response";

/// What ties an answer to its request. It is echoed as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequestId {
    /// The usual form.
    Text(String),
    /// Some backends count.
    Number(Number),
}

impl RequestId {
    /// Reads an id from JSON; anything but a string or a number is no id.
    pub fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Number(number) => Some(Self::Number(number.clone())),
            _ => None,
        }
    }
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for RequestId {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// `{"requestId":".."}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListTools {
    /// Echoed in the answer.
    pub request_id: RequestId,
}

/// `{"requestId":"..","tools":[{"name","description","inputSchema"}]}`: the tools of running skills.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListToolsResponse {
    /// From the request. It is absent only in an acknowledgement of a request without an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The tools under the names that `mcp:toolCall` takes.
    pub tools: Vec<WireTool>,
}

/// One entry of [`ListToolsResponse`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireTool {
    /// `skillId__toolName`
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// A JSON Schema of the arguments.
    #[serde(default)]
    pub input_schema: Value,
}

/// `{"requestId":"..","toolCall":{"name":"skillId__tool","arguments":{}}}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCall {
    /// Echoed in the answer.
    pub request_id: RequestId,
    /// What to call.
    pub tool_call: ToolCallBody,
}

/// The inner object of [`ToolCall`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCallBody {
    /// `skillId__toolName`
    pub name: String,
    /// The arguments, an object. A missing key means `{}`.
    #[serde(default = "empty_object")]
    pub arguments: Value,
}

fn empty_object() -> Value {
    Value::Object(Map::new())
}

/// `{"requestId":"..","result":{"content":[..],"isError":false}}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCallResponse {
    /// From the request. It is absent only in an acknowledgement of a request without an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The outcome.
    pub result: ToolResult,
}

/// `{"tools":[{"skillId","name","status","tools":[..]}]}`: one entry per registered skill.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ToolSync {
    /// Every registered skill, running or not.
    pub tools: Vec<ToolSyncEntry>,
}

/// One entry of [`ToolSync`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolSyncEntry {
    /// The skill id.
    pub skill_id: String,
    /// The name for people.
    #[serde(default)]
    pub name: String,
    /// `connected`, `connecting`, `not_authenticated`, `disconnected`, `offline` or `error`.
    #[serde(default)]
    pub status: String,
    /// Bare tool names.
    #[serde(default)]
    pub tools: Vec<String>,
}

impl From<&Catalog> for ToolSync {
    fn from(catalog: &Catalog) -> Self {
        let tools = catalog.toolsets.iter().map(|set| ToolSyncEntry {
            skill_id: set.id.clone(),
            name: set.name.clone(),
            status: set.status.clone(),
            tools: set.tools().iter().map(|tool| tool.tool.clone()).collect(),
        });
        Self {
            tools: tools.collect(),
        }
    }
}

impl From<&Catalog> for Vec<WireTool> {
    fn from(catalog: &Catalog) -> Self {
        let tools = catalog.tools.iter().map(|tool| WireTool {
            name: tool.name.clone(),
            description: tool.description.clone(),
            input_schema: tool.input_schema.clone(),
        });
        tools.collect()
    }
}

/// A JSON-RPC 2.0 request, or a notification when it has no id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct McpRequest {
    /// `"2.0"`
    pub jsonrpc: String,
    /// Echoed in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// `ping`, `tools/list` or `tools/call`.
    pub method: String,
    /// The parameters.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub params: Value,
}

impl McpRequest {
    /// A request that wants an answer.
    pub fn new(id: impl Into<RequestId>, method: impl Into<String>, params: Value) -> Self {
        Self {
            jsonrpc: JSON_RPC.into(),
            id: Some(id.into()),
            method: method.into(),
            params,
        }
    }
}

/// A JSON-RPC 2.0 answer: either `result` or `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct McpResponse {
    /// `"2.0"`
    pub jsonrpc: String,
    /// From the request, or null when the request had no readable id.
    pub id: Option<RequestId>,
    /// The result of a request that worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<McpError>,
}

impl McpResponse {
    /// A success.
    pub fn result(id: Option<RequestId>, result: Value) -> Self {
        Self {
            jsonrpc: JSON_RPC.into(),
            id,
            result: Some(result),
            error: None,
        }
    }

    /// A failure.
    pub fn error(id: Option<RequestId>, code: i64, message: impl Into<String>) -> Self {
        let error = McpError {
            code,
            message: message.into(),
            data: None,
        };
        Self {
            jsonrpc: JSON_RPC.into(),
            id,
            result: None,
            error: Some(error),
        }
    }
}

/// A JSON-RPC 2.0 error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct McpError {
    /// One of the standard codes.
    pub code: i64,
    /// One sentence.
    pub message: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// The only JSON-RPC version there is.
pub(crate) const JSON_RPC: &str = "2.0";

/// The JSON-RPC error codes this crate answers with.
pub mod code {
    /// Not a JSON-RPC 2.0 request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// No such method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The parameters do not fit.
    pub const INVALID_PARAMS: i64 = -32602;
    /// The answer could not be built.
    pub const INTERNAL_ERROR: i64 = -32603;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn payloads_have_the_documented_keys() {
        let call = ToolCall {
            request_id: "r1".into(),
            tool_call: ToolCallBody {
                name: "a__b".into(),
                arguments: json!({"q": 1}),
            },
        };
        assert_eq!(
            serde_json::to_value(&call).unwrap(),
            json!({"requestId": "r1", "toolCall": {"name": "a__b", "arguments": {"q": 1}}})
        );
        let bare: ToolCall =
            serde_json::from_value(json!({"requestId": 7, "toolCall": {"name": "a__b"}})).unwrap();
        assert_eq!(bare.tool_call.arguments, json!({}));
        assert_eq!(
            serde_json::to_value(&bare.request_id).unwrap(),
            json!(7),
            "ids are echoed as they came"
        );

        let sync = ToolSync {
            tools: vec![ToolSyncEntry {
                skill_id: "a".into(),
                name: "A".into(),
                status: "connected".into(),
                tools: vec!["b".into()],
            }],
        };
        assert_eq!(
            serde_json::to_value(&sync).unwrap(),
            json!({"tools": [{"skillId": "a", "name": "A", "status": "connected", "tools": ["b"]}]})
        );
        let response = ToolCallResponse {
            request_id: Some("r1".into()),
            result: ToolResult::text("ok"),
        };
        assert_eq!(
            serde_json::to_value(&response).unwrap(),
            json!({"requestId": "r1", "result": {"content": [{"type": "text", "text": "ok"}], "isError": false}})
        );
        assert_eq!(
            serde_json::to_value(McpResponse::error(None, code::INVALID_REQUEST, "no")).unwrap(),
            json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "no"}})
        );
    }
}
