//! What a running turn tells its caller.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::message::{Message, Recalled, ToolCall};
use crate::turn::ApprovalRequest;

/// One event of a running turn. The last one is always [`TurnEvent::Done`] or [`TurnEvent::Failed`]; with an approver
/// that answers [`Approval::Later`](crate::Approval::Later) it may be [`TurnEvent::Paused`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TurnEvent {
    /// What was recalled for the prompt; sent once, before the model is asked, when there is anything.
    Recalled {
        /// The snippets, best first.
        sources: Vec<Recalled>,
    },
    /// More text of the model. Text before a tool call is not part of the final answer.
    TextDelta {
        /// The text to append.
        text: String,
    },
    /// More of the model's reasoning, for display.
    ReasoningDelta {
        /// The text to append.
        text: String,
    },
    /// A tool is being called.
    ToolCall {
        /// The call.
        call: ToolCall,
    },
    /// A call has its result; also sent for calls that were refused and never ran.
    ToolResult {
        /// The id of the call.
        id: String,
        /// The name of the tool.
        name: String,
        /// The result as the model reads it (size-capped).
        text: String,
        /// True when the call failed or was refused.
        is_error: bool,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// A call waits for approval.
    ApprovalRequest {
        /// The call and why it is asked about.
        request: ApprovalRequest,
    },
    /// The turn waits for approvals that come later. It is in the journal, and this is the last event of the stream.
    Paused {
        /// What waits.
        requests: Vec<ApprovalRequest>,
    },
    /// What one model request cost.
    Usage {
        /// Tokens read.
        prompt_tokens: u64,
        /// Tokens written.
        completion_tokens: u64,
        /// True when the server did not say and the figures are an estimate.
        estimated: bool,
    },
    /// Something went less than perfectly and the turn goes on, for example without memory.
    Notice {
        /// What happened.
        message: String,
    },
    /// The turn has its answer.
    Done {
        /// The answer.
        answer: String,
        /// The new messages of this turn, to be appended to the history: the prompt, calls and results, the answer.
        messages: Vec<Message>,
    },
    /// The turn ended without an answer.
    Failed {
        /// The kind, for programs.
        kind: FailureKind,
        /// What failed, with what, and what to do next, for people.
        message: String,
    },
}

/// Why a turn ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The caller cancelled it.
    Cancelled,
    /// A budget is used up.
    Budget,
    /// The model kept making the same call.
    Loop,
    /// The model could not be reached or gave no usable answer.
    Model,
    /// The journal could not be written.
    Journal,
    /// The prompt cannot be used.
    Input,
}

impl FailureKind {
    /// The stable name, for example `cancelled`.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Cancelled => "cancelled",
            FailureKind::Budget => "budget",
            FailureKind::Loop => "loop",
            FailureKind::Model => "model",
            FailureKind::Journal => "journal",
            FailureKind::Input => "input",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
