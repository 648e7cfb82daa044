//! The request on the wire, and the list of models.

use serde_json::{Value, json};

use super::{AnthropicConfig, Thoughts};
use crate::message::{Message, Role, ToolCall};
use crate::model::{ModelInfo, ModelRequest, ToolChoice};

/// The body of a messages request. Text of the system goes into `system`; results of tools become blocks of a user
/// message; neighbours of one role become one message.
pub(super) fn request_body(config: &AnthropicConfig, request: &ModelRequest, thoughts: &Thoughts) -> Value {
    let rendered = request.rendered_messages();
    let system: Vec<&str> = rendered
        .iter()
        .filter(|message| message.role == Role::System && !message.content.is_empty())
        .map(|message| message.content.as_str())
        .collect();
    let thinking = config.thinking_tokens.filter(|_| can_think(&rendered, thoughts));
    let mut messages: Vec<Value> = Vec::new();
    for (message, plain) in rendered.iter().zip(&request.messages) {
        if message.role == Role::System {
            continue;
        }
        let failed = plain.content.starts_with("Error from ");
        let (role, blocks) = blocks(message, failed, thinking.is_some(), thoughts);
        if blocks.is_empty() {
            continue;
        }
        let same = messages
            .last_mut()
            .filter(|last| last.get("role") == Some(&json!(role)))
            .and_then(|last| last.get_mut("content"))
            .and_then(Value::as_array_mut);
        match same {
            Some(content) => content.extend(blocks),
            None => {
                if messages.is_empty() && role == "assistant" {
                    // A conversation has to begin with the user.
                    messages.push(json!({"role": "user", "content": [text("(The conversation goes on.)")]}));
                }
                messages.push(json!({"role": role, "content": blocks}));
            }
        }
    }
    let mut body = config.extra.clone();
    body.insert("model".to_owned(), json!(config.model));
    body.insert("max_tokens".to_owned(), json!(config.max_tokens));
    body.insert("stream".to_owned(), json!(true));
    body.insert("messages".to_owned(), Value::Array(messages));
    if !system.is_empty() {
        body.insert("system".to_owned(), json!(system.join("\n\n")));
    }
    if let Some(tokens) = thinking {
        body.insert(
            "thinking".to_owned(),
            json!({"type": "enabled", "budget_tokens": tokens}),
        );
    }
    if !request.tools.is_empty() {
        let tool = |tool: &crate::message::ToolSpec| {
            let schema = if tool.parameters.is_object() {
                tool.parameters.clone()
            } else {
                json!({"type": "object", "properties": {}})
            };
            json!({"name": tool.name, "description": tool.description, "input_schema": schema})
        };
        body.insert("tools".to_owned(), request.tools.iter().map(tool).collect());
        let choice = if request.tool_choice == ToolChoice::None {
            "none"
        } else {
            "auto"
        };
        body.insert("tool_choice".to_owned(), json!({"type": choice}));
    }
    Value::Object(body)
}

/// Thinking goes on only when the thinking before the turn's calls can be sent along.
fn can_think(messages: &[Message], thoughts: &Thoughts) -> bool {
    let turn = messages
        .iter()
        .rposition(|message| message.role == Role::User)
        .unwrap_or(0);
    messages
        .iter()
        .skip(turn)
        .filter_map(|message| message.tool_calls.first())
        .all(|call| thoughts.before(&call.id).is_some())
}

fn blocks(
    message: &Message,
    failed: bool,
    thinking: bool,
    thoughts: &Thoughts,
) -> (&'static str, Vec<Value>) {
    let said = (!message.content.trim().is_empty()).then(|| text(&message.content));
    match message.role {
        Role::Tool => {
            let content = if message.content.is_empty() {
                "(no output)"
            } else {
                message.content.as_str()
            };
            let result = json!({
                "type": "tool_result", "tool_use_id": message.tool_call_id, "content": content, "is_error": failed,
            });
            ("user", vec![result])
        }
        Role::Assistant => {
            let mut blocks = Vec::new();
            if thinking
                && let Some(call) = message.tool_calls.first()
                && let Some(before) = thoughts.before(&call.id)
            {
                blocks.extend(before.iter().cloned());
            }
            blocks.extend(said);
            blocks.extend(message.tool_calls.iter().map(call));
            ("assistant", blocks)
        }
        Role::User | Role::System => ("user", said.into_iter().collect()),
    }
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn call(call: &ToolCall) -> Value {
    let input = if call.arguments.is_object() {
        call.arguments.clone()
    } else {
        json!({})
    };
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
}

/// The entries of one page of the list of models, and the id the next page comes after.
pub(super) fn models(page: &Value) -> Option<(Vec<ModelInfo>, Option<String>)> {
    let entries = page.get("data").and_then(Value::as_array)?;
    let text = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let known = entries.iter().filter_map(|entry| {
        Some(ModelInfo {
            id: text(entry, "id").filter(|id| !id.is_empty())?,
            name: text(entry, "display_name"),
            context_tokens: entry.get("max_input_tokens").and_then(Value::as_u64),
        })
    });
    let more = page.get("has_more") == Some(&Value::Bool(true));
    let next = text(page, "last_id").filter(|id| more && !id.is_empty());
    Some((known.collect(), next))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::ToolSpec;

    fn calling(ids: &[&str], text: &str) -> Message {
        let call = |id: &&str| ToolCall {
            id: (*id).to_owned(),
            name: "a__b".to_owned(),
            arguments: json!({"x": 1}),
        };
        Message {
            tool_calls: ids.iter().map(call).collect(),
            ..Message::assistant(text)
        }
    }

    #[test]
    fn results_and_the_next_message_become_one_user_message() {
        let request = ModelRequest {
            messages: vec![
                Message::system("s"),
                Message::assistant("before"),
                Message::user("u"),
                calling(&["1", "2"], ""),
                Message::tool("1", "r"),
                Message::tool("2", "Error from a__b: no"),
                Message::user("more"),
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
        let body = request_body(&AnthropicConfig::default(), &request, &Thoughts::default());
        assert_eq!(body["system"], "s");
        assert_eq!(body["tool_choice"], json!({"type": "none"}));
        assert_eq!(body["tools"][0]["input_schema"]["type"], "object");
        let roles: Vec<&str> = body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["role"].as_str().unwrap())
            .collect();
        assert_eq!(roles, ["user", "assistant", "user", "assistant", "user"]);
        let last = &body["messages"][4]["content"];
        assert_eq!(last[0]["tool_use_id"], "1");
        assert_eq!(
            (&last[1]["is_error"], &last[2]["text"]),
            (&json!(true), &json!("more"))
        );
    }

    #[test]
    fn thinking_goes_back_in_front_of_its_calls_or_is_left_out_of_the_turn() {
        let thoughts = Thoughts::default();
        let thought = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
        let request = ModelRequest {
            messages: vec![
                Message::user("u"),
                calling(&["1"], "I look."),
                Message::tool("1", "r"),
            ],
            ..ModelRequest::default()
        };
        let config = AnthropicConfig {
            thinking_tokens: Some(2048),
            ..AnthropicConfig::default()
        };
        let without = request_body(&config, &request, &thoughts);
        assert!(without.get("thinking").is_none());
        thoughts.keep("1", &Arc::new(vec![thought.clone()]));
        let with = request_body(&config, &request, &thoughts);
        assert_eq!(with["thinking"]["budget_tokens"], 2048);
        assert_eq!(with["messages"][1]["content"][0], thought);
        assert_eq!(with["messages"][1]["content"][2]["type"], "tool_use");
    }

    #[test]
    fn pages_of_models_are_read() {
        let page =
            json!({"data": [{"id": "a", "display_name": "A"}, {"id": ""}], "has_more": true, "last_id": "a"});
        let (models, next) = super::models(&page).unwrap();
        assert_eq!((models.len(), next.as_deref()), (1, Some("a")));
        assert!(super::models(&json!({})).is_none());
    }
}
