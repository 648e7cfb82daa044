//! Starting and stopping a skill.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::Engine;
use super::posting::{CancelOnDrop, GRACE, Posted};
use crate::db::pool::SharedDb;
use crate::db::store;
use crate::error::CallError;
use crate::shared::{CallKind, Instance, Skill, ToWorker};
use crate::{SkillError, SkillId, SkillStatus, ToolInfo};

const MAX_TOOLS: usize = 256;
const NO_SKILL: &str = "the script defines no skill: set globalThis.__skill = { default: { tools: [...] } }";

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
    async fn detached<F>(
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

    async fn start_now(&self, skill: &Arc<Skill>) -> Result<(), SkillError> {
        let shared = &self.0.shared;
        let _lifecycle = skill.lifecycle.lock().await;
        if skill.view().status == SkillStatus::Running {
            return Err(SkillError::AlreadyRunning {
                skill: skill.id.clone(),
            });
        }
        if self.find(&skill.id).is_none() {
            return Err(SkillError::Unknown {
                skill: skill.id.clone(),
            });
        }
        skill.set_status(shared, SkillStatus::Initializing, None);
        let instance = match self.open(skill).await {
            Ok(instance) => instance,
            Err(error) => {
                skill.set_status(shared, SkillStatus::Error, Some(error.to_string()));
                return Err(error);
            }
        };
        match self.initialize(skill, &instance).await {
            Ok(()) => {
                // The worker may have given up on it meanwhile.
                if skill.view().status == SkillStatus::Initializing {
                    skill.view().instance = Some(instance);
                    skill.set_status(shared, SkillStatus::Running, None);
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
                Err(error)
            }
        }
    }

    /// Opens the database, restores state and schedules, and chooses a worker.
    async fn open(&self, skill: &Arc<Skill>) -> Result<Instance, SkillError> {
        let shared = &self.0.shared;
        let worker = self
            .0
            .workers
            .iter()
            .min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        let worker = worker.ok_or(SkillError::ShutDown)?.messages.clone();
        let mut db = None;
        if let Some(opener) = shared.db.clone() {
            let (id, now) = (skill.id.clone(), shared.clock.now_ms());
            let opened = shared.db_pool.run(move || {
                let mut database = opener.open(&id)?;
                store::prepare(database.as_mut())?;
                let state = store::load_state(database.as_mut())?;
                let cron = store::load_cron(database.as_mut(), now)?;
                Ok((SharedDb::new(database), state, cron))
            });
            let (database, state, cron) = opened.await.map_err(|source| SkillError::Database {
                skill: skill.id.clone(),
                source,
            })?;
            skill.view().state = state;
            *skill.cron() = cron;
            db = Some(database);
        }
        Ok(Instance {
            key: shared.next_id(),
            worker,
            waiting: Arc::new(AtomicUsize::new(0)),
            db,
        })
    }

    /// Loads the script, runs `init` and `start`, and asks for the tools.
    async fn initialize(&self, skill: &Arc<Skill>, instance: &Instance) -> Result<(), SkillError> {
        let shared = &self.0.shared;
        let limits = shared.limits;
        let deadline = Instant::now() + limits.init;
        let (sender, reply) = oneshot::channel();
        let call = shared.next_id();
        let boot = ToWorker::Boot {
            key: instance.key,
            skill: Arc::clone(skill),
            db: instance.db.clone(),
            waiting: Arc::clone(&instance.waiting),
            call,
            deadline,
            reply: sender,
        };
        instance.worker.send(boot).map_err(|_| SkillError::ShutDown)?;
        let cancel = CancelOnDrop {
            worker: instance.worker.clone(),
            key: instance.key,
            call,
        };
        let loaded = Posted { reply, cancel }.result(deadline).await;
        // The script itself failed, not a function called init.
        loaded.map_err(|error| match error {
            CallError::TimedOut => SkillError::LoadTimedOut {
                skill: skill.id.clone(),
                limit: limits.init,
            },
            CallError::Threw(message) => SkillError::Failed {
                skill: skill.id.clone(),
                message: skill.sources.annotate(&format!("the script failed: {message}")),
            },
            other => SkillError::Failed {
                skill: skill.id.clone(),
                message: other.describe("the script"),
            },
        })?;
        self.hook(skill, instance, "init", json!([]), deadline, limits.init)
            .await?;
        let deadline = Instant::now() + limits.start;
        self.hook(
            skill,
            instance,
            "start",
            json!([{"oauth": null, "auth": null}]),
            deadline,
            limits.start,
        )
        .await?;
        let described = self
            .post(
                skill,
                instance,
                CallKind::Describe,
                "describe",
                String::new(),
                Instant::now() + limits.init,
            )?
            .result(Instant::now() + limits.init)
            .await;
        let described = self.check(skill, "init", limits.init, described)?;
        let description: Description =
            serde_json::from_str(&described).map_err(|error| SkillError::Failed {
                skill: skill.id.clone(),
                message: format!("its tools cannot be described: {error}"),
            })?;
        if !description.defined {
            return Err(SkillError::Failed {
                skill: skill.id.clone(),
                message: NO_SKILL.to_owned(),
            });
        }
        let mut names = BTreeSet::new();
        let mut tools = description.tools;
        tools.retain(|tool| {
            !tool.name.is_empty() && tool.name.len() <= 128 && names.insert(tool.name.clone())
        });
        tools.truncate(MAX_TOOLS);
        let mut view = skill.view();
        view.tools = tools;
        view.hooks = description.hooks;
        Ok(())
    }

    fn post(
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

    async fn hook(
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

    fn check(
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
                message: skill.sources.annotate(&other.describe(step)),
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
        let shared = &self.0.shared;
        let _lifecycle = skill.lifecycle.lock().await;
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

/// What the bootstrap says about a bundle.
#[derive(Deserialize)]
struct Description {
    /// Whether it set `__skill` or `tools`, or has one of the hooks as a function.
    defined: bool,
    hooks: BTreeSet<String>,
    tools: Vec<ToolInfo>,
}
