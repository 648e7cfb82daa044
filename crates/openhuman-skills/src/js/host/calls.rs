//! The calls a skill works on, and where their results go.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Host, clip};
use crate::error::CallError;
use crate::shared::Reply;

const MAX_RESULT: usize = 1024 * 1024;

impl Host {
    pub(crate) fn expect(&self, call: u64, reply: Reply, deadline: Instant) {
        self.pending.borrow_mut().push((call, reply, deadline));
    }

    /// Whether the mailbox holds messages.
    pub(crate) fn has_messages(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn is_pending(&self, call: u64) -> bool {
        self.pending.borrow().iter().any(|(known, ..)| *known == call)
    }

    /// The calls that should have ended by now.
    pub(crate) fn overdue_calls(&self, now: Instant) -> Vec<u64> {
        let pending = self.pending.borrow();
        let overdue = pending.iter().filter(|(.., deadline)| *deadline <= now);
        overdue.map(|(call, ..)| *call).collect()
    }

    pub(crate) fn earliest_deadline(&self) -> Option<Instant> {
        self.pending.borrow().iter().map(|(.., deadline)| *deadline).min()
    }

    pub(crate) fn pending_calls(&self) -> Vec<u64> {
        self.pending.borrow().iter().map(|(call, ..)| *call).collect()
    }

    pub(crate) fn pending_count(&self) -> usize {
        self.pending.borrow().len()
    }

    /// Takes the place where the result of a call goes.
    fn take_reply(&self, call: u64) -> Option<Reply> {
        let mut pending = self.pending.borrow_mut();
        let at = pending.iter().position(|(known, ..)| *known == call)?;
        Some(pending.swap_remove(at).1)
    }

    pub(crate) fn fail(&self, call: u64, error: CallError) {
        if let Some(reply) = self.take_reply(call) {
            self.outbox.reply(reply, Err(error));
        }
    }

    /// Names the call the current activation belongs to.
    pub(crate) fn set_active(&self, call: Option<u64>) {
        self.active.set(call);
    }

    /// The result of a call, as JavaScript reports it.
    pub(crate) fn settled(&self, call: u64, how: &str, text: String) {
        if self.active.get() == Some(call) && self.control.killed().is_some() {
            // The activation is being ended, and the scheduler says why; what a `catch` made of it does not count.
            return;
        }
        let result = match how {
            "ok" if text.len() > MAX_RESULT => Err(CallError::TooLarge),
            "ok" => Ok(text),
            "missing" => Err(CallError::NoSuchTool),
            "rejected" => Err(CallError::Rejected(shorten(&text))),
            _ => Err(CallError::Threw(shorten(&text))),
        };
        if let Some(reply) = self.take_reply(call) {
            self.outbox.reply(reply, result);
        }
    }

    /// Whether something outside JavaScript can still settle a promise.
    pub(crate) fn has_sources(&self) -> bool {
        !self.operations.borrow().is_empty() || !self.timers.borrow().is_empty()
    }
}

fn shorten(text: &str) -> String {
    clip(text, 4096).to_owned()
}
