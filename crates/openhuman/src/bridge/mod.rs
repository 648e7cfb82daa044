//! The bridges: each module plugs one crate's port into another crate. Nothing else lives here.

mod accounts;
mod arguments;
mod data;
mod databases;
mod destinations;
mod egress;
mod memory;
mod models;
mod rest;
mod skills;
mod snapshots;
mod socket;
mod tools;
mod tunnels;

pub(crate) use accounts::{BackendSession, VaultCredentials, forget_credentials, keep_if_absent};
pub(crate) use data::SealedDataFiles;
pub(crate) use databases::SealedDatabases;
pub(crate) use destinations::Destinations;
pub(crate) use egress::{EgressLog, egress_channel};
pub(crate) use memory::{MemoryTools, SkillMemory, forget_documents, namespace_of};
pub(crate) use models::SkillModels;
pub(crate) use rest::BackendRest;
pub(crate) use skills::SkillTools;
pub(crate) use snapshots::SnapshotKeeper;
pub(crate) use socket::{SocketLink, StatusReporter};
pub(crate) use tools::HubTools;
pub(crate) use tunnels::BackendTunnels;
