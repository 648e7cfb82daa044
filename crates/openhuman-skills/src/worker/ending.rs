//! Ending calls, activations and skills, gently and otherwise.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Worker;
use super::slot::{Alarm, Item, What};
use crate::SkillStatus;
use crate::error::CallError;
use crate::fiber::Kill;
use crate::shared::{CallKind, Death};

impl Worker {
    /// Ends a call wherever it is: in the mailbox, on its fiber, or behind a promise.
    pub(super) fn end_call(&mut self, key: u64, call: u64, reason: Kill) {
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
    pub(super) fn kill(&mut self, key: u64, reason: Kill) {
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

    pub(super) fn interrupt(&mut self, key: u64) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        slot.refuse(&CallError::Stopped);
        self.kill(key, Kill::Stopped);
    }

    /// Ends what runs and frees the runtime.
    pub(super) fn remove(&mut self, key: u64) {
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

    /// Abandons an activation that is stuck in a built-in function, and with it the skill's runtime.
    pub(super) fn wreck(&mut self, key: u64) {
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
    pub(super) fn give_up(&mut self, key: u64, reason: &'static str) {
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
pub(super) fn ended(reason: Kill) -> CallError {
    match reason {
        Kill::Deadline => CallError::TimedOut,
        Kill::Cancelled | Kill::Stopped => CallError::Stopped,
    }
}
