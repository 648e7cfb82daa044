//! What a tool is, what a call carries and what comes back.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::context::CallContext;
use crate::error::CallError;

/// A source of tools: the skill engine, the memory, another MCP server.
///
/// The hub asks [`toolsets`](Self::toolsets) once per change, keeps the answer as a snapshot and routes
/// calls back through [`call`](Self::call).
pub trait ToolProvider: Send + Sync {
    /// Everything this provider has registered, running or not. It is called on a runtime thread and must
    /// not block.
    fn toolsets(&self) -> Vec<Toolset>;

    /// The id of each toolset with a number that changes whenever that toolset would be listed differently, for
    /// providers of very many tools: the hub then asks only for those that changed, one by one. Change the toolset
    /// first and its number second.
    fn versions(&self) -> Option<Vec<(String, u64)>> {
        None
    }

    /// One toolset; asked where [`versions`](Self::versions) has an answer. `None` when it is gone.
    fn toolset(&self, id: &str) -> Option<Toolset> {
        self.toolsets().into_iter().find(|set| set.id == id)
    }

    /// A counter that changes whenever [`toolsets`](Self::toolsets) would answer differently. Update the
    /// state first and the counter second.
    fn changes(&self) -> watch::Receiver<u64>;

    /// The JSON Schema that the structured result of a tool keeps to, for tools that promise one. Asked once per
    /// change. The hub refuses a result that breaks it.
    fn output_schema(&self, toolset: &str, tool: &str) -> Option<Value> {
        let _ = (toolset, tool);
        None
    }

    /// Runs one tool. `toolset` and `tool` are names this provider listed; `args` is always an object.
    ///
    /// The future is dropped when the deadline passes or the caller gives up. `ctx.cancel` fires in both
    /// cases as well, so work that was moved to another task can stop too. Reports to `ctx.progress` move the
    /// deadline.
    fn call<'a>(
        &'a self,
        toolset: &'a str,
        tool: &'a str,
        args: Value,
        ctx: CallContext,
    ) -> BoxFuture<'a, Result<ToolResult, CallError>>;
}

/// A named group of tools, normally one skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Toolset {
    /// The skill id. It has no `_`, because the first `__` separates it from the tool name.
    pub id: String,
    /// The name shown to people.
    pub name: String,
    /// The status that `tool:sync` reports, for example `connected`, `offline` or `error`.
    pub status: String,
    /// Whether calls are accepted now. The tools of a toolset that is not running are not listed.
    pub running: bool,
    /// The tools, in the order the provider prefers.
    pub tools: Vec<ToolDefinition>,
}

/// One tool as its provider describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolDefinition {
    /// The bare name, without the toolset.
    pub name: String,
    /// A short name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What the tool does, written for a model.
    #[serde(default)]
    pub description: String,
    /// A JSON Schema for the arguments. Anything that is not an object schema is replaced by
    /// `{"type":"object"}` in the catalog.
    #[serde(default)]
    pub input_schema: Value,
    /// What the tool may do to the world.
    #[serde(default)]
    pub annotations: Annotations,
}

impl ToolDefinition {
    /// A tool with the worst-case annotations.
    pub fn new(name: impl Into<String>, description: impl Into<String>, input_schema: Value) -> Self {
        Self {
            name: name.into(),
            title: None,
            description: description.into(),
            input_schema,
            annotations: Annotations::default(),
        }
    }

    /// The same tool with other annotations.
    #[must_use]
    pub fn with_annotations(mut self, annotations: Annotations) -> Self {
        self.annotations = annotations;
        self
    }
}

/// Hints about the effects of a tool. They are always explicit on the wire.
///
/// The default is the worst case (it changes things, destructively, in an open world), so a provider that
/// says nothing never looks harmless. A missing key in JSON counts as the worst case too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Annotations {
    /// The tool changes nothing.
    #[serde(rename = "readOnlyHint")]
    pub read_only: bool,
    /// The tool may delete or overwrite. Meaningless when it is read-only.
    #[serde(rename = "destructiveHint")]
    pub destructive: bool,
    /// Calling it again with the same arguments has no further effect.
    #[serde(rename = "idempotentHint")]
    pub idempotent: bool,
    /// The tool talks to parties outside this machine.
    #[serde(rename = "openWorldHint")]
    pub open_world: bool,
}

impl Default for Annotations {
    fn default() -> Self {
        Self {
            read_only: false,
            destructive: true,
            idempotent: false,
            open_world: true,
        }
    }
}

impl Annotations {
    /// A tool that only reads, and only on this machine.
    pub const fn read_only() -> Self {
        Self {
            read_only: true,
            destructive: false,
            idempotent: true,
            open_world: false,
        }
    }
}

/// The answer of a tool call, in the form the wire uses: `{"content":[..],"isError":false}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResult {
    /// The content blocks.
    #[serde(default)]
    pub content: Vec<Content>,
    /// Whether the call failed. The text then says why.
    #[serde(default)]
    pub is_error: bool,
}

impl ToolResult {
    /// A success with one text block.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            content: vec![Content::text(text)],
            is_error: false,
        }
    }

    /// A success with one JSON block.
    pub fn json(data: Value) -> Self {
        Self {
            content: vec![Content::Json { data }],
            is_error: false,
        }
    }

    /// A failure with one text block.
    pub fn error(text: impl Into<String>) -> Self {
        Self {
            content: vec![Content::text(text)],
            is_error: true,
        }
    }

    /// The value that output schemas and structured content are about: the first JSON block.
    pub fn structured(&self) -> Option<&Value> {
        self.content.iter().find_map(|block| match block {
            Content::Json { data } => Some(data),
            _ => None,
        })
    }

    /// All blocks as one text: text as it is, JSON serialised, joined by line feeds.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for (index, block) in self.content.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            match block {
                Content::Text { text } => out.push_str(text),
                Content::Json { data } | Content::Other(data) => out.push_str(&data.to_string()),
            }
        }
        out
    }
}

/// One block of a tool result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// `{"type":"text","text":".."}`
    Text {
        /// The text.
        text: String,
    },
    /// `{"type":"json","data":..}`
    Json {
        /// Any JSON value.
        data: Value,
    },
    /// A block of a kind this crate does not know, kept as it came.
    #[serde(untagged)]
    Other(Value),
}

impl Content {
    /// A text block.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn missing_annotations_are_the_worst_case() {
        let missing: Annotations = serde_json::from_value(json!({})).unwrap();
        assert_eq!(missing, Annotations::default());
        assert!(missing.destructive && missing.open_world && !missing.read_only);
        let partial: Annotations = serde_json::from_value(json!({"readOnlyHint": true})).unwrap();
        assert!(
            partial.read_only && partial.open_world,
            "unsaid hints stay pessimistic"
        );
        assert_eq!(
            serde_json::to_value(Annotations::read_only()).unwrap(),
            json!({"readOnlyHint": true, "destructiveHint": false, "idempotentHint": true, "openWorldHint": false}),
            "every hint is explicit"
        );
    }

    #[test]
    fn content_blocks_use_the_documented_shapes_and_keep_unknown_kinds() {
        let result = ToolResult {
            content: vec![
                Content::text("a"),
                Content::Json {
                    data: json!({"b": 1}),
                },
            ],
            is_error: true,
        };
        let value = json!({
            "content": [{"type": "text", "text": "a"}, {"type": "json", "data": {"b": 1}}],
            "isError": true,
        });
        assert_eq!(serde_json::to_value(&result).unwrap(), value);
        assert_eq!(serde_json::from_value::<ToolResult>(value).unwrap(), result);

        let image = json!({"type": "image", "data": "AA==", "mimeType": "image/png"});
        let unknown: Content = serde_json::from_value(image.clone()).unwrap();
        assert_eq!(unknown, Content::Other(image.clone()));
        assert_eq!(serde_json::to_value(&unknown).unwrap(), image);
        assert_eq!(result.to_text(), "a\n{\"b\":1}");
    }
}
