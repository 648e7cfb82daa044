//! The tools a skill declares, as the engine keeps them.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ToolInfo;

/// A tool whose schema stays text: a parsed schema takes ten times its size, and nearly all skills are idle.
#[derive(Deserialize)]
pub(crate) struct Declared {
    pub(crate) name: Box<str>,
    #[serde(default)]
    description: Box<str>,
    #[serde(rename = "inputSchema")]
    schema: Box<RawValue>,
}

impl Declared {
    /// The form others see.
    pub(crate) fn info(&self) -> ToolInfo {
        ToolInfo {
            name: self.name.to_string(),
            description: self.description.to_string(),
            // What was read as JSON once can be read again.
            input_schema: serde_json::from_str(self.schema.get()).unwrap_or(Value::Null),
        }
    }
}

impl PartialEq for Declared {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.description, self.schema.get())
            == (&other.name, &other.description, other.schema.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_tool_is_seen_as_it_was_declared() {
        let text = r#"{"name":"add","description":"Adds.","inputSchema":{"type":"object","properties":{"n":{"type":"number"}}}}"#;
        let tool: Declared = serde_json::from_str(text).unwrap();
        assert_eq!(
            serde_json::to_value(tool.info()).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
        let other: Declared = serde_json::from_str(&text.replace("number", "string")).unwrap();
        assert!(tool != other);
    }
}
