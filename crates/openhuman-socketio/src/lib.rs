#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod ack;
mod backoff;
mod bell;
mod binary;
mod builder;
mod client;
mod cookies;
mod delivery;
mod driver;
mod endpoint;
mod error;
mod event;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod hub;
mod json;
mod lifecycle;
mod limits;
mod link;
#[cfg(feature = "msgpack")]
mod msgpack;
mod outbox;
mod packet;
mod payload;
mod polling;
mod proxy;
mod session;
mod shared;
mod state;
mod stats;
mod subscription;
mod tls;
mod transport;

pub use ack::{AckReply, EmitAck};
pub use backoff::Backoff;
pub use binary::Binary;
pub use builder::{ClientBuilder, NamespaceBuilder, NewConnection, OpenConnection};
pub use client::Client;
pub use delivery::{Delivery, DeliveryStore, Receipt, Retries, StoreFuture, StoredEvent};
pub use error::{
    AckError, AuthError, ConnectError, DecodeError, DeliveryError, EmitError, ProtocolError, StoreError,
};
pub use event::{AckSender, Event};
pub use limits::Limits;
pub use outbox::SendPolicy;
pub use packet::Parser;
pub use proxy::Proxy;
pub use state::{Disconnect, DisconnectReason, State};
pub use stats::Stats;
pub use subscription::{Listener, Subscription};
pub use tls::TlsOptions;
pub use transport::Transports;
