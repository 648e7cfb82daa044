//! One skill in a real engine whose time and network are prepared.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{broadcast, mpsc};

use super::Hooks;
use super::net::{Ask, FakeNet, SeenRequest};
use super::time::VirtualTime;
use super::wire::{FakeResolver, FakeWire, TestSecrets};
use crate::error::CallError;
use crate::{
    BridgeCall, CallOptions, Clock as _, Engine, EngineError, Grant, MemoryDbOpener, SkillError, SkillEvent,
    SkillId, SkillPackage, SkillSnapshot, Sources, ToolError,
};

/// 2026-01-01 09:00 UTC, a Thursday: where the time of a simulation starts.
pub(crate) const EPOCH_MS: i64 = 1_767_258_000_000;
/// The real time a step may take. Simulated time is free; this ends endless loops.
const LIMIT: Duration = Duration::from_secs(20);
/// The most recent log lines and bridge calls that are kept.
const MAX_KEPT: usize = 10_000;
/// How many timers may fire while one call waits: a bound for a timer that re-arms itself for ever.
const MAX_WAKEUPS: usize = 1_000_000;

/// A line a skill logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The text.
    pub message: String,
}

/// A notification a skill showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The title.
    pub title: String,
    /// The text.
    pub body: String,
}

/// A skill in a real, confined runtime whose time stands still and whose network is prepared.
///
/// Time moves when it is told to, and by itself when a call waits for a timer and nothing else can happen. Dropping
/// it ends its threads.
pub struct Simulator {
    pub(super) engine: Engine,
    pub(super) skill: SkillId,
    pub(super) time: Arc<VirtualTime>,
    pub(super) net: Arc<FakeNet>,
    pub(super) secrets: Arc<TestSecrets>,
    pub(super) sources: Arc<Sources>,
    asks: mpsc::UnboundedReceiver<Ask>,
    events: broadcast::Receiver<SkillEvent>,
    logs: Vec<LogLine>,
    notices: Vec<Notice>,
    calls: Arc<Mutex<Vec<BridgeCall>>>,
    started: bool,
}

/// How far a step got.
pub(super) enum Step<T> {
    Done(T),
    /// A function of the test must answer a request first.
    Asked(Ask),
}

impl Simulator {
    /// Installs a package with everything its manifest asks for granted. It is not started yet.
    ///
    /// # Errors
    /// [`SimulatorError`] when the engine cannot be built or the skill does not run on this system.
    pub async fn new(package: SkillPackage) -> Result<Self, SimulatorError> {
        let time = Arc::new(VirtualTime::new(EPOCH_MS));
        let (net, asks) = FakeNet::new();
        let net = Arc::new(net);
        let secrets = Arc::new(TestSecrets::default());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        let grant = Grant::from_manifest(package.manifest());
        let engine = Engine::builder()
            .workers(1)
            .database_threads(1)
            .clock(Arc::clone(&time) as Arc<_>)
            .db(Arc::new(MemoryDbOpener::default()))
            .secrets(Arc::clone(&secrets) as Arc<_>)
            .resolver(Arc::new(FakeResolver))
            .transport(Arc::new(FakeWire::new(&net, &time, &secrets)))
            .inspect(move |call| {
                if call.op.starts_with("kit.") {
                    return;
                }
                let mut calls = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if calls.len() < MAX_KEPT {
                    calls.push(call.clone());
                }
            })
            .kit(Hooks {
                time: Some(Arc::clone(&time)),
                script: None,
            })
            .build()?;
        let events = engine.events();
        let sources = Arc::new(Sources::new(package.clone()));
        let skill = engine.install(package, grant).await?;
        Ok(Self {
            engine,
            skill,
            time,
            net,
            secrets,
            sources,
            asks,
            events,
            logs: Vec::new(),
            notices: Vec::new(),
            calls,
            started: false,
        })
    }

    /// The simulated time, in milliseconds since the epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.time.now_ms()
    }

    /// What the skill looks like from outside.
    #[must_use]
    pub fn snapshot(&self) -> Option<SkillSnapshot> {
        self.engine
            .snapshots()
            .into_iter()
            .find(|snapshot| snapshot.skill_id == self.skill.as_str())
    }

    /// What it logged so far.
    pub fn logs(&mut self) -> &[LogLine] {
        self.drain();
        &self.logs
    }

    /// The notifications it showed so far.
    pub fn notices(&mut self) -> &[Notice] {
        self.drain();
        &self.notices
    }

    /// The requests it sent so far.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.net.seen()
    }

    /// The requests nothing was prepared for.
    #[must_use]
    pub fn unmatched(&self) -> Vec<SeenRequest> {
        self.net.unmatched()
    }

    /// Every host function it called so far.
    #[must_use]
    pub fn bridge_calls(&self) -> Vec<BridgeCall> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the skill and the threads.
    pub async fn end(self) {
        self.engine.shutdown().await;
    }

    fn drain(&mut self) {
        loop {
            match self.events.try_recv() {
                Ok(SkillEvent::Log { level, message, .. }) if self.logs.len() < MAX_KEPT => {
                    self.logs.push(LogLine { level, message });
                }
                Ok(SkillEvent::Notification { title, body, .. }) if self.notices.len() < MAX_KEPT => {
                    self.notices.push(Notice { title, body });
                }
                Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return,
            }
        }
    }

    /// Starts the skill, unless it was started before.
    ///
    /// # Errors
    /// [`SkillError`] when its script, `init` or `start` fails.
    pub async fn start(&mut self) -> Result<(), SkillError> {
        let mut work = self.starting();
        loop {
            match self.drive(&mut work, &AtomicBool::new(true)).await {
                Step::Done(outcome) => return outcome,
                // Nobody is there to answer: the connection fails.
                Step::Asked(ask) => drop(ask),
            }
        }
    }

    /// Calls any function the skill exports; requests that only a test could answer fail.
    pub(super) async fn function(&mut self, name: &str, args: Value) -> Result<Value, CallError> {
        let mut work = self.calling_function(name, args);
        loop {
            match self.drive(&mut work, &AtomicBool::new(true)).await {
                Step::Done(outcome) => return outcome,
                Step::Asked(ask) => drop(ask),
            }
        }
    }

    pub(super) fn starting(&mut self) -> BoxFuture<'static, Result<(), SkillError>> {
        if std::mem::replace(&mut self.started, true) {
            return async { Ok(()) }.boxed();
        }
        let (engine, skill) = (self.engine.clone(), self.skill.clone());
        async move { engine.start(&skill).await }.boxed()
    }

    pub(super) fn stopping(&mut self) -> BoxFuture<'static, Result<(), SkillError>> {
        self.started = false;
        let (engine, skill) = (self.engine.clone(), self.skill.clone());
        async move { engine.stop(&skill).await }.boxed()
    }

    pub(super) fn calling(&self, tool: &str, args: Value) -> BoxFuture<'static, Result<String, ToolError>> {
        let (engine, skill, tool) = (self.engine.clone(), self.skill.clone(), tool.to_owned());
        async move {
            let options = CallOptions { timeout: LIMIT };
            engine
                .call_tool(&skill, &tool, args, options)
                .await
                .map(|output| output.text)
        }
        .boxed()
    }

    /// Calls any function the skill exports, as the engine calls hooks.
    pub(super) fn calling_function(
        &self,
        name: &str,
        args: Value,
    ) -> BoxFuture<'static, Result<Value, CallError>> {
        let (engine, skill, name) = (self.engine.clone(), self.skill.clone(), name.to_owned());
        async move { engine.call_function(&skill, &name, args, LIMIT).await }.boxed()
    }

    /// Moves the time, step by step, and runs what becomes due on the way.
    pub(super) fn advancing(&self, by: Duration) -> BoxFuture<'static, ()> {
        let (engine, skill, time) = (self.engine.clone(), self.skill.clone(), Arc::clone(&self.time));
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        async move {
            let end = time.now_ms().saturating_add(by);
            // A schedule whose hook is still busy stays due; it is not fired again at the same moment.
            let mut fired = i64::MIN;
            settle(&engine, &time).await;
            loop {
                let timer = time.next().filter(|at| *at <= end);
                let schedule = engine
                    .next_schedule(&skill)
                    .filter(|at| *at <= end && *at > fired);
                match (timer, schedule) {
                    (None, None) => break,
                    (Some(timer), schedule) if schedule.is_none_or(|at| timer <= at) => {
                        time.wake_next();
                    }
                    (_, Some(schedule)) => {
                        fired = schedule;
                        time.advance_to(schedule);
                        fire_schedules(&engine, &time).await;
                    }
                    (Some(_), None) => {
                        time.wake_next();
                    }
                }
                settle(&engine, &time).await;
            }
            time.advance_to(end);
        }
        .boxed()
    }

    /// Waits until nothing can run without time passing.
    pub(super) fn settling(&self) -> BoxFuture<'static, ()> {
        let (engine, time) = (self.engine.clone(), Arc::clone(&self.time));
        async move { settle(&engine, &time).await }.boxed()
    }

    /// Runs a step until it is over or a function of the test must answer. With `patient`, time passes by itself when
    /// nothing else can happen.
    pub(super) async fn drive<T>(
        &mut self,
        work: &mut BoxFuture<'static, T>,
        patient: &AtomicBool,
    ) -> Step<T> {
        for _ in 0..MAX_WAKEUPS {
            tokio::select! {
                biased;
                value = &mut *work => return Step::Done(value),
                Some(ask) = self.asks.recv() => return Step::Asked(ask),
                () = settle(&self.engine, &self.time) => {}
            }
            if patient.load(Ordering::Relaxed) && self.time.wake_next() {
                continue;
            }
            // What is left happens outside of the skill: a database is opened, a limit of real time runs.
            tokio::select! {
                biased;
                value = &mut *work => return Step::Done(value),
                Some(ask) = self.asks.recv() => return Step::Asked(ask),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
        Step::Done(work.await)
    }
}

/// Fires what is due; does not wait for hooks that need more time to pass.
async fn fire_schedules(engine: &Engine, time: &VirtualTime) {
    let firing = engine.clone();
    // Ends with its hooks, each of which has a limit.
    let task = tokio::spawn(async move { firing.run_schedules().await });
    while !task.is_finished() {
        tokio::task::yield_now().await;
        settle(engine, time).await;
        // Calm with the hook still running: it waits for time.
        if time.next().is_some() {
            return;
        }
    }
}

/// Waits until no activation can run and every outstanding host operation waits for time.
async fn settle(engine: &Engine, time: &VirtualTime) {
    let (mut calm, mut busy) = (0, 0);
    while calm < 2 {
        let outstanding = engine.idle().await;
        if outstanding <= time.sleepers() {
            calm += 1;
            tokio::task::yield_now().await;
        } else {
            // A database works, usually for microseconds.
            (calm, busy) = (0, busy + 1);
            if busy < 200 {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

/// Why a simulation cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulatorError {
    /// The engine cannot be built.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The skill cannot be installed.
    #[error(transparent)]
    Skill(#[from] SkillError),
}
