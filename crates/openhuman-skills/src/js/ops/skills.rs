//! The other skills.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{HostError, Op, OpResult, give};
use crate::engine::Engine;
use crate::js::host::Host;
use crate::js::raw::Args;
use crate::shared::Shared;
use crate::{CallOptions, SkillId, ToolError};

pub(super) const OPS: &[Op] = &[
    Op {
        name: "skills.list",
        run: list,
    },
    Op {
        name: "skills.call",
        run: call,
    },
];

/// What hosts without calls between skills answered, and skills expect where they may not.
const REFUSED: &str = "Cross-skill invocation is disabled";

fn engine(host: &Host) -> Result<Engine, HostError> {
    Engine::of(&host.shared).ok_or_else(|| HostError::Failed("the engine is shutting down".to_owned()))
}

fn list<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    // Which other skills there are is the user's own business: a skill hears of those it may call, and of itself.
    let grant = host.skill.grant();
    let mut all = engine(host)?.describe_all();
    all.retain(|skill| {
        let id = skill.get("id").and_then(Value::as_str).unwrap_or_default();
        id == host.skill.id.as_str() || grant.may_call_into(id)
    });
    give(args, Value::from(all).to_string())
}

fn call<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (id, tool, arguments) = (args.text(0)?, args.text(1)?, args.json(2)?);
    if !host.skill.grant().may_call(&format!("{id}.{tool}")) {
        return give(args, json!({ "refused": REFUSED }).to_string());
    }
    let fail = |error: &dyn std::fmt::Display| HostError::Failed(format!("skills.callTool: {error}"));
    let target = SkillId::new(&id).map_err(|error| fail(&error))?;
    let engine = engine(host)?;
    let waiting = Waiting::begin(&host.shared, &host.skill.id, &target).map_err(|error| fail(&error))?;
    let left = host.control.deadline().saturating_duration_since(Instant::now());
    let options = CallOptions {
        timeout: left.min(Duration::from_secs(120)),
    };
    // The mark belongs to the task, not to this stack: it goes when the call ends or is given up.
    let result = host.wait_for(async move {
        let _waiting = waiting;
        engine.call_tool(&target, &tool, arguments, options).await
    })?;
    let output = result.map_err(|error| fail(&error))?;
    give(args, json!({ "text": output.text }).to_string())
}

/// The mark that one skill's activation waits for another skill.
///
/// A skill has one activation, so it waits for one other at most, and following the marks tells whether a new one
/// would close a circle in which nobody could go on.
struct Waiting {
    shared: Arc<Shared>,
    skill: SkillId,
    /// Tells this mark from a later one of the same skill.
    serial: u64,
}

impl Waiting {
    fn begin(shared: &Arc<Shared>, skill: &SkillId, target: &SkillId) -> Result<Self, ToolError> {
        let mut waits = shared.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if leads_to(&waits, target, skill) {
            return Err(ToolError::WouldDeadlock {
                skill: skill.clone(),
                through: target.clone(),
            });
        }
        let serial = shared.next_id();
        waits.insert(skill.clone(), (target.clone(), serial));
        drop(waits);
        Ok(Self {
            shared: Arc::clone(shared),
            skill: skill.clone(),
            serial,
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waits = self.shared.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if waits
            .get(&self.skill)
            .is_some_and(|(_, serial)| *serial == self.serial)
        {
            waits.remove(&self.skill);
        }
    }
}

/// Whether `from` is `to`, or waits for it, directly or through others.
fn leads_to(waits: &BTreeMap<SkillId, (SkillId, u64)>, from: &SkillId, to: &SkillId) -> bool {
    let mut at = from;
    // There is no circle yet, so the walk ends.
    loop {
        if at == to {
            return true;
        }
        match waits.get(at) {
            Some((next, _)) => at = next,
            None => return false,
        }
    }
}
