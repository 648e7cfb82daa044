//! The request on the wire, and the list of models.

use serde_json::{Map, Value, json};

use crate::message::{Message, Role, ToolCall};
use crate::model::{ModelInfo, ModelRequest, ToolChoice};

/// The body of a chat completions request.
pub(super) fn request_body(
    model: &str,
    request: &ModelRequest,
    include_usage: bool,
    extra: &Map<String, Value>,
) -> Value {
    let mut body = extra.clone();
    body.insert("model".to_owned(), json!(model));
    body.insert(
        "messages".to_owned(),
        request.rendered_messages().iter().map(message).collect(),
    );
    body.insert("stream".to_owned(), json!(true));
    if include_usage {
        body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    if !request.tools.is_empty() {
        let tool = |tool: &crate::message::ToolSpec| {
            let parameters = if tool.parameters.is_object() {
                tool.parameters.clone()
            } else {
                json!({"type": "object", "properties": {}})
            };
            let function =
                json!({"name": tool.name, "description": tool.description, "parameters": parameters});
            json!({"type": "function", "function": function})
        };
        body.insert("tools".to_owned(), request.tools.iter().map(tool).collect());
        let choice = if request.tool_choice == ToolChoice::None {
            "none"
        } else {
            "auto"
        };
        body.insert("tool_choice".to_owned(), json!(choice));
    }
    Value::Object(body)
}

fn message(message: &Message) -> Value {
    let content = || json!(message.content);
    match message.role {
        Role::System => json!({"role": "system", "content": content()}),
        Role::User => json!({"role": "user", "content": content()}),
        Role::Tool => json!({"role": "tool", "tool_call_id": message.tool_call_id, "content": content()}),
        Role::Assistant if message.tool_calls.is_empty() => {
            json!({"role": "assistant", "content": content()})
        }
        Role::Assistant => {
            let content = if message.content.is_empty() {
                Value::Null
            } else {
                content()
            };
            let calls: Vec<Value> = message.tool_calls.iter().map(call).collect();
            json!({"role": "assistant", "content": content, "tool_calls": calls})
        }
    }
}

fn call(call: &ToolCall) -> Value {
    // Servers parse the arguments of earlier calls again; what was no object would make them fail.
    let arguments = if call.arguments.is_object() {
        call.arguments.to_string()
    } else {
        "{}".to_owned()
    };
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
}

/// The entries of a list of models.
pub(super) fn models(list: &Value) -> Option<Vec<ModelInfo>> {
    let entries = list.get("data").and_then(Value::as_array)?;
    let text = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let known = entries.iter().filter_map(|entry| {
        Some(ModelInfo {
            id: text(entry, "id").filter(|id| !id.is_empty())?,
            name: text(entry, "display_name").or_else(|| text(entry, "name")),
            context_tokens: ["context_length", "max_model_len", "context_window"]
                .iter()
                .find_map(|name| entry.get(*name).and_then(Value::as_u64)),
        })
    });
    Some(known.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ToolSpec;

    #[test]
    fn a_request_has_the_openai_form() {
        let mut asking = Message::assistant("");
        asking.tool_calls = vec![ToolCall {
            id: "c1".to_owned(),
            name: "a__b".to_owned(),
            arguments: json!("{broken"),
        }];
        let request = ModelRequest {
            messages: vec![
                Message::system("s"),
                Message::user("u"),
                asking,
                Message::tool("c1", "r"),
            ],
            tools: vec![ToolSpec {
                name: "a__b".to_owned(),
                description: "d".to_owned(),
                parameters: Value::Null,
                read_only: true,
            }],
            tool_choice: ToolChoice::None,
            ..ModelRequest::default()
        };
        let extra = json!({"temperature": 0, "model": "ignored"})
            .as_object()
            .cloned()
            .unwrap();
        let body = request_body("m", &request, true, &extra);
        assert_eq!(
            body,
            json!({
                "model": "m", "stream": true, "stream_options": {"include_usage": true}, "temperature": 0,
                "tool_choice": "none",
                "tools": [{"type": "function", "function": {"name": "a__b", "description": "d",
                    "parameters": {"type": "object", "properties": {}}}}],
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": "u"},
                    {"role": "assistant", "content": null, "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "a__b", "arguments": "{}"}}]},
                    {"role": "tool", "tool_call_id": "c1", "content": "r"},
                ],
            })
        );
    }
}
