//! Host operations behind promises.

use std::future::Future;
use std::sync::Arc;

use super::{Host, HostResult};
use crate::js::ops::HostError;
use crate::outbox::Handed;
use crate::shared::ToWorker;

/// What the host answers to an operation behind a promise.
#[derive(Debug)]
pub(crate) enum Settled {
    /// `undefined`.
    Nothing,
    /// A string.
    Text(String),
    /// A value, as JSON.
    Json(String),
    /// A `Uint8Array`.
    Bytes(Vec<u8>),
}

/// How many operations of a kind one skill may have in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// What they are called in the error.
    pub(crate) what: &'static str,
    pub(crate) limit: usize,
}

/// An operation behind a promise.
pub(super) struct Operation {
    quota: Quota,
    pub(super) task: Handed,
}

impl Host {
    /// Runs a future on the runtime; its result settles the promise the script keeps under this number. It is
    /// aborted when the skill is stopped.
    ///
    /// Fails when the skill has too many of this kind in flight.
    pub(crate) fn begin(
        &self,
        operation: u32,
        quota: Quota,
        work: impl Future<Output = HostResult<Settled>> + Send + 'static,
    ) -> HostResult<()> {
        let mut operations = self.operations.borrow_mut();
        let same = operations
            .values()
            .filter(|running| running.quota.what == quota.what);
        if same.count() >= quota.limit {
            return Err(HostError::Failed(format!(
                "more than {} {} at once",
                quota.limit, quota.what
            )));
        }
        let (worker, key) = (self.worker.clone(), self.key);
        let task = self.outbox.spawn(async move {
            let result = work.await;
            let _ = worker.send(ToWorker::Settle {
                key,
                operation,
                result,
            });
        });
        self.causes
            .borrow_mut()
            .insert(operation, Arc::clone(&self.cause.borrow()));
        operations.insert(operation, Operation { quota, task });
        Ok(())
    }

    /// Host operations behind promises that are not over.
    #[cfg(feature = "kit")]
    pub(crate) fn operations(&self) -> usize {
        self.operations.borrow().len()
    }

    /// Gives an operation up; it settles nothing any more.
    pub(crate) fn cancel(&self, operation: u32) {
        if let Some(running) = self.operations.borrow_mut().remove(&operation) {
            self.outbox.abort(&running.task);
            self.causes.borrow_mut().remove(&operation);
        }
    }

    /// An answer has come; false when the operation was given up.
    pub(crate) fn operation_over(&self, operation: u32) -> bool {
        self.operations.borrow_mut().remove(&operation).is_some()
    }
}
