//! A worker: one thread that owns many runtimes and shares its time among their activations.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::SkillStatus;
use crate::arena;
use crate::error::CallError;
use crate::fiber::{Fiber, Kill, Pause, StackPool, Step};
use crate::js::host::{Host, Settled, TimerRequest};
use crate::js::ops::HostError;
use crate::js::runtime::{JsInstance, Work};
use crate::outbox::Outbox;
use crate::queues::{Keys, Queues};
use crate::shared::{Call, CallKind, Death, Reply, Shared, Skill, ToWorker};
use crate::stall::Watchdog;

/// How long an activation runs before others get a turn.
const SLICE: Duration = Duration::from_micros(200);
/// The same for one of the low queue, which only runs when nobody else can: whoever comes meanwhile, or needs this
/// core to make a call, waits no longer than this.
const LOW_SLICE: Duration = Duration::from_micros(50);
/// Beyond this much CPU an activation keeps its low priority even when it has waited for the host.
const GREEDY: Duration = Duration::from_secs(2);
/// How long a built-in function may go on after its activation was told to end: of its own time (300 ms by default),
/// and of wall time (2 s). Then it is abandoned. Enough for one that is merely long, whose script then ends properly.
/// In multiples of the time after which it is suspended.
const LAST_CPU: u32 = 15;
const LAST_WALL: u32 = 100;
/// How often the stacks of ended activations are tidied while the worker is busy.
const TIDY: Duration = Duration::from_secs(1);
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

/// One skill on this worker.
struct Slot {
    host: Rc<Host>,
    /// Absent when the boot failed.
    js: Option<Rc<JsInstance>>,
    active: Option<Active>,
    items: VecDeque<Item>,
    jobs_left: bool,
    timers: HashMap<u32, Timer>,
    /// The one alarm for the earliest deadline of its calls and its activation.
    deadline: Option<Instant>,
}

impl Slot {
    /// A skill whose call waits for the host is alive: its pings do not wait for the call.
    fn answer_pings(&mut self) {
        let is_ping = |item: &Item| matches!(item, Item::Call(call) if call.kind == CallKind::Ping);
        while let Some(at) = self.items.iter().position(is_ping) {
            if let Some(Item::Call(call)) = self.items.remove(at) {
                if call.counted {
                    self.host.waiting.fetch_sub(1, Ordering::Relaxed);
                }
                let _ = call.reply.send(Ok("null".to_owned()));
            }
        }
    }
}

/// An armed timer.
#[derive(Clone, Copy)]
struct Timer {
    /// The period of a repeating one.
    period: Option<Duration>,
    at: Instant,
}

/// The activation that runs, or is suspended.
struct Active {
    /// What it will run. It gets a stack when its turn comes, so that those that wait for their first turn need
    /// none, and one warm stack serves most calls.
    ready: Option<Activation>,
    fiber: Option<Fiber<Activation, Finished>>,
    call: Option<u64>,
    pump: bool,
    /// The last step of a start, after which the skill may be idle for long.
    last_of_start: bool,
    /// It waits for the host.
    waiting: bool,
    /// It was suspended inside a built-in function.
    stalled: bool,
    cpu: Duration,
    /// When it was told to end, and how much time it has used since.
    ending: Option<(Instant, Duration)>,
}

/// What an activation owns. Kept outside of its stack, which may be abandoned.
struct Activation {
    host: Rc<Host>,
    js: Rc<JsInstance>,
    call: Option<u64>,
    /// Absent when the script is loaded.
    work: Cell<Option<Work>>,
}

struct Finished {
    booted: bool,
    jobs_left: bool,
}

/// What waits for a skill's turn.
enum Item {
    Boot {
        call: u64,
        deadline: Instant,
    },
    Call(Call),
    Timer(u32),
    Settle {
        operation: u32,
        result: Result<Settled, HostError>,
    },
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Alarm {
    at: Instant,
    key: u64,
    what: What,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A call or an activation reached its limit.
    Deadline,
    Timer(u32),
}

impl Slot {
    /// Fails every call that waits or has not settled.
    fn refuse(&mut self, error: &CallError) {
        for item in self.items.drain(..) {
            if let Item::Call(call) = item {
                if call.counted {
                    self.host.waiting.fetch_sub(1, Ordering::Relaxed);
                }
                let _ = call.reply.send(Err(error.clone()));
            }
        }
        for call in self.host.pending_calls() {
            self.host.fail(call, error.clone());
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

    /// Arms a timer's alarm, on simulated time if the engine has one.
    fn set_alarm(&mut self, key: u64, id: u32, at: Instant, delay: Duration) {
        #[cfg(feature = "kit")]
        if let Some(time) = &self.shared.kit.time {
            return time.arm(self.own.clone(), key, id, delay);
        }
        let _ = delay;
        self.alarms.insert(Alarm {
            at,
            key,
            what: What::Timer(id),
        });
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

    /// Fires the alarms that are due.
    fn ring(&mut self, now: Instant) {
        while self.alarms.first().is_some_and(|alarm| alarm.at <= now) {
            let Some(alarm) = self.alarms.pop_first() else {
                return;
            };
            match alarm.what {
                What::Deadline => self.expire(alarm.key, now),
                What::Timer(id) => self.fire(alarm.key, id, now),
            }
        }
    }

    /// Makes sure that a skill's deadlines are looked at by `at`.
    fn arm(&mut self, key: u64, at: Instant) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        if slot.deadline.is_some_and(|armed| armed <= at) {
            return;
        }
        if let Some(armed) = slot.deadline.replace(at) {
            self.alarms.remove(&Alarm {
                at: armed,
                key,
                what: What::Deadline,
            });
        }
        self.alarms.insert(Alarm {
            at,
            key,
            what: What::Deadline,
        });
    }

    /// Ends what has reached its limit, and arms the next deadline.
    fn expire(&mut self, key: u64, now: Instant) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        slot.deadline = None;
        let mut overdue = slot.host.overdue_calls(now);
        overdue.extend(slot.items.iter().filter_map(|item| match item {
            Item::Call(call) if call.deadline <= now => Some(call.id),
            _ => None,
        }));
        if slot.active.is_some() && slot.host.control.deadline() <= now {
            self.kill(key, Kill::Deadline);
        }
        for call in overdue {
            self.end_call(key, call, Kill::Deadline);
        }
        let Some(slot) = self.slots.get(&key) else { return };
        let queued = slot.items.iter().filter_map(|item| match item {
            Item::Call(call) => Some(call.deadline),
            _ => None,
        });
        // An activation beyond its limit ends by its kill flag.
        let active = slot
            .active
            .as_ref()
            .map(|_| slot.host.control.deadline())
            .filter(|deadline| *deadline > now);
        let pending = slot.host.earliest_deadline().filter(|deadline| *deadline > now);
        if let Some(next) = queued.chain(active).chain(pending).min() {
            self.arm(key, next);
        }
    }

    fn fire(&mut self, key: u64, id: u32, now: Instant) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        let Some(timer) = slot.timers.get_mut(&id) else {
            return;
        };
        // A slow callback does not pile up turns.
        let piles = timer.period.is_some()
            && slot
                .items
                .iter()
                .any(|item| matches!(item, Item::Timer(waiting) if *waiting == id));
        match timer.period {
            Some(period) => {
                let at = now + period;
                timer.at = at;
                self.set_alarm(key, id, at, period);
            }
            None => {
                slot.timers.remove(&id);
            }
        }
        if let Some(slot) = self.slots.get_mut(&key).filter(|_| !piles) {
            slot.items.push_back(Item::Timer(id));
            self.start_next(key);
        }
    }

    /// Ends a call wherever it is: in the mailbox, on its fiber, or behind a promise.
    fn end_call(&mut self, key: u64, call: u64, reason: Kill) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        let error = ended(reason);
        let queued = slot
            .items
            .iter()
            .position(|item| matches!(item, Item::Call(waiting) if waiting.id == call));
        if let Some(Item::Call(queued)) = queued.and_then(|at| slot.items.remove(at)) {
            if queued.counted {
                slot.host.waiting.fetch_sub(1, Ordering::Relaxed);
            }
            // A ping that did not get its turn met a skill that works.
            let alive = queued.kind == CallKind::Ping && reason == Kill::Deadline;
            let answer = if alive { Ok("null".to_owned()) } else { Err(error) };
            let _ = queued.reply.send(answer);
            return;
        }
        if !slot.host.is_pending(call) {
            return;
        }
        if slot
            .active
            .as_ref()
            .is_some_and(|active| active.call == Some(call))
        {
            self.kill(key, reason);
        } else {
            slot.host.fail(call, error);
        }
    }

    /// Sets the kill flag of the running activation and, if it waits for the host, lets it run to its end.
    fn kill(&mut self, key: u64, reason: Kill) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        let Some(active) = slot.active.as_mut() else {
            return;
        };
        slot.host.control.kill(reason);
        active.ending.get_or_insert((Instant::now(), Duration::ZERO));
        if active.stalled
            && let Some(call) = active.call
        {
            // It may take a while to end, or be abandoned; its caller need not wait for that.
            slot.host.fail(call, ended(reason));
        }
        if active.waiting {
            active.waiting = false;
            slot.host.interrupt_db();
            self.queues.push(key, false);
        }
    }

    fn interrupt(&mut self, key: u64) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        slot.refuse(&CallError::Stopped);
        self.kill(key, Kill::Stopped);
    }

    /// Ends what runs and frees the runtime.
    fn remove(&mut self, key: u64) {
        self.interrupt(key);
        if let Some(mut slot) = self.slots.remove(&key) {
            if let Some(fiber) = slot.active.take().and_then(|active| active.fiber) {
                fiber.end(&mut self.stacks);
            }
            for call in slot.host.pending_calls() {
                slot.host.fail(call, CallError::Stopped);
            }
            drop(slot.js.take());
            for (id, timer) in slot.timers {
                self.alarms.remove(&Alarm {
                    at: timer.at,
                    key,
                    what: What::Timer(id),
                });
            }
            if let Some(at) = slot.deadline {
                self.alarms.remove(&Alarm {
                    at,
                    key,
                    what: What::Deadline,
                });
            }
            self.load.fetch_sub(1, Ordering::Relaxed);
        }
        // Who learns that the skill is gone has the answers of its calls.
        self.outbox.flush();
    }

    /// Starts the next activation of a skill that has none.
    fn start_next(&mut self, key: u64) {
        let limits = self.shared.limits;
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        while slot.active.is_none() {
            let background = || Instant::now() + limits.background;
            let (work, call, deadline) = match slot.items.pop_front() {
                Some(Item::Boot { call, deadline }) => (None, Some(call), deadline),
                Some(Item::Call(call)) => {
                    if call.counted {
                        slot.host.waiting.fetch_sub(1, Ordering::Relaxed);
                    }
                    if call.reply.is_closed() {
                        continue;
                    }
                    if slot.host.pending_count() >= MAX_PENDING {
                        let text = format!("more than {MAX_PENDING} calls have not settled");
                        let _ = call.reply.send(Err(CallError::Threw(text)));
                        continue;
                    }
                    slot.host.expect(call.id, call.reply, call.deadline);
                    let work = Work::Call {
                        id: call.id,
                        kind: call.kind,
                        name: call.name,
                        payload: call.payload,
                    };
                    (Some(work), Some(call.id), call.deadline)
                }
                Some(Item::Timer(id)) => {
                    if !slot.timers.contains_key(&id) {
                        slot.host.timer_fired(id);
                    }
                    (Some(Work::Timer(id)), None, background())
                }
                Some(Item::Settle { operation, result }) => {
                    (Some(Work::Settle { operation, result }), None, background())
                }
                None if slot.jobs_left => (Some(Work::Pump), None, background()),
                None => return,
            };
            let pump = matches!(work, Some(Work::Pump));
            let last_of_start = matches!(
                work,
                Some(Work::Call {
                    kind: CallKind::Describe,
                    ..
                })
            );
            let Some(js) = slot.js.clone() else {
                return;
            };
            slot.host.control.begin(deadline);
            slot.host.set_active(call);
            slot.host.set_cause(work.as_ref());
            let activation = Activation {
                host: Rc::clone(&slot.host),
                js,
                call,
                work: Cell::new(work),
            };
            slot.active = Some(Active {
                ready: Some(activation),
                fiber: None,
                call,
                pump,
                last_of_start,
                waiting: false,
                stalled: false,
                cpu: Duration::ZERO,
                ending: None,
            });
            self.queues.push(key, false);
            return self.arm(key, deadline);
        }
    }

    fn run_slice(&mut self, key: u64, low: bool) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        let Some(active) = slot.active.as_mut() else {
            return;
        };
        if active.waiting {
            return;
        }
        active.stalled = false;
        if let Some(activation) = active.ready.take() {
            match self.stacks.take() {
                Ok(stack) => {
                    let control = Rc::clone(&slot.host.control);
                    active.fiber = Some(Fiber::new(stack, control, activation, activate));
                }
                Err(error) => {
                    let call = active.call;
                    slot.active = None;
                    if let Some(call) = call {
                        let text = format!("no memory for a stack: {error}");
                        slot.host.fail(call, CallError::Threw(text));
                    }
                    return self.start_next(key);
                }
            }
        }
        let Some(fiber) = active.fiber.as_mut() else {
            return;
        };
        let started = Instant::now();
        let step = fiber.resume(if low { LOW_SLICE } else { SLICE }, &mut self.stacks);
        let spent = started.elapsed();
        active.cpu += spent;
        self.queues.charge(low, spent);
        let greedy = active.cpu > SLICE || low;
        match step {
            Step::Paused(Pause::Slice) => {
                self.queues.push(key, greedy);
            }
            Step::Paused(Pause::Wait) => {
                active.waiting = true;
                slot.answer_pings();
            }
            Step::Paused(Pause::Stall) => {
                if slot.host.control.killed().is_some() {
                    let (since, used) = active.ending.get_or_insert((started, Duration::ZERO));
                    *used += spent;
                    if *used >= self.stall_limit * LAST_CPU || since.elapsed() >= self.stall_limit * LAST_WALL
                    {
                        return self.wreck(key);
                    }
                }
                active.stalled = true;
                self.queues.push(key, true);
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
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        for request in slot.host.take_timer_requests() {
            let Some(slot) = self.slots.get_mut(&key) else {
                return;
            };
            match request {
                TimerRequest::Arm { id, delay, repeat } => {
                    let at = Instant::now() + delay;
                    let period = repeat.then_some(delay);
                    slot.timers.insert(id, Timer { period, at });
                    self.set_alarm(key, id, at, delay);
                }
                TimerRequest::Clear { id } => {
                    if let Some(timer) = slot.timers.remove(&id) {
                        self.alarms.remove(&Alarm {
                            at: timer.at,
                            key,
                            what: What::Timer(id),
                        });
                    }
                }
            }
        }
    }

    fn finish(&mut self, key: u64, result: thread::Result<Finished>) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        let Some(active) = slot.active.take() else { return };
        let killed = slot.host.control.killed();
        let Ok(finished) = result else {
            if let Some(call) = active.call {
                slot.host.fail(
                    call,
                    CallError::Threw("the host failed inside this call".to_owned()),
                );
            }
            return self.give_up(key, "a host function panicked");
        };
        slot.jobs_left = finished.jobs_left;
        if !finished.booted {
            slot.js = None;
        }
        if let (Some(call), Some(reason)) = (active.call, killed) {
            slot.host.fail(call, ended(reason));
        }
        if active.call.is_none() && killed == Some(Kill::Deadline) {
            slot.host
                .emit_log("error", "background work was ended at its time limit");
            if active.pump && slot.jobs_left {
                return self.give_up(key, "its jobs never end");
            }
        }
        if slot.js.is_none() {
            // A boot that failed has told its caller, who removes the slot.
            return;
        }
        if active.last_of_start
            && let Some(js) = &slot.js
        {
            js.trim();
        }
        let idle = !slot.jobs_left && slot.items.is_empty() && !slot.host.has_sources();
        if idle {
            for call in slot.host.pending_calls() {
                slot.host.fail(call, CallError::NeverSettles);
            }
        }
        self.start_next(key);
    }

    /// Abandons an activation that is stuck in a built-in function, and with it the skill's runtime.
    fn wreck(&mut self, key: u64) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        let Some(active) = slot.active.take() else { return };
        let reason = slot.host.control.killed().unwrap_or(Kill::Stopped);
        if let Some(fiber) = active.fiber {
            fiber.abandon(&mut self.stacks);
        }
        if let Some(call) = active.call {
            slot.host.fail(call, ended(reason));
        }
        self.give_up(key, "a built-in function did not end");
    }

    /// Ends a skill that cannot go on.
    fn give_up(&mut self, key: u64, reason: &'static str) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        let skill = Arc::clone(&slot.host.skill);
        let was_running = skill.view().status == SkillStatus::Running;
        // First, so that who learns that a call failed finds the skill not running.
        skill.set_status(&self.shared, SkillStatus::Error, Some(reason.to_owned()));
        slot.refuse(&CallError::Ended(reason));
        self.remove(key);
        let _ = self.shared.deaths.send(Death {
            skill,
            reason: reason.to_owned(),
            was_running,
        });
    }
}

/// The error of a call whose activation was told to end.
fn ended(reason: Kill) -> CallError {
    match reason {
        Kill::Deadline => CallError::TimedOut,
        Kill::Cancelled | Kill::Stopped => CallError::Stopped,
    }
}

/// What runs on a fiber.
fn activate(activation: &Activation) -> Finished {
    let Activation { host, js, call, work } = activation;
    if let Some(work) = work.take() {
        return Finished {
            booted: true,
            jobs_left: js.run(host, work),
        };
    }
    let started = Instant::now();
    let outcome = js.boot(host);
    let boot_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    tracing::debug!(skill = %host.skill.id, boot_us, ok = outcome.is_ok(), "loaded a script");
    let booted = outcome.is_ok();
    if let Some(call) = *call {
        match outcome {
            Ok(()) => host.settled(call, "ok", "null".to_owned()),
            // When the activation was ended, the scheduler says why.
            Err(_) if host.control.killed().is_some() => {}
            Err(error) => host.fail(call, error),
        }
    }
    Finished {
        booted,
        jobs_left: booted,
    }
}
