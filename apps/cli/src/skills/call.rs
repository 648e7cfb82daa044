//! `openhuman skills call`.

use openhuman::Core;
use openhuman::mcp::{CallContext, CallError, Origin};
use openhuman::skills::{PermissionKind, SkillEvent};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

use super::consent::public_host;
use super::running;
use crate::exit::{Code, Failure};
use crate::output::{self, clean, line};

pub(super) fn object(text: &str) -> Result<Value, Failure> {
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err(Failure::new(
            Code::Usage,
            "the arguments must be a JSON object, such as '{\"query\":\"staking\"}'",
        )),
        Err(error) => Err(Failure::new(
            Code::Usage,
            format!("the arguments are not JSON: {error}"),
        )),
    }
}

/// The host a skill was just refused, if its manifest does not ask for it.
fn wanted_host(events: &mut Receiver<SkillEvent>, skill: &str) -> Option<String> {
    std::iter::from_fn(|| events.try_recv().ok()).find_map(|event| match event {
        SkillEvent::PermissionWanted {
            skill_id,
            kind: PermissionKind::Host,
            what,
        } if skill_id.as_str() == skill => public_host(&what).ok(),
        _ => None,
    })
}

pub(super) async fn call(
    core: &Core,
    skill: &str,
    tool: &str,
    arguments: Value,
    as_json: bool,
) -> Result<(), Failure> {
    running(core, skill).await?;
    let snapshot = core
        .skill_snapshots()
        .into_iter()
        .find(|snapshot| snapshot.skill_id == skill);
    let snapshot =
        snapshot.ok_or_else(|| Failure::new(Code::NotFound, format!("the skill '{skill}' is gone")))?;
    if !snapshot.tools.iter().any(|known| known.name == tool) {
        let tools: Vec<&str> = snapshot.tools.iter().map(|tool| tool.name.as_str()).collect();
        let message = format!(
            "the skill '{skill}' has no tool '{tool}'; it has: {}",
            tools.join(", ")
        );
        return Err(Failure::new(Code::NotFound, message));
    }
    let context = CallContext::new(Origin::Cli);
    let mut events = core.skills().events();
    let result = core
        .hub()
        .try_call(&format!("{skill}__{tool}"), arguments, context)
        .await;
    let failed = |code, reason: &str| {
        Failure::new(
            code,
            format!("the tool {tool} of the skill {skill} failed: {}", clean(reason)),
        )
    };
    match result {
        Ok(result) if result.is_error => {
            let text = result.to_text();
            Err(match wanted_host(&mut events, skill) {
                Some(host) => failed(
                    Code::Failed,
                    &format!("{text}\n`openhuman skills allow {skill} --host {host}` allows that host"),
                ),
                None => failed(Code::Failed, &text),
            })
        }
        Ok(result) if as_json => output::json(&json!({ "content": result.content, "isError": false })),
        Ok(result) => line(clean(&result.to_text())),
        Err(error @ CallError::DeadlineExceeded { .. }) => Err(failed(Code::Timeout, &error.to_string())),
        Err(error) => Err(failed(Code::Failed, &error.to_string())),
    }
}
