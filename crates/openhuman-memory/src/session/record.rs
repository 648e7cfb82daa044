//! The lines of a session.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pins::Pin;

/// One line of a session. As JSON it has the line types `session`, `message`, `compaction` and `session_end`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum SessionRecord {
    /// The first line. [`Session::append`](super::Session::append) writes it by itself when it is missing.
    Session {
        /// The format of the lines, `1.0`.
        version: String,
        /// The session's identifier.
        session_id: String,
        /// Milliseconds since the Unix epoch.
        timestamp: i64,
    },
    /// Something that was said.
    Message {
        /// Milliseconds since the Unix epoch.
        timestamp: i64,
        /// Who said what.
        message: SessionMessage,
    },
    /// Earlier messages were summed up. Nothing before this line is changed or removed.
    Compaction {
        /// Milliseconds since the Unix epoch.
        timestamp: i64,
        /// How many compactions there were, this one included.
        compaction_count: u32,
        /// What was said, in short.
        summary: String,
        /// How many of the newest messages are still sent in full.
        preserved_messages: u32,
        /// What is carried on word for word.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pinned: Vec<Pin>,
        /// What the sums stand for, oldest first, for [`Memory::expand`](crate::Memory::expand).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        references: Vec<String>,
    },
    /// The last line of a session that ended in order.
    SessionEnd {
        /// Milliseconds since the Unix epoch.
        timestamp: i64,
        /// Whether what was learned went into the memory.
        memory_captured: bool,
    },
}

impl SessionRecord {
    /// Reads a line. Any bytes may be given.
    ///
    /// # Errors
    ///
    /// What is not one of the line types.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// A message with one text block.
    pub fn text(timestamp: i64, role: SessionRole, text: impl Into<String>) -> Self {
        let block = SessionBlock {
            kind: "text".to_owned(),
            text: Some(text.into()),
            rest: serde_json::Map::new(),
        };
        Self::Message {
            timestamp,
            message: SessionMessage {
                role,
                content: vec![block],
                usage: None,
            },
        }
    }
}

/// A message of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionMessage {
    /// Who said it.
    pub role: SessionRole,
    /// Its parts, in order.
    pub content: Vec<SessionBlock>,
    /// What the model counted, if a model answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<SessionUsage>,
}

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SessionRole {
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The program's instructions to the model.
    System,
    /// The result of a tool.
    Tool,
}

/// A part of a message. Fields that are not known here are kept as they came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionBlock {
    /// `text`, or the name of another kind of block.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text of a `text` block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, Value>,
}

/// Tokens that a model counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionUsage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_documented_shape() {
        let lines = [
            r#"{"type":"session","version":"1.0","sessionId":"s","timestamp":1}"#,
            r#"{"type":"message","timestamp":2,"message":{"role":"user","content":[{"type":"text","text":"hi"}]}}"#,
            r#"{"type":"message","timestamp":3,"message":{"role":"assistant","content":[{"type":"tool_use","id":"t1"}],"usage":{"inputTokens":1,"outputTokens":2}}}"#,
            r#"{"type":"compaction","timestamp":4,"compactionCount":1,"summary":"s","preservedMessages":20}"#,
            r#"{"type":"session_end","timestamp":5,"memoryCaptured":true}"#,
        ];
        for line in lines {
            let record: SessionRecord = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&record).unwrap(), line);
        }
        assert!(serde_json::from_str::<SessionRecord>(r#"{"type":"tool_result"}"#).is_err());
    }
}
