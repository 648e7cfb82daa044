//! Putting calls into a skill's mailbox, and waiting for them.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::error::CallError;
use crate::shared::{Call, CallKind, Instance, MAILBOX, Shared, ToWorker};
use crate::stall::Watchdog;

/// How much longer than a limit the asynchronous side waits for the worker to say so.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// A posted call. Dropping it tells the worker that nobody waits for it any more.
pub(super) struct Posted {
    reply: oneshot::Receiver<Result<String, CallError>>,
    instance: Instance,
    call: u64,
    /// The worker has answered, so it need not be told.
    over: bool,
}

impl Drop for Posted {
    fn drop(&mut self) {
        if !self.over {
            // A call that is over by now is not found, which is fine.
            let _ = self.instance.worker.send(ToWorker::Cancel {
                key: self.instance.key,
                call: self.call,
            });
        }
    }
}

impl Posted {
    pub(super) fn new(
        reply: oneshot::Receiver<Result<String, CallError>>,
        instance: &Instance,
        call: u64,
    ) -> Self {
        Self {
            reply,
            instance: instance.clone(),
            call,
            over: false,
        }
    }

    /// Waits for the result; dropping the future cancels the call.
    pub(super) async fn result(mut self, deadline: Instant) -> Result<String, CallError> {
        let reply = if Watchdog::available() {
            // No script can hold a worker, which answers by the deadline.
            (&mut self.reply).await
        } else {
            match tokio::time::timeout_at((deadline + GRACE).into(), &mut self.reply).await {
                Ok(reply) => reply,
                Err(_) => return Err(CallError::TimedOut),
            }
        };
        self.over = true;
        reply.unwrap_or(Err(CallError::Stopped))
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
        Ok(Posted::new(reply, self, id))
    }
}
