use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where a skill is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SkillStatus {
    /// Installed and never started.
    Pending,
    /// Its script is being loaded and its `init` and `start` run.
    Initializing,
    /// It answers.
    Running,
    /// Its `stop` runs.
    Stopping,
    /// Stopped by request.
    Stopped,
    /// It failed to start, or its runtime was ended.
    Error,
}

impl SkillStatus {
    /// The status in the words of the public contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Initializing => "initializing",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for SkillStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A tool as a skill declares it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolInfo {
    /// The bare name, without the skill's id.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// The JSON Schema of its arguments.
    #[serde(rename = "inputSchema", default)]
    pub input_schema: Value,
}

/// What the world may know about a skill at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SkillSnapshot {
    /// The skill's id.
    pub skill_id: String,
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub status: SkillStatus,
    /// Its tools, as of its last start.
    pub tools: Vec<ToolInfo>,
    /// Why it is in [`SkillStatus::Error`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// What it published with `state.set`.
    pub state: Value,
    /// Whether its setup is complete, or none is required.
    pub setup_complete: bool,
    /// One word for people: `connected`, `connecting`, `not_authenticated`, `disconnected`, `setup_required`,
    /// `error` or `offline`.
    pub connection_status: String,
}

/// Derives the connection status from the life cycle and from what the skill published; the first rule that
/// applies wins.
pub(crate) fn connection_status(
    status: SkillStatus,
    state: &Map<String, Value>,
    setup_complete: bool,
) -> &'static str {
    match status {
        SkillStatus::Pending | SkillStatus::Stopped | SkillStatus::Stopping => return "offline",
        SkillStatus::Error => return "error",
        SkillStatus::Initializing => return "connecting",
        SkillStatus::Running => {}
    }
    let field = |key: &str| state.get(key).and_then(Value::as_str);
    let or_setup = |word| if setup_complete { word } else { "setup_required" };
    match (field("connection_status"), field("auth_status")) {
        (None, None) => or_setup("connected"),
        (Some("error"), _) | (_, Some("error")) => "error",
        (Some("connecting"), _) | (_, Some("authenticating")) => "connecting",
        (Some("connected"), None | Some("authenticated")) => "connected",
        (Some("connected"), Some("not_authenticated")) => "not_authenticated",
        (Some("disconnected"), _) => or_setup("disconnected"),
        _ => "connecting",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_applies_wins() {
        let derive = |connection: &str, auth: &str, setup: bool| {
            let mut state = Map::new();
            for (key, value) in [("connection_status", connection), ("auth_status", auth)] {
                if !value.is_empty() {
                    state.insert(key.to_owned(), Value::from(value));
                }
            }
            connection_status(SkillStatus::Running, &state, setup)
        };
        assert_eq!(derive("", "", true), "connected");
        assert_eq!(derive("", "", false), "setup_required");
        assert_eq!(derive("connected", "error", true), "error");
        assert_eq!(derive("connecting", "authenticated", true), "connecting");
        assert_eq!(derive("connected", "authenticated", true), "connected");
        assert_eq!(derive("connected", "", false), "connected");
        assert_eq!(
            derive("connected", "not_authenticated", true),
            "not_authenticated"
        );
        assert_eq!(derive("disconnected", "", true), "disconnected");
        assert_eq!(derive("disconnected", "", false), "setup_required");
        assert_eq!(derive("", "not_authenticated", true), "connecting");
        assert_eq!(
            connection_status(SkillStatus::Pending, &Map::new(), true),
            "offline"
        );
        assert_eq!(
            connection_status(SkillStatus::Initializing, &Map::new(), true),
            "connecting"
        );
    }

    #[test]
    fn the_wire_form_is_the_contract() {
        let tool = ToolInfo {
            name: "t".into(),
            description: "d".into(),
            input_schema: serde_json::json!({}),
        };
        assert_eq!(
            serde_json::to_string(&tool).unwrap(),
            r#"{"name":"t","description":"d","inputSchema":{}}"#
        );
        assert_eq!(
            serde_json::to_string(&SkillStatus::Initializing).unwrap(),
            "\"initializing\""
        );
    }
}
