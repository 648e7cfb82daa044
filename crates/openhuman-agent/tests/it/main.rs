//! The agent against real ports: fake models for the driver, real HTTP for the adapter and the scripted server.

mod anthropic;
mod approvals;
mod connections;
mod demo;
mod driver;
mod http;
mod injection;
mod kill;
mod many;
mod questions;
mod resuming;
mod strict;
mod support;
