//! Running what waits for a skill's turn, a slice at a time.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::Worker;
use super::ending::ended;
use super::slot::{Activation, Active, Finished, Item};
use crate::error::CallError;
use crate::fiber::{Fiber, Kill, Pause, Step};
use crate::js::runtime::Work;
use crate::shared::CallKind;

/// How long an activation runs before others get a turn.
const SLICE: Duration = Duration::from_micros(200);
/// The same for one of the low queue, which only runs when nobody else can: whoever comes meanwhile, or needs this
/// core to make a call, waits no longer than this.
const LOW_SLICE: Duration = Duration::from_micros(50);
/// Beyond this much CPU an activation keeps its low priority even when it has waited for the host.
pub(super) const GREEDY: Duration = Duration::from_secs(2);
/// How long a built-in function may go on after its activation was told to end: of its own time (300 ms by default),
/// and of wall time (2 s). Then it is abandoned. Enough for one that is merely long, whose script then ends properly.
/// In multiples of the time after which it is suspended.
const LAST_CPU: u32 = 15;
const LAST_WALL: u32 = 100;
/// Promise jobs that go on beyond their limit end the skill if they had this part of the time, or more, for themselves. With
/// less, it is the machine that was busy or asleep.
const JOBS_SHARE: u32 = 8;
/// Calls of one skill whose promises have not settled.
const MAX_PENDING: usize = 256;

impl Worker {
    /// Starts the next activation of a skill that has none.
    pub(super) fn start_next(&mut self, key: u64) {
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

    pub(super) fn run_slice(&mut self, key: u64, low: bool) {
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
        // A slice is shorter than this, or the activation is suspended: what is beyond, the thread itself had to wait.
        let spent = started.elapsed().min(self.stall_limit);
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

    pub(super) fn finish(&mut self, key: u64, result: thread::Result<Finished>) {
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
        slot.jobs_cpu = if finished.jobs_left {
            slot.jobs_cpu + active.cpu
        } else {
            Duration::ZERO
        };
        if !finished.booted {
            slot.js = None;
        }
        if let (Some(call), Some(reason)) = (active.call, killed) {
            slot.host.fail(call, ended(reason));
        }
        if active.call.is_none() && killed == Some(Kill::Deadline) {
            slot.host
                .emit_log("error", "background work was ended at its time limit");
            let long = self.shared.limits.background / JOBS_SHARE;
            if active.pump && slot.jobs_left && slot.jobs_cpu >= long {
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
