//! The `openhuman` command as its users run it: real processes, real exit codes, real messages.

mod author_slips;
mod authors;
mod bad_input;
mod demo;
mod harness;
mod home_care;
#[cfg(unix)]
mod logins;
#[cfg(unix)]
mod mcp_clients;
#[cfg(unix)]
mod mcp_servers;
mod memory_server;
mod memory_ways;
mod own_files;
#[cfg(unix)]
mod sessions;
mod skill_accounts;
mod skill_lists;
mod skill_registry;
#[path = "../../../../crates/openhuman/tests/it/strict_embeddings.rs"]
mod strict_embeddings;
#[cfg(unix)]
mod unlocking;
mod vault_ways;
