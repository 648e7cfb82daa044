//! From the protocol library's types to the hub's.

use rmcp::model::{CallToolResult, ContentBlock, Tool};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::pin::canonical;
use crate::tool::{Annotations, Content, ToolDefinition, ToolResult};

/// A tool as a server listed it.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) definition: ToolDefinition,
    pub(super) output: Option<Value>,
    pub(super) hash: String,
    /// Bytes of JSON.
    pub(super) size: usize,
}

impl Listed {
    /// Its name and its hash.
    pub(super) fn pin(&self) -> (String, String) {
        (self.definition.name.clone(), self.hash.clone())
    }
}

pub(super) fn listed(tool: Tool) -> Listed {
    // Everything that a model reads or that decides about a call is part of the hash.
    let text = canonical(&serde_json::to_value(&tool).unwrap_or_default());
    let hash: String = Sha256::digest(&text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let hints = tool.annotations.unwrap_or_default();
    let worst = Annotations::default();
    let annotations = Annotations {
        read_only: hints.read_only_hint.unwrap_or(worst.read_only),
        destructive: hints.destructive_hint.unwrap_or(worst.destructive),
        idempotent: hints.idempotent_hint.unwrap_or(worst.idempotent),
        open_world: hints.open_world_hint.unwrap_or(worst.open_world),
    };
    Listed {
        definition: ToolDefinition {
            name: tool.name.into_owned(),
            title: tool.title.or(hints.title),
            description: tool.description.unwrap_or_default().into_owned(),
            input_schema: Value::Object(tool.input_schema.as_ref().clone()),
            annotations,
        },
        output: tool
            .output_schema
            .map(|schema| Value::Object(schema.as_ref().clone())),
        hash,
        size: text.len(),
    }
}

pub(super) fn result(result: CallToolResult) -> ToolResult {
    let structured = result.structured_content;
    let repeats = |text: &str| {
        // Servers repeat the structured content as text for older clients.
        structured
            .as_ref()
            .is_some_and(|value| serde_json::from_str::<Value>(text).is_ok_and(|parsed| parsed == *value))
    };
    let mut content: Vec<Content> = Vec::with_capacity(result.content.len() + 1);
    for block in result.content {
        match block {
            ContentBlock::Text(text) if repeats(&text.text) => {}
            ContentBlock::Text(text) => content.push(Content::text(text.text)),
            other => content.push(Content::Other(serde_json::to_value(other).unwrap_or_default())),
        }
    }
    if let Some(data) = structured {
        content.insert(0, Content::Json { data });
    }
    ToolResult {
        content,
        is_error: result.is_error.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hash_depends_on_what_is_said_and_not_on_the_order() {
        let tool = |value: Value| listed(serde_json::from_value(value).unwrap());
        let one = tool(json!({"name": "a", "description": "d", "inputSchema": {"type": "object", "x": 1}}));
        let same = tool(json!({"inputSchema": {"x": 1, "type": "object"}, "description": "d", "name": "a"}));
        let other =
            tool(json!({"name": "a", "description": "d!", "inputSchema": {"type": "object", "x": 1}}));
        assert_eq!(one.hash, same.hash);
        assert_ne!(one.hash, other.hash);
        assert_eq!(
            one.definition.annotations,
            Annotations::default(),
            "unsaid is the worst case"
        );
    }

    #[test]
    fn structured_content_is_not_there_twice() {
        let back = result(
            serde_json::from_value(json!({
                "content": [{"type": "text", "text": "{\"n\": 1}"}, {"type": "text", "text": "more"}],
                "structuredContent": {"n": 1},
            }))
            .unwrap(),
        );
        assert_eq!(
            back.content,
            [
                Content::Json {
                    data: json!({"n": 1})
                },
                Content::text("more")
            ]
        );
    }
}
