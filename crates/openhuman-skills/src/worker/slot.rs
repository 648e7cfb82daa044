//! One skill on a worker, and what it runs.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::CallError;
use crate::fiber::Fiber;
use crate::js::host::{Host, Settled};
use crate::js::ops::HostError;
use crate::js::runtime::{JsInstance, Work};
use crate::shared::{Call, CallKind};

/// One skill on this worker.
pub(super) struct Slot {
    pub(super) host: Rc<Host>,
    /// Absent when the boot failed.
    pub(super) js: Option<Rc<JsInstance>>,
    pub(super) active: Option<Active>,
    pub(super) items: VecDeque<Item>,
    pub(super) jobs_left: bool,
    /// What its activations have used since its queue of jobs was last empty.
    pub(super) jobs_cpu: Duration,
    pub(super) timers: HashMap<u32, Timer>,
    /// The one alarm for the earliest deadline of its calls and its activation.
    pub(super) deadline: Option<Instant>,
}

impl Slot {
    /// A skill whose call waits for the host is alive: its pings do not wait for the call.
    pub(super) fn answer_pings(&mut self) {
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

    /// Fails every call that waits or has not settled.
    pub(super) fn refuse(&mut self, error: &CallError) {
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

/// An armed timer.
#[derive(Clone, Copy)]
pub(super) struct Timer {
    /// The period of a repeating one.
    pub(super) period: Option<Duration>,
    pub(super) at: Instant,
}

/// The activation that runs, or is suspended.
pub(super) struct Active {
    /// What it will run. It gets a stack when its turn comes, so that those that wait for their first turn need
    /// none, and one warm stack serves most calls.
    pub(super) ready: Option<Activation>,
    pub(super) fiber: Option<Fiber<Activation, Finished>>,
    pub(super) call: Option<u64>,
    pub(super) pump: bool,
    /// The last step of a start, after which the skill may be idle for long.
    pub(super) last_of_start: bool,
    /// It waits for the host.
    pub(super) waiting: bool,
    /// It was suspended inside a built-in function.
    pub(super) stalled: bool,
    pub(super) cpu: Duration,
    /// When it was told to end, and how much time it has used since.
    pub(super) ending: Option<(Instant, Duration)>,
}

/// What an activation owns. Kept outside of its stack, which may be abandoned.
pub(super) struct Activation {
    pub(super) host: Rc<Host>,
    pub(super) js: Rc<JsInstance>,
    pub(super) call: Option<u64>,
    /// Absent when the script is loaded.
    pub(super) work: Cell<Option<Work>>,
}

pub(super) struct Finished {
    pub(super) booted: bool,
    pub(super) jobs_left: bool,
}

/// What waits for a skill's turn.
pub(super) enum Item {
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
pub(super) struct Alarm {
    pub(super) at: Instant,
    pub(super) key: u64,
    pub(super) what: What,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// A call or an activation reached its limit.
    Deadline,
    Timer(u32),
}
