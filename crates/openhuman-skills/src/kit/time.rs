//! Time that stands still until somebody moves it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::Clock;
use crate::shared::ToWorker;

/// How often a script may look at the time before the time moves on under it. A script that waits in a loop for a
/// moment to come, as some do, reaches it this way.
const PATIENCE: usize = 200;

/// The time of a simulated engine: its clock, its timers, and everything that sleeps.
#[derive(Debug)]
pub(crate) struct VirtualTime {
    now_ms: AtomicI64,
    looks: AtomicUsize,
    due: Mutex<Due>,
}

#[derive(Debug, Default)]
struct Due {
    next: u64,
    /// By moment, and in the order in which they were armed.
    wakeups: BTreeMap<(i64, u64), Wakeup>,
}

#[derive(Debug)]
enum Wakeup {
    Timer {
        worker: Sender<ToWorker>,
        key: u64,
        id: u32,
    },
    Sleep(oneshot::Sender<()>),
}

impl Clock for VirtualTime {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }
}

impl VirtualTime {
    pub(crate) fn new(now_ms: i64) -> Self {
        Self {
            now_ms: AtomicI64::new(now_ms),
            looks: AtomicUsize::new(0),
            due: Mutex::default(),
        }
    }

    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time as a script sees it; see [`PATIENCE`].
    pub(crate) fn look(&self) -> i64 {
        if self.looks.fetch_add(1, Ordering::SeqCst) >= PATIENCE {
            self.now_ms.fetch_add(1, Ordering::SeqCst);
        }
        self.now_ms()
    }

    fn add(&self, delay: Duration, wakeup: Wakeup) {
        let delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX).max(1);
        let at = self.now_ms().saturating_add(delay);
        let mut due = self.due();
        due.next += 1;
        let order = due.next;
        due.wakeups.insert((at, order), wakeup);
    }

    /// Arms a timer of a skill. One that was cleared meanwhile is ignored by its worker.
    pub(crate) fn arm(&self, worker: Sender<ToWorker>, key: u64, id: u32, delay: Duration) {
        self.add(delay, Wakeup::Timer { worker, key, id });
    }

    /// Ends when so much time has passed.
    pub(crate) fn sleep(&self, delay: Duration) -> impl Future<Output = ()> + Send + 'static {
        let (done, over) = oneshot::channel();
        if delay.is_zero() {
            let _ = done.send(());
        } else {
            self.add(delay, Wakeup::Sleep(done));
        }
        async move {
            let _ = over.await;
        }
    }

    /// How many wait in [`VirtualTime::sleep`].
    pub(crate) fn sleepers(&self) -> usize {
        let due = self.due();
        let waits = |wakeup: &&Wakeup| matches!(wakeup, Wakeup::Sleep(done) if !done.is_closed());
        due.wakeups.values().filter(waits).count()
    }

    /// When the next timer or sleeper is due.
    pub(crate) fn next(&self) -> Option<i64> {
        self.due().wakeups.first_key_value().map(|((at, _), _)| *at)
    }

    /// Moves the time, never back.
    pub(crate) fn advance_to(&self, ms: i64) {
        self.looks.store(0, Ordering::SeqCst);
        self.now_ms.fetch_max(ms, Ordering::SeqCst);
    }

    /// Moves the time to what is due next and wakes it.
    pub(crate) fn wake_next(&self) -> bool {
        let Some(((at, _), wakeup)) = self.due().wakeups.pop_first() else {
            return false;
        };
        self.advance_to(at);
        match wakeup {
            Wakeup::Timer { worker, key, id } => {
                let _ = worker.send(ToWorker::Timer { key, id });
            }
            Wakeup::Sleep(done) => {
                let _ = done.send(());
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_order_and_takes_the_time_along() {
        let time = VirtualTime::new(1000);
        let later = time.sleep(Duration::from_millis(50));
        let sooner = time.sleep(Duration::from_millis(10));
        assert_eq!((time.next(), time.sleepers()), (Some(1010), 2));
        assert!(time.wake_next());
        assert_eq!((time.now_ms(), time.sleepers()), (1010, 1));
        drop((later, sooner));
        assert_eq!(time.sleepers(), 0);
        assert!(time.wake_next() && !time.wake_next());
        time.advance_to(5);
        assert_eq!(time.now_ms(), 1050);
    }

    #[test]
    fn a_script_that_waits_in_a_loop_gets_where_it_wants() {
        let time = VirtualTime::new(0);
        let mut looks = 0;
        while time.look() < 15_000 {
            looks += 1;
        }
        assert!(looks < 16_000);
    }
}
