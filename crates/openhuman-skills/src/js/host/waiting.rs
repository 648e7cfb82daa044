//! Host operations that a fiber waits for.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Host, HostResult};
use crate::fiber::Pause;
use crate::js::ops::HostError;
use crate::shared::ToWorker;
use crate::{Database, DbError};

/// The completion of a host operation a fiber waits for. Dropping it wakes the fiber too.
struct Completion<T> {
    value: Arc<Waiting<T>>,
    worker: Sender<ToWorker>,
    key: u64,
    wait: u64,
}

struct Waiting<T> {
    value: Mutex<Option<T>>,
    over: AtomicBool,
}

impl<T> Completion<T> {
    fn complete(self, value: T) {
        *self.value.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }
}

impl<T> Drop for Completion<T> {
    fn drop(&mut self) {
        self.value.over.store(true, Ordering::Release);
        let _ = self.worker.send(ToWorker::Wake {
            key: self.key,
            wait: self.wait,
        });
    }
}

impl Host {
    /// The number of the current wait; a wake for another one is stale.
    pub(crate) fn current_wait(&self) -> u64 {
        self.wait.get()
    }

    /// Ends a database statement that the suspended fiber waits for.
    pub(crate) fn interrupt_db(&self) {
        if let Some(db) = &self.db {
            db.interrupt();
        }
    }

    fn completion<T>(&self) -> (Arc<Waiting<T>>, Completion<T>) {
        let wait = self.wait.get() + 1;
        self.wait.set(wait);
        let value = Arc::new(Waiting {
            value: Mutex::new(None),
            over: AtomicBool::new(false),
        });
        let completion = Completion {
            value: Arc::clone(&value),
            worker: self.worker.clone(),
            key: self.key,
            wait,
        };
        (value, completion)
    }

    /// Suspends until the completion is there. Nothing is borrowed or locked while suspended.
    fn suspend_for<T>(&self, waiting: &Waiting<T>) -> HostResult<T> {
        loop {
            if waiting.over.load(Ordering::Acquire) {
                let value = waiting
                    .value
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                return value.ok_or_else(|| HostError::Failed("the host operation failed".to_owned()));
            }
            if !self.control.suspend(Pause::Wait) {
                return Err(HostError::Ended);
            }
        }
    }

    /// Runs a future on the runtime while the fiber is suspended.
    pub(crate) fn wait_for<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> HostResult<T> {
        if self.control.killed().is_some() {
            return Err(HostError::Ended);
        }
        let (waiting, completion) = self.completion();
        let task = self.outbox.spawn(async move { completion.complete(work.await) });
        let result = self.suspend_for(&waiting);
        if result.is_err() {
            self.outbox.abort(&task);
        }
        result
    }

    /// Runs a job on a database thread while the fiber is suspended.
    pub(crate) fn with_db<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Database) -> Result<T, DbError> + Send + 'static,
    ) -> HostResult<T> {
        let Some(db) = self.db.clone() else {
            return Err(HostError::Failed("this host has no database".to_owned()));
        };
        if self.control.killed().is_some() {
            return Err(HostError::Ended);
        }
        let (waiting, completion) = self.completion();
        self.shared
            .db_pool
            .submit(&db, move |db| completion.complete(db.and_then(job)));
        Ok(self.suspend_for(&waiting)??)
    }
}
