//! Deadlines and timers.

use std::time::{Duration, Instant};

use super::Worker;
use super::slot::{Alarm, Item, Timer, What};
use crate::fiber::Kill;
use crate::js::host::TimerRequest;

impl Worker {
    /// Arms a timer's alarm, on simulated time if the engine has one.
    pub(super) fn set_alarm(&mut self, key: u64, id: u32, at: Instant, delay: Duration) {
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

    /// Fires the alarms that are due.
    pub(super) fn ring(&mut self, now: Instant) {
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
    pub(super) fn arm(&mut self, key: u64, at: Instant) {
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
    pub(super) fn expire(&mut self, key: u64, now: Instant) {
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

    pub(super) fn fire(&mut self, key: u64, id: u32, now: Instant) {
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

    /// Arms and clears the timers the activation asked for.
    pub(super) fn timers(&mut self, key: u64) {
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
}
