#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod chat;
mod desktop;
mod http;
mod limits;
mod server;
mod session;
mod socket;

pub use limits::Limits;
pub use openhuman_vault::tokens::{
    LoginToken, SqliteTokenStore, SqliteTokenStoreError as StoreError, TokenStore,
};
pub use server::{Backend, BackendBuilder, BackendError, DesktopInfo, RunningBackend};
pub use session::SessionToken;
