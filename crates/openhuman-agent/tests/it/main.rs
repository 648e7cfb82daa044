//! The agent against real ports: fake models for the driver, real HTTP for the adapter and the scripted server.

mod demo;
mod driver;
mod http;
mod strict;
mod support;
