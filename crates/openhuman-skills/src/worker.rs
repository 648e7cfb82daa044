//! A worker: one thread that owns many runtimes and shares its time among their activations.

mod activations;
mod alarms;
mod ending;
mod slot;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::activations::GREEDY;
use self::slot::{Alarm, Item, Slot};
use crate::arena;
use crate::error::CallError;
use crate::fiber::{Kill, StackPool};
use crate::js::host::Host;
use crate::outbox::Outbox;
use crate::queues::{Keys, Queues};
use crate::shared::{Call, Reply, Shared, ToWorker};
use crate::skill::Skill;
use crate::stall::Watchdog;

/// How often the stacks of ended activations are tidied while the worker is busy.
const TIDY: Duration = Duration::from_secs(1);
/// Messages taken from the channel between two slices.
const MESSAGES_PER_TURN: usize = 256;
/// The scheduler's own stack: freeing a large heap happens here.
const THREAD_STACK: usize = 8 * 1024 * 1024;

/// A running worker, as the engine sees it.
pub(crate) struct WorkerHandle {
    pub(crate) messages: Sender<ToWorker>,
    /// How many runtimes it owns.
    pub(crate) load: Arc<AtomicUsize>,
}

impl WorkerHandle {
    pub(crate) fn start(index: usize, shared: Arc<Shared>, watchdog: Arc<Watchdog>) -> io::Result<Self> {
        let (messages, inbox) = channel();
        let load = Arc::new(AtomicUsize::new(0));
        let (own, counted) = (messages.clone(), Arc::clone(&load));
        thread::Builder::new()
            .name(format!("skill-js-{index}"))
            .stack_size(THREAD_STACK)
            .spawn(move || {
                let _lane = watchdog.watch();
                let outbox = Rc::new(Outbox::new(shared.handle.clone()));
                Worker {
                    shared,
                    inbox,
                    own,
                    load: counted,
                    slots: HashMap::default(),
                    queues: Queues::default(),
                    outbox,
                    alarms: BTreeSet::new(),
                    stacks: StackPool::default(),
                    tidied: Instant::now(),
                    stall_limit: watchdog.limit(),
                    #[cfg(feature = "kit")]
                    idle: Vec::new(),
                }
                .serve();
            })?;
        Ok(Self { messages, load })
    }
}

struct Worker {
    shared: Arc<Shared>,
    inbox: Receiver<ToWorker>,
    own: Sender<ToWorker>,
    load: Arc<AtomicUsize>,
    slots: HashMap<u64, Slot, Keys>,
    queues: Queues,
    outbox: Rc<Outbox>,
    /// Removed when they are no longer needed, so that calls and timers that are over cost nothing.
    alarms: BTreeSet<Alarm>,
    stacks: StackPool,
    tidied: Instant,
    stall_limit: Duration,
    /// Who wants to know when nothing can run.
    #[cfg(feature = "kit")]
    idle: Vec<oneshot::Sender<usize>>,
}

impl Worker {
    fn serve(mut self) {
        loop {
            for _ in 0..MESSAGES_PER_TURN {
                match self.inbox.try_recv() {
                    Ok(ToWorker::Shutdown { done }) => return self.shut_down(done),
                    Ok(message) => self.handle(message),
                    Err(_) => break,
                }
            }
            let now = Instant::now();
            self.outbox.flush_if_due(now);
            self.ring(now);
            if now.saturating_duration_since(self.tidied) >= TIDY {
                self.tidied = now;
                self.stacks.tidy();
            }
            match self.queues.pop() {
                Some((key, low)) => {
                    if low {
                        self.outbox.flush();
                    }
                    self.run_slice(key, low);
                    if low {
                        // Who calls other skills may need this core to do so: a thread that is always busy is
                        // made to wait by the system only every few milliseconds.
                        thread::yield_now();
                    }
                }
                None => {
                    self.outbox.flush();
                    #[cfg(feature = "kit")]
                    self.report_idle();
                    arena::prepare();
                    match self.wait() {
                        Some(ToWorker::Shutdown { done }) => return self.shut_down(done),
                        Some(message) => self.handle(message),
                        None => {}
                    }
                }
            }
        }
    }

    fn shut_down(mut self, done: oneshot::Sender<()>) {
        let keys: Vec<u64> = self.slots.keys().copied().collect();
        for key in keys {
            self.remove(key);
        }
        drop(self);
        let _ = done.send(());
    }

    /// Sleeps until a message or the next alarm.
    fn wait(&mut self) -> Option<ToWorker> {
        match self.alarms.first() {
            Some(alarm) => {
                let timeout = alarm.at.saturating_duration_since(Instant::now());
                self.inbox.recv_timeout(timeout).ok()
            }
            // An idle worker keeps no memory it does not need, after a moment in which it might go on.
            None if self.stacks.is_untidy() || arena::has_spare() => match self.inbox.recv_timeout(TIDY) {
                Ok(message) => Some(message),
                Err(_) => {
                    self.stacks.tidy();
                    arena::forget_spare();
                    None
                }
            },
            None => self.inbox.recv().ok(),
        }
    }

    fn handle(&mut self, message: ToWorker) {
        match message {
            ToWorker::Boot {
                key,
                skill,
                db,
                waiting,
                call,
                deadline,
                reply,
            } => {
                self.boot(key, skill, db, waiting, call, deadline, reply);
            }
            ToWorker::Post { key, call } => self.post(key, call),
            ToWorker::Cancel { key, call } => self.end_call(key, call, Kill::Cancelled),
            ToWorker::Wake { key, wait } => {
                if let Some(slot) = self.slots.get_mut(&key)
                    && let Some(active) = slot.active.as_mut()
                    && active.waiting
                    && slot.host.current_wait() == wait
                {
                    active.waiting = false;
                    self.queues.push(key, active.cpu > GREEDY);
                }
            }
            ToWorker::Settle {
                key,
                operation,
                result,
            } => {
                if let Some(slot) = self.slots.get_mut(&key)
                    && slot.host.operation_over(operation)
                {
                    slot.items.push_back(Item::Settle { operation, result });
                    self.start_next(key);
                }
            }
            ToWorker::Interrupt { key } => self.interrupt(key),
            ToWorker::Drop { key, done } => {
                self.remove(key);
                let _ = done.send(());
            }
            #[cfg(feature = "kit")]
            ToWorker::Timer { key, id } => self.fire(key, id, Instant::now()),
            #[cfg(feature = "kit")]
            ToWorker::Idle { done } => self.idle.push(done),
            ToWorker::Scan { needle, done } => {
                let heaps = self.slots.values().filter_map(|slot| slot.js.as_ref());
                let _ = done.send(heaps.map(|js| js.occurrences(&needle)).sum());
            }
            // Handled by the loop.
            ToWorker::Shutdown { done } => drop(done),
        }
    }

    #[cfg(feature = "kit")]
    fn report_idle(&mut self) {
        let outstanding = |slot: &Slot| {
            let suspended = slot.active.as_ref().is_some_and(|active| active.waiting);
            slot.host.operations() + usize::from(suspended)
        };
        let all = self.slots.values().map(outstanding).sum();
        for done in self.idle.drain(..) {
            let _ = done.send(all);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    fn boot(
        &mut self,
        key: u64,
        skill: Arc<Skill>,
        db: Option<crate::db::shared::SharedDb>,
        waiting: Arc<AtomicUsize>,
        call: u64,
        deadline: Instant,
        reply: Reply,
    ) {
        let host = Host::new(
            key,
            skill,
            Arc::clone(&self.shared),
            self.own.clone(),
            Rc::clone(&self.outbox),
            db,
            waiting,
        );
        host.expect(call, reply, deadline);
        let slot = Slot {
            host,
            js: Some(Rc::default()),
            active: None,
            items: VecDeque::from([Item::Boot { call, deadline }]),
            jobs_left: false,
            jobs_cpu: Duration::ZERO,
            timers: HashMap::new(),
            deadline: None,
        };
        self.slots.insert(key, slot);
        self.load.fetch_add(1, Ordering::Relaxed);
        self.start_next(key);
    }

    fn post(&mut self, key: u64, call: Call) {
        let Some(slot) = self.slots.get_mut(&key) else {
            let _ = call.reply.send(Err(CallError::Stopped));
            return;
        };
        let deadline = call.deadline;
        slot.items.push_back(Item::Call(call));
        if slot.active.as_ref().is_some_and(|active| active.waiting) {
            slot.answer_pings();
        }
        self.arm(key, deadline);
        self.start_next(key);
    }
}
