//! The public face: installs, starts, stops and calls skills.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::db::pool::{DbPool, SharedDb};
use crate::db::store;
use crate::error::CallError;
use crate::manifest::platform_name;
use crate::net::Client;
use crate::shared::{Call, CallKind, Instance, Limits, MAILBOX, Shared, Skill, ToWorker};
use crate::worker::WorkerHandle;
use crate::{
    Clock, DbOpener, EngineError, Grant, HostModule, NameResolver, Secrets, SkillError, SkillEvent, SkillId,
    SkillPackage, SkillSnapshot, SkillStatus, SystemClock, SystemResolver, ToolError, ToolInfo,
};

/// How often schedules are looked at.
const TICK: Duration = Duration::from_secs(5);
/// How much longer than a limit the asynchronous side waits for the worker to say so.
const GRACE: Duration = Duration::from_millis(500);
const MAX_TOOLS: usize = 256;

/// Runs skills. Cheap to clone; the skills end when [`Engine::shutdown`] is called or the last clone is dropped.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    workers: Vec<WorkerHandle>,
    skills: RwLock<BTreeMap<SkillId, Arc<Skill>>>,
    tick: Mutex<Option<AbortHandle>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for worker in &self.workers {
            let _ = worker.messages.send(ToWorker::Shutdown { done: oneshot::channel().0 });
        }
        if let Some(tick) = self.tick.lock().unwrap_or_else(PoisonError::into_inner).take() {
            tick.abort();
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("workers", &self.0.workers.len()).finish_non_exhaustive()
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
        Self { timeout: Duration::from_secs(120) }
    }
}

/// What a tool returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolOutput {
    /// The text: strings as they are, objects as JSON.
    pub text: String,
}

/// Collects what an [`Engine`] needs. See [`Engine::builder`].
pub struct EngineBuilder {
    workers: usize,
    database_threads: usize,
    db: Option<Arc<dyn DbOpener>>,
    secrets: Option<Arc<dyn Secrets>>,
    clock: Arc<dyn Clock>,
    resolver: Arc<dyn NameResolver>,
    modules: Vec<Arc<dyn HostModule>>,
    env: BTreeMap<String, String>,
    limits: Limits,
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder").field("workers", &self.workers).finish_non_exhaustive()
    }
}

impl EngineBuilder {
    /// How many threads run JavaScript. Default: one for each core.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// How many threads run database statements. Default 2.
    #[must_use]
    pub fn database_threads(mut self, threads: usize) -> Self {
        self.database_threads = threads.max(1);
        self
    }

    /// Where the skills' databases come from. Default: in memory with the feature `rusqlite`; without it `db`
    /// and `cron` are absent and published state is not kept.
    #[must_use]
    pub fn db(mut self, opener: Arc<dyn DbOpener>) -> Self {
        self.db = Some(opener);
        self
    }

    /// The values behind `{{secret:ID}}`. Default: none, so a request with a placeholder fails.
    #[must_use]
    pub fn secrets(mut self, secrets: Arc<dyn Secrets>) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// The clock of schedules. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How host names become addresses. Default: the system's resolver.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn NameResolver>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Adds a global object to every skill.
    #[must_use]
    pub fn module(mut self, module: Arc<dyn HostModule>) -> Self {
        self.modules.push(module);
        self
    }

    /// Sets a value for `platform.env(name)`, instead of the process environment. A skill still needs the grant.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The limits of the life cycle: `init` (default 10 s, loading the script included), `start` (30 s) and
    /// `stop` (5 s).
    #[must_use]
    pub fn lifecycle_limits(mut self, init: Duration, start: Duration, stop: Duration) -> Self {
        self.limits = Limits { init, start, stop, ..self.limits };
        self
    }

    /// The limit of one timer callback and of one uninterrupted run of promise jobs. Default 120 s. A skill
    /// whose jobs never end is stopped with an error.
    #[must_use]
    pub fn background_limit(mut self, limit: Duration) -> Self {
        self.limits.background = limit;
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// [`EngineError`] outside a tokio runtime, when a thread cannot be started, or when a host module has a
    /// name that is taken or not an identifier.
    pub fn build(self) -> Result<Engine, EngineError> {
        let handle = Handle::try_current().map_err(|_| EngineError::NoRuntime)?;
        check_modules(&self.modules)?;
        let client = Client::new(&self.resolver).map_err(EngineError::Network)?;
        let db_pool = DbPool::start(self.database_threads).map_err(EngineError::Thread)?;
        let shared = Arc::new(Shared::new(
            handle.clone(),
            db_pool,
            self.db.or_else(default_opener),
            client,
            self.secrets,
            self.clock,
            self.modules,
            self.env,
            self.limits,
        ));
        let workers = (0..self.workers)
            .map(|index| WorkerHandle::start(index, Arc::clone(&shared)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(EngineError::Thread)?;
        let inner = Arc::new(Inner { shared, workers, skills: RwLock::default(), tick: Mutex::default() });
        let tick = handle.spawn(tick(Arc::downgrade(&inner)));
        *inner.tick.lock().unwrap_or_else(PoisonError::into_inner) = Some(tick.abort_handle());
        Ok(Engine(inner))
    }
}

#[cfg(feature = "rusqlite")]
#[expect(clippy::unnecessary_wraps, reason = "None without the feature")]
fn default_opener() -> Option<Arc<dyn DbOpener>> {
    Some(Arc::new(crate::rusqlite::MemoryDbOpener::default()))
}

#[cfg(not(feature = "rusqlite"))]
fn default_opener() -> Option<Arc<dyn DbOpener>> {
    None
}

fn check_modules(modules: &[Arc<dyn HostModule>]) -> Result<(), EngineError> {
    const TAKEN: [&str; 27] = [
        "window", "self", "global", "globalThis", "console", "log", "net", "db", "cron", "state", "store", "platform", "tauri",
        "crypto", "fetch", "sleep", "tools", "JSON", "Math", "Object", "Array", "Promise", "Date", "String", "Number", "Error",
        "Reflect",
    ];
    let identifier = |text: &str| {
        !text.is_empty()
            && !text.starts_with(|first: char| first.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$')
    };
    let mut seen = BTreeSet::new();
    for module in modules {
        let name = module.name();
        let refuse = |reason| Err(EngineError::Module { name: name.to_owned(), reason });
        if !identifier(name) || !module.functions().iter().all(|function| identifier(function)) {
            return refuse("names must be JavaScript identifiers");
        }
        if TAKEN.contains(&name) || name.starts_with("__") || !seen.insert(name) {
            return refuse("the global is taken");
        }
    }
    Ok(())
}

/// Looks at the schedules every five seconds, without waiting for what it fires.
async fn tick(engine: Weak<Inner>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut running = JoinSet::new();
    loop {
        interval.tick().await;
        while running.try_join_next().is_some() {}
        let Some(inner) = engine.upgrade() else { return };
        let engine = Engine(inner);
        running.spawn(async move {
            let _ = engine.run_schedules().await;
        });
    }
}

/// A posted call and how to give it up.
struct Posted {
    reply: oneshot::Receiver<Result<String, CallError>>,
    cancel: CancelOnDrop,
}

/// Tells the worker that nobody waits for a call any more.
struct CancelOnDrop {
    worker: Sender<ToWorker>,
    key: u64,
    call: u64,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // A call that is over is not found, which is fine.
        let _ = self.worker.send(ToWorker::Cancel { key: self.key, call: self.call });
    }
}

impl Posted {
    /// Waits for the result; dropping the future cancels the call.
    async fn result(self, deadline: Instant) -> Result<String, CallError> {
        let _cancel = self.cancel;
        match tokio::time::timeout_at((deadline + GRACE).into(), self.reply).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CallError::Stopped),
            Err(_) => Err(CallError::TimedOut),
        }
    }
}

enum PostError {
    Busy,
    Closed,
}

impl Instance {
    fn post(
        &self,
        shared: &Shared,
        kind: CallKind,
        name: &str,
        payload: String,
        deadline: Instant,
        counted: bool,
    ) -> Result<Posted, PostError> {
        if counted {
            let place = |waiting| (waiting < MAILBOX).then_some(waiting + 1);
            self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, place).map_err(|_| PostError::Busy)?;
        }
        let (sender, reply) = oneshot::channel();
        let id = shared.next_id();
        let call = Call { id, kind, name: name.to_owned(), payload, deadline, reply: sender, counted };
        self.worker.send(ToWorker::Post { key: self.key, call }).map_err(|_| PostError::Closed)?;
        Ok(Posted { reply, cancel: CancelOnDrop { worker: self.worker.clone(), key: self.key, call: id } })
    }
}

impl Engine {
    /// Starts building an engine.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder {
            workers: available_parallelism().map_or(2, NonZeroUsize::get),
            database_threads: 2,
            db: None,
            secrets: None,
            clock: Arc::new(SystemClock),
            resolver: Arc::new(SystemResolver),
            modules: Vec::new(),
            env: BTreeMap::new(),
            limits: Limits::default(),
        }
    }

    /// Adds a skill without starting it.
    ///
    /// # Errors
    /// [`SkillError`] when its id is taken or its manifest leaves this operating system out.
    pub async fn install(&self, package: SkillPackage, grant: Grant) -> Result<SkillId, SkillError> {
        let manifest = package.manifest();
        let id = manifest.id.clone();
        if !manifest.supports_this_platform() {
            return Err(SkillError::UnsupportedPlatform { skill: id, platform: platform_name() });
        }
        {
            let mut skills = self.0.skills.write().unwrap_or_else(PoisonError::into_inner);
            if skills.contains_key(&id) {
                return Err(SkillError::AlreadyInstalled { skill: id });
            }
            skills.insert(id.clone(), Arc::new(Skill::new(package, grant)));
        }
        self.0.shared.changed();
        Ok(id)
    }

    /// Starts a skill: opens its database, loads its script, and runs `init` and `start`. Goes on when the
    /// future is dropped.
    ///
    /// # Errors
    /// [`SkillError`] when a step fails or exceeds its limit; the skill is then in [`SkillStatus::Error`].
    pub async fn start(&self, skill: &SkillId) -> Result<(), SkillError> {
        let found = self.find(skill).ok_or_else(|| SkillError::Unknown { skill: skill.clone() })?;
        let engine = self.clone();
        let task = self.0.shared.handle.spawn(async move { engine.start_now(&found).await });
        task.await.unwrap_or(Err(SkillError::ShutDown))
    }

    async fn start_now(&self, skill: &Arc<Skill>) -> Result<(), SkillError> {
        let shared = &self.0.shared;
        let _lifecycle = skill.lifecycle.lock().await;
        if skill.view().status == SkillStatus::Running {
            return Err(SkillError::AlreadyRunning { skill: skill.id.clone() });
        }
        if self.find(&skill.id).is_none() {
            return Err(SkillError::Unknown { skill: skill.id.clone() });
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
                let _ = instance.worker.send(ToWorker::Drop { key: instance.key, done });
                let _ = tokio::time::timeout(GRACE, gone).await;
                skill.set_status(shared, SkillStatus::Error, Some(error.to_string()));
                Err(error)
            }
        }
    }

    /// Opens the database, restores state and schedules, and chooses a worker.
    async fn open(&self, skill: &Arc<Skill>) -> Result<Instance, SkillError> {
        let shared = &self.0.shared;
        let worker = self.0.workers.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed));
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
            let (database, state, cron) =
                opened.await.map_err(|source| SkillError::Database { skill: skill.id.clone(), source })?;
            skill.view().state = state;
            *skill.cron() = cron;
            db = Some(database);
        }
        Ok(Instance { key: shared.next_id(), worker, waiting: Arc::new(AtomicUsize::new(0)), db })
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
        let cancel = CancelOnDrop { worker: instance.worker.clone(), key: instance.key, call };
        let loaded = Posted { reply, cancel }.result(deadline).await;
        self.check(skill, "init", limits.init, loaded.map_err(|error| match error {
            // The script itself failed, not a function called init.
            CallError::Threw(message) => CallError::Rejected(format!("the script failed: {message}")),
            other => other,
        }))?;
        self.hook(skill, instance, "init", json!([]), deadline, limits.init).await?;
        let deadline = Instant::now() + limits.start;
        self.hook(skill, instance, "start", json!([{"oauth": null, "auth": null}]), deadline, limits.start).await?;
        let described = self
            .post(skill, instance, CallKind::Describe, "describe", String::new(), Instant::now() + limits.init)?
            .result(Instant::now() + limits.init)
            .await;
        let described = self.check(skill, "init", limits.init, described)?;
        let description: Description = serde_json::from_str(&described).map_err(|error| SkillError::Failed {
            skill: skill.id.clone(),
            message: format!("its tools cannot be described: {error}"),
        })?;
        let mut names = BTreeSet::new();
        let mut tools = description.tools;
        tools.retain(|tool| !tool.name.is_empty() && tool.name.len() <= 128 && names.insert(tool.name.clone()));
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
            CallError::TimedOut => SkillError::TimedOut { skill: skill.id.clone(), step, limit },
            other => SkillError::Failed { skill: skill.id.clone(), message: other.describe(step) },
        })
    }

    /// Stops a skill: ends what runs, runs its `stop`, and frees its runtime. The skill stays installed. Goes on
    /// when the future is dropped. Stopping a skill that does not run is fine.
    ///
    /// # Errors
    /// [`SkillError::TimedOut`] when `stop` exceeded its limit; the skill is stopped all the same.
    pub async fn stop(&self, skill: &SkillId) -> Result<(), SkillError> {
        let found = self.find(skill).ok_or_else(|| SkillError::Unknown { skill: skill.clone() })?;
        let engine = self.clone();
        let task = self.0.shared.handle.spawn(async move { engine.stop_now(&found).await });
        task.await.unwrap_or(Err(SkillError::ShutDown))
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
        let stopped = self.hook(skill, &instance, "stop", json!([]), deadline, limit).await;
        let (done, gone) = oneshot::channel();
        let _ = instance.worker.send(ToWorker::Drop { key: instance.key, done });
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

    /// Stops and forgets a skill. Its database is left to the [`DbOpener`]'s owner.
    ///
    /// # Errors
    /// [`SkillError::Unknown`] when there is no such skill.
    pub async fn remove(&self, skill: &SkillId) -> Result<(), SkillError> {
        match self.stop(skill).await {
            Ok(()) | Err(SkillError::TimedOut { .. }) => {}
            Err(error) => return Err(error),
        }
        self.0.skills.write().unwrap_or_else(PoisonError::into_inner).remove(skill);
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
        let found = self.find(skill).ok_or_else(|| ToolError::UnknownSkill { skill: skill.clone() })?;
        let payload = match args {
            Value::Null => "{}".to_owned(),
            Value::Object(_) => args.to_string(),
            _ => return Err(ToolError::InvalidArguments { tool: tool.to_owned() }),
        };
        let instance = {
            let view = found.view();
            match (view.status, &view.instance) {
                (SkillStatus::Running, Some(instance)) => instance.clone(),
                (status, _) => return Err(ToolError::NotRunning { skill: skill.clone(), status }),
            }
        };
        let deadline = Instant::now() + options.timeout.min(Duration::from_secs(24 * 3600));
        let posted = instance.post(&self.0.shared, CallKind::Tool, tool, payload, deadline, true);
        let posted = posted.map_err(|error| match error {
            PostError::Busy => ToolError::Busy { skill: skill.clone(), limit: MAILBOX },
            PostError::Closed => ToolError::ChannelClosed { skill: skill.clone() },
        })?;
        let tool = || tool.to_owned();
        match posted.result(deadline).await {
            Ok(text) => Ok(ToolOutput { text }),
            Err(CallError::Threw(message) | CallError::Rejected(message)) => Err(ToolError::Failed { message }),
            Err(CallError::NoSuchTool) => Err(ToolError::UnknownTool { tool: tool() }),
            Err(CallError::NeverSettles) => Err(ToolError::NeverSettles { tool: tool() }),
            Err(CallError::TooLarge) => Err(ToolError::ResultTooLarge { tool: tool(), limit: 1024 * 1024 }),
            Err(CallError::TimedOut) => Err(ToolError::TimedOut),
            Err(CallError::Stopped) => Err(ToolError::Stopped { skill: skill.clone(), tool: tool() }),
        }
    }

    /// Delivers an event from the backend to the running skills that have `onServerEvent` and the grant for it.
    /// Returns how many got it; does not wait for what they do with it.
    pub async fn server_event(&self, event: &str, data: Value) -> usize {
        let payload = json!([event, data]).to_string();
        let mut delivered = 0;
        for skill in self.all() {
            if skill.grant.receives(event)
                && self.post_hook(&skill, "onServerEvent", payload.clone()).is_some_and(|posted| {
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
        let (shared, skill) = (Arc::clone(&self.0.shared), Arc::clone(skill));
        let deadline = Instant::now() + shared.limits.hook;
        // Ends by itself at the hook's limit.
        self.0.shared.handle.spawn(async move {
            if let Err(error) = posted.result(deadline).await {
                report(&shared, &skill, hook, &error);
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
        instance.post(shared, CallKind::Hook, hook, payload, Instant::now() + shared.limits.hook, true).ok()
    }

    /// Fires every schedule that is due at the clock's time, and waits for the hooks to end. A schedule that was
    /// due several times fires once; one whose hook still runs, or whose skill is busy, is left for the next
    /// time. The engine calls this every five seconds by itself.
    ///
    /// # Errors
    /// None at present; reserved for an engine that is shut down.
    pub async fn run_schedules(&self) -> Result<usize, SkillError> {
        let shared = &self.0.shared;
        let now = shared.clock.now_ms();
        let mut firing = Vec::new();
        for skill in self.all() {
            let due: Vec<String> =
                skill.cron().iter().filter(|(_, entry)| entry.is_due(now)).map(|(id, _)| id.clone()).collect();
            for id in due {
                let Some(posted) = self.post_hook(&skill, "onCronTrigger", json!([id]).to_string()) else { continue };
                let mut stored = None;
                if let Some(entry) = skill.cron().get_mut(&id) {
                    entry.rearm(now);
                    entry.firing = true;
                    stored = Some((entry.expression.clone(), entry.next_ms));
                }
                let guard = Firing { skill: Arc::clone(&skill), id: id.clone() };
                if let (Some((expression, next)), Some(db)) =
                    (stored, skill.view().instance.as_ref().and_then(|instance| instance.db.clone()))
                {
                    let skill = skill.id.clone();
                    shared.db_pool.submit(move || {
                        if let Err(error) = db.with(|db| store::put_cron(db, &id, &expression, next)) {
                            tracing::warn!(%skill, %error, "a schedule's next moment is not kept");
                        }
                    });
                }
                firing.push(self.fired(guard, posted));
            }
        }
        let count = firing.len();
        join_all(firing).await;
        Ok(count)
    }

    async fn fired(&self, guard: Firing, posted: Posted) {
        let deadline = Instant::now() + self.0.shared.limits.hook;
        if let Err(error) = posted.result(deadline).await {
            report(&self.0.shared, &guard.skill, "onCronTrigger", &error);
        }
    }

    /// What can be said about every installed skill now, by id.
    #[must_use]
    pub fn snapshots(&self) -> Vec<SkillSnapshot> {
        self.all().iter().map(|skill| skill.snapshot()).collect()
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

    /// Records whether a skill's setup is complete. A skill that requires none starts out complete.
    ///
    /// # Errors
    /// [`SkillError::Unknown`] when there is no such skill.
    pub fn set_setup_complete(&self, skill: &SkillId, complete: bool) -> Result<(), SkillError> {
        let found = self.find(skill).ok_or_else(|| SkillError::Unknown { skill: skill.clone() })?;
        found.view().setup_complete = complete;
        self.0.shared.changed();
        Ok(())
    }

    /// Stops every skill (each within its limit) and the worker threads. The engine cannot be used afterwards.
    pub async fn shutdown(&self) {
        if let Some(tick) = self.0.tick.lock().unwrap_or_else(PoisonError::into_inner).take() {
            tick.abort();
        }
        let skills = self.all();
        join_all(skills.iter().map(|skill| self.stop(&skill.id))).await;
        let ended = self.0.workers.iter().map(|worker| {
            let (done, ended) = oneshot::channel();
            let _ = worker.messages.send(ToWorker::Shutdown { done });
            tokio::time::timeout(Duration::from_secs(5), ended)
        });
        join_all(ended).await;
    }

    fn find(&self, skill: &SkillId) -> Option<Arc<Skill>> {
        self.0.skills.read().unwrap_or_else(PoisonError::into_inner).get(skill).cloned()
    }

    fn all(&self) -> Vec<Arc<Skill>> {
        self.0.skills.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Clears the mark of a running schedule, also when the caller gives up.
struct Firing {
    skill: Arc<Skill>,
    id: String,
}

impl Drop for Firing {
    fn drop(&mut self) {
        if let Some(entry) = self.skill.cron().get_mut(&self.id) {
            entry.firing = false;
        }
    }
}

fn report(shared: &Shared, skill: &Skill, hook: &str, error: &CallError) {
    let message = error.describe(hook);
    tracing::warn!(skill = %skill.id, %message, "a hook failed");
    shared.emit(SkillEvent::Log { skill_id: skill.id.clone(), level: "error".to_owned(), message });
}

/// What the bootstrap says about a bundle.
#[derive(Deserialize)]
struct Description {
    hooks: BTreeSet<String>,
    tools: Vec<ToolInfo>,
}
