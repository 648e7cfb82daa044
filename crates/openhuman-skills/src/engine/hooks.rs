//! Calling a skill's hooks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::posting::{PostError, Posted};
use super::{Engine, report};
use crate::error::CallError;
use crate::hooks::{HookEvent, HookFiring};
use crate::shared::{CallKind, Instance, MAILBOX, Shared};
use crate::skill::Skill;
use crate::{HookError, SkillEvent, SkillId, SkillStatus, SnapshotTrigger};

/// The limit of a hook that answers somebody.
pub(super) const HOOK_LIMIT: Duration = Duration::from_secs(30);
/// Actions of one answer that are passed on.
const MOST_ACTIONS: usize = 64;

impl Engine {
    /// Calls a hook of a running skill and waits for its result, which may be a value or a promise. `args` is the
    /// array of its arguments; anything else is its only argument. A hook the skill does not have gives null.
    /// Dropping the future cancels the call.
    ///
    /// # Errors
    /// [`HookError`] when the skill does not run or is busy, when the hook throws, or when the limit is reached.
    pub async fn call_hook(
        &self,
        skill: &SkillId,
        hook: &'static str,
        args: Value,
        timeout: Duration,
    ) -> Result<Value, HookError> {
        let found = self.running(skill, hook)?;
        self.hook_of(&found.0, &found.1, hook, args, timeout).await
    }

    /// Tells a skill that a chat session began.
    ///
    /// # Errors
    /// As [`Engine::call_hook`].
    pub async fn session_start(&self, skill: &SkillId, session_id: &str) -> Result<(), HookError> {
        let args = json!([{ "sessionId": session_id }]);
        self.call_hook(skill, "onSessionStart", args, HOOK_LIMIT)
            .await
            .map(drop)
    }

    /// Tells a skill that a chat session ended.
    ///
    /// # Errors
    /// As [`Engine::call_hook`].
    pub async fn session_end(&self, skill: &SkillId, session_id: &str) -> Result<(), HookError> {
        let args = json!([{ "sessionId": session_id }]);
        self.call_hook(skill, "onSessionEnd", args, HOOK_LIMIT)
            .await
            .map(drop)
    }

    /// Ticks a skill, then reports its published state as [`SkillEvent::Snapshot`].
    ///
    /// # Errors
    /// As [`Engine::call_hook`].
    pub async fn tick(&self, skill: &SkillId) -> Result<(), HookError> {
        self.call_hook(skill, "onTick", json!([{}]), HOOK_LIMIT).await?;
        if let Some(found) = self.find(skill) {
            self.emit_snapshot(&found, SnapshotTrigger::Tick);
        }
        Ok(())
    }

    /// The engine that skills share, while it lives.
    pub(crate) fn of(shared: &Shared) -> Option<Self> {
        shared.engine.get()?.upgrade().map(Self)
    }

    /// What skills may know about each other: `[{id, name, version?, status}]`.
    pub(crate) fn describe_all(&self) -> Vec<Value> {
        let describe = |skill: &Arc<Skill>| {
            let manifest = skill.package.manifest();
            let mut known =
                json!({ "id": skill.id, "name": manifest.name, "status": skill.view().status.as_str() });
            if let Some(version) = &manifest.version {
                known["version"] = Value::from(version.as_str());
            }
            known
        };
        self.all().iter().map(describe).collect()
    }

    /// Gives an event of a skill to the hooks that match it; returns how many do. A skill sees its own events, and
    /// those of others whose type it may receive.
    pub(crate) fn emit_hook_event(&self, event: &HookEvent, now_ms: i64) -> usize {
        let all = self.all();
        let may_see = |id: &SkillId| {
            id == event.source()
                || all
                    .iter()
                    .any(|skill| skill.id == *id && skill.grant().receives(event.kind()))
        };
        let emitted = self.0.shared.hooks().emit(event, now_ms, may_see);
        self.fire_hooks(emitted.firings);
        emitted.matched
    }

    /// Ends the windows of hooks that are over.
    pub(super) fn expire_hooks(&self) {
        let now = self.0.shared.clock.now_ms();
        let firings = {
            let mut hooks = self.0.shared.hooks();
            match hooks.next_deadline() {
                Some(at) if at <= now => hooks.expire(now),
                _ => return,
            }
        };
        self.fire_hooks(firings);
    }

    /// Calls the hooks of one event, those of higher priority first. Each is called when the one before has answered:
    /// an answer with `suppress` keeps the event from those behind it. `actions` of an answer go to the host.
    fn fire_hooks(&self, firings: Vec<HookFiring>) {
        let mut firings = firings.into_iter();
        let Some(first) = firings.next() else { return };
        // The first is posted now, so that events arrive in the order they were emitted in.
        let posted = self.post_firing(&first);
        let engine = Arc::downgrade(&self.0);
        // Ends after the last hook, each of which has its limit.
        self.0.shared.handle.spawn(async move {
            let (mut firing, mut posted) = (first, posted);
            loop {
                if let Some((skill, waiting)) = posted {
                    let answer = waiting.result(Instant::now() + HOOK_LIMIT).await;
                    let Some(inner) = engine.upgrade() else { return };
                    if Engine(inner).hook_answered(&skill, &firing.hook_id, answer) {
                        return;
                    }
                }
                let (Some(next), Some(inner)) = (firings.next(), engine.upgrade()) else {
                    return;
                };
                posted = Engine(inner).post_firing(&next);
                firing = next;
            }
        });
    }

    fn post_firing(&self, firing: &HookFiring) -> Option<(Arc<Skill>, Posted)> {
        const HOOK: &str = "onHookTriggered";
        let skill = self.find(&firing.skill)?;
        let instance = skill.view().instance.clone()?;
        if !self.has_hook(&skill, HOOK) {
            return None;
        }
        let args = json!([firing.args]);
        match self.post_to(&skill, &instance, CallKind::Hook, HOOK, args, HOOK_LIMIT) {
            Ok(posted) => Some((skill, posted)),
            Err(error) => {
                tracing::warn!(skill = %skill.id, hook = HOOK, %error, "a hook was not called");
                None
            }
        }
    }

    /// Takes the answer `{actions?, suppress?}` of a hook; whether it keeps the event from the others.
    fn hook_answered(&self, skill: &Arc<Skill>, hook_id: &str, answer: Result<String, CallError>) -> bool {
        let text = match answer {
            Ok(text) => text,
            Err(error) => {
                self.failed(skill, "onHookTriggered", &error);
                return false;
            }
        };
        let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let actions = answer.get("actions").and_then(Value::as_array);
        let actions: Vec<Value> = actions
            .into_iter()
            .flatten()
            .filter(|action| action.get("type").is_some_and(Value::is_string))
            .take(MOST_ACTIONS)
            .cloned()
            .collect();
        if !actions.is_empty() {
            self.0.shared.emit(SkillEvent::HookActions {
                skill_id: skill.id.clone(),
                hook_id: hook_id.to_owned(),
                actions,
            });
        }
        answer.get("suppress") == Some(&Value::Bool(true))
    }

    /// The skill and its instance, if it runs.
    pub(super) fn running(
        &self,
        skill: &SkillId,
        hook: &'static str,
    ) -> Result<(Arc<Skill>, Instance), HookError> {
        let found = self
            .find(skill)
            .ok_or_else(|| HookError::UnknownSkill { skill: skill.clone() })?;
        let instance = {
            let view = found.view();
            match (view.status, &view.instance) {
                (SkillStatus::Running, Some(instance)) => Ok(instance.clone()),
                (status, _) => Err(HookError::NotRunning {
                    skill: skill.clone(),
                    hook,
                    status,
                }),
            }
        };
        Ok((found, instance?))
    }

    /// Calls a hook of an instance.
    pub(super) async fn hook_of(
        &self,
        skill: &Skill,
        instance: &Instance,
        hook: &'static str,
        args: Value,
        timeout: Duration,
    ) -> Result<Value, HookError> {
        let posted = self.post_to(skill, instance, CallKind::Hook, hook, args, timeout)?;
        self.hook_result(skill, hook, timeout, posted).await
    }

    /// Puts a hook into an instance's mailbox.
    pub(super) fn post_to(
        &self,
        skill: &Skill,
        instance: &Instance,
        kind: CallKind,
        hook: &'static str,
        args: Value,
        timeout: Duration,
    ) -> Result<Posted, HookError> {
        let args = if args.is_array() { args } else { json!([args]) };
        let deadline = Instant::now() + timeout;
        let posted = instance.post(&self.0.shared, kind, hook, args.to_string(), deadline, true);
        posted.map_err(|error| match error {
            PostError::Busy => HookError::Busy {
                skill: skill.id.clone(),
                limit: MAILBOX,
            },
            PostError::Closed => HookError::Stopped {
                skill: skill.id.clone(),
                hook,
            },
        })
    }

    /// Waits for a posted hook.
    pub(super) async fn hook_result(
        &self,
        skill: &Skill,
        hook: &'static str,
        timeout: Duration,
        posted: Posted,
    ) -> Result<Value, HookError> {
        let text = posted
            .result(Instant::now() + timeout)
            .await
            .map_err(|error| match error {
                CallError::TimedOut => HookError::TimedOut { hook, limit: timeout },
                CallError::Stopped => HookError::Stopped {
                    skill: skill.id.clone(),
                    hook,
                },
                other => HookError::Failed {
                    hook,
                    message: other.describe(hook),
                },
            })?;
        serde_json::from_str(&text).map_err(|error| HookError::Failed {
            hook,
            message: format!("{hook}() returned what is not JSON: {error}"),
        })
    }

    /// Whether a skill exports a hook, as of the last look at its bundle.
    pub(super) fn has_hook(&self, skill: &Skill, hook: &str) -> bool {
        skill.view().hooks.contains(hook)
    }

    /// Calls a hook that nobody waits for. Failures are logged and, if the skill has `onError`, told to it.
    pub(super) fn spawn_hook(
        &self,
        skill: &Arc<Skill>,
        instance: &Instance,
        hook: &'static str,
        args: Value,
    ) {
        if !self.has_hook(skill, hook) {
            return;
        }
        match self.post_to(skill, instance, CallKind::Hook, hook, args, HOOK_LIMIT) {
            Ok(posted) => self.log_failure(skill, hook, posted),
            Err(error) => tracing::warn!(skill = %skill.id, hook, %error, "a hook was not called"),
        }
    }

    /// Reports a failed hook and tells the skill's `onError`.
    pub(super) fn failed(&self, skill: &Arc<Skill>, hook: &'static str, error: &CallError) {
        report(&self.0.shared, skill, hook, error);
        if hook == "onError" || matches!(error, CallError::Stopped) || !self.has_hook(skill, "onError") {
            return;
        }
        let kind = if *error == CallError::TimedOut {
            "timeout"
        } else {
            "runtime"
        };
        let what = json!([{
            "type": kind, "message": error.describe(hook), "source": hook, "recoverable": true,
        }]);
        let instance = skill.view().instance.clone();
        if let Some(instance) = instance {
            self.spawn_hook(skill, &instance, "onError", what);
        }
    }

    /// Tells the host what the skill publishes now.
    pub(super) fn emit_snapshot(&self, skill: &Skill, trigger: SnapshotTrigger) {
        let state = Value::Object(skill.view().state.clone());
        self.0.shared.emit(SkillEvent::Snapshot {
            skill_id: skill.id.clone(),
            trigger,
            state,
        });
    }

    /// Publishes values in the skill's name.
    pub(super) fn publish<const N: usize>(&self, skill: &Skill, values: [(&str, Value); N]) {
        let values: Map<String, Value> = values
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        skill.publish(&self.0.shared, values);
    }
}
