//! The steps of a start: what is opened and restored, what the script says about itself, and what follows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::hooks::HOOK_LIMIT;
use super::posting::Posted;
use super::{Engine, told};
use crate::credentials::import_old_files;
use crate::db::shared::SharedDb;
use crate::db::store;
use crate::error::CallError;
use crate::shared::{CallKind, Instance, Run, ToWorker};
use crate::skill::Skill;
use crate::tools::Declared;
use crate::{CredentialError, CredentialKind, Database, DbError, DbOptions, SkillError, SkillId};

const MAX_TOOLS: usize = 256;
const NO_SKILL: &str = "the script defines no skill: set globalThis.__skill = { default: { tools: [...] } }";

impl Engine {
    /// Opens the database, restores state and schedules, and chooses a worker.
    pub(super) async fn open(&self, skill: &Arc<Skill>) -> Result<Instance, SkillError> {
        let shared = &self.0.shared;
        let worker = self
            .0
            .workers
            .iter()
            .min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        let worker = worker.ok_or(SkillError::ShutDown)?.messages.clone();
        let mut db = None;
        if let Some(opener) = shared.db.clone() {
            let (id, now, seed) = (skill.id.clone(), shared.clock.now_ms(), shared.jitter_seed);
            let options = DbOptions::new(skill.grant().db_mb() * 1024 * 1024);
            let database = SharedDb::of(&id, options, opener, &shared.open_dbs);
            let (state, cron) = self
                .stored(&database, move |db| {
                    Ok((store::load_state(db)?, store::load_cron(db, &id, seed, now)?))
                })
                .await
                .map_err(|source| SkillError::Database {
                    skill: skill.id.clone(),
                    source,
                })?;
            skill.view().state = state;
            skill.cron().load(cron);
            db = Some(database);
        }
        self.restore_credentials(skill).await?;
        Ok(Instance::new(Run {
            key: shared.next_id(),
            worker,
            waiting: Arc::new(AtomicUsize::new(0)),
            db,
        }))
    }

    /// What a database holds; the default when there is none yet, which is then not opened.
    async fn stored<T: Default + Send + 'static>(
        &self,
        db: &SharedDb,
        load: impl FnOnce(&mut dyn Database) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let pool = &self.0.shared.db_pool;
        let (done, exists) = oneshot::channel();
        let asked = db.clone();
        pool.submit_other(move || {
            let _ = done.send(asked.exists());
        });
        match exists.await {
            Ok(false) => Ok(T::default()),
            _ => pool.run(db, load).await,
        }
    }

    /// Loads the script, runs `init` and `start`, and asks for the tools. Returns what `start` returned.
    pub(super) async fn initialize(
        &self,
        skill: &Arc<Skill>,
        instance: &Instance,
    ) -> Result<Value, SkillError> {
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
        let loaded = Posted::new(reply, instance, call).result(deadline).await;
        // The script itself failed, not a function called init.
        loaded.map_err(|error| match error {
            CallError::TimedOut => SkillError::LoadTimedOut {
                skill: skill.id.clone(),
                limit: limits.init,
            },
            CallError::Threw(message) => SkillError::Failed {
                skill: skill.id.clone(),
                message: told(skill, &format!("the script failed: {message}")),
            },
            other => SkillError::Failed {
                skill: skill.id.clone(),
                message: other.describe("the script"),
            },
        })?;
        self.hook(skill, instance, "init", json!([]), deadline, limits.init)
            .await?;
        let deadline = Instant::now() + limits.start;
        let bag = json!([skill.start_bag(false)]);
        let outcome = self
            .hook(skill, instance, "start", bag, deadline, limits.start)
            .await?;
        let description = self.describe(skill, instance).await?;
        if !description.defined {
            return Err(SkillError::Failed {
                skill: skill.id.clone(),
                message: NO_SKILL.to_owned(),
            });
        }
        let mut view = skill.view();
        view.tools = description.tools;
        view.hooks = description.hooks;
        Ok(serde_json::from_str(&outcome).unwrap_or(Value::Null))
    }

    /// Asks the bundle for its tools and hooks.
    async fn describe(&self, skill: &Skill, instance: &Instance) -> Result<Description, SkillError> {
        let limit = self.0.shared.limits.init;
        let deadline = Instant::now() + limit;
        let kind = CallKind::Describe;
        let posted = self.post(skill, instance, kind, "describe", String::new(), deadline)?;
        let described = self.check(skill, "init", limit, posted.result(deadline).await)?;
        let mut description: Description =
            serde_json::from_str(&described).map_err(|error| SkillError::Failed {
                skill: skill.id.clone(),
                message: format!("its tools cannot be described: {error}"),
            })?;
        let mut names = BTreeSet::new();
        description.tools.retain(|tool| {
            !tool.name.is_empty() && tool.name.len() <= 128 && names.insert(tool.name.clone())
        });
        description.tools.truncate(MAX_TOOLS);
        description.tools.shrink_to_fit();
        Ok(description)
    }

    /// Lists the tools and hooks of a running skill again. A skill that does not answer keeps those it had.
    pub(super) async fn refresh(&self, skill: &SkillId) {
        let Ok((found, instance)) = self.running(skill, "describe") else {
            return;
        };
        let description = match self.describe(&found, &instance).await {
            Ok(description) => description,
            Err(error) => {
                tracing::warn!(%skill, %error, "its tools stay as they were");
                return;
            }
        };
        let changed = {
            let mut view = found.view();
            let changed = view.tools != description.tools;
            view.tools = description.tools;
            view.hooks = description.hooks;
            changed
        };
        if changed {
            self.0.shared.changed();
        }
    }

    /// Reports what `start` said, lets the skill publish its state, and asks for a first sign of life.
    ///
    /// A `start` that returns `{status: "error"}` is no failure to start: the skill runs, so that its setup and its
    /// options can be reached, and the errors are published as its connection error. A skill whose setup is not
    /// complete is expected to miss its account, and one that published its own trouble has said it better.
    pub(super) async fn after_start(&self, skill: &Arc<Skill>, outcome: &Value) {
        let Some(instance) = skill.view().instance.clone() else {
            return;
        };
        if outcome.get("status").and_then(Value::as_str) == Some("error") {
            let message = error_text(outcome);
            tracing::warn!(skill = %skill.id, %message, "its start reports an error");
            let silent = {
                let view = skill.view();
                let said = |key: &str| view.state.get(key).and_then(Value::as_str);
                matches!(said("connection_status"), None | Some("connected" | "connecting"))
                    && !matches!(said("auth_status"), Some("error" | "not_authenticated"))
            };
            if silent && skill.view().setup_complete {
                self.publish(
                    skill,
                    [
                        ("connection_status", Value::from("error")),
                        ("connection_error", Value::from(message)),
                    ],
                );
            }
        }
        self.publish_state(skill, &instance).await;
        if self.has_hook(skill, "onPing") {
            self.spawn_ping(skill);
        }
    }

    /// Lets a skill that exports `publishState` refresh what it publishes; waits for it for a second at most.
    pub(super) async fn publish_state(&self, skill: &Arc<Skill>, instance: &Instance) {
        if !self.has_hook(skill, "publishState") {
            return;
        }
        let (engine, found, instance) = (self.clone(), Arc::clone(skill), instance.clone());
        // Ends by itself at the hook's limit.
        let task = self.0.shared.handle.spawn(async move {
            let published = engine
                .hook_of(&found, &instance, "publishState", json!([]), HOOK_LIMIT)
                .await;
            if let Err(error) = published {
                tracing::warn!(skill = %found.id, %error, "publishState failed");
            }
        });
        let _ = tokio::time::timeout(Duration::from_secs(1), task).await;
    }

    /// Reads the credentials, after moving in those an earlier host left as files.
    async fn restore_credentials(&self, skill: &Arc<Skill>) -> Result<(), SkillError> {
        let shared = &self.0.shared;
        let (port, id) = (Arc::clone(&shared.ports.credentials), skill.id.clone());
        let dir = shared.ports.data.folder(&id);
        let loaded = shared.blocking.run(move || {
            if let Some(dir) = dir {
                import_old_files(&dir, &id, port.as_ref())?;
            }
            Ok((
                port.load(&id, CredentialKind::OAuth)?,
                port.load(&id, CredentialKind::Auth)?,
            ))
        });
        let loaded = loaded
            .await
            .unwrap_or_else(|_| Err(CredentialError("the store ended unexpectedly".to_owned())));
        let (oauth, auth) = loaded.map_err(|source| SkillError::Credentials {
            skill: skill.id.clone(),
            source,
        })?;
        let mut held = skill.credentials();
        held.set(CredentialKind::OAuth, oauth);
        held.set(CredentialKind::Auth, auth);
        Ok(())
    }
}

/// The messages of `{status: "error", errors: [{field, message}], message?}` in a line.
fn error_text(outcome: &Value) -> String {
    let errors = outcome.get("errors").and_then(Value::as_array);
    let texts = errors
        .into_iter()
        .flatten()
        .filter_map(|error| error.get("message").and_then(Value::as_str).or(error.as_str()));
    let text = texts.collect::<Vec<_>>().join("; ");
    match outcome.get("message").and_then(Value::as_str) {
        Some(message) if text.is_empty() => message.to_owned(),
        _ if text.is_empty() => "the skill reports an error".to_owned(),
        _ => text,
    }
}

/// What the bootstrap says about a bundle.
#[derive(Deserialize)]
struct Description {
    /// Whether it set `__skill` or `tools`, or has one of the hooks as a function.
    defined: bool,
    hooks: BTreeSet<String>,
    tools: Vec<Declared>,
}
