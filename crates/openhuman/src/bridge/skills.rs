//! Running skills as a toolset each of the hub.

use futures_util::future::BoxFuture;
use openhuman_mcp::{Annotations, CallContext, CallError, ToolDefinition, ToolProvider, ToolResult, Toolset};
use openhuman_skills::{CallOptions, Engine, SkillId, SkillSnapshot, SkillStatus};
use serde_json::Value;
use tokio::sync::watch;

use super::arguments;

pub(crate) struct SkillTools {
    engine: Engine,
}

impl SkillTools {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl ToolProvider for SkillTools {
    fn toolsets(&self) -> Vec<Toolset> {
        self.engine.snapshots().into_iter().map(toolset).collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.engine.changes()
    }

    fn call<'a>(
        &'a self,
        toolset: &'a str,
        tool: &'a str,
        args: Value,
        _context: CallContext,
    ) -> BoxFuture<'a, Result<ToolResult, CallError>> {
        Box::pin(async move {
            let skill: SkillId = toolset.parse().map_err(|_| CallError::ToolsetNotFound {
                id: toolset.to_owned(),
            })?;
            if let Some(known) = self.engine.tool(&skill, tool)
                && let Err(contradiction) = arguments::check(&known.input_schema, &args)
            {
                let text = format!("Invalid arguments for '{toolset}__{tool}': {contradiction}");
                return Ok(ToolResult::error(text));
            }
            // The hub drops this future at its deadline or on cancellation, which cancels the call.
            match self
                .engine
                .call_tool(&skill, tool, args, CallOptions::default())
                .await
            {
                Ok(output) => Ok(ToolResult::text(output.text)),
                // The engine's texts are the contract's already.
                Err(error) => Ok(ToolResult::error(error.to_string())),
            }
        })
    }
}

fn toolset(snapshot: SkillSnapshot) -> Toolset {
    Toolset {
        status: sync_status(&snapshot).into(),
        running: snapshot.status == SkillStatus::Running,
        id: snapshot.skill_id,
        name: snapshot.name,
        tools: snapshot
            .tools
            .into_iter()
            .map(|tool| ToolDefinition {
                name: tool.name,
                title: None,
                description: tool.description,
                input_schema: tool.input_schema,
                // A skill's own word about its effects is not proof: the worst case stands.
                annotations: Annotations::default(),
            })
            .collect(),
    }
}

/// The status that `tool:sync` carries, from the skill's lifecycle and what it publishes about itself.
fn sync_status(snapshot: &SkillSnapshot) -> &'static str {
    match snapshot.status {
        SkillStatus::Error => return "error",
        SkillStatus::Pending | SkillStatus::Stopped => return "offline",
        SkillStatus::Initializing => return "connecting",
        SkillStatus::Stopping => return "disconnected",
        _ => {}
    }
    let published = |key: &str| {
        snapshot
            .state
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    match (published("connection_status"), published("auth_status")) {
        ("error", _) | (_, "error") => "error",
        ("connected", "authenticated") => "connected",
        ("connecting", _) | (_, "authenticating") => "connecting",
        ("connected", "not_authenticated") => "not_authenticated",
        ("disconnected", _) => "disconnected",
        _ => "connected",
    }
}
