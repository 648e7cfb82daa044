//! What a front end hears of a turn.

use openhuman_agent::Recalled;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a turn runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Route {
    /// At the connected backend, else here.
    #[default]
    Auto,
    /// Here, with the configured provider or extractively.
    Local,
    /// At the backend; an error when there is no link.
    Backend,
}

/// A passage from the memory that was given to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The document's title.
    pub title: String,
    /// Where it came from: a path, a conversation, a URL.
    pub source: String,
    /// The passage.
    pub text: String,
    /// How well it matches; higher is better, comparable within one list only.
    pub score: f32,
}

/// What happens during a turn, in order. Every stream ends with exactly one `Done` or `Error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum ChatEvent {
    /// What the memory offered for the prompt.
    #[serde(rename = "recall")]
    Recall {
        /// The passages, best first.
        sources: Vec<Source>,
    },
    /// Something the user should know that does not end the turn.
    #[serde(rename = "chat.notice")]
    Notice {
        /// What happened, and what it means for the answer.
        message: String,
    },
    /// A piece of the answer.
    #[serde(rename = "chat.delta")]
    Delta {
        /// The text to append.
        delta: String,
    },
    /// A tool was called.
    #[serde(rename = "tool.call")]
    ToolCall {
        /// The call's id within the turn.
        id: String,
        /// `skillId__toolName`.
        name: String,
        /// The arguments.
        args: Value,
    },
    /// A tool answered.
    #[serde(rename = "tool.result")]
    ToolResult {
        /// The call's id within the turn.
        id: String,
        /// `skillId__toolName`.
        name: String,
        /// The text of the result.
        output: String,
        /// Whether the call succeeded.
        success: bool,
        /// How long it took, when it ran here.
        #[serde(skip_serializing_if = "Option::is_none")]
        millis: Option<u64>,
    },
    /// The answer is complete and remembered.
    #[serde(rename = "chat.done")]
    Done {
        /// The whole answer.
        answer: String,
    },
    /// The turn ended without an answer. What the user said is kept.
    #[serde(rename = "chat.error")]
    Error {
        /// What failed, with what, and what to do next.
        message: String,
        /// `inference`, `cancelled`, `network`, `timeout` or `tool_error`.
        error_type: String,
    },
}

impl ChatEvent {
    pub(super) fn error(message: impl Into<String>, error_type: &str) -> Self {
        Self::Error {
            message: message.into(),
            error_type: error_type.into(),
        }
    }

    /// Whether the stream ends with this event.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Error { .. })
    }
}

impl From<Recalled> for Source {
    fn from(recalled: Recalled) -> Self {
        Self {
            title: recalled.title,
            source: recalled.source,
            text: recalled.text,
            score: recalled.score,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_have_the_names_that_the_front_end_knows() {
        let event = serde_json::to_value(ChatEvent::Delta { delta: "a".into() }).unwrap();
        assert_eq!(event, json!({ "type": "chat.delta", "delta": "a" }));
        let event = serde_json::to_value(ChatEvent::error("no", "network")).unwrap();
        assert_eq!(
            event,
            json!({ "type": "chat.error", "message": "no", "error_type": "network" })
        );
    }
}
