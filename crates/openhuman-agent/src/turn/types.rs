//! What goes into a turn and what comes out of it.

use serde::{Deserialize, Serialize};

use crate::event::FailureKind;
use crate::message::{ToolCall, ToolOutcome, ToolSpec};
use crate::model::{ModelEvent, ModelRequest};
use crate::policy::Risk;
use crate::ports::Approval;

/// What the driver of a turn is asked to do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Ask the model and feed its events back as [`Input::Model`].
    RequestModel(ModelRequest),
    /// Start these calls at the same time and feed each result back as [`Input::Tool`].
    CallTools(Vec<ToolCall>),
    /// Ask whether the call may run and feed the answer back as [`Input::Approval`].
    AskApproval {
        /// The call.
        call: ToolCall,
        /// Its tool.
        tool: ToolSpec,
        /// Why it is asked about.
        reason: String,
        /// True when the call was started before an interruption and may already have taken effect.
        repeat: bool,
    },
    /// The turn is over.
    Finish(End),
}

/// What happened outside.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Input {
    /// The model sent something.
    Model(ModelEvent),
    /// The model failed.
    ModelFailed {
        /// What failed and what to do next.
        message: String,
    },
    /// A call has its result.
    Tool {
        /// The id of the call.
        id: String,
        /// The result.
        outcome: ToolOutcome,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// A call was approved or not.
    Approval {
        /// The id of the call.
        id: String,
        /// The decision.
        approval: Approval,
    },
    /// Further tools are on offer from now on.
    Offer {
        /// The tools, and what they can do.
        tools: Vec<(ToolSpec, Risk)>,
    },
    /// The caller gives up.
    Cancel,
    /// Something the turn needs failed.
    Abort {
        /// The kind of failure.
        kind: FailureKind,
        /// What failed and what to do next.
        message: String,
    },
}

/// What an input did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The state is worth keeping: journal it.
    Milestone,
    /// A delta was taken in; a resumed turn asks the model again anyway.
    Progress,
    /// The input does not belong to the present state, for example a result that came too late.
    Ignored,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum End {
    /// With an answer.
    Answered {
        /// The answer.
        answer: String,
    },
    /// Without.
    Failed {
        /// The kind of failure.
        kind: FailureKind,
        /// What failed and what to do next.
        message: String,
    },
}

/// Where a piece of the conversation came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The origin.
    pub origin: Origin,
    /// The size of the original in bytes.
    pub bytes: usize,
    /// True when the model saw only a part of it.
    pub shortened: bool,
    /// True when somebody vouches for it: the user's own things, words of this program.
    #[serde(default)]
    pub trusted: bool,
}

/// The origin of a piece of the conversation that neither the person nor the model wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// Recalled from memory.
    Memory {
        /// The title of the document.
        title: String,
        /// Its source.
        source: String,
    },
    /// The result of a tool call.
    Tool {
        /// The id of the call.
        id: String,
        /// The name of the tool.
        name: String,
        /// True when the call failed or was refused.
        is_error: bool,
        /// How long it took, in milliseconds.
        millis: u64,
    },
}

/// A call that waits for approval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// The call; its id is what the answer names.
    pub call: ToolCall,
    /// Its tool.
    pub tool: ToolSpec,
    /// Why it is asked about.
    pub reason: String,
    /// True when the call was started before an interruption and may already have taken effect.
    pub repeat: bool,
}

/// A finished tool call, as [`Turn::take_results`](super::Turn::take_results) hands it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedCall {
    /// The id of the call.
    pub id: String,
    /// The name of the tool.
    pub name: String,
    /// The result as the model reads it.
    pub text: String,
    /// True when the call failed or was refused.
    pub is_error: bool,
    /// How long it took, in milliseconds.
    pub millis: u64,
}
