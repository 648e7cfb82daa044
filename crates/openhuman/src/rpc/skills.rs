//! The methods `openhuman.skills_*` on the skills engine.

use openhuman_skills::{RpcError as SkillRpcError, SkillError, SkillId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::RpcError;
use super::params::{parse, parse_secret};
use crate::Core;

/// The methods answered here.
pub(super) const METHODS: [&str; 16] = [
    "openhuman.skills_list",
    "openhuman.skills_get_all_snapshots",
    "openhuman.skills_start",
    "openhuman.skills_stop",
    "openhuman.skills_status",
    "openhuman.skills_setup_start",
    "openhuman.skills_list_tools",
    "openhuman.skills_sync",
    "openhuman.skills_rpc",
    "openhuman.skills_enable",
    "openhuman.skills_disable",
    "openhuman.skills_is_enabled",
    "openhuman.skills_set_setup_complete",
    "openhuman.skills_disconnect",
    "openhuman.skills_switch",
    "openhuman.skills_lift_quarantine",
];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SkillParams {
    pub(super) skill_id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MethodParams {
    skill_id: String,
    method: String,
    #[serde(default)]
    params: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetupParams {
    skill_id: String,
    complete: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SwitchParams {
    skill_id: String,
    /// On starts it now and with OpenHuman; off stops it and leaves it off.
    on: bool,
}

impl From<SkillRpcError> for RpcError {
    fn from(error: SkillRpcError) -> Self {
        match error {
            SkillRpcError::Params(text) => Self::params(text),
            other => Self::failed(other.to_string()),
        }
    }
}

impl From<SkillError> for RpcError {
    fn from(error: SkillError) -> Self {
        Self::failed(error.to_string())
    }
}

/// Answers one of [`METHODS`].
pub(super) async fn call(core: &Core, method: &str, params: Value) -> Result<Value, RpcError> {
    let engine = core.skills();
    let snapshots =
        || serde_json::to_value(core.skill_snapshots()).map_err(|error| RpcError::failed(error.to_string()));
    match method {
        "openhuman.skills_list" | "openhuman.skills_get_all_snapshots" => return snapshots(),
        // What the user entered may be inside: an error must not quote it.
        "openhuman.skills_rpc" => {
            let params: MethodParams = parse_secret(params)?;
            let skill = core.skill(&params.skill_id)?;
            return Ok(engine.rpc(&skill, &params.method, params.params).await?);
        }
        "openhuman.skills_set_setup_complete" => {
            let params: SetupParams = parse(params)?;
            let (skill, engine) = (core.skill(&params.skill_id)?, engine.clone());
            blocking(move || engine.set_setup_complete(&skill, params.complete)).await?;
            return Ok(json!({ "ok": true }));
        }
        "openhuman.skills_switch" => {
            let params: SwitchParams = parse(params)?;
            let skill = core.skill(&params.skill_id)?;
            switch(core, &skill, params.on).await?;
            return status(core, &skill);
        }
        _ => {}
    }
    let params: SkillParams = parse(params)?;
    let skill = core.skill(&params.skill_id)?;
    match method {
        "openhuman.skills_start" => {
            engine.start(&skill).await?;
            // Whoever starts a skill wants it to run, also next time; `skills_disable` ends that.
            let (engine, id) = (engine.clone(), skill.clone());
            blocking(move || engine.set_enabled(&id, Some(true))).await?;
        }
        "openhuman.skills_stop" => engine.stop(&skill).await?,
        "openhuman.skills_status" => return status(core, &skill),
        "openhuman.skills_setup_start" => return Ok(engine.setup_start(&skill).await?),
        "openhuman.skills_list_tools" => return Ok(engine.rpc(&skill, "tools/list", Value::Null).await?),
        "openhuman.skills_sync" => return Ok(engine.rpc(&skill, "skill/sync", Value::Null).await?),
        "openhuman.skills_disconnect" => engine.disconnect(&skill).await?,
        "openhuman.skills_lift_quarantine" => {
            engine.lift_quarantine(&skill)?;
            engine.start(&skill).await?;
        }
        "openhuman.skills_enable" | "openhuman.skills_disable" => {
            let (engine, id, on) = (engine.clone(), skill.clone(), method == "openhuman.skills_enable");
            blocking(move || engine.set_enabled(&id, Some(on))).await?;
        }
        "openhuman.skills_is_enabled" => {
            let enabled = core.starts_by_itself(&skill).await?;
            return Ok(json!({ "enabled": enabled }));
        }
        other => return Err(RpcError::unknown_method(other)),
    }
    status(core, &skill)
}

/// What the skill is and does now.
fn status(core: &Core, skill: &SkillId) -> Result<Value, RpcError> {
    let found = core
        .skill_snapshots()
        .into_iter()
        .find(|snapshot| snapshot.skill_id == skill.as_str());
    serde_json::to_value(found).map_err(|error| RpcError::failed(error.to_string()))
}

/// Preferences are a file.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SkillError> + Send + 'static,
) -> Result<T, RpcError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(crate::CoreError::from)??)
}

/// Switches a skill on or off, now and for the next start. What was switched on and does not start stays switched on:
/// the reason is told, and it is tried again with OpenHuman.
async fn switch(core: &Core, skill: &SkillId, on: bool) -> Result<(), RpcError> {
    let (engine, id) = (core.skills().clone(), skill.clone());
    blocking(move || engine.set_enabled(&id, Some(on))).await?;
    let engine = core.skills();
    match on {
        true => match engine.start(skill).await {
            Ok(()) | Err(SkillError::AlreadyRunning { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        },
        false => Ok(engine.stop(skill).await?),
    }
}
