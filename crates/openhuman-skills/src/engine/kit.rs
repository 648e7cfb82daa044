//! What the simulator needs to know of an engine.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::oneshot;

use super::Engine;
use crate::SkillId;
use crate::error::CallError;
use crate::shared::{CallKind, ToWorker};

impl Engine {
    /// Waits until no activation can run; returns how many host operations are outstanding then, over all workers.
    pub(crate) async fn idle(&self) -> usize {
        let mut outstanding = 0;
        for worker in &self.0.workers {
            let (done, report) = oneshot::channel();
            let _ = worker.messages.send(ToWorker::Idle { done });
            outstanding += report.await.unwrap_or_default();
        }
        outstanding
    }

    /// Calls any function of a running skill, whether or not it is a hook the engine knows.
    pub(crate) async fn call_function(
        &self,
        skill: &SkillId,
        name: &str,
        args: Value,
        timeout: Duration,
    ) -> Result<Value, CallError> {
        let instance = self
            .find(skill)
            .and_then(|skill| skill.view().instance.clone())
            .ok_or(CallError::Stopped)?;
        let deadline = Instant::now() + timeout;
        let posted = instance.post(
            &self.0.shared,
            CallKind::Hook,
            name,
            args.to_string(),
            deadline,
            false,
        );
        let text = posted.map_err(|_| CallError::Stopped)?.result(deadline).await?;
        serde_json::from_str(&text).map_err(|error| CallError::Threw(format!("it returned no JSON: {error}")))
    }

    /// When the schedules of a skill are to be looked at next, in milliseconds since the epoch.
    pub(crate) fn next_schedule(&self, skill: &SkillId) -> Option<i64> {
        self.find(skill)?.cron().look_at_ms()
    }
}
