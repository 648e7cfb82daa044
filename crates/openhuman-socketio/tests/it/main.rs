//! The client against servers: scripted ones, and the official one for Node.js.

mod acks;
mod binary;
mod events;
mod lifecycle;
mod node;
mod scripted;
mod sending;
mod tls;
