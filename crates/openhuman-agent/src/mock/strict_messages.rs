//! Strictness: what a request in the Anthropic format must look like.

use std::collections::BTreeSet;

use axum::http::HeaderMap;
use serde_json::Value;

use super::messages::signature;
use super::validate::ApiError;

const FIELDS: [&str; 14] = [
    "model",
    "messages",
    "max_tokens",
    "system",
    "stream",
    "tools",
    "tool_choice",
    "thinking",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "metadata",
    "service_tier",
];

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError {
        status: 400,
        message: message.into(),
        param: None,
        code: None,
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Checks a messages request for `model`.
pub(super) fn request(headers: &HeaderMap, body: &Value, model: &str) -> Result<(), ApiError> {
    if headers
        .get("anthropic-version")
        .and_then(|value| value.to_str().ok())
        != Some("2023-06-01")
    {
        return Err(invalid("anthropic-version: header is required"));
    }
    let Some(fields) = body.as_object() else {
        return Err(invalid("The body must be a JSON object."));
    };
    if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(invalid(format!("{unknown}: Extra inputs are not permitted")));
    }
    if text(body, "model") != model {
        return Err(ApiError {
            status: 404,
            ..invalid(format!("model: {}", text(body, "model")))
        });
    }
    let max_tokens = body.get("max_tokens").and_then(Value::as_u64).unwrap_or(0);
    if max_tokens == 0 {
        return Err(invalid("max_tokens: Field required"));
    }
    if body
        .get("system")
        .is_some_and(|system| !system.is_string() && !system.is_array())
    {
        return Err(invalid("system: must be a string or a list of blocks"));
    }
    let thinking = match body.get("thinking") {
        None => false,
        Some(thinking) if text(thinking, "type") == "disabled" => false,
        Some(thinking) => {
            let budget = thinking.get("budget_tokens").and_then(Value::as_u64).unwrap_or(0);
            if budget < 1024 || budget >= max_tokens {
                return Err(invalid(
                    "thinking.budget_tokens: must be >= 1024 and below max_tokens",
                ));
            }
            true
        }
    };
    tools(body)?;
    messages(body, thinking)
}

fn tools(body: &Value) -> Result<(), ApiError> {
    let none = Vec::new();
    let tools = body.get("tools").map_or(Some(&none), Value::as_array);
    let Some(tools) = tools else {
        return Err(invalid("tools: must be a list"));
    };
    if body.get("tool_choice").is_some() && tools.is_empty() {
        return Err(invalid(
            "tool_choice: may only be specified while providing tools",
        ));
    }
    let choice = body.pointer("/tool_choice/type").and_then(Value::as_str);
    if body.get("tool_choice").is_some()
        && !choice.is_some_and(|choice| matches!(choice, "auto" | "any" | "none" | "tool"))
    {
        return Err(invalid("tool_choice.type: must be auto, any, tool or none"));
    }
    let mut names = BTreeSet::new();
    for tool in tools {
        let name = text(tool, "name");
        let good = (1..=128).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !good {
            return Err(invalid(format!(
                "tools.name: `{name}` does not match ^[a-zA-Z0-9_-]{{1,128}}$"
            )));
        }
        if !names.insert(name) {
            return Err(invalid(format!("tools: Tool names must be unique: {name}")));
        }
        if tool.get("input_schema").map(|schema| text(schema, "type")) != Some("object") {
            return Err(invalid("tools.input_schema.type: must be `object`"));
        }
    }
    Ok(())
}

fn messages(body: &Value, thinking: bool) -> Result<(), ApiError> {
    let messages = body.get("messages").and_then(Value::as_array);
    let messages = messages.filter(|messages| !messages.is_empty());
    let Some(messages) = messages else {
        return Err(invalid("messages: at least one message is required"));
    };
    let is_question = |message: &&Value| {
        text(message, "role") == "user" && blocks(message).iter().any(|block| text(block, "type") == "text")
    };
    let turn = messages.len() - messages.iter().rev().position(|m| is_question(&m)).unwrap_or(0);
    let mut open: BTreeSet<&str> = BTreeSet::new();
    let mut wanted = "user";
    for (at, message) in messages.iter().enumerate() {
        if text(message, "role") != wanted {
            return Err(invalid(format!(
                "messages.{at}: roles must alternate, beginning with user"
            )));
        }
        if message
            .get("content")
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
            && open.is_empty()
        {
            wanted = if wanted == "user" { "assistant" } else { "user" };
            continue;
        }
        let blocks = blocks(message);
        if blocks.is_empty() {
            return Err(invalid(format!("messages.{at}: content must not be empty")));
        }
        if wanted == "user" {
            results(at, blocks, &mut open)?;
        } else {
            open = calls(at, blocks)?;
            if thinking && at >= turn && !open.is_empty() {
                signed(at, blocks)?;
            }
        }
        wanted = if wanted == "user" { "assistant" } else { "user" };
    }
    match open.first() {
        Some(id) => Err(invalid(format!(
            "messages: `tool_use` ids were found without `tool_result` blocks: {id}"
        ))),
        None => Ok(()),
    }
}

fn blocks(message: &Value) -> &[Value] {
    let content = message.get("content").and_then(Value::as_array);
    content.map(Vec::as_slice).unwrap_or_default()
}

/// A user message: the results of all open calls first, then text.
fn results<'a>(at: usize, blocks: &'a [Value], open: &mut BTreeSet<&'a str>) -> Result<(), ApiError> {
    let mut text_seen = false;
    for block in blocks {
        match text(block, "type") {
            "tool_result" => {
                let id = text(block, "tool_use_id");
                if text_seen || !open.remove(id) {
                    return Err(invalid(format!(
                        "messages.{at}: `tool_result` {id} must come first and answer a `tool_use` before it"
                    )));
                }
            }
            "text" => {
                not_empty(at, block)?;
                text_seen = true;
            }
            other => return Err(invalid(format!("messages.{at}: unexpected block `{other}`"))),
        }
    }
    match open.first() {
        Some(id) => Err(invalid(format!(
            "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}"
        ))),
        None => Ok(()),
    }
}

/// An assistant message; gives the ids of its calls.
fn calls(at: usize, blocks: &[Value]) -> Result<BTreeSet<&str>, ApiError> {
    let mut ids = BTreeSet::new();
    for block in blocks {
        match text(block, "type") {
            "tool_use" => {
                let id = text(block, "id");
                let good = id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
                if id.is_empty() || !good || !ids.insert(id) {
                    return Err(invalid(format!(
                        "messages.{at}: `tool_use` id `{id}` is not unique or not valid"
                    )));
                }
                if !block.get("input").is_some_and(Value::is_object) {
                    return Err(invalid(format!(
                        "messages.{at}: `tool_use.input` must be an object"
                    )));
                }
            }
            "text" => not_empty(at, block)?,
            "thinking" | "redacted_thinking" => {}
            other => return Err(invalid(format!("messages.{at}: unexpected block `{other}`"))),
        }
    }
    Ok(ids)
}

fn not_empty(at: usize, block: &Value) -> Result<(), ApiError> {
    if text(block, "text").is_empty() {
        return Err(invalid(format!(
            "messages.{at}: text content blocks must be non-empty"
        )));
    }
    Ok(())
}

/// With thinking on, calls of the turn begin with the thinking that led to them, unchanged.
fn signed(at: usize, blocks: &[Value]) -> Result<(), ApiError> {
    let first = blocks.first().unwrap_or(&Value::Null);
    if text(first, "type") != "thinking" {
        return Err(invalid(format!(
            "messages.{at}: Expected `thinking` before `tool_use` when thinking is enabled"
        )));
    }
    if text(first, "signature") != signature(text(first, "thinking")) {
        return Err(invalid(format!(
            "messages.{at}: Invalid `signature` in `thinking` block"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(body: &Value) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-version", "2023-06-01".parse().unwrap());
        request(&headers, body, "m").map_err(|error| error.message)
    }

    fn with(messages: &Value) -> Value {
        json!({"model": "m", "max_tokens": 9, "messages": messages})
    }

    #[test]
    fn pairing_and_order_are_checked() {
        let user = json!({"role": "user", "content": "u"});
        let call = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "x", "input": {}}]});
        let result = json!({"type": "tool_result", "tool_use_id": "1", "content": "r"});
        let text = json!({"type": "text", "text": "t"});
        let answered = json!({"role": "user", "content": [result, text]});
        assert_eq!(check(&with(&json!([user, call, answered]))), Ok(()));
        let late = json!({"role": "user", "content": [text, result]});
        assert!(
            check(&with(&json!([user, call, late])))
                .unwrap_err()
                .contains("come first")
        );
        assert!(
            check(&with(&json!([user, call])))
                .unwrap_err()
                .contains("without")
        );
        assert!(
            check(&with(&json!([user, user])))
                .unwrap_err()
                .contains("alternate")
        );
        let empty = json!({"role": "user", "content": [{"type": "text", "text": ""}]});
        assert!(check(&with(&json!([empty]))).unwrap_err().contains("non-empty"));
        assert!(
            check(&json!({"model": "m", "messages": [user]}))
                .unwrap_err()
                .contains("max_tokens")
        );
    }

    #[test]
    fn changed_thinking_is_found_out() {
        let asked = |thinking: &str, signed: &str| {
            let thought = json!({"type": "thinking", "thinking": thinking, "signature": signature(signed)});
            let call = json!({"type": "tool_use", "id": "1", "name": "x", "input": {}});
            let mut body = with(&json!([
                {"role": "user", "content": [{"type": "text", "text": "u"}]},
                {"role": "assistant", "content": [thought, call]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "r"}]},
            ]));
            body["max_tokens"] = json!(9000);
            body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
            check(&body)
        };
        assert_eq!(asked("a", "a"), Ok(()));
        assert!(asked("a", "b").unwrap_err().contains("signature"));
    }
}
