//! The bridges: each module plugs one crate's port into another crate. Nothing else lives here.

mod accounts;
mod arguments;
mod data;
mod databases;
mod egress;
mod memory;
mod skills;
mod snapshots;
mod socket;
mod tools;

pub(crate) use accounts::{BackendSession, VaultCredentials, forget_credentials};
pub(crate) use data::SealedDataFiles;
pub(crate) use databases::SealedDatabases;
pub(crate) use egress::{EgressLog, egress_channel};
pub(crate) use memory::{MemoryTools, SkillMemory, recall};
pub(crate) use skills::SkillTools;
pub(crate) use snapshots::SnapshotKeeper;
pub(crate) use socket::{SocketLink, StatusReporter};
pub(crate) use tools::HubTools;
