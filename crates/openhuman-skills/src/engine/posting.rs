//! Putting calls into a skill's mailbox, and waiting for them.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::CallError;
use crate::shared::{Call, CallKind, Instance, MAILBOX, Shared, ToWorker};

/// How much longer than a limit the asynchronous side waits for the worker to say so.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// A posted call and how to give it up.
pub(super) struct Posted {
    pub(super) reply: oneshot::Receiver<Result<String, CallError>>,
    pub(super) cancel: CancelOnDrop,
}

/// Tells the worker that nobody waits for a call any more.
pub(super) struct CancelOnDrop {
    pub(super) worker: Sender<ToWorker>,
    pub(super) key: u64,
    pub(super) call: u64,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // A call that is over is not found, which is fine.
        let _ = self.worker.send(ToWorker::Cancel {
            key: self.key,
            call: self.call,
        });
    }
}

impl Posted {
    /// Waits for the result; dropping the future cancels the call.
    pub(super) async fn result(self, deadline: Instant) -> Result<String, CallError> {
        let _cancel = self.cancel;
        match tokio::time::timeout_at((deadline + GRACE).into(), self.reply).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CallError::Stopped),
            Err(_) => Err(CallError::TimedOut),
        }
    }
}

pub(super) enum PostError {
    Busy,
    Closed,
}

impl Instance {
    pub(super) fn post(
        &self,
        shared: &Shared,
        kind: CallKind,
        name: &str,
        payload: String,
        deadline: Instant,
        counted: bool,
    ) -> Result<Posted, PostError> {
        if counted {
            let place = |waiting| (waiting < MAILBOX).then_some(waiting + 1);
            self.waiting
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, place)
                .map_err(|_| PostError::Busy)?;
        }
        let (sender, reply) = oneshot::channel();
        let id = shared.next_id();
        let call = Call {
            id,
            kind,
            name: name.to_owned(),
            payload,
            deadline,
            reply: sender,
            counted,
        };
        self.worker
            .send(ToWorker::Post { key: self.key, call })
            .map_err(|_| PostError::Closed)?;
        Ok(Posted {
            reply,
            cancel: CancelOnDrop {
                worker: self.worker.clone(),
                key: self.key,
                call: id,
            },
        })
    }
}
