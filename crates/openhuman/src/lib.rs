#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod accounts;
mod backup;
mod bridge;
mod chat;
mod consent;
mod core;
mod databases;
mod error;
mod grants;
mod home;
mod http;
mod import;
mod knowledge;
mod ledger;
mod legacy;
mod link;
mod loading;
mod login;
mod mcp_memory;
mod mcp_servers;
mod model;
mod network;
mod owners;
mod packages;
mod removal;
pub mod rpc;
mod sessions;

pub use crate::backup::BackupReport;
pub use crate::chat::{ChatEvent, Route, Source};
pub use crate::core::{Core, CoreBuilder};
pub use crate::databases::{DatabaseName, HomeDatabases, Rekeyed};
pub use crate::error::{CoreError, ErrorKind};
pub use crate::home::{HOME_VARIABLE, Home};
pub use crate::import::ImportReport;
pub use crate::knowledge::{
    EmbeddingServer, EmbeddingStatus, FactFilter, Forgotten, Found, GraphServer, KnownFact, MemoryHealth,
    Passage, Pushed, Recollection, ThreadInfo, Told,
};
pub use crate::legacy::LegacyAccounts;
pub use crate::link::{Credential, Link, LinkReport, SocketState, SocketStatus};
pub use crate::loading::{SkillProblem, earlier_skill_dirs};
pub use crate::mcp_servers::McpServers;
pub use crate::model::{ModelConfig, context_window_from_env, model_from_env, working_memory_from_env};
pub use crate::network::{CA_VARIABLE, Network, ProxyChoice};
pub use crate::removal::{Removal, Removed};
pub use crate::sessions::logged_in;

pub use tokio_util::sync::CancellationToken;

pub use openhuman_agent as agent;
pub use openhuman_mcp as mcp;
pub use openhuman_memory as memory;
pub use openhuman_skills as skills;
pub use openhuman_sqlite as sqlite;
pub use openhuman_vault as vault;
