//! What a script defines: its tools and hooks.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::super::scan::nearest;
use super::super::schema;
use super::{Finding, Level};
use crate::Manifest;

/// The functions a host calls, as existing packages spell them.
const HOOKS: [&str; 26] = [
    "init",
    "start",
    "stop",
    "onLoad",
    "onTick",
    "onSync",
    "onPing",
    "onError",
    "onRpc",
    "onDisconnect",
    "publishState",
    "onCronTrigger",
    "onServerEvent",
    "onHookTriggered",
    "onWebhookRequest",
    "onSessionStart",
    "onSessionEnd",
    "onSetupStart",
    "onSetupSubmit",
    "onSetupCancel",
    "onListOptions",
    "onSetOption",
    "onOAuthComplete",
    "onOAuthRevoked",
    "onAuthComplete",
    "onAuthRevoked",
];

/// What the script defines, as seen from inside; see `js/skill.js`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::kit) struct Inside {
    functions: Vec<String>,
    globals: Vec<String>,
    tools_kind: String,
    tools: Vec<ToolInside>,
}

#[derive(Deserialize)]
pub(in crate::kit) struct ToolInside {
    kind: String,
    name: Value,
    description: Value,
    execute: String,
    schema: Value,
}

pub(super) fn tools(inside: &Inside, findings: &mut Vec<Finding>) {
    let mut error = |code, message: String| findings.push(Finding::new(Level::Error, code, message));
    if inside.tools_kind != "array" {
        if inside.tools_kind == "undefined" {
            findings.push(
                Finding::new(Level::Note, "tools", "the skill has no tools")
                    .help("a skill without tools can still run on schedules and events"),
            );
        } else {
            error(
                "tools",
                format!("`tools` is {}, but must be an array", inside.tools_kind),
            );
        }
        return;
    }
    let mut names = BTreeSet::new();
    for (index, tool) in inside.tools.iter().enumerate() {
        if tool.kind != "object" {
            error(
                "tools",
                format!("tools[{index}] is {}, but must be an object", tool.kind),
            );
            continue;
        }
        let Some(name) = tool.name.as_str() else {
            error("tool-name", format!("tools[{index}] has no `name`"));
            continue;
        };
        if !is_tool_name(name) {
            error(
                "tool-name",
                format!(
                    "the tool name '{name}' must be 1 to 64 letters, digits, `_` or `-`, and start with a letter"
                ),
            );
        }
        if !names.insert(name) {
            error(
                "tool-name",
                format!("two tools are called '{name}'; only the first can be called"),
            );
        }
        if tool.execute != "function" {
            error(
                "tool-execute",
                format!("the tool '{name}' has no function `execute`"),
            );
        }
        for problem in schema::problems(&tool.schema) {
            error("tool-schema", format!("the input schema of '{name}': {problem}"));
        }
    }
    for tool in &inside.tools {
        let name = tool.name.as_str().unwrap_or_default();
        let description = tool.description.as_str().unwrap_or_default().trim();
        if description.is_empty() {
            findings.push(
                Finding::new(
                    Level::Warning,
                    "tool-description",
                    format!("the tool '{name}' has no description"),
                )
                .help("a model chooses tools by their descriptions: say what it does, and when to use it"),
            );
        }
        for missing in schema::undescribed(&tool.schema) {
            findings.push(Finding::new(
                Level::Note,
                "tool-schema",
                format!("the argument `{missing}` of '{name}' has no description"),
            ));
        }
    }
}

fn is_tool_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

pub(super) fn hooks(inside: &Inside, manifest: &Manifest, findings: &mut Vec<Finding>) {
    let names: BTreeSet<&str> = inside
        .functions
        .iter()
        .chain(&inside.globals)
        .map(String::as_str)
        .collect();
    for name in &names {
        if HOOKS.contains(name) {
            continue;
        }
        let looks = name
            .strip_prefix("on")
            .is_some_and(|rest| rest.starts_with(char::is_uppercase));
        let meant = nearest(name, &HOOKS).filter(|meant| looks || meant.len() > 3);
        match meant {
            Some(meant) if !names.contains(meant) => findings.push(
                Finding::new(Level::Warning, "hook", format!("nobody calls `{name}`"))
                    .help(format!("did you mean `{meant}`?")),
            ),
            _ if looks => {
                findings.push(Finding::new(
                    Level::Note,
                    "hook",
                    format!("nobody calls `{name}`: no hook has this name"),
                ));
            }
            _ => {}
        }
    }
    let events = manifest
        .permissions
        .as_ref()
        .is_some_and(|permissions| !permissions.events.is_empty());
    if names.contains("onServerEvent") && !events {
        findings.push(
            Finding::new(
                Level::Warning,
                "events",
                "`onServerEvent` is never called: the manifest asks for no events",
            )
            .help("list them in `permissions.events`"),
        );
    }
    if events && !names.contains("onServerEvent") {
        findings.push(Finding::new(
            Level::Warning,
            "events",
            "`permissions.events` asks for events, but the skill has no `onServerEvent`",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::HOOKS;

    #[test]
    fn the_hooks_are_those_the_engine_calls() {
        let dispatch = include_str!("../../js/lib/dispatch.js");
        for hook in HOOKS {
            assert!(dispatch.contains(&format!("'{hook}'")), "{hook}");
        }
        let listed = dispatch
            .split("HOOKS = [")
            .nth(1)
            .and_then(|rest| rest.split(']').next())
            .unwrap();
        assert_eq!(listed.matches('\'').count(), 2 * HOOKS.len());
    }
}
