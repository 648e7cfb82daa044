//! Egress: which requests a skill may send, and sending them.
//!
//! A request goes through typed stages, each made only by the one before: [`request::Request`] (read and checked),
//! [`authorise::Authorised`] (granted), `resolve::Resolved` (its addresses checked and pinned), `seal::Sealed`
//! (searched for leaks, secrets put in). Only the last can be sent, and a redirect starts again at the first.

pub(crate) mod address;
pub(crate) mod authorise;
#[cfg(feature = "runtime")]
pub(crate) mod body;
#[cfg(feature = "runtime")]
pub(crate) mod client;
pub(crate) mod decode;
pub(crate) mod error;
mod fuzz;
#[cfg(feature = "runtime")]
pub(crate) mod note;
pub(crate) mod placeholder;
#[cfg(feature = "runtime")]
pub(crate) mod redirect;
pub(crate) mod request;
#[cfg(feature = "runtime")]
pub(crate) mod resolve;
#[cfg(feature = "runtime")]
pub(crate) mod run;
pub(crate) mod scan;
#[cfg(feature = "runtime")]
pub(crate) mod seal;
mod transport;
#[cfg(feature = "runtime")]
pub(crate) mod websocket;
#[cfg(feature = "runtime")]
mod wire;

#[cfg(feature = "runtime")]
pub(crate) use client::{Answer, Client, Egress, late};
#[cfg(feature = "runtime")]
pub(crate) use error::{NetError, NetErrorKind};
pub use fuzz::fuzz_egress;
#[cfg(feature = "runtime")]
pub(crate) use note::Recorder;
#[cfg(feature = "runtime")]
pub(crate) use run::{SkillNet, Wanted};
#[cfg(feature = "runtime")]
pub use transport::{BoxedConnection, Connection};
pub use transport::{
    Endpoint, MemoryTransport, Transport, TransportError, TransportRequest, TransportResponse,
};
#[cfg(feature = "runtime")]
pub(crate) use wire::Wire;
