#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod chat;
mod cluster;
mod config;
mod desktop;
mod error;
mod http;
mod limits;
mod metrics;
#[cfg(feature = "redis")]
pub mod redis;
mod running;
mod server;
mod session;
mod shared;
mod socket;
mod streaming;
mod tls;
mod tunnels;
mod webhooks;

pub use cluster::{AskError, Cluster, DesktopRequest, Instance};
pub use config::{BackendConfig, DEFAULT_LISTEN, LimitSettings};
pub use error::BackendError;
pub use limits::Limits;
pub use openhuman_vault::tokens::{
    LoginToken, SqliteTokenStore, SqliteTokenStoreError as StoreError, TokenStore,
};
pub use running::{DesktopInfo, RunningBackend};
pub use server::{Backend, BackendBuilder};
pub use session::SessionToken;
pub use tls::TlsFiles;
pub use tunnels::{MAX_TUNNELS, MemoryTunnels, Tunnel, TunnelStore, TunnelStoreError};
