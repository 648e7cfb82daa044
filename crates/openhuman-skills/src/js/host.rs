//! The host functions: everything a skill can reach goes through here.

mod calls;
mod operations;
mod output;
mod waiting;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use self::operations::Operation;
pub(crate) use self::operations::{Quota, Settled};
use self::output::Budget;
use super::ops::{HostError, parse_json};
use super::raw::Panic;
use super::runtime::Work;
use crate::credentials::SkillSecrets;
use crate::db::shared::SharedDb;
use crate::fiber::{Control, Kill};
use crate::ledger::EgressCause;
use crate::net::{Egress, SkillNet};
use crate::outbox::Outbox;
use crate::shared::{CallKind, Reply, Shared, ToWorker};
use crate::skill::Skill;

const MAX_TIMERS: usize = 128;

type HostResult<T> = Result<T, HostError>;

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
