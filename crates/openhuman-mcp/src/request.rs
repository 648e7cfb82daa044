//! Decoding what arrives: raw JSON to a typed request, once, at the edge.

use serde_json::{Map, Value};

use crate::catalog::{Catalog, join};
use crate::error::CallError;
use crate::tool::ToolResult;
use crate::wire::{self, JSON_RPC, McpResponse, RequestId, code};

/// One event, understood.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    /// `mcp:listTools`
    List { id: Option<RequestId> },
    /// `mcp:toolCall`
    Call {
        id: Option<RequestId>,
        call: Result<Call, CallError>,
    },
    /// `mcp:request` with a method
    Rpc { id: Option<RequestId>, method: Method },
    /// `mcp:request` that gets an error
    BadRpc(McpResponse),
    /// Not ours, or nothing to answer
    Ignore,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Value,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Method {
    Ping,
    ListTools,
    CallTool(Call),
    /// The notification `notifications/cancelled`.
    Cancelled(RequestId),
}

/// Understands one event. It never fails: whatever can be answered becomes a request.
pub(crate) fn decode(event: &str, data: &Value) -> Request {
    match event {
        wire::LIST_TOOLS => Request::List { id: request_id(data) },
        wire::TOOL_CALL => Request::Call {
            id: request_id(data),
            call: tool_call(data.get("toolCall")),
        },
        wire::MCP_REQUEST => json_rpc(data),
        _ => Request::Ignore,
    }
}

fn request_id(data: &Value) -> Option<RequestId> {
    data.get("requestId").and_then(RequestId::from_value)
}

fn tool_call(body: Option<&Value>) -> Result<Call, CallError> {
    let name = body.and_then(|body| body.get("name")).and_then(Value::as_str);
    let Some(name) = name else {
        return Err(CallError::InvalidName {
            name: "(missing)".into(),
        });
    };
    let arguments = body.and_then(|body| body.get("arguments")).cloned();
    Ok(Call {
        name: name.to_owned(),
        arguments: arguments.unwrap_or_else(|| Value::Object(Map::new())),
    })
}

fn json_rpc(data: &Value) -> Request {
    let id = data.get("id").and_then(RequestId::from_value);
    let bad = |code, message: &str| Request::BadRpc(McpResponse::error(id.clone(), code, message));
    if data.is_array() {
        return bad(
            code::INVALID_REQUEST,
            "Batches are not supported; send one request per event",
        );
    }
    if data.get("jsonrpc").and_then(Value::as_str) != Some(JSON_RPC) {
        return bad(code::INVALID_REQUEST, "A JSON-RPC 2.0 request object is expected");
    }
    let Some(method) = data.get("method").and_then(Value::as_str) else {
        return bad(code::INVALID_REQUEST, "The request has no method");
    };
    let params = data.get("params").unwrap_or(&Value::Null);
    if data.get("id").is_none() {
        return notification(method, params);
    }
    if id.is_none() {
        return bad(code::INVALID_REQUEST, "The id must be a string or a number");
    }
    if !(params.is_null() || params.is_object()) {
        return bad(code::INVALID_PARAMS, "The parameters must be an object");
    }
    let method = match method {
        "ping" => Method::Ping,
        "tools/list" => Method::ListTools,
        "tools/call" => match tool_call(Some(params)) {
            Ok(call) => Method::CallTool(call),
            Err(_) => return bad(code::INVALID_PARAMS, "tools/call needs the name of a tool"),
        },
        _ => return bad(code::METHOD_NOT_FOUND, "Method not found"),
    };
    Request::Rpc { id, method }
}

fn notification(method: &str, params: &Value) -> Request {
    let target = params.get("requestId").and_then(RequestId::from_value);
    match (method, target) {
        ("notifications/cancelled", Some(target)) => Request::Rpc {
            id: None,
            method: Method::Cancelled(target),
        },
        _ => Request::Ignore,
    }
}

/// The answer to `tools/list`: the wire form plus titles, output schemas and annotations, put together from the texts
/// that the catalog keeps.
pub(crate) fn tools_list(id: Option<&RequestId>, catalog: &Catalog) -> String {
    let mut text = String::from("{\"id\":");
    text.push_str(&id_text(id));
    text.push_str(",\"jsonrpc\":\"2.0\",\"result\":{\"tools\":[");
    join(&mut text, catalog.tools.iter().map(|tool| tool.full().get()));
    text.push_str("]}}");
    text
}

/// The payload of `mcp:listToolsResponse`. The id is left out when there is none.
pub(crate) fn list_tools_response(id: Option<&RequestId>, catalog: &Catalog) -> String {
    let mut text = String::from("{");
    if id.is_some() {
        text.push_str("\"requestId\":");
        text.push_str(&id_text(id));
        text.push(',');
    }
    text.push_str("\"tools\":[");
    join(&mut text, catalog.tools.iter().map(|tool| tool.wire().get()));
    text.push_str("]}");
    text
}

fn id_text(id: Option<&RequestId>) -> String {
    serde_json::to_string(&id).unwrap_or_else(|_| "null".into())
}

/// A tool result as the answer of `tools/call`.
pub(crate) fn call_response(id: Option<RequestId>, result: &ToolResult) -> McpResponse {
    match serde_json::to_value(result) {
        Ok(result) => McpResponse::result(id, result),
        Err(error) => McpResponse::error(id, code::INTERNAL_ERROR, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn rpc_code(data: &Value) -> Option<i64> {
        match decode(wire::MCP_REQUEST, data) {
            Request::BadRpc(response) => response.error.map(|error| error.code),
            _ => None,
        }
    }

    #[test]
    fn json_rpc_errors_have_the_standard_codes() {
        assert_eq!(rpc_code(&json!([])), Some(code::INVALID_REQUEST));
        assert_eq!(rpc_code(&json!("x")), Some(code::INVALID_REQUEST));
        assert_eq!(
            rpc_code(&json!({"jsonrpc": "2.0", "id": 1})),
            Some(code::INVALID_REQUEST)
        );
        assert_eq!(
            rpc_code(&json!({"jsonrpc": "2.0", "id": {}, "method": "ping"})),
            Some(code::INVALID_REQUEST)
        );
        assert_eq!(
            rpc_code(&json!({"jsonrpc": "2.0", "id": 1, "method": "x"})),
            Some(code::METHOD_NOT_FOUND)
        );
        assert_eq!(
            rpc_code(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {}})),
            Some(code::INVALID_PARAMS)
        );
        assert_eq!(
            rpc_code(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": 1})),
            Some(code::INVALID_PARAMS)
        );
        assert_eq!(
            rpc_code(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})),
            None
        );
    }

    #[test]
    fn a_call_without_a_name_still_has_an_answer() {
        let Request::Call { id, call } = decode(wire::TOOL_CALL, &json!({"requestId": "r"})) else {
            panic!("a call");
        };
        assert_eq!(id, Some("r".into()));
        assert_eq!(
            call.unwrap_err().to_string(),
            "Invalid tool name: (missing). Expected format: skillId__toolName"
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            prop::sample::select(vec!["2.0", "ping", "tools/call", "tools/list", "a__b"])
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            let key = prop::sample::select(vec![
                "requestId",
                "toolCall",
                "name",
                "arguments",
                "jsonrpc",
                "id",
                "method",
                "params",
                "x",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..6).prop_map(|pairs| Value::Object(
                    pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
                )),
            ]
        })
    }

    proptest! {
        #[test]
        fn anything_decodes_and_an_id_is_never_lost(
            event in prop::sample::select(vec![wire::LIST_TOOLS, wire::TOOL_CALL, wire::MCP_REQUEST, "other"]),
            data in any_json(),
        ) {
            let wanted = data.get("requestId").and_then(RequestId::from_value);
            match decode(event, &data) {
                Request::List { id } | Request::Call { id, .. } => prop_assert_eq!(id, wanted),
                Request::BadRpc(response) => prop_assert!(response.error.is_some()),
                Request::Rpc { .. } => prop_assert_eq!(event, wire::MCP_REQUEST),
                Request::Ignore => prop_assert!(
                    event == "other" || (event == wire::MCP_REQUEST && data.get("id").is_none())
                ),
            }
        }
    }
}
