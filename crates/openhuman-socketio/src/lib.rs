#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod ack;
mod backoff;
mod binary;
mod client;
mod driver;
mod endpoint;
mod error;
mod event;
mod lifecycle;
mod limits;
mod link;
mod outbox;
mod packet;
mod payload;
mod session;
mod shared;
mod state;
mod subscription;
mod transport;

pub use ack::{AckReply, EmitAck};
pub use backoff::Backoff;
pub use binary::Binary;
pub use client::{Client, ClientBuilder};
pub use error::{AckError, AuthError, ConnectError, DecodeError, EmitError, ProtocolError};
pub use event::{AckSender, Event};
pub use limits::Limits;
pub use outbox::SendPolicy;
pub use state::{Disconnect, DisconnectReason, State};
pub use subscription::Subscription;
