//! One tool of a snapshot.

use std::sync::OnceLock;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::CallError;
use crate::schema::{Lazy, Role};
use crate::tool::{Annotations, ToolDefinition, ToolResult};

/// A tool as clients see it.
#[derive(Debug)]
pub struct CatalogTool {
    /// `skillId__toolName`, at most 48 characters of `[A-Za-z0-9_-]`.
    pub name: String,
    /// The id of its toolset.
    pub toolset: String,
    /// The bare name.
    pub tool: String,
    /// A short name for people.
    pub title: Option<String>,
    /// What it does.
    pub description: String,
    /// An object schema.
    pub input_schema: Value,
    /// What the structured result keeps to, where the tool promises something.
    pub output_schema: Option<Value>,
    /// What it may do to the world.
    pub annotations: Annotations,
    input: Lazy,
    output: Lazy,
    wire: OnceLock<Box<RawValue>>,
    full: OnceLock<Box<RawValue>>,
    #[cfg(feature = "server")]
    pub(crate) protocol: OnceLock<rmcp::model::Tool>,
}

impl CatalogTool {
    /// A tool of the toolset `id`, listed as `name`.
    pub(super) fn new(id: &str, name: String, definition: ToolDefinition, output: Option<Value>) -> Self {
        Self {
            name,
            toolset: id.to_owned(),
            tool: definition.name,
            title: definition.title,
            description: definition.description,
            input_schema: definition.input_schema,
            output_schema: output,
            annotations: definition.annotations,
            input: Lazy::default(),
            output: Lazy::default(),
            wire: OnceLock::new(),
            full: OnceLock::new(),
            #[cfg(feature = "server")]
            protocol: OnceLock::new(),
        }
    }

    /// Says what the arguments contradict in the schema.
    pub(crate) fn check_arguments(&self, args: &Value) -> Result<(), CallError> {
        self.input
            .check(&self.input_schema, args, Role::Arguments)
            .map_err(|reason| CallError::InvalidArguments {
                tool: self.name.clone(),
                reason,
            })
    }

    /// Says what a result contradicts in what the tool promised.
    pub(crate) fn check_result(&self, result: &ToolResult) -> Result<(), CallError> {
        let Some(schema) = &self.output_schema else {
            return Ok(());
        };
        let broken = |reason| CallError::InvalidOutput {
            tool: self.name.clone(),
            reason,
        };
        if result.is_error {
            return Ok(());
        }
        match result.structured() {
            Some(value) => self.output.check(schema, value, Role::Result).map_err(broken),
            None => Err(broken("the result has no structured content".into())),
        }
    }

    /// `{"name","description","inputSchema"}`, written once.
    pub(crate) fn wire(&self) -> &RawValue {
        self.wire.get_or_init(|| {
            let mut map = Map::new();
            map.insert("name".into(), self.name.as_str().into());
            map.insert("description".into(), self.description.as_str().into());
            map.insert("inputSchema".into(), self.input_schema.clone());
            raw(&Value::Object(map))
        })
    }

    /// What `tools/list` says about it, written once.
    pub(crate) fn full(&self) -> &RawValue {
        self.full.get_or_init(|| {
            let mut map = Map::new();
            map.insert("name".into(), self.name.as_str().into());
            if let Some(title) = &self.title {
                map.insert("title".into(), title.as_str().into());
            }
            map.insert("description".into(), self.description.as_str().into());
            map.insert("inputSchema".into(), self.input_schema.clone());
            if let Some(schema) = &self.output_schema {
                map.insert("outputSchema".into(), schema.clone());
            }
            let hints = serde_json::to_value(self.annotations).unwrap_or_default();
            map.insert("annotations".into(), hints);
            raw(&Value::Object(map))
        })
    }

    pub(super) fn is(&self, definition: &ToolDefinition, output: Option<&Value>) -> bool {
        self.tool == definition.name
            && self.description == definition.description
            && self.title == definition.title
            && self.annotations == definition.annotations
            && self.input_schema == definition.input_schema
            && self.output_schema.as_ref() == output
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    // A JSON value always has a text.
    serde_json::value::to_raw_value(value).unwrap_or_default()
}

/// Arguments are objects: a schema that says nothing about that says so afterwards, one that says another thing is
/// replaced.
pub(super) fn make_object_schema(schema: &mut Value) {
    let is_object = |value: &Value| value.as_str() == Some("object");
    match schema {
        Value::Object(map) if map.get("type").is_some_and(is_object) => {}
        Value::Object(map) if !map.contains_key("type") => {
            map.insert("type".into(), "object".into());
        }
        other => *other = serde_json::json!({"type": "object"}),
    }
}
