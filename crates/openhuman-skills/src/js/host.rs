//! The host functions: everything a skill can reach goes through here.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ops::{HostError, parse_json};
use super::raw::Panic;
use super::runtime::Work;
use crate::credentials::SkillSecrets;
use crate::db::shared::SharedDb;
use crate::error::CallError;
use crate::fiber::{Control, Kill, Pause};
use crate::ledger::EgressCause;
use crate::net::{Egress, SkillNet};
use crate::outbox::{Handed, Outbox};
use crate::shared::{CallKind, Reply, Shared, Skill, ToWorker};
use crate::{Database, DbError, SkillEvent};

const MAX_TIMERS: usize = 128;
const MAX_RESULT: usize = 1024 * 1024;
const LOG_BYTES_PER_SECOND: usize = 64 * 1024;
const LOG_LINE: usize = 64;
const MAX_LOG_LINE: usize = 16 * 1024;
const NOTIFICATIONS_PER_MINUTE: usize = 10;

type HostResult<T> = Result<T, HostError>;

/// What the host answers to an operation behind a promise.
#[derive(Debug)]
pub(crate) enum Settled {
    /// `undefined`.
    Nothing,
    /// A string.
    Text(String),
    /// A value, as JSON.
    Json(String),
    /// A `Uint8Array`.
    Bytes(Vec<u8>),
}

/// How many operations of a kind one skill may have in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// What they are called in the error.
    pub(crate) what: &'static str,
    pub(crate) limit: usize,
}

/// An operation behind a promise.
struct Operation {
    quota: Quota,
    task: Handed,
}

/// What the scheduler does with a timer after a slice.
pub(crate) enum TimerRequest {
    Arm { id: u32, delay: Duration, repeat: bool },
    Clear { id: u32 },
}

/// One skill's side of the host. Lives on the worker's thread.
pub(crate) struct Host {
    pub(crate) skill: Arc<Skill>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) control: Rc<Control>,
    pub(crate) waiting: Arc<AtomicUsize>,
    key: u64,
    worker: Sender<ToWorker>,
    outbox: Rc<Outbox>,
    db: Option<SharedDb>,
    /// Calls whose result has not been sent.
    pending: RefCell<Vec<(u64, Reply, Instant)>>,
    active: Cell<Option<u64>>,
    timer_requests: RefCell<Vec<TimerRequest>>,
    timers: RefCell<HashSet<u32>>,
    operations: RefCell<HashMap<u32, Operation>>,
    /// What this run has open toward other hosts.
    pub(crate) net: Arc<SkillNet>,
    cause: RefCell<Arc<EgressCause>>,
    causes: RefCell<HashMap<u32, Arc<EgressCause>>>,
    panic: Cell<Option<Panic>>,
    wait: Cell<u64>,
    log: Cell<Budget>,
    notifications: Cell<Budget>,
    pub(crate) started: Instant,
}

/// How much of something was used in the current interval.
#[derive(Clone, Copy)]
struct Budget {
    since: Instant,
    used: usize,
    refused: bool,
}

impl Budget {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            used: 0,
            refused: false,
        }
    }

    /// Takes `amount`; `Err(first)` when the interval's `limit` is used up, `first` once for each interval.
    fn take(cell: &Cell<Self>, amount: usize, limit: usize, interval: Duration) -> Result<(), bool> {
        let mut budget = cell.get();
        if budget.since.elapsed() >= interval {
            budget = Self::new();
        }
        let fits = budget.used + amount <= limit;
        let first = !fits && !budget.refused;
        if fits {
            budget.used += amount;
        } else {
            budget.refused = true;
        }
        cell.set(budget);
        if fits { Ok(()) } else { Err(first) }
    }
}

/// The completion of a host operation a fiber waits for. Dropping it wakes the fiber too.
struct Completion<T> {
    value: Arc<Waiting<T>>,
    worker: Sender<ToWorker>,
    key: u64,
    wait: u64,
}

struct Waiting<T> {
    value: Mutex<Option<T>>,
    over: AtomicBool,
}

impl<T> Completion<T> {
    fn complete(self, value: T) {
        *self.value.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }
}

impl<T> Drop for Completion<T> {
    fn drop(&mut self) {
        self.value.over.store(true, Ordering::Release);
        let _ = self.worker.send(ToWorker::Wake {
            key: self.key,
            wait: self.wait,
        });
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for running in self.operations.get_mut().values() {
            self.outbox.abort(&running.task);
        }
        self.net.close();
    }
}

impl Host {
    pub(crate) fn new(
        key: u64,
        skill: Arc<Skill>,
        shared: Arc<Shared>,
        worker: Sender<ToWorker>,
        outbox: Rc<Outbox>,
        db: Option<SharedDb>,
        waiting: Arc<AtomicUsize>,
    ) -> Rc<Self> {
        let net = SkillNet::new();
        skill.set_run(&net);
        Rc::new(Self {
            skill,
            shared,
            control: Control::new(),
            waiting,
            key,
            worker,
            outbox,
            db,
            pending: RefCell::default(),
            active: Cell::new(None),
            timer_requests: RefCell::default(),
            timers: RefCell::default(),
            operations: RefCell::default(),
            net,
            cause: RefCell::default(),
            causes: RefCell::default(),
            panic: Cell::new(None),
            wait: Cell::new(0),
            log: Cell::new(Budget::new()),
            notifications: Cell::new(Budget::new()),
            started: Instant::now(),
        })
    }

    // --- Calls and their results.

    pub(crate) fn expect(&self, call: u64, reply: Reply, deadline: Instant) {
        self.pending.borrow_mut().push((call, reply, deadline));
    }

    /// Whether the mailbox holds messages.
    pub(crate) fn has_messages(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn is_pending(&self, call: u64) -> bool {
        self.pending.borrow().iter().any(|(known, ..)| *known == call)
    }

    /// The calls that should have ended by now.
    pub(crate) fn overdue_calls(&self, now: Instant) -> Vec<u64> {
        let pending = self.pending.borrow();
        let overdue = pending.iter().filter(|(.., deadline)| *deadline <= now);
        overdue.map(|(call, ..)| *call).collect()
    }

    pub(crate) fn earliest_deadline(&self) -> Option<Instant> {
        self.pending.borrow().iter().map(|(.., deadline)| *deadline).min()
    }

    pub(crate) fn pending_calls(&self) -> Vec<u64> {
        self.pending.borrow().iter().map(|(call, ..)| *call).collect()
    }

    pub(crate) fn pending_count(&self) -> usize {
        self.pending.borrow().len()
    }

    /// Takes the place where the result of a call goes.
    fn take_reply(&self, call: u64) -> Option<Reply> {
        let mut pending = self.pending.borrow_mut();
        let at = pending.iter().position(|(known, ..)| *known == call)?;
        Some(pending.swap_remove(at).1)
    }

    pub(crate) fn fail(&self, call: u64, error: CallError) {
        if let Some(reply) = self.take_reply(call) {
            self.outbox.reply(reply, Err(error));
        }
    }

    /// Names the call the current activation belongs to.
    pub(crate) fn set_active(&self, call: Option<u64>) {
        self.active.set(call);
    }

    /// The result of a call, as JavaScript reports it.
    pub(crate) fn settled(&self, call: u64, how: &str, text: String) {
        if self.active.get() == Some(call) && self.control.killed().is_some() {
            // The activation is being ended, and the scheduler says why; what a `catch` made of it does not count.
            return;
        }
        let result = match how {
            "ok" if text.len() > MAX_RESULT => Err(CallError::TooLarge),
            "ok" => Ok(text),
            "missing" => Err(CallError::NoSuchTool),
            "rejected" => Err(CallError::Rejected(shorten(&text))),
            _ => Err(CallError::Threw(shorten(&text))),
        };
        if let Some(reply) = self.take_reply(call) {
            self.outbox.reply(reply, result);
        }
    }

    /// Whether something outside JavaScript can still settle a promise.
    pub(crate) fn has_sources(&self) -> bool {
        !self.operations.borrow().is_empty() || !self.timers.borrow().is_empty()
    }

    // --- Suspension.

    /// The number of the current wait; a wake for another one is stale.
    pub(crate) fn current_wait(&self) -> u64 {
        self.wait.get()
    }

    /// Ends a database statement that the suspended fiber waits for.
    pub(crate) fn interrupt_db(&self) {
        if let Some(db) = &self.db {
            db.interrupt();
        }
    }

    fn completion<T>(&self) -> (Arc<Waiting<T>>, Completion<T>) {
        let wait = self.wait.get() + 1;
        self.wait.set(wait);
        let value = Arc::new(Waiting {
            value: Mutex::new(None),
            over: AtomicBool::new(false),
        });
        let completion = Completion {
            value: Arc::clone(&value),
            worker: self.worker.clone(),
            key: self.key,
            wait,
        };
        (value, completion)
    }

    /// Suspends until the completion is there. Nothing is borrowed or locked while suspended.
    fn suspend_for<T>(&self, waiting: &Waiting<T>) -> HostResult<T> {
        loop {
            if waiting.over.load(Ordering::Acquire) {
                let value = waiting
                    .value
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                return value.ok_or_else(|| HostError::Failed("the host operation failed".to_owned()));
            }
            if !self.control.suspend(Pause::Wait) {
                return Err(HostError::Ended);
            }
        }
    }

    /// Runs a future on the runtime while the fiber is suspended.
    pub(crate) fn wait_for<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> HostResult<T> {
        if self.control.killed().is_some() {
            return Err(HostError::Ended);
        }
        let (waiting, completion) = self.completion();
        let task = self.outbox.spawn(async move { completion.complete(work.await) });
        let result = self.suspend_for(&waiting);
        if result.is_err() {
            self.outbox.abort(&task);
        }
        result
    }

    /// Runs a job on a database thread while the fiber is suspended.
    pub(crate) fn with_db<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Database) -> Result<T, DbError> + Send + 'static,
    ) -> HostResult<T> {
        let Some(db) = self.db.clone() else {
            return Err(HostError::Failed("this host has no database".to_owned()));
        };
        if self.control.killed().is_some() {
            return Err(HostError::Ended);
        }
        let (waiting, completion) = self.completion();
        self.shared
            .db_pool
            .submit(&db, move |db| completion.complete(db.and_then(job)));
        Ok(self.suspend_for(&waiting)??)
    }

    // --- Logging and notifications.

    pub(crate) fn log(&self, level: &str, text: &str) {
        let message = clip(text, MAX_LOG_LINE);
        match Budget::take(
            &self.log,
            // A line costs something even when it is empty.
            message.len() + LOG_LINE,
            LOG_BYTES_PER_SECOND,
            Duration::from_secs(1),
        ) {
            Ok(()) => self.emit_log(level, message),
            Err(true) => self.emit_log("warn", "log output is dropped: more than 64 KB in one second"),
            Err(false) => {}
        }
    }

    pub(crate) fn emit_log(&self, level: &str, message: &str) {
        let skill = &self.skill.id;
        match level {
            "error" => tracing::error!(target: "openhuman_skills::skill", %skill, "{message}"),
            "warn" => tracing::warn!(target: "openhuman_skills::skill", %skill, "{message}"),
            "debug" => tracing::debug!(target: "openhuman_skills::skill", %skill, "{message}"),
            _ => tracing::info!(target: "openhuman_skills::skill", %skill, "{message}"),
        }
        self.shared.emit(SkillEvent::Log {
            skill_id: skill.clone(),
            level: level.to_owned(),
            message: message.to_owned(),
        });
    }

    pub(crate) fn notify(&self, title: &str, body: &str) -> HostResult<()> {
        if !self.skill.grant().notify {
            return Err(HostError::Failed(
                "platform.notify: not granted; ask for permissions.notify".to_owned(),
            ));
        }
        Budget::take(
            &self.notifications,
            1,
            NOTIFICATIONS_PER_MINUTE,
            Duration::from_secs(60),
        )
        .map_err(|_| {
            HostError::Failed(format!(
                "platform.notify: more than {NOTIFICATIONS_PER_MINUTE} notifications in a minute"
            ))
        })?;
        self.shared.emit(SkillEvent::Notification {
            skill_id: self.skill.id.clone(),
            title: clip(title, 200).to_owned(),
            body: clip(body, 2000).to_owned(),
        });
        Ok(())
    }

    pub(crate) fn env(&self, name: &str) -> String {
        if !self.skill.grant().may_read_env(name) {
            return String::new();
        }
        self.shared
            .env
            .get(name)
            .cloned()
            .or_else(|| std::env::var(name).ok())
            .unwrap_or_default()
    }

    // --- Timers.

    pub(crate) fn timer_set(&self, id: u32, ms: f64, repeat: bool) -> HostResult<()> {
        let mut timers = self.timers.borrow_mut();
        if timers.len() >= MAX_TIMERS {
            return Err(HostError::Failed(format!("more than {MAX_TIMERS} timers")));
        }
        timers.insert(id);
        // At least a millisecond; at most what the web allows.
        let delay = Duration::from_secs_f64(
            if ms.is_finite() {
                ms.clamp(1.0, 2_147_483_647.0)
            } else {
                1.0
            } / 1000.0,
        );
        self.timer_requests
            .borrow_mut()
            .push(TimerRequest::Arm { id, delay, repeat });
        Ok(())
    }

    pub(crate) fn timer_clear(&self, id: u32) {
        if self.timers.borrow_mut().remove(&id) {
            self.timer_requests.borrow_mut().push(TimerRequest::Clear { id });
        }
    }

    pub(crate) fn timer_fired(&self, id: u32) {
        self.timers.borrow_mut().remove(&id);
    }

    pub(crate) fn take_timer_requests(&self) -> Vec<TimerRequest> {
        self.timer_requests.take()
    }

    pub(crate) fn sleep(&self, ms: f64) -> HostResult<()> {
        let ms = if ms.is_finite() {
            ms.clamp(0.0, 600_000.0)
        } else {
            0.0
        };
        #[cfg(feature = "kit")]
        if let Some(time) = &self.shared.kit.time {
            return self.wait_for(time.sleep(Duration::from_secs_f64(ms / 1000.0)));
        }
        // Inside a task: a timer can only be made where the runtime is entered.
        self.wait_for(async move { tokio::time::sleep(Duration::from_secs_f64(ms / 1000.0)).await })
    }

    // --- Network.

    /// Who sends, for a request that leaves now.
    pub(crate) fn egress(&self) -> Egress {
        Egress {
            skill: self.skill.id.clone(),
            grant: self.skill.grant(),
            asked: Arc::clone(&self.skill.asked),
            secrets: Some(Arc::new(SkillSecrets {
                skill: Arc::clone(&self.skill),
                host: self.shared.secrets.clone(),
            })),
            run: Arc::clone(&self.net),
            wanted: Arc::clone(&self.skill.wanted),
            cause: Arc::clone(&self.cause.borrow()),
        }
    }

    /// Whether the manifest or the grant speak of WebSockets: without, there is no such class.
    pub(crate) fn has_websockets(&self) -> bool {
        !self.skill.asked.websocket.is_empty() || !self.skill.grant().websocket.is_empty()
    }

    /// Notes what the activation that begins is for. What settles a promise counts for what made it.
    pub(crate) fn set_cause(&self, work: Option<&Work>) {
        let cause = match work {
            Some(Work::Call {
                id,
                kind: CallKind::Tool,
                name,
                ..
            }) => EgressCause::Tool {
                call: *id,
                name: name.clone(),
            },
            Some(Work::Call { name, .. }) => EgressCause::Hook { name: name.clone() },
            Some(Work::Timer(_)) => EgressCause::Timer,
            Some(Work::Settle { operation, .. }) => {
                if let Some(cause) = self.causes.borrow_mut().remove(operation) {
                    self.cause.replace(cause);
                }
                return;
            }
            // Jobs left over by the activation before.
            Some(Work::Pump) => return,
            None => EgressCause::Background,
        };
        self.cause.replace(Arc::new(cause));
    }

    // --- Operations behind promises.

    /// Runs a future on the runtime; its result settles the promise the script keeps under this number. It is
    /// aborted when the skill is stopped.
    ///
    /// Fails when the skill has too many of this kind in flight.
    pub(crate) fn begin(
        &self,
        operation: u32,
        quota: Quota,
        work: impl Future<Output = HostResult<Settled>> + Send + 'static,
    ) -> HostResult<()> {
        let mut operations = self.operations.borrow_mut();
        let same = operations
            .values()
            .filter(|running| running.quota.what == quota.what);
        if same.count() >= quota.limit {
            return Err(HostError::Failed(format!(
                "more than {} {} at once",
                quota.limit, quota.what
            )));
        }
        let (worker, key) = (self.worker.clone(), self.key);
        let task = self.outbox.spawn(async move {
            let result = work.await;
            let _ = worker.send(ToWorker::Settle {
                key,
                operation,
                result,
            });
        });
        self.causes
            .borrow_mut()
            .insert(operation, Arc::clone(&self.cause.borrow()));
        operations.insert(operation, Operation { quota, task });
        Ok(())
    }

    /// Host operations behind promises that are not over.
    #[cfg(feature = "kit")]
    pub(crate) fn operations(&self) -> usize {
        self.operations.borrow().len()
    }

    /// Gives an operation up; it settles nothing any more.
    pub(crate) fn cancel(&self, operation: u32) {
        if let Some(running) = self.operations.borrow_mut().remove(&operation) {
            self.outbox.abort(&running.task);
            self.causes.borrow_mut().remove(&operation);
        }
    }

    /// An answer has come; false when the operation was given up.
    pub(crate) fn operation_over(&self, operation: u32) -> bool {
        self.operations.borrow_mut().remove(&operation).is_some()
    }

    // --- Panics.

    /// A host function panicked: the activation ends, and the worker gets the panic.
    pub(crate) fn panicked(&self, panic: Panic) {
        self.panic.set(Some(panic));
        self.control.kill(Kill::Stopped);
    }

    /// What a host function of this activation panicked with.
    pub(crate) fn take_panic(&self) -> Option<Panic> {
        self.panic.take()
    }

    // --- Ports.

    pub(crate) fn has_memory(&self) -> bool {
        self.shared.ports.memory.is_some()
    }

    pub(crate) fn has_models(&self) -> bool {
        self.shared.ports.models.is_some()
    }

    /// Whether this host has databases.
    pub(crate) fn has_db(&self) -> bool {
        self.db.is_some()
    }

    // --- What the host adds.

    pub(crate) fn call_module(&self, module: &str, function: String, args: &str) -> HostResult<String> {
        let found = self
            .shared
            .modules
            .iter()
            .find(|candidate| candidate.name() == module);
        let Some(found) = found.filter(|found| found.functions().contains(&function.as_str())) else {
            return Err(HostError::Type(format!("{module}.{function} does not exist")));
        };
        let args =
            parse_json(args).map_err(|error| HostError::Type(format!("{module}.{function}: {error}")))?;
        let (found, skill) = (Arc::clone(found), self.skill.id.clone());
        let work = async move {
            let answer = found.call(&skill, &function, args).await;
            answer
                .map(|value| value.to_string())
                .map_err(|text| (function, text))
        };
        self.wait_for(work)?
            .map_err(|(function, text)| HostError::Failed(format!("{module}.{function}: {text}")))
    }
}

/// At most `max` bytes, cut between characters.
fn clip(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

fn shorten(text: &str) -> String {
    clip(text, 4096).to_owned()
}
