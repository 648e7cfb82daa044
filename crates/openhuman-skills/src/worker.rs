//! A worker: one thread that owns many runtimes and shares its time among their activations.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::SkillStatus;
use crate::error::CallError;
use crate::fiber::{Fiber, Kill, Pause, StackPool, Step};
use crate::js::host::{Host, TimerRequest};
use crate::js::runtime::{JsInstance, Work};
use crate::shared::{Call, Reply, Shared, Skill, ToWorker};

/// How long an activation runs before others get a turn.
const SLICE: Duration = Duration::from_micros(200);
/// Beyond this much CPU an activation keeps its low priority even when it has waited for the host.
const GREEDY: Duration = Duration::from_secs(2);
/// Calls of one skill whose promises have not settled.
const MAX_PENDING: usize = 256;
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
    pub(crate) fn start(index: usize, shared: Arc<Shared>) -> io::Result<Self> {
        let (messages, inbox) = channel();
        let load = Arc::new(AtomicUsize::new(0));
        let (own, counted) = (messages.clone(), Arc::clone(&load));
        thread::Builder::new().name(format!("skill-js-{index}")).stack_size(THREAD_STACK).spawn(move || {
            Worker {
                shared,
                inbox,
                own,
                load: counted,
                slots: HashMap::new(),
                queues: Queues::default(),
                alarms: BinaryHeap::new(),
                stacks: StackPool::default(),
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
    slots: HashMap<u64, Slot>,
    queues: Queues,
    alarms: BinaryHeap<Reverse<Alarm>>,
    stacks: StackPool,
}

/// One skill on this worker.
struct Slot {
    host: Rc<Host>,
    /// Absent while an activation uses it, and before the boot.
    js: Option<JsInstance>,
    active: Option<Active>,
    items: VecDeque<Item>,
    jobs_left: bool,
    /// Armed timers: the period of a repeating one, and the number of its current alarm.
    timers: HashMap<u32, (Option<Duration>, u64)>,
}

/// The activation that runs, or is suspended.
struct Active {
    fiber: Fiber<Finished>,
    call: Option<u64>,
    pump: bool,
    waiting: bool,
    cpu: Duration,
}

struct Finished {
    js: Option<JsInstance>,
    jobs_left: bool,
}

/// What waits for a skill's turn.
enum Item {
    Boot { call: u64, deadline: Instant },
    Call(Call),
    Timer(u32),
    Settle { operation: u32, result: Result<String, String> },
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Alarm {
    at: Instant,
    key: u64,
    what: What,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A call reached its limit.
    Call(u64),
    /// An activation that belongs to no call reached its limit; the number is that of its wait.
    Background(u64),
    Timer { id: u32, number: u64 },
}

/// Two levels: activations that used up a slice go to the low one, which is guaranteed about a tenth of the time.
#[derive(Default)]
struct Queues {
    high: VecDeque<u64>,
    low: VecDeque<u64>,
    high_cpu: Duration,
    low_cpu: Duration,
}

impl Queues {
    fn pop(&mut self) -> Option<(u64, bool)> {
        if self.low.is_empty() {
            // Time nobody competed for gives no credit later.
            self.high_cpu = Duration::ZERO;
            self.low_cpu = Duration::ZERO;
        }
        let low_turn = self.high.is_empty() || (self.low_cpu * 9 < self.high_cpu && !self.low.is_empty());
        if low_turn { self.low.pop_front().map(|key| (key, true)) } else { self.high.pop_front().map(|key| (key, false)) }
    }

    fn charge(&mut self, low: bool, spent: Duration) {
        if low {
            self.low_cpu += spent;
        } else {
            self.high_cpu += spent;
        }
    }
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
            self.ring();
            match self.queues.pop() {
                Some((key, low)) => self.run_slice(key, low),
                None => match self.wait() {
                    Some(ToWorker::Shutdown { done }) => return self.shut_down(done),
                    Some(message) => self.handle(message),
                    None => {}
                },
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
    fn wait(&self) -> Option<ToWorker> {
        match self.alarms.peek() {
            Some(Reverse(alarm)) => {
                let timeout = alarm.at.saturating_duration_since(Instant::now());
                match self.inbox.recv_timeout(timeout) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
                }
            }
            None => self.inbox.recv().ok(),
        }
    }

    fn handle(&mut self, message: ToWorker) {
        match message {
            ToWorker::Boot { key, skill, db, waiting, call, deadline, reply } => {
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
                    let queue = if active.cpu > GREEDY { &mut self.queues.low } else { &mut self.queues.high };
                    queue.push_back(key);
                }
            }
            ToWorker::Settle { key, operation, result } => {
                if let Some(slot) = self.slots.get_mut(&key) {
                    slot.host.operation_over();
                    slot.items.push_back(Item::Settle { operation, result });
                    self.start_next(key);
                }
            }
            ToWorker::Interrupt { key } => self.interrupt(key),
            ToWorker::Drop { key, done } => {
                self.remove(key);
                let _ = done.send(());
            }
            // Handled by the loop.
            ToWorker::Shutdown { done } => drop(done),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    fn boot(
        &mut self,
        key: u64,
        skill: Arc<Skill>,
        db: Option<crate::db::pool::SharedDb>,
        waiting: Arc<AtomicUsize>,
        call: u64,
        deadline: Instant,
        reply: Reply,
    ) {
        let host = Host::new(key, skill, Arc::clone(&self.shared), self.own.clone(), db, waiting);
        host.expect(call, reply);
        let slot = Slot {
            host,
            js: None,
            active: None,
            items: VecDeque::from([Item::Boot { call, deadline }]),
            jobs_left: false,
            timers: HashMap::new(),
        };
        self.slots.insert(key, slot);
        self.load.fetch_add(1, Ordering::Relaxed);
        self.alarms.push(Reverse(Alarm { at: deadline, key, what: What::Call(call) }));
        self.start_next(key);
    }

    fn post(&mut self, key: u64, call: Call) {
        let Some(slot) = self.slots.get_mut(&key) else {
            let _ = call.reply.send(Err(CallError::Stopped));
            return;
        };
        self.alarms.push(Reverse(Alarm { at: call.deadline, key, what: What::Call(call.id) }));
        slot.items.push_back(Item::Call(call));
        self.start_next(key);
    }

    /// Fires the alarms that are due.
    fn ring(&mut self) {
        let now = Instant::now();
        while self.alarms.peek().is_some_and(|Reverse(alarm)| alarm.at <= now) {
            let Some(Reverse(alarm)) = self.alarms.pop() else { return };
            match alarm.what {
                What::Call(call) => self.end_call(alarm.key, call, Kill::Deadline),
                What::Background(wait) => self.end_background(alarm.key, wait),
                What::Timer { id, number } => self.fire(alarm.key, id, number),
            }
        }
    }

    fn fire(&mut self, key: u64, id: u32, number: u64) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let Some((period, current)) = slot.timers.get(&id).copied() else { return };
        if current != number {
            return;
        }
        match period {
            Some(period) => {
                self.alarms.push(Reverse(Alarm { at: Instant::now() + period, key, what: What::Timer { id, number } }));
                // A slow callback does not pile up turns.
                if slot.items.iter().any(|item| matches!(item, Item::Timer(waiting) if *waiting == id)) {
                    return;
                }
            }
            None => {
                slot.timers.remove(&id);
            }
        }
        slot.items.push_back(Item::Timer(id));
        self.start_next(key);
    }

    /// Ends a call wherever it is: in the mailbox, on its fiber, or behind a promise.
    fn end_call(&mut self, key: u64, call: u64, reason: Kill) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let error = match reason {
            Kill::Deadline => CallError::TimedOut,
            Kill::Cancelled | Kill::Stopped => CallError::Stopped,
        };
        let queued = slot.items.iter().position(|item| matches!(item, Item::Call(waiting) if waiting.id == call));
        if let Some(Item::Call(queued)) = queued.and_then(|at| slot.items.remove(at)) {
            if queued.counted {
                slot.host.waiting.fetch_sub(1, Ordering::Relaxed);
            }
            let _ = queued.reply.send(Err(error));
            return;
        }
        if !slot.host.is_pending(call) {
            return;
        }
        if slot.active.as_ref().is_some_and(|active| active.call == Some(call)) {
            self.kill(key, reason);
        } else {
            slot.host.fail(call, error);
        }
    }

    fn end_background(&mut self, key: u64, wait: u64) {
        let Some(slot) = self.slots.get(&key) else { return };
        let same = slot.active.as_ref().is_some_and(|active| active.waiting && active.call.is_none());
        if same && slot.host.current_wait() == wait {
            self.kill(key, Kill::Deadline);
        }
    }

    /// Sets the kill flag of the running activation and, if it waits for the host, lets it run to its end.
    fn kill(&mut self, key: u64, reason: Kill) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let Some(active) = slot.active.as_mut() else { return };
        slot.host.control.kill(reason);
        if active.waiting {
            active.waiting = false;
            slot.host.interrupt_db();
            self.queues.high.push_back(key);
        }
    }

    fn interrupt(&mut self, key: u64) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        for item in slot.items.drain(..) {
            if let Item::Call(call) = item {
                if call.counted {
                    slot.host.waiting.fetch_sub(1, Ordering::Relaxed);
                }
                let _ = call.reply.send(Err(CallError::Stopped));
            }
        }
        for call in slot.host.pending_calls() {
            slot.host.fail(call, CallError::Stopped);
        }
        self.kill(key, Kill::Stopped);
    }

    /// Ends what runs and frees the runtime.
    fn remove(&mut self, key: u64) {
        self.interrupt(key);
        if let Some(mut slot) = self.slots.remove(&key) {
            // Dropping the fiber runs it to its end; it owns the runtime meanwhile.
            drop(slot.active.take());
            for call in slot.host.pending_calls() {
                slot.host.fail(call, CallError::Stopped);
            }
            drop(slot.js.take());
            self.load.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Starts the next activation of a skill that has none.
    fn start_next(&mut self, key: u64) {
        let limits = self.shared.limits;
        let Some(slot) = self.slots.get_mut(&key) else { return };
        while slot.active.is_none() {
            let background = Instant::now() + limits.background;
            let (work, call, deadline) = match slot.items.pop_front() {
                Some(Item::Boot { call, deadline }) => (None, Some(call), deadline),
                Some(Item::Call(call)) => {
                    if call.counted {
                        slot.host.waiting.fetch_sub(1, Ordering::Relaxed);
                    }
                    if call.reply.is_closed() {
                        continue;
                    }
                    if slot.host.pending_calls().len() >= MAX_PENDING {
                        let text = format!("more than {MAX_PENDING} calls have not settled");
                        let _ = call.reply.send(Err(CallError::Threw(text)));
                        continue;
                    }
                    slot.host.expect(call.id, call.reply);
                    let work = Work::Call { id: call.id, kind: call.kind, name: call.name, payload: call.payload };
                    (Some(work), Some(call.id), call.deadline)
                }
                Some(Item::Timer(id)) => {
                    if !slot.timers.contains_key(&id) {
                        slot.host.timer_fired(id);
                    }
                    (Some(Work::Timer(id)), None, background)
                }
                Some(Item::Settle { operation, result }) => {
                    (Some(Work::Settle { operation, result }), None, background)
                }
                None if slot.jobs_left => (Some(Work::Pump), None, background),
                None => return,
            };
            let stack = match self.stacks.take() {
                Ok(stack) => stack,
                Err(error) => {
                    if let Some(call) = call {
                        slot.host.fail(call, CallError::Threw(format!("no memory for a stack: {error}")));
                    }
                    continue;
                }
            };
            let pump = matches!(work, Some(Work::Pump));
            let (host, js) = (Rc::clone(&slot.host), slot.js.take());
            host.control.begin(deadline);
            host.set_active(call);
            let fiber = Fiber::new(stack, Rc::clone(&slot.host.control), move || match (work, js) {
                (None, _) => boot(&host, call),
                (Some(work), Some(js)) => {
                    let jobs_left = js.run(&host, work);
                    Finished { js: Some(js), jobs_left }
                }
                (Some(_), None) => Finished { js: None, jobs_left: false },
            });
            slot.active = Some(Active { fiber, call, pump, waiting: false, cpu: Duration::ZERO });
            self.queues.high.push_back(key);
        }
    }

    fn run_slice(&mut self, key: u64, low: bool) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let Some(active) = slot.active.as_mut() else { return };
        if active.waiting {
            return;
        }
        let started = Instant::now();
        let step = active.fiber.resume(started + SLICE, &mut self.stacks);
        let spent = started.elapsed();
        active.cpu += spent;
        self.queues.charge(low, spent);
        let (call, greedy) = (active.call, active.cpu > SLICE || low);
        match step {
            Step::Paused(Pause::Slice) => {
                let queue = if greedy { &mut self.queues.low } else { &mut self.queues.high };
                queue.push_back(key);
            }
            Step::Paused(Pause::Wait) => {
                active.waiting = true;
                if call.is_none() {
                    let (at, wait) = (slot.host.control.deadline(), slot.host.current_wait());
                    self.alarms.push(Reverse(Alarm { at, key, what: What::Background(wait) }));
                }
            }
            Step::Done(result) => {
                self.timers(key);
                return self.finish(key, result);
            }
        }
        self.timers(key);
    }

    /// Arms and clears the timers the activation asked for.
    fn timers(&mut self, key: u64) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        for request in slot.host.take_timer_requests() {
            match request {
                TimerRequest::Arm { id, delay, repeat } => {
                    let number = self.shared.next_id();
                    slot.timers.insert(id, (repeat.then_some(delay), number));
                    let at = Instant::now() + delay;
                    self.alarms.push(Reverse(Alarm { at, key, what: What::Timer { id, number } }));
                }
                TimerRequest::Clear { id } => {
                    slot.timers.remove(&id);
                }
            }
        }
    }

    fn finish(&mut self, key: u64, result: thread::Result<Finished>) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        let Some(active) = slot.active.take() else { return };
        let killed = slot.host.control.killed();
        let Ok(finished) = result else {
            if let Some(call) = active.call {
                slot.host.fail(call, CallError::Threw("the host failed inside this call".to_owned()));
            }
            return self.give_up(key, "a host function panicked");
        };
        slot.jobs_left = finished.jobs_left;
        slot.js = finished.js;
        if let (Some(call), Some(reason)) = (active.call, killed) {
            let error = if reason == Kill::Deadline { CallError::TimedOut } else { CallError::Stopped };
            slot.host.fail(call, error);
        }
        if active.call.is_none() && killed == Some(Kill::Deadline) {
            slot.host.emit_log("error", "background work was ended at its time limit");
            if active.pump && slot.jobs_left {
                return self.give_up(key, "its jobs never end");
            }
        }
        if slot.js.is_none() {
            // A boot that failed has told its caller, who removes the slot.
            return;
        }
        let idle = !slot.jobs_left && slot.items.is_empty() && !slot.host.has_sources();
        if idle {
            for call in slot.host.pending_calls() {
                slot.host.fail(call, CallError::NeverSettles);
            }
        }
        self.start_next(key);
    }

    /// Ends a skill that cannot go on.
    fn give_up(&mut self, key: u64, reason: &str) {
        let Some(slot) = self.slots.get(&key) else { return };
        let skill = Arc::clone(&slot.host.skill);
        self.remove(key);
        skill.set_status(&self.shared, SkillStatus::Error, Some(reason.to_owned()));
    }
}

fn boot(host: &Rc<Host>, call: Option<u64>) -> Finished {
    let (js, outcome) = match JsInstance::boot(host) {
        Ok(js) => (Some(js), Ok(())),
        Err(error) => (None, Err(error)),
    };
    if let Some(call) = call {
        match outcome {
            Ok(()) => host.settled(call, "ok", "null".to_owned()),
            // When the activation was ended, the scheduler says why.
            Err(_) if host.control.killed().is_some() => {}
            Err(error) => host.fail(call, error),
        }
    }
    Finished { jobs_left: js.is_some(), js }
}
