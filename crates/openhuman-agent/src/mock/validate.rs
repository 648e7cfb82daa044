//! Strictness: what a request must look like. A client that passes here does not rely on a lenient server.

use std::collections::BTreeSet;

use serde_json::Value;

/// An error in the form of the OpenAI API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) param: Option<String>,
    pub(super) code: Option<&'static str>,
}

fn invalid(param: impl Into<String>, message: impl Into<String>) -> ApiError {
    ApiError {
        status: 400,
        message: message.into(),
        param: Some(param.into()),
        code: None,
    }
}

const FIELDS: [&str; 24] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "temperature",
    "top_p",
    "n",
    "stop",
    "max_tokens",
    "max_completion_tokens",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "user",
    "seed",
    "response_format",
    "reasoning_effort",
    "metadata",
    "store",
];

/// Checks a chat completions request for `model`.
pub(super) fn request(body: &Value, model: &str) -> Result<(), ApiError> {
    let Some(fields) = body.as_object() else {
        return Err(invalid("", "The body must be a JSON object."));
    };
    if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(invalid(
            unknown.as_str(),
            format!("Unrecognized request argument supplied: {unknown}"),
        ));
    }
    match body.get("model").and_then(Value::as_str) {
        None => return Err(invalid("model", "You must provide a model parameter.")),
        Some(found) if found != model => {
            return Err(ApiError {
                status: 404,
                message: format!("The model `{found}` does not exist; this server has `{model}`."),
                param: Some("model".to_owned()),
                code: Some("model_not_found"),
            });
        }
        Some(_) => {}
    }
    let stream = match body.get("stream") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(stream)) => *stream,
        Some(_) => return Err(invalid("stream", "`stream` must be a boolean.")),
    };
    if body
        .get("stream_options")
        .is_some_and(|options| !options.is_null())
        && !stream
    {
        return Err(invalid(
            "stream_options",
            "`stream_options` is only allowed when `stream` is enabled.",
        ));
    }
    let tools = tools(body)?;
    match body.get("tool_choice") {
        None | Some(Value::Null) => {}
        Some(_) if tools == 0 => {
            return Err(invalid(
                "tool_choice",
                "`tool_choice` is only allowed with `tools`.",
            ));
        }
        Some(Value::String(choice)) if matches!(choice.as_str(), "none" | "auto" | "required") => {}
        Some(Value::Object(_)) => {}
        Some(_) => {
            return Err(invalid(
                "tool_choice",
                "`tool_choice` must be none, auto, required or a function.",
            ));
        }
    }
    messages(body)
}

/// Checks the tools and counts them.
fn tools(body: &Value) -> Result<usize, ApiError> {
    let tools = match body.get("tools") {
        None | Some(Value::Null) => return Ok(0),
        Some(Value::Array(tools)) => tools,
        Some(_) => return Err(invalid("tools", "`tools` must be an array.")),
    };
    if tools.is_empty() {
        return Err(invalid(
            "tools",
            "`tools` must have at least one element when it is given.",
        ));
    }
    if tools.len() > 128 {
        return Err(invalid(
            "tools",
            format!("`tools` has {} elements; the limit is 128.", tools.len()),
        ));
    }
    let mut names = BTreeSet::new();
    for (at, tool) in tools.iter().enumerate() {
        let param = format!("tools[{at}]");
        if tool.get("type").and_then(Value::as_str) != Some("function") {
            return Err(invalid(param, "The type of a tool must be `function`."));
        }
        let name = tool
            .pointer("/function/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !is_name(name) {
            return Err(invalid(
                param,
                format!("The function name `{name}` does not match ^[a-zA-Z0-9_-]{{1,64}}$."),
            ));
        }
        if !names.insert(name) {
            return Err(invalid(
                param,
                format!("The function name `{name}` is used twice."),
            ));
        }
        if tool
            .pointer("/function/description")
            .is_some_and(|text| !text.is_string())
        {
            return Err(invalid(param, "The description of a function must be a string."));
        }
        let parameters = tool.pointer("/function/parameters");
        if parameters.is_some_and(|schema| schema.get("type").and_then(Value::as_str) != Some("object")) {
            return Err(invalid(
                param,
                format!("The parameters of `{name}` must be a schema of type `object`."),
            ));
        }
    }
    Ok(tools.len())
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Checks the messages and that each tool call is followed by its result.
fn messages(body: &Value) -> Result<(), ApiError> {
    let Some(messages) = body.get("messages").and_then(Value::as_array) else {
        return Err(invalid("messages", "`messages` must be an array."));
    };
    if messages.is_empty() {
        return Err(invalid("messages", "`messages` must have at least one element."));
    }
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for (at, message) in messages.iter().enumerate() {
        let param = format!("messages[{at}]");
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if role == "tool" {
            let id = message
                .get("tool_call_id")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if !open.remove(id) {
                return Err(invalid(
                    param,
                    format!(
                        "The tool_call_id `{id}` does not answer a tool call of the preceding assistant message."
                    ),
                ));
            }
        } else if let Some(id) = open.first() {
            return Err(invalid(
                param,
                format!("The tool call `{id}` must be followed by its tool message."),
            ));
        }
        let calls = message.get("tool_calls");
        match role {
            "assistant" => open = tool_calls(calls, &param)?,
            "system" | "developer" | "user" | "tool" if calls.is_none() => {}
            "system" | "developer" | "user" | "tool" => {
                return Err(invalid(param, "Only assistant messages may have tool_calls."));
            }
            other => return Err(invalid(param, format!("`{other}` is not a role."))),
        }
        let optional = role == "assistant" && !open.is_empty();
        match message.get("content") {
            Some(Value::String(_) | Value::Array(_)) => {}
            None | Some(Value::Null) if optional => {}
            _ => {
                return Err(invalid(
                    param,
                    "The content of a message must be a string or an array of parts.",
                ));
            }
        }
    }
    match open.first() {
        Some(id) => Err(invalid(
            "messages",
            format!("The tool call `{id}` must be followed by its tool message."),
        )),
        None => Ok(()),
    }
}

/// Checks the calls of an assistant message and gives their ids.
fn tool_calls<'a>(calls: Option<&'a Value>, param: &str) -> Result<BTreeSet<&'a str>, ApiError> {
    let mut ids = BTreeSet::new();
    let calls = match calls {
        None => return Ok(ids),
        Some(Value::Array(calls)) if !calls.is_empty() => calls,
        Some(_) => {
            return Err(invalid(
                param,
                "`tool_calls` must be an array with at least one element.",
            ));
        }
    };
    for call in calls {
        let id = call.get("id").and_then(Value::as_str).unwrap_or_default();
        if id.is_empty() || !ids.insert(id) {
            return Err(invalid(
                param,
                format!("The tool call id `{id}` is empty or used twice."),
            ));
        }
        if call.get("type").and_then(Value::as_str) != Some("function") {
            return Err(invalid(param, "The type of a tool call must be `function`."));
        }
        let name = call
            .pointer("/function/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !is_name(name) {
            return Err(invalid(
                param,
                format!("The function name `{name}` of a tool call is not valid."),
            ));
        }
        let arguments = call.pointer("/function/arguments").and_then(Value::as_str);
        let object = arguments
            .is_some_and(|text| serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object()));
        if !object {
            return Err(invalid(
                param,
                format!("The arguments of `{name}` must be a string that holds a JSON object."),
            ));
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(body: &Value) -> String {
        request(body, "m").unwrap_err().message
    }

    fn with_messages(messages: &Value) -> Value {
        json!({"model": "m", "messages": messages})
    }

    #[test]
    fn a_full_conversation_is_accepted() {
        let body = json!({
            "model": "m", "stream": true, "stream_options": {"include_usage": true}, "tool_choice": "auto",
            "tools": [{"type": "function", "function": {"name": "a__b", "description": "d", "parameters": {"type": "object"}}}],
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": [{"type": "text", "text": "u"}]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "a__b", "arguments": "{}"}},
                    {"id": "2", "type": "function", "function": {"name": "a__b", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "2", "content": "r"},
                {"role": "tool", "tool_call_id": "1", "content": "r"},
                {"role": "assistant", "content": "done"},
            ],
        });
        assert_eq!(request(&body, "m"), Ok(()));
    }

    #[test]
    fn each_fault_is_named() {
        let hello = json!([{"role": "user", "content": "hi"}]);
        assert!(refused(&json!([])).contains("JSON object"));
        assert!(refused(&json!({"messages": hello})).contains("model parameter"));
        assert_eq!(
            request(&json!({"model": "x", "messages": hello}), "m")
                .unwrap_err()
                .status,
            404
        );
        assert!(refused(&json!({"model": "m", "messages": hello, "speed": 1})).contains("speed"));
        assert!(refused(&json!({"model": "m", "messages": hello, "stream": "yes"})).contains("boolean"));
        assert!(
            refused(&json!({"model": "m", "messages": hello, "stream_options": {}}))
                .contains("stream_options")
        );
        assert!(
            refused(&json!({"model": "m", "messages": hello, "tool_choice": "auto"})).contains("tool_choice")
        );
        assert!(refused(&with_messages(&json!([]))).contains("at least one"));
        assert!(refused(&with_messages(&json!([{"role": "robot", "content": ""}]))).contains("robot"));
        assert!(refused(&with_messages(&json!([{"role": "user", "content": null}]))).contains("content"));
        assert!(
            refused(&with_messages(
                &json!([{"role": "tool", "tool_call_id": "1", "content": ""}])
            ))
            .contains("`1`")
        );
    }

    #[test]
    fn pairing_of_calls_and_results_is_checked() {
        let call = |id: &str, arguments: &str| {
            json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": id, "type": "function", "function": {"name": "a__b", "arguments": arguments}}]})
        };
        let user = json!({"role": "user", "content": "u"});
        let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "r"});
        assert!(refused(&with_messages(&json!([user, call("1", "{}")]))).contains("must be followed"));
        assert!(refused(&with_messages(&json!([user, call("1", "{}"), user]))).contains("must be followed"));
        assert!(refused(&with_messages(&json!([user, call("1", "{}"), result("2")]))).contains("`2`"));
        assert!(
            refused(&with_messages(&json!([
                user,
                call("1", "{}"),
                result("1"),
                result("1")
            ])))
            .contains("`1`")
        );
        assert!(
            refused(&with_messages(&json!([user, call("1", "[1]"), result("1")]))).contains("JSON object")
        );
        assert!(refused(&with_messages(&json!([user, call("", "{}"), result("")]))).contains("empty"));
        assert_eq!(
            request(&with_messages(&json!([user, call("1", "{}"), result("1")])), "m"),
            Ok(())
        );
    }

    #[test]
    fn tools_are_checked() {
        let with = |function: Value| {
            refused(
                &json!({"model": "m", "messages": [{"role": "user", "content": "u"}],
                "tools": [{"type": "function", "function": function}]}),
            )
        };
        assert!(with(json!({"name": "has space"})).contains("has space"));
        assert!(with(json!({"name": "x".repeat(65)})).contains("64"));
        assert!(with(json!({"name": "a", "parameters": {}})).contains("object"));
        assert!(with(json!({"name": "a", "description": 1})).contains("description"));
    }
}
