//! Starting and stopping a skill.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::posting::{GRACE, Posted};
use super::{Engine, is_out_of_memory, told};
use crate::credentials::Held;
use crate::error::CallError;
use crate::shared::{CallKind, Instance, ToWorker};
use crate::skill::Skill;
use crate::{SkillError, SkillId, SkillStatus};

impl Engine {
    /// Starts a skill: opens its database, loads its script, and runs `init` and `start`. Goes on when the
    /// future is dropped.
    ///
    /// # Errors
    /// [`SkillError`] when a step fails or exceeds its limit; the skill is then in [`SkillStatus::Error`].
    pub async fn start(&self, skill: &SkillId) -> Result<(), SkillError> {
        self.detached(
            skill,
            |engine, skill| async move { engine.start_now(&skill).await },
        )
        .await
    }

    /// Runs a step as a task of its own, so that it goes on when the caller's future is dropped.
    pub(super) async fn detached<F>(
        &self,
        skill: &SkillId,
        step: impl FnOnce(Engine, Arc<Skill>) -> F,
    ) -> Result<(), SkillError>
    where
        F: Future<Output = Result<(), SkillError>> + Send + 'static,
    {
        let found = self
            .find(skill)
            .ok_or_else(|| SkillError::Unknown { skill: skill.clone() })?;
        let task = self.0.shared.handle.spawn(step(self.clone(), found));
        task.await.unwrap_or(Err(SkillError::ShutDown))
    }

    pub(super) async fn start_now(&self, skill: &Arc<Skill>) -> Result<(), SkillError> {
        let _lifecycle = skill.lifecycle.lock().await;
        self.start_locked(skill).await
    }

    /// Starts a skill whose life cycle the caller holds.
    pub(super) async fn start_locked(&self, skill: &Arc<Skill>) -> Result<(), SkillError> {
        let shared = &self.0.shared;
        if skill.view().status == SkillStatus::Running {
            return Err(SkillError::AlreadyRunning {
                skill: skill.id.clone(),
            });
        }
        // It may have been removed or replaced meanwhile.
        if !self
            .find(&skill.id)
            .is_some_and(|found| Arc::ptr_eq(&found, skill))
        {
            return Err(SkillError::Unknown {
                skill: skill.id.clone(),
            });
        }
        self.refuse_quarantined(&skill.id)?;
        let again = skill.view().restart.is_some();
        skill.set_status(shared, SkillStatus::Initializing, None);
        let instance = match self.open(skill).await {
            Ok(instance) => instance,
            Err(error) => {
                skill.set_status(shared, SkillStatus::Error, Some(error.to_string()));
                return Err(error);
            }
        };
        match self.initialize(skill, &instance).await {
            Ok(outcome) => {
                // The worker may have given up on it meanwhile.
                if skill.view().status == SkillStatus::Initializing {
                    skill.view().instance = Some(instance);
                    skill.set_status(shared, SkillStatus::Running, None);
                    self.after_start(skill, &outcome).await;
                }
                Ok(())
            }
            Err(error) => {
                let (done, gone) = oneshot::channel();
                let _ = instance.worker.send(ToWorker::Drop {
                    key: instance.key,
                    done,
                });
                let _ = tokio::time::timeout(GRACE, gone).await;
                skill.set_status(shared, SkillStatus::Error, Some(error.to_string()));
                let by_force = match &error {
                    SkillError::LoadTimedOut { .. } | SkillError::TimedOut { .. } => true,
                    // It takes as much as a kill to fill a heap again and again.
                    SkillError::Failed { message, .. } => is_out_of_memory(message),
                    _ => false,
                };
                if by_force {
                    self.ended_by_force(skill, &error.to_string(), again);
                }
                Err(error)
            }
        }
    }

    pub(super) fn post(
        &self,
        skill: &Skill,
        instance: &Instance,
        kind: CallKind,
        name: &str,
        payload: String,
        deadline: Instant,
    ) -> Result<Posted, SkillError> {
        let posted = instance.post(&self.0.shared, kind, name, payload, deadline, false);
        posted.map_err(|_| {
            tracing::debug!(skill = %skill.id, "the worker is gone");
            SkillError::ShutDown
        })
    }

    pub(super) async fn hook(
        &self,
        skill: &Skill,
        instance: &Instance,
        name: &'static str,
        args: Value,
        deadline: Instant,
        limit: Duration,
    ) -> Result<String, SkillError> {
        let posted = self.post(skill, instance, CallKind::Hook, name, args.to_string(), deadline)?;
        self.check(skill, name, limit, posted.result(deadline).await)
    }

    pub(super) fn check(
        &self,
        skill: &Skill,
        step: &'static str,
        limit: Duration,
        result: Result<String, CallError>,
    ) -> Result<String, SkillError> {
        result.map_err(|error| match error {
            CallError::TimedOut => SkillError::TimedOut {
                skill: skill.id.clone(),
                step,
                limit,
            },
            other => SkillError::Failed {
                skill: skill.id.clone(),
                message: told(skill, &other.describe(step)),
            },
        })
    }

    /// Stops a skill: ends what runs, runs its `stop`, and frees its runtime. The skill stays installed. Goes on
    /// when the future is dropped. Stopping a skill that does not run is fine.
    ///
    /// # Errors
    /// [`SkillError::TimedOut`] when `stop` exceeded its limit; the skill is stopped all the same.
    pub async fn stop(&self, skill: &SkillId) -> Result<(), SkillError> {
        self.detached(
            skill,
            |engine, skill| async move { engine.stop_now(&skill).await },
        )
        .await
    }

    async fn stop_now(&self, skill: &Arc<Skill>) -> Result<(), SkillError> {
        let _lifecycle = skill.lifecycle.lock().await;
        self.stop_locked(skill).await
    }

    /// Stops a skill whose life cycle the caller holds.
    pub(super) async fn stop_locked(&self, skill: &Arc<Skill>) -> Result<(), SkillError> {
        let shared = &self.0.shared;
        let Some(instance) = skill.view().instance.clone() else {
            if skill.view().status != SkillStatus::Stopped {
                skill.set_status(shared, SkillStatus::Stopped, None);
            }
            return Ok(());
        };
        skill.set_status(shared, SkillStatus::Stopping, None);
        let limit = shared.limits.stop;
        let deadline = Instant::now() + limit;
        let _ = instance.worker.send(ToWorker::Interrupt { key: instance.key });
        let stopped = self
            .hook(skill, &instance, "stop", json!([]), deadline, limit)
            .await;
        let (done, gone) = oneshot::channel();
        let _ = instance.worker.send(ToWorker::Drop {
            key: instance.key,
            done,
        });
        let _ = tokio::time::timeout(GRACE, gone).await;
        *skill.credentials() = Held::default();
        shared.hooks().remove_skill(&skill.id);
        skill.set_status(shared, SkillStatus::Stopped, None);
        match stopped {
            Err(SkillError::Failed { message, .. }) => {
                tracing::warn!(skill = %skill.id, %message, "a skill's stop failed");
                Ok(())
            }
            other => other.map(drop),
        }
    }
}
