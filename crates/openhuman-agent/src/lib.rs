#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod turn;

#[cfg(feature = "anthropic")]
pub mod anthropic;
pub mod context;
pub mod extractive;
#[cfg(feature = "openai")]
pub mod local;
#[cfg(feature = "mock")]
pub mod mock;
#[cfg(feature = "openai")]
pub mod openai;

mod agent;
mod approvals;
mod budget;
mod event;
mod journal;
mod message;
mod model;
mod outlet;
mod policy;
mod ports;
#[cfg(feature = "openai")]
mod remote;
mod results;
pub mod search;
mod secret;
#[cfg(feature = "openai")]
mod wire_error;

pub use agent::{Agent, AgentBuilder, TurnInput};
pub use approvals::{Approvals, PauseTurn};
pub use budget::{Budget, Spent};
pub use event::{FailureKind, TurnEvent};
pub use journal::{FileJournal, FileJournalError};
pub use message::{Message, Recalled, Role, ToolCall, ToolOutcome, ToolSpec, repair};
pub use model::{
    Endpoint, Label, Model, ModelError, ModelEvent, ModelInfo, ModelRequest, StopReason, ToolChoice, Usage,
};
pub use policy::{Decision, Effect, Policy, PolicyRule, Risk};
pub use ports::{
    AllowAll, Approval, Approver, Clock, Compactor, Journal, JournalError, KeepRecent, MemoryJournal,
    NoTools, Recall, TokioClock, Tools,
};
pub use results::{MemoryResults, READ_RESULT, ResultStore};
pub use secret::Secret;
pub use turn::{ApprovalRequest, Turn};
