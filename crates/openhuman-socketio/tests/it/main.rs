//! The client against servers: scripted ones, and the official one for Node.js.

mod acks;
mod binary;
mod breaking;
mod connecting;
mod contract;
mod delivery;
mod differential;
mod events;
mod lifecycle;
mod matrix;
mod namespaces;
mod node;
mod node_events;
mod official;
mod polling;
mod proxies;
mod python;
mod recovery;
mod scripted;
mod sending;
mod socketioxide_server;
mod tls;
mod torture;
