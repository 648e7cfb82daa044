#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod turn;

pub mod context;
pub mod extractive;
#[cfg(feature = "mock")]
pub mod mock;
#[cfg(feature = "openai")]
pub mod openai;

mod agent;
mod budget;
mod event;
mod message;
mod model;
mod ports;
mod secret;

pub use agent::{Agent, AgentBuilder, TurnInput};
pub use budget::{Budget, Spent};
pub use event::{FailureKind, TurnEvent};
pub use message::{Message, Recalled, Role, ToolCall, ToolOutcome, ToolSpec, repair};
pub use model::{Endpoint, Model, ModelError, ModelEvent, ModelRequest, StopReason, ToolChoice, Usage};
pub use ports::{
    AllowAll, Approval, Approver, Clock, Compactor, Journal, JournalError, KeepRecent, MemoryJournal,
    NoTools, Recall, TokioClock, Tools,
};
pub use secret::Secret;
pub use turn::Turn;
