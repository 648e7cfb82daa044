//! Egress: which requests a skill may send, and sending them.

pub(crate) mod address;
#[cfg(feature = "runtime")]
pub(crate) mod client;
pub(crate) mod request;

#[cfg(feature = "runtime")]
pub(crate) use client::{Client, Egress};
