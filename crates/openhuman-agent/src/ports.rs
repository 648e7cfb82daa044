//! The other seams of a turn: tools, memory, approvals, the journal, compaction, the clock.

use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::message::{Message, Recalled, Role, ToolCall, ToolOutcome, ToolSpec};
use crate::policy::Risk;

/// The tools a turn may use.
pub trait Tools: Send + Sync {
    /// The tools on offer now; asked once, when the turn starts.
    fn list(&self) -> BoxFuture<'_, Vec<ToolSpec>>;

    /// Runs one call. Several may run at the same time. `cancel` fires when the turn is cancelled; the future is
    /// dropped then as well, so `cancel` is for work that lives elsewhere. Failures, also time-outs, are outcomes.
    fn call<'a>(&'a self, call: &'a ToolCall, cancel: CancellationToken) -> BoxFuture<'a, ToolOutcome>;

    /// What calls of a tool can do, beyond changing something. By default nothing is known, so the worst is assumed.
    fn risk(&self, tool: &ToolSpec) -> Risk {
        Risk::unknown(tool.read_only)
    }
}

/// No tools at all; the default of an agent.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTools;

impl Tools for NoTools {
    fn list(&self) -> BoxFuture<'_, Vec<ToolSpec>> {
        async { Vec::new() }.boxed()
    }

    fn call<'a>(&'a self, call: &'a ToolCall, _cancel: CancellationToken) -> BoxFuture<'a, ToolOutcome> {
        async move { ToolOutcome::error(format!("there is no tool named `{}`", call.name)) }.boxed()
    }
}

/// The memory a turn may search before it starts.
pub trait Recall: Send + Sync {
    /// What is worth knowing for `prompt`, best first. On error the turn goes on without and says so in a
    /// [`TurnEvent::Notice`](crate::TurnEvent::Notice).
    fn recall<'a>(&'a self, prompt: &'a str) -> BoxFuture<'a, Result<Vec<Recalled>, String>>;
}

/// The answer of an [`Approver`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Approval {
    /// Run the call.
    Allow,
    /// Do not run it; the model reads the reason.
    Deny {
        /// Why not.
        reason: String,
    },
    /// The answer comes later, perhaps in another process: the turn is kept and its stream ends with
    /// [`TurnEvent::Paused`](crate::TurnEvent::Paused).
    Later,
}

/// Decides about calls for which the [`Policy`](crate::Policy) demands it. An answer that does not come at once is
/// announced by [`TurnEvent::ApprovalRequest`](crate::TurnEvent::ApprovalRequest).
pub trait Approver: Send + Sync {
    /// Asked before each call, in the model's order. The turn waits as long as this takes (up to its wall-clock
    /// budget); read-only calls go on meanwhile.
    fn approve<'a>(&'a self, call: &'a ToolCall, tool: &'a ToolSpec) -> BoxFuture<'a, Approval>;

    /// Asked when a resumed turn finds a call that had been started but not finished: it may already have taken
    /// effect. The default denies, and the model is told to check first.
    fn approve_repeat<'a>(&'a self, call: &'a ToolCall, _tool: &'a ToolSpec) -> BoxFuture<'a, Approval> {
        let reason = format!(
            "the turn was interrupted while `{}` was running, so it may already have taken effect; check before \
             calling it again",
            call.name
        );
        async move { Approval::Deny { reason } }.boxed()
    }
}

/// Approves every call; the default of an agent.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Approver for AllowAll {
    fn approve<'a>(&'a self, _call: &'a ToolCall, _tool: &'a ToolSpec) -> BoxFuture<'a, Approval> {
        async { Approval::Allow }.boxed()
    }
}

/// A journal entry could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the turn could not be written to the journal: {message}")]
#[non_exhaustive]
pub struct JournalError {
    /// What failed and with what.
    pub message: String,
}

impl JournalError {
    /// An error with this text.
    pub fn new(message: impl Into<String>) -> JournalError {
        JournalError {
            message: message.into(),
        }
    }
}

/// Keeps a turn so that it survives the process.
pub trait Journal: Send + Sync {
    /// Keeps `entry`, the serialised [`Turn`](crate::Turn) after a transition. Each entry replaces the ones before;
    /// keeping only the last is enough. Entries hold the whole conversation: store them as carefully as memory.
    /// An error ends the turn before the step it would have covered.
    fn append<'a>(&'a self, entry: &'a str) -> BoxFuture<'a, Result<(), JournalError>>;
}

/// Keeps every entry in memory.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    entries: Mutex<Vec<String>>,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> MemoryJournal {
        MemoryJournal::default()
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> Vec<String> {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Journal for MemoryJournal {
    fn append<'a>(&'a self, entry: &'a str) -> BoxFuture<'a, Result<(), JournalError>> {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry.to_owned());
        async { Ok(()) }.boxed()
    }
}

/// Makes a long history short.
pub trait Compactor: Send + Sync {
    /// A shorter form of `history` of about `target_tokens` tokens. Called before the turn when the history exceeds
    /// its share of the budget. On error the turn goes on with the whole history and says so.
    fn compact(
        &self,
        history: Vec<Message>,
        target_tokens: u64,
    ) -> BoxFuture<'_, Result<Vec<Message>, String>>;
}

/// Drops the oldest exchanges, whole ones only, and leaves a short note in their place.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepRecent;

impl Compactor for KeepRecent {
    fn compact(
        &self,
        history: Vec<Message>,
        target_tokens: u64,
    ) -> BoxFuture<'_, Result<Vec<Message>, String>> {
        async move { Ok(keep_recent(history, target_tokens)) }.boxed()
    }
}

fn keep_recent(mut history: Vec<Message>, target_tokens: u64) -> Vec<Message> {
    let mut cost = 0u64;
    let mut start = history.len();
    for (index, message) in history.iter().enumerate().rev() {
        cost = cost.saturating_add(estimate_message(message));
        if cost > target_tokens {
            break;
        }
        if message.role == Role::User {
            start = index;
        }
    }
    if start == 0 {
        return history;
    }
    let kept = history.split_off(start);
    let note = Message::user(format!("({} earlier messages are left out here.)", history.len()));
    let mut out = vec![note, Message::assistant("Understood.")];
    out.extend(kept);
    out
}

/// About how many tokens `text` has: a quarter of its bytes.
pub(crate) fn estimate_tokens(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX).div_ceil(4)
}

/// About how many tokens a message costs.
pub(crate) fn estimate_message(message: &Message) -> u64 {
    let calls = message
        .tool_calls
        .iter()
        .map(|call| estimate_tokens(&call.arguments.to_string()) + 8);
    estimate_tokens(&message.content) + calls.sum::<u64>() + 4
}

/// Where a turn reads the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since any fixed moment; never goes back while a turn runs.
    fn now_ms(&self) -> i64;
}

/// The runtime's monotonic clock; it stands still when tokio's test clock is paused.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    start: tokio::time::Instant,
}

impl TokioClock {
    /// A clock that starts at zero.
    pub fn new() -> TokioClock {
        TokioClock {
            start: tokio::time::Instant::now(),
        }
    }
}

impl Default for TokioClock {
    fn default() -> TokioClock {
        TokioClock::new()
    }
}

impl Clock for TokioClock {
    fn now_ms(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_recent_drops_whole_exchanges() {
        let long = "x".repeat(400);
        let history = vec![
            Message::user(long.clone()),
            Message::assistant(long.clone()),
            Message::user("second"),
            Message::assistant("answer"),
        ];
        let kept = keep_recent(history.clone(), 50);
        assert_eq!(kept.len(), 4);
        assert!(kept[0].content.contains("2 earlier messages"), "{kept:?}");
        assert_eq!(kept[2].content, "second");
        assert_eq!(keep_recent(history.clone(), 10_000), history);
    }
}
