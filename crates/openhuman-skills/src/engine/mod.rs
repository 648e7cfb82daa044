//! The public face: installs, starts, stops and calls skills.

mod auth;
mod boot;
mod builder;
mod files;
mod grants;
mod hooks;
#[cfg(feature = "kit")]
mod kit;
mod lifecycle;
mod ping;
mod posting;
mod preferences;
mod restarts;
mod rpc;
mod schedules;
mod setup;
mod sync;
mod update;
mod webhooks;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::AbortHandle;

pub use self::builder::EngineBuilder;
use self::posting::{PostError, Posted};
use self::restarts::Restarts;
use crate::error::CallError;
use crate::manifest::platform_name;
use crate::shared::{CallKind, MAILBOX, Shared, ToWorker};
use crate::skill::Skill;
use crate::tools::Declared;
use crate::worker::WorkerHandle;
use crate::{
    Grant, SkillError, SkillEvent, SkillId, SkillPackage, SkillSnapshot, SkillStatus, ToolError, ToolInfo,
};

/// Runs skills. Cheap to clone; the skills end when [`Engine::shutdown`] is called or the last clone is dropped.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

pub(crate) struct Inner {
    shared: Arc<Shared>,
    workers: Vec<WorkerHandle>,
    skills: RwLock<HashMap<SkillId, Arc<Skill>>>,
    tick: Mutex<Option<AbortHandle>>,
    pings: Mutex<Option<AbortHandle>>,
    restarts: Restarts,
}

impl Inner {
    fn end_background(&self) {
        for task in [&self.tick, &self.pings] {
            if let Some(task) = task.lock().unwrap_or_else(PoisonError::into_inner).take() {
                task.abort();
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for worker in &self.workers {
            let _ = worker.messages.send(ToWorker::Shutdown {
                done: oneshot::channel().0,
            });
        }
        self.end_background();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("workers", &self.0.workers.len())
            .finish_non_exhaustive()
    }
}

/// How a tool is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallOptions {
    /// The wall limit, waiting included. Default 120 s.
    pub timeout: Duration,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(120),
        }
    }
}

/// What a tool returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolOutput {
    /// The text: strings as they are, objects as JSON.
    pub text: String,
}

impl Engine {
    /// Starts building an engine.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Adds a skill without starting it.
    ///
    /// # Errors
    /// [`SkillError`] when its id is taken or its manifest leaves this operating system out.
    pub async fn install(&self, package: SkillPackage, grant: Grant) -> Result<SkillId, SkillError> {
        let manifest = package.manifest();
        let id = manifest.id.clone();
        if !manifest.supports_this_platform() {
            return Err(SkillError::UnsupportedPlatform {
                skill: id,
                platform: platform_name(),
            });
        }
        {
            let mut skills = self.0.skills.write().unwrap_or_else(PoisonError::into_inner);
            if skills.contains_key(&id) {
                return Err(SkillError::AlreadyInstalled { skill: id });
            }
            skills.insert(id.clone(), Arc::new(Skill::new(package, grant)));
        }
        self.0.shared.changed();
        if let Err(error) = self.restore_setup(&id).await {
            tracing::warn!(skill = %id, %error, "its preference counts as unset");
        }
        Ok(id)
    }

    /// Stops and forgets a skill. Its database is left to the [`DbOpener`](crate::DbOpener)'s owner.
    ///
    /// # Errors
    /// [`SkillError::Unknown`] when there is no such skill.
    pub async fn remove(&self, skill: &SkillId) -> Result<(), SkillError> {
        match self.stop(skill).await {
            Ok(()) | Err(SkillError::TimedOut { .. }) => {}
            Err(error) => return Err(error),
        }
        self.0
            .skills
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(skill);
        self.0.shared.webhooks.forget(skill);
        self.0.shared.open_dbs.forget(skill);
        self.0.restarts.forget(skill);
        self.0.shared.changed();
        Ok(())
    }

    /// Calls a tool with a JSON object (null counts as an empty one). Dropping the future cancels the call.
    ///
    /// # Errors
    /// [`ToolError`] when the skill or tool is unknown, not running or busy, when the tool throws, or when the
    /// limit is reached.
    pub async fn call_tool(
        &self,
        skill: &SkillId,
        tool: &str,
        args: Value,
        options: CallOptions,
    ) -> Result<ToolOutput, ToolError> {
        let found = self
            .find(skill)
            .ok_or_else(|| ToolError::UnknownSkill { skill: skill.clone() })?;
        let payload = match args {
            Value::Null => "{}".to_owned(),
            Value::Object(_) => args.to_string(),
            _ => {
                return Err(ToolError::InvalidArguments {
                    tool: tool.to_owned(),
                });
            }
        };
        let instance = {
            let view = found.view();
            match (view.status, &view.instance) {
                (SkillStatus::Running, Some(instance)) => instance.clone(),
                (status, _) => {
                    drop(view);
                    if let Some(sentence) = self.0.restarts.sentence(skill, self.0.shared.clock.now_ms()) {
                        return Err(ToolError::Quarantined {
                            skill: skill.clone(),
                            until_ms: sentence.until_ms,
                            reason: sentence.reason,
                        });
                    }
                    return Err(ToolError::NotRunning {
                        skill: skill.clone(),
                        status,
                    });
                }
            }
        };
        let deadline = Instant::now() + options.timeout.min(Duration::from_secs(24 * 3600));
        let posted = instance.post(&self.0.shared, CallKind::Tool, tool, payload, deadline, true);
        let posted = posted.map_err(|error| match error {
            PostError::Busy => ToolError::Busy {
                skill: skill.clone(),
                limit: MAILBOX,
            },
            PostError::Closed => ToolError::ChannelClosed { skill: skill.clone() },
        })?;
        let tool = || tool.to_owned();
        match posted.result(deadline).await {
            Ok(text) => Ok(ToolOutput { text }),
            Err(CallError::Threw(message) | CallError::Rejected(message)) => Err(ToolError::Failed {
                message: told(&found, &message),
            }),
            Err(CallError::NoSuchTool) => Err(ToolError::UnknownTool { tool: tool() }),
            Err(CallError::NeverSettles) => Err(ToolError::NeverSettles { tool: tool() }),
            Err(CallError::TooLarge) => Err(ToolError::ResultTooLarge {
                tool: tool(),
                limit: 1024 * 1024,
            }),
            Err(CallError::TimedOut) => Err(ToolError::TimedOut),
            Err(CallError::Ended(reason)) => Err(ToolError::Ended {
                skill: skill.clone(),
                tool: tool(),
                reason: reason.to_owned(),
            }),
            Err(CallError::Stopped) => Err(ToolError::Stopped {
                skill: skill.clone(),
                tool: tool(),
            }),
        }
    }

    /// Delivers an event from the backend to the running skills that have `onServerEvent` and the grant for it.
    /// Returns how many got it; does not wait for what they do with it.
    pub async fn server_event(&self, event: &str, data: Value) -> usize {
        let payload = json!([event, data]).to_string();
        let mut delivered = 0;
        for skill in self.all() {
            if skill.grant().receives(event)
                && self
                    .post_hook(&skill, "onServerEvent", payload.clone())
                    .is_some_and(|posted| {
                        self.log_failure(&skill, "onServerEvent", posted);
                        true
                    })
            {
                delivered += 1;
            }
        }
        // Gives the workers a chance before a caller floods them.
        tokio::task::yield_now().await;
        delivered
    }

    /// Reports a failed hook whose result nobody waits for.
    fn log_failure(&self, skill: &Arc<Skill>, hook: &'static str, posted: Posted) {
        let (engine, skill) = (self.clone(), Arc::clone(skill));
        let deadline = Instant::now() + self.0.shared.limits.hook;
        // Ends by itself at the hook's limit.
        self.0.shared.handle.spawn(async move {
            if let Err(error) = posted.result(deadline).await {
                engine.failed(&skill, hook, &error);
            }
        });
    }

    /// Puts a hook into a running skill's mailbox if the skill has it and there is room.
    fn post_hook(&self, skill: &Skill, hook: &str, payload: String) -> Option<Posted> {
        let instance = {
            let view = skill.view();
            if view.status != SkillStatus::Running || !view.hooks.contains(hook) {
                return None;
            }
            view.instance.clone()?
        };
        let shared = &self.0.shared;
        instance
            .post(
                shared,
                CallKind::Hook,
                hook,
                payload,
                Instant::now() + shared.limits.hook,
                true,
            )
            .ok()
    }

    /// What can be said about every installed skill now, by id.
    #[must_use]
    pub fn snapshots(&self) -> Vec<SkillSnapshot> {
        self.all().iter().map(|skill| skill.snapshot()).collect()
    }

    /// One tool of a skill, as the skill described it last; `None` when there is no such skill or tool.
    #[must_use]
    pub fn tool(&self, skill: &SkillId, tool: &str) -> Option<ToolInfo> {
        let found = self.find(skill)?;
        let view = found.view();
        view.tools
            .iter()
            .find(|known| *known.name == *tool)
            .map(Declared::info)
    }

    /// A number that grows whenever a snapshot changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.shared.revision.subscribe()
    }

    /// What skills log, notify and do from now on. A receiver that falls more than 1024 events behind loses the
    /// oldest.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<SkillEvent> {
        self.0.shared.events.subscribe()
    }

    /// Stops every skill (each within its limit) and the worker threads. The engine cannot be used afterwards.
    pub async fn shutdown(&self) {
        self.0.end_background();
        let skills = self.all();
        join_all(skills.iter().map(|skill| self.stop(&skill.id))).await;
        let ended = self.0.workers.iter().map(|worker| {
            let (done, ended) = oneshot::channel();
            let _ = worker.messages.send(ToWorker::Shutdown { done });
            tokio::time::timeout(Duration::from_secs(5), ended)
        });
        join_all(ended).await;
        self.0.shared.client.recorder.settle().await;
    }

    /// How often these bytes occur in the memory of all running skills' JavaScript, free memory included. For proofs
    /// that a secret is in none of them. Waits for each worker's turn.
    #[doc(hidden)]
    pub async fn occurrences_in_heaps(&self, needle: &[u8]) -> usize {
        let needle: Arc<[u8]> = needle.into();
        let counts = self.0.workers.iter().map(|worker| {
            let (done, count) = oneshot::channel();
            let needle = Arc::clone(&needle);
            let _ = worker.messages.send(ToWorker::Scan { needle, done });
            count
        });
        let counts = join_all(counts).await;
        counts.into_iter().filter_map(Result::ok).sum()
    }

    fn find(&self, skill: &SkillId) -> Option<Arc<Skill>> {
        self.0
            .skills
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(skill)
            .cloned()
    }

    /// All skills, by their ids.
    fn all(&self) -> Vec<Arc<Skill>> {
        let skills = self.0.skills.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = skills.values().cloned().collect();
        drop(skills);
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }
}

/// A message of the script's, with places in the author's files, and with the limit that was reached.
fn told(skill: &Skill, message: &str) -> String {
    let text = skill.sources.annotate(message);
    if !is_out_of_memory(message) {
        return text;
    }
    let limit = skill.package.manifest().memory_limit_mb;
    format!(
        "{text}\nit has used up its memory limit of {limit} MB; `memory_limit_mb` in its manifest sets that, up to 256"
    )
}

/// Whether the engine says that the heap is full.
fn is_out_of_memory(message: &str) -> bool {
    message.contains("out of memory")
}

fn report(shared: &Shared, skill: &Skill, hook: &str, error: &CallError) {
    let message = told(skill, &error.describe(hook));
    tracing::warn!(skill = %skill.id, %message, "a hook failed");
    shared.emit(SkillEvent::Log {
        skill_id: skill.id.clone(),
        level: "error".to_owned(),
        message,
    });
}
