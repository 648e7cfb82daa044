#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod catalog;
mod hub;
pub mod link;
pub mod name;
mod request;
#[cfg(feature = "stdio")]
pub mod stdio;
#[cfg(test)]
mod testing;
mod tool;
pub mod wire;

pub use catalog::{Catalog, CatalogTool};
pub use hub::{Hub, HubOptions};
pub use link::{AckSender, EventLink, LinkError, LinkEvent, LinkOptions};
#[cfg(feature = "stdio")]
pub use stdio::{ServerInfo, StdioError};
pub use tokio_util::sync::CancellationToken;
pub use tool::{
    Annotations, CallContext, CallError, Content, Origin, ToolDefinition, ToolProvider, ToolResult, Toolset,
};
