//! Asking skills whether their connection is alive.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::hooks::HOOK_LIMIT;
use super::{Engine, Inner};
use crate::shared::CallKind;
use crate::skill::Skill;
use crate::{HookError, SkillEvent, SkillId, SkillStatus};

/// Asks the skills whose turn it is, without waiting for their answers.
pub(super) async fn pings(engine: Weak<Inner>, every: Duration) {
    let mut interval = tokio::time::interval(every.min(Duration::from_secs(1)));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(inner) = engine.upgrade() else { return };
        let engine = Engine(inner);
        engine.expire_hooks();
        for skill in engine.all() {
            if engine.ping_is_due(&skill, Instant::now()) {
                engine.spawn_ping(&skill);
            }
        }
    }
}

impl Engine {
    /// Asks a running skill whether its connection is alive, and acts on the answer as the engine does every 60 s: a
    /// skill that reports a failed authentication is stopped, any other failure is published as
    /// `connection_status: "error"`. Null and `{ok: true}` mean that all is well; so does a call in flight, which is
    /// not waited for.
    ///
    /// # Errors
    /// As [`Engine::call_hook`].
    pub async fn ping(&self, skill: &SkillId) -> Result<Value, HookError> {
        self.ask(skill, true).await
    }

    async fn ask(&self, skill: &SkillId, act: bool) -> Result<Value, HookError> {
        let (found, instance) = self.running(skill, "onPing")?;
        if !self.has_hook(&found, "onPing") {
            return Ok(Value::Null);
        }
        *found.next_ping() = Some(Instant::now() + self.0.shared.limits.ping);
        let posted = self.post_to(&found, &instance, CallKind::Ping, "onPing", json!([]), HOOK_LIMIT)?;
        let answer = self.hook_result(&found, "onPing", HOOK_LIMIT, posted).await;
        if act {
            self.heard(&found, &answer).await;
        }
        answer
    }

    /// Asks in the background. A skill that does not claim to be connected is asked after its start for its own
    /// sake: without an account, a failed authentication is no reason to stop it.
    pub(super) fn spawn_ping(&self, skill: &Arc<Skill>) {
        let act = is_connected(skill);
        *skill.next_ping() = Some(Instant::now() + self.0.shared.limits.ping);
        let (engine, id) = (self.clone(), skill.id.clone());
        // Ends by itself at the hook's limit.
        self.0.shared.handle.spawn(async move {
            if let Err(error) = engine.ask(&id, act).await {
                tracing::debug!(skill = %id, %error, "no answer to a ping");
            }
        });
    }

    fn ping_is_due(&self, skill: &Skill, now: Instant) -> bool {
        is_connected(skill) && self.has_hook(skill, "onPing") && skill.next_ping().is_some_and(|at| at <= now)
    }

    /// Acts on an answer.
    async fn heard(&self, skill: &Arc<Skill>, answer: &Result<Value, HookError>) {
        let problem = match answer {
            Ok(value) if value.get("ok") == Some(&Value::Bool(false)) => {
                let text = value.get("errorMessage").and_then(Value::as_str);
                let message = text
                    .unwrap_or("the skill reports that its connection failed")
                    .to_owned();
                if value.get("errorType").and_then(Value::as_str) == Some("auth") {
                    tracing::warn!(skill = %skill.id, %message, "its authentication failed: the skill is stopped");
                    self.0.shared.emit(SkillEvent::AuthFailed {
                        skill_id: skill.id.clone(),
                        message,
                    });
                    let _ = self.stop(&skill.id).await;
                    return;
                }
                message
            }
            Err(error @ (HookError::Failed { .. } | HookError::TimedOut { .. })) => error.to_string(),
            // A full mailbox is a sign of life, and a skill that is being stopped says nothing.
            Ok(_) | Err(_) => return,
        };
        if skill.view().status == SkillStatus::Running {
            self.publish(
                skill,
                [
                    ("connection_status", Value::from("error")),
                    ("connection_error", Value::from(problem)),
                ],
            );
        }
    }
}

/// Whether a skill runs and says that it is connected.
fn is_connected(skill: &Skill) -> bool {
    let view = skill.view();
    let said = view.state.get("connection_status").and_then(Value::as_str);
    view.status == SkillStatus::Running && said == Some("connected")
}
