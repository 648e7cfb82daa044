//! What a worker hands to other threads, kept back for a moment so that several go at once.
//!
//! To wake a sleeping thread costs both sides a few microseconds, more than a short call. A busy worker that wakes the
//! same callers for each answer alone spends a third of its time on that. So answers wait until the worker has
//! nothing else to do at normal priority, until [`BATCH`] of them are there, or until the first has waited for
//! [`PATIENCE`]; a worker that is not busy keeps nothing back.

use std::cell::{Cell, OnceCell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::error::CallError;
use crate::shared::Reply;

/// How many go at once at most.
const BATCH: usize = 16;
/// How long the first of them waits at most, when the activations after it are short. One that uses its whole slice
/// adds as much.
const PATIENCE: Duration = Duration::from_micros(100);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One for each worker, shared with the hosts of its skills.
pub(crate) struct Outbox {
    handle: Handle,
    replies: RefCell<Vec<(Reply, Result<String, CallError>)>>,
    tasks: RefCell<Vec<(Work, Rc<OnceCell<AbortHandle>>)>>,
    since: Cell<Option<Instant>>,
}

/// A task that was handed out, or will be.
pub(crate) struct Handed(Rc<OnceCell<AbortHandle>>);

impl Outbox {
    pub(crate) fn new(handle: Handle) -> Self {
        Self {
            handle,
            replies: RefCell::default(),
            tasks: RefCell::default(),
            since: Cell::new(None),
        }
    }

    /// Sends the result of a call, soon.
    pub(crate) fn reply(&self, reply: Reply, result: Result<String, CallError>) {
        self.replies.borrow_mut().push((reply, result));
    }

    /// Runs `work` on the runtime, soon.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Handed {
        let task = Rc::new(OnceCell::new());
        self.tasks.borrow_mut().push((Box::pin(work), Rc::clone(&task)));
        Handed(task)
    }

    /// Ends a task, wherever it is; its future is dropped.
    pub(crate) fn abort(&self, task: &Handed) {
        match task.0.get() {
            Some(running) => running.abort(),
            None => self
                .tasks
                .borrow_mut()
                .retain(|(_, kept)| !Rc::ptr_eq(kept, &task.0)),
        }
    }

    /// Sends what is there if it is enough, or old enough. Called after each slice.
    pub(crate) fn flush_if_due(&self, now: Instant) {
        let waiting = self.replies.borrow().len() + self.tasks.borrow().len();
        match self.since.get() {
            _ if waiting == 0 => {}
            Some(since) if waiting < BATCH && now.saturating_duration_since(since) < PATIENCE => {}
            None if waiting < BATCH => self.since.set(Some(now)),
            _ => self.flush(),
        }
    }

    /// Sends what is there.
    pub(crate) fn flush(&self) {
        self.since.set(None);
        for (work, task) in self.tasks.borrow_mut().drain(..) {
            let _ = task.set(self.handle.spawn(work).abort_handle());
        }
        for (reply, result) in self.replies.borrow_mut().drain(..) {
            // Nobody may wait for it any more.
            let _ = reply.send(result);
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.flush();
    }
}
