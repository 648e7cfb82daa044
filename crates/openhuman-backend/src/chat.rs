//! The chat events and the conversations behind them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use openhuman_agent::{FailureKind, Message, Recalled, Role, TurnEvent};
use openhuman_mcp::name;
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) const START: &str = "chat:start";
pub(crate) const CANCEL: &str = "chat:cancel";
pub(crate) const ACCEPTED: &str = "chat_accepted";
pub(crate) const ERROR: &str = "chat_error";

const MAX_THREAD_ID: usize = 256;

/// `chat:start`
#[derive(Debug, Deserialize)]
pub(crate) struct Start {
    pub(crate) thread_id: String,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) context: Vec<Recalled>,
}

impl Start {
    /// Reads the event. The error is what the desktop is told, with its thread id when there is one.
    pub(crate) fn parse(data: Value) -> Result<Self, (Value, String)> {
        let thread = data.get("thread_id").cloned().unwrap_or(Value::Null);
        let bad = |reason: String| {
            (
                thread.clone(),
                format!("The chat:start event is not valid: {reason}"),
            )
        };
        let start: Self = serde_json::from_value(data).map_err(|error| bad(error.to_string()))?;
        if start.thread_id.is_empty() || start.thread_id.len() > MAX_THREAD_ID {
            return Err(bad(format!("thread_id must have 1 to {MAX_THREAD_ID} bytes")));
        }
        if start.message.trim().is_empty() {
            return Err(bad("the message is empty".into()));
        }
        Ok(start)
    }
}

/// Which turn an event belongs to.
#[derive(Debug, Clone)]
pub(crate) struct TurnId {
    pub(crate) thread_id: String,
    pub(crate) request_id: String,
}

impl TurnId {
    /// A payload with the ids of the turn and the given fields.
    pub(crate) fn payload(&self, fields: Value) -> Value {
        let mut payload = json!({"thread_id": self.thread_id, "request_id": self.request_id});
        if let (Value::Object(payload), Value::Object(fields)) = (&mut payload, fields) {
            payload.extend(fields);
        }
        payload
    }

    pub(crate) fn error(&self, error_type: &str, message: &str) -> (&'static str, Value) {
        (
            ERROR,
            self.payload(json!({"message": message, "error_type": error_type})),
        )
    }

    /// The event a desktop gets for an event of the turn, if it gets one.
    pub(crate) fn event(&self, event: &TurnEvent) -> Option<(&'static str, Value)> {
        let (name, fields) = match event {
            TurnEvent::TextDelta { text } => ("chat_delta", json!({"delta": text})),
            TurnEvent::ToolCall { call } => {
                let (skill, tool) = name::split(&call.name).unwrap_or(("", &call.name));
                let fields = json!({"tool_call_id": call.id, "tool_name": tool, "skill_id": skill, "args": call.arguments});
                ("tool_call", fields)
            }
            TurnEvent::ToolResult {
                id,
                name,
                text,
                is_error,
                millis,
            } => {
                let (skill, tool) = name::split(name).unwrap_or(("", name));
                let fields = json!({
                    "tool_call_id": id, "tool_name": tool, "skill_id": skill,
                    "output": text, "success": !is_error, "millis": millis,
                });
                ("tool_result", fields)
            }
            TurnEvent::Done { answer, .. } => ("chat_done", json!({"full_response": answer})),
            TurnEvent::Failed { kind, message } => return Some(self.error(error_type(*kind), message)),
            _ => return None,
        };
        Some((name, self.payload(fields)))
    }
}

/// The names that front ends know.
fn error_type(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Cancelled => "cancelled",
        FailureKind::Loop => "tool_error",
        _ => "inference",
    }
}

/// The conversations of every user, within bounds and only in memory.
#[derive(Debug)]
pub(crate) struct Conversations {
    threads: HashMap<(String, String), Thread>,
    max_threads: usize,
    max_bytes: usize,
    clock: u64,
}

#[derive(Debug, Default)]
struct Thread {
    messages: Vec<Message>,
    used: u64,
}

impl Conversations {
    pub(crate) fn new(max_threads: usize, max_bytes: usize) -> Self {
        Self {
            threads: HashMap::new(),
            max_threads,
            max_bytes,
            clock: 0,
        }
    }

    pub(crate) fn history(&mut self, user: &str, thread: &str) -> Vec<Message> {
        self.clock += 1;
        match self.threads.entry((user.to_owned(), thread.to_owned())) {
            Entry::Occupied(mut entry) => {
                entry.get_mut().used = self.clock;
                entry.get().messages.clone()
            }
            Entry::Vacant(_) => Vec::new(),
        }
    }

    pub(crate) fn append(&mut self, user: &str, thread: &str, messages: Vec<Message>) {
        self.clock += 1;
        let kept = self
            .threads
            .entry((user.to_owned(), thread.to_owned()))
            .or_default();
        kept.used = self.clock;
        kept.messages.extend(messages);
        trim(&mut kept.messages, self.max_bytes);
        while self.threads.len() > self.max_threads {
            let oldest = self
                .threads
                .iter()
                .min_by_key(|(_, thread)| thread.used)
                .map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { break };
            self.threads.remove(&oldest);
        }
    }
}

/// Drops whole turns from the front, so that a tool result never loses its call.
fn trim(messages: &mut Vec<Message>, max_bytes: usize) {
    let mut bytes = 0_usize;
    let mut start = messages.len();
    for (index, message) in messages.iter().enumerate().rev() {
        let calls: usize = message
            .tool_calls
            .iter()
            .map(|call| call.arguments.to_string().len())
            .sum();
        bytes = bytes.saturating_add(message.content.len() + calls);
        if bytes > max_bytes {
            break;
        }
        if message.role == Role::User {
            start = index;
        }
    }
    messages.drain(..start);
}

#[cfg(test)]
mod tests {
    use super::*;
    use openhuman_agent::ToolCall;

    #[test]
    fn a_start_is_checked_and_the_reason_is_told() {
        let good = json!({"thread_id": "t", "message": "hi", "context": [{"title": "a", "text": "b"}], "model": "x"});
        assert_eq!(Start::parse(good).unwrap().context.len(), 1);
        for (bad, thread) in [
            (json!(null), Value::Null),
            (json!({"thread_id": "t", "message": "  "}), json!("t")),
            (json!({"thread_id": "t"}), json!("t")),
            (json!({"thread_id": "", "message": "x"}), json!("")),
            (json!({"thread_id": 7, "message": "x"}), json!(7)),
        ] {
            let (told, reason) = Start::parse(bad).unwrap_err();
            assert_eq!(told, thread);
            assert!(
                reason.starts_with("The chat:start event is not valid: "),
                "{reason}"
            );
        }
    }

    #[test]
    fn turn_events_become_the_documented_events() {
        let id = TurnId {
            thread_id: "t".into(),
            request_id: "r".into(),
        };
        let call = ToolCall {
            id: "c".into(),
            name: "notes__find__all".into(),
            arguments: json!({"q": 1}),
        };
        assert_eq!(
            id.event(&TurnEvent::ToolCall { call }).unwrap(),
            (
                "tool_call",
                json!({"thread_id": "t", "request_id": "r", "tool_call_id": "c",
                    "tool_name": "find__all", "skill_id": "notes", "args": {"q": 1}})
            )
        );
        let failed = TurnEvent::Failed {
            kind: FailureKind::Cancelled,
            message: "stopped".into(),
        };
        assert_eq!(
            id.event(&failed).unwrap(),
            (
                "chat_error",
                json!({"thread_id": "t", "request_id": "r", "message": "stopped", "error_type": "cancelled"})
            )
        );
        let usage = TurnEvent::Usage {
            prompt_tokens: 1,
            completion_tokens: 1,
            estimated: false,
        };
        assert!(id.event(&usage).is_none());
    }

    #[test]
    fn conversations_keep_whole_recent_turns_of_their_own_user() {
        let mut all = Conversations::new(2, 10);
        all.append(
            "ada",
            "1",
            vec![Message::user("aaaa"), Message::assistant("bbbb")],
        );
        all.append(
            "ada",
            "1",
            vec![Message::user("cccc"), Message::assistant("dddd")],
        );
        assert_eq!(
            all.history("ada", "1"),
            vec![Message::user("cccc"), Message::assistant("dddd")]
        );
        assert!(
            all.history("bob", "1").is_empty(),
            "another user has another conversation"
        );
        all.append("ada", "2", vec![Message::user("x")]);
        all.history("ada", "1");
        all.append("bob", "1", vec![Message::user("y")]);
        assert!(
            all.history("ada", "2").is_empty(),
            "the least recently used one is forgotten"
        );
        assert_eq!(all.history("ada", "1").len(), 2);
    }
}
