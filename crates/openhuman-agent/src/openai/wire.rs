//! The request on the wire, and error answers.

use serde_json::{Map, Value, json};

use crate::message::{Message, Role, ToolCall};
use crate::model::{ModelRequest, ToolChoice};

/// The longest server text that goes into an error.
const MAX_MESSAGE_CHARS: usize = 500;

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

/// What an error answer says.
pub(super) struct ServerError {
    pub(super) message: String,
    pub(super) code: Option<String>,
}

/// Reads an error body: the OpenAI form, the forms other servers use, or plain text.
pub(super) fn server_error(body: &[u8]) -> ServerError {
    let text = String::from_utf8_lossy(body);
    let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let code = value
        .pointer("/error/code")
        .or_else(|| value.pointer("/error/type"));
    let code = code.and_then(Value::as_str).map(str::to_owned);
    let message = error_message(&value).unwrap_or_else(|| {
        let plain = text.trim();
        if plain.is_empty() {
            "no explanation".to_owned()
        } else if plain.starts_with('<') {
            "an HTML page".to_owned()
        } else {
            plain.to_owned()
        }
    });
    ServerError {
        message: shorten(&message),
        code,
    }
}

/// The text in an error object.
pub(super) fn error_message(value: &Value) -> Option<String> {
    let found = [
        value.pointer("/error/message"),
        value.get("error"),
        value.get("message"),
        value.get("detail"),
    ];
    found.into_iter().flatten().find_map(Value::as_str).map(shorten)
}

/// One line of bounded length.
pub(super) fn shorten(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line,
    }
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
            context: Vec::new(),
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

    #[test]
    fn error_bodies_of_all_kinds_give_one_line() {
        let message = |body: &str| server_error(body.as_bytes()).message;
        assert_eq!(
            message(r#"{"error":{"message":"no\nsuch model","code":"x"}}"#),
            "no such model"
        );
        assert_eq!(message(r#"{"error":"model not loaded"}"#), "model not loaded");
        assert_eq!(message(r#"{"detail":"Not Found"}"#), "Not Found");
        assert_eq!(message("<html>oops</html>"), "an HTML page");
        assert_eq!(message(""), "no explanation");
        assert!(message(&"x".repeat(9000)).len() < 600);
    }
}
