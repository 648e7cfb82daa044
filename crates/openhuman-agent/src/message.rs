//! What a conversation is made of: messages, tools, tool calls, recalled snippets.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who wrote a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Standing instructions of the application.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of one tool call.
    Tool,
}

/// One message of a conversation, in the shape every chat model understands.
///
/// An assistant message that carries `tool_calls` is followed by exactly one [`Role::Tool`] message per call, joined
/// by `tool_call_id`. [`repair`] restores that rule in a history that was cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who wrote it.
    pub role: Role,
    /// The text; empty when an assistant message only calls tools.
    #[serde(default)]
    pub content: String,
    /// The calls an assistant message asks for; empty for every other role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// For [`Role::Tool`]: the call this is the result of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl Message {
    fn plain(role: Role, content: impl Into<String>) -> Message {
        Message {
            role,
            content: content.into(),
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }

    /// A message with standing instructions.
    pub fn system(content: impl Into<String>) -> Message {
        Message::plain(Role::System, content)
    }

    /// A message of the person.
    pub fn user(content: impl Into<String>) -> Message {
        Message::plain(Role::User, content)
    }

    /// A text of the model.
    pub fn assistant(content: impl Into<String>) -> Message {
        Message::plain(Role::Assistant, content)
    }

    /// The result of the call with the id `tool_call_id`.
    pub fn tool(tool_call_id: impl Into<String>, content: impl Into<String>) -> Message {
        Message {
            tool_call_id: Some(tool_call_id.into()),
            ..Message::plain(Role::Tool, content)
        }
    }
}

/// A tool as it is offered to the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// The name the model calls, for example `prices__get_price`. Letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What the tool does, for the model.
    pub description: String,
    /// The JSON Schema of the arguments; its top-level type is `object`.
    pub parameters: Value,
    /// True when a call changes nothing. Such calls run in parallel, need no approval and may be repeated after a
    /// crash. When in doubt: false.
    #[serde(default)]
    pub read_only: bool,
}

/// One call the model asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Joins the call to its result; unique within a conversation (a [`Turn`](crate::Turn) renames clashes).
    pub id: String,
    /// The name of the tool.
    pub name: String,
    /// The arguments: a JSON object. When the model sent text that is no JSON, a string with that text; such a call
    /// is answered with an explanation and never executed.
    pub arguments: Value,
}

/// What became of one tool call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolOutcome {
    /// The result for the model, usually JSON text; or what went wrong.
    pub text: String,
    /// True when the call failed.
    #[serde(default)]
    pub is_error: bool,
}

impl ToolOutcome {
    /// A successful result.
    pub fn success(text: impl Into<String>) -> ToolOutcome {
        ToolOutcome {
            text: text.into(),
            is_error: false,
        }
    }

    /// A failure, in words the model can act on.
    pub fn error(text: impl Into<String>) -> ToolOutcome {
        ToolOutcome {
            text: text.into(),
            is_error: true,
        }
    }
}

/// A piece of memory brought into the turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recalled {
    /// The title of the document it comes from.
    pub title: String,
    /// Where the document came from: a path, an address, the name of a skill. May be empty.
    #[serde(default)]
    pub source: String,
    /// The recalled text.
    pub text: String,
    /// How well it fits the prompt; larger is better. Only the order matters.
    #[serde(default)]
    pub score: f32,
}

/// Restores the pairing rule of [`Message`] in a history that was cut or edited: results without a call and
/// assistant calls without all their results are left out; the text of such an assistant message stays.
pub fn repair(history: Vec<Message>) -> Vec<Message> {
    let mut out = Vec::with_capacity(history.len());
    let mut rest = history.into_iter().peekable();
    while let Some(mut message) = rest.next() {
        if message.role == Role::Tool {
            continue;
        }
        if message.tool_calls.is_empty() {
            out.push(message);
            continue;
        }
        let mut results: Vec<Message> = Vec::new();
        while let Some(result) = rest.next_if(|next| next.role == Role::Tool) {
            let wanted = message
                .tool_calls
                .iter()
                .any(|call| Some(&call.id) == result.tool_call_id.as_ref());
            let seen = results
                .iter()
                .any(|other| other.tool_call_id == result.tool_call_id);
            if wanted && !seen {
                results.push(result);
            }
        }
        if message.role == Role::Assistant && results.len() == message.tool_calls.len() {
            out.push(message);
            out.append(&mut results);
        } else if !message.content.is_empty() {
            message.tool_calls.clear();
            out.push(message);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn calling(ids: &[&str], text: &str) -> Message {
        let call = |id: &&str| ToolCall {
            id: (*id).to_owned(),
            name: "t".to_owned(),
            arguments: json!({}),
        };
        Message {
            tool_calls: ids.iter().map(call).collect(),
            ..Message::assistant(text)
        }
    }

    #[test]
    fn repair_keeps_a_sound_history() {
        let history = vec![
            Message::user("a"),
            calling(&["1", "2"], ""),
            Message::tool("2", "x"),
            Message::tool("1", "y"),
            Message::assistant("b"),
        ];
        assert_eq!(repair(history.clone()), history);
    }

    #[test]
    fn repair_drops_orphans_and_half_answered_calls() {
        let history = vec![
            Message::tool("0", "orphan"),
            Message::user("a"),
            calling(&["1", "2"], "let me look"),
            Message::tool("1", "y"),
            Message::user("b"),
            calling(&["3"], ""),
        ];
        let expected = vec![
            Message::user("a"),
            Message::assistant("let me look"),
            Message::user("b"),
        ];
        assert_eq!(repair(history), expected);
    }

    #[test]
    fn duplicate_call_ids_never_count_as_answered() {
        let history = vec![
            calling(&["1", "1"], "t"),
            Message::tool("1", "x"),
            Message::tool("1", "y"),
        ];
        assert_eq!(repair(history), vec![Message::assistant("t")]);
    }

    #[test]
    fn the_wire_form_leaves_out_what_is_empty() {
        assert_eq!(
            serde_json::to_value(Message::user("hi")).unwrap(),
            json!({"role": "user", "content": "hi"})
        );
    }
}
