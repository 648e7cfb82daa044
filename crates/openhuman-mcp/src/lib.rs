#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod catalog;
#[cfg(feature = "client")]
pub mod client;
mod context;
mod error;
#[cfg(feature = "http")]
pub mod http;
mod hub;
mod info;
pub mod link;
pub mod name;
mod offer;
pub mod policy;
mod request;
mod schema;
mod search;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "stdio")]
pub mod stdio;
#[cfg(test)]
mod testing;
mod tool;
#[cfg(all(unix, feature = "stdio"))]
pub mod unix;
pub mod wire;

pub use catalog::{Catalog, CatalogTool, CatalogToolset};
pub use context::{
    Answer, Approval, ApprovalRequest, Approver, CallContext, Origin, Progress, ProgressReport, ProgressSink,
    Question,
};
pub use error::CallError;
pub use hub::{Hub, HubOptions};
pub use info::ServerInfo;
pub use link::{AckSender, EventLink, LinkError, LinkEvent, LinkOptions};
pub use offer::{
    Prompt, PromptArgument, PromptMessage, PromptProvider, Resource, ResourceBody, ResourcePage,
    ResourceProvider, ResourceTemplate, Speaker,
};
#[cfg(feature = "stdio")]
pub use stdio::StdioError;
pub use tokio_util::sync::CancellationToken;
pub use tool::{Annotations, Content, ToolDefinition, ToolProvider, ToolResult, Toolset};
