//! Egress: which requests a skill may send, and sending them.

pub(crate) mod address;
pub(crate) mod client;
pub(crate) mod request;

pub(crate) use client::{Client, Egress};
