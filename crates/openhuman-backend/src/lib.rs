#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod chat;
mod desktop;
mod http;
mod limits;
mod server;
mod session;
mod socket;
mod store;

pub use limits::Limits;
pub use openhuman_vault::tokens::{LoginToken, TokenStore};
pub use server::{Backend, BackendBuilder, BackendError, DesktopInfo, RunningBackend};
pub use session::SessionToken;
pub use store::{SqliteTokenStore, StoreError};
