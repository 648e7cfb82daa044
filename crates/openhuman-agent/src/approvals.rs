//! Approvals that are given from outside, while the turn waits or after a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::message::{ToolCall, ToolSpec};
use crate::ports::{Approval, Approver};

/// A desk where approvals wait for an answer. Clones are the same desk.
///
/// A turn with this [`Approver`] sends [`TurnEvent::ApprovalRequest`](crate::TurnEvent::ApprovalRequest) and waits until
/// somebody calls [`answer`](Approvals::answer) with the id of the call. The wall-clock budget of the turn goes on
/// meanwhile; for answers that may take days there is [`PauseTurn`].
#[derive(Clone, Debug, Default)]
pub struct Approvals {
    waiting: Arc<Mutex<HashMap<String, Vec<oneshot::Sender<Approval>>>>>,
}

impl Approvals {
    /// An empty desk.
    pub fn new() -> Approvals {
        Approvals::default()
    }

    /// Answers the call with this id that has waited longest; false when none waits under it.
    pub fn answer(&self, call_id: &str, approval: Approval) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(senders) = waiting.get_mut(call_id) else {
            return false;
        };
        senders.retain(|sender| !sender.is_closed());
        let answered = !senders.is_empty() && senders.remove(0).send(approval).is_ok();
        if senders.is_empty() {
            waiting.remove(call_id);
        }
        answered
    }

    /// The ids of the calls that wait.
    pub fn waiting(&self) -> Vec<String> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        waiting.keys().cloned().collect()
    }

    fn wait(&self, call_id: &str) -> BoxFuture<'static, Approval> {
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(call_id.to_owned()).or_default().push(sender);
        async move {
            answer.await.unwrap_or_else(|_| Approval::Deny {
                reason: "nobody can answer any more".to_owned(),
            })
        }
        .boxed()
    }
}

impl Approver for Approvals {
    fn approve<'a>(&'a self, call: &'a ToolCall, _tool: &'a ToolSpec) -> BoxFuture<'a, Approval> {
        self.wait(&call.id)
    }

    fn approve_repeat<'a>(&'a self, call: &'a ToolCall, _tool: &'a ToolSpec) -> BoxFuture<'a, Approval> {
        self.wait(&call.id)
    }
}

/// Answers every request with [`Approval::Later`]: the turn is kept in its journal and its stream ends with
/// [`TurnEvent::Paused`](crate::TurnEvent::Paused). Answer with [`Turn::answer`](crate::Turn::answer) and go on with
/// [`Agent::resume`](crate::Agent::resume), in this process or in another, at any time.
#[derive(Clone, Copy, Debug, Default)]
pub struct PauseTurn;

impl Approver for PauseTurn {
    fn approve<'a>(&'a self, _call: &'a ToolCall, _tool: &'a ToolSpec) -> BoxFuture<'a, Approval> {
        async { Approval::Later }.boxed()
    }

    fn approve_repeat<'a>(&'a self, _call: &'a ToolCall, _tool: &'a ToolSpec) -> BoxFuture<'a, Approval> {
        async { Approval::Later }.boxed()
    }
}
