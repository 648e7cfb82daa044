//! Runs real skills on a real engine, over loopback only.

mod accounts;
mod bridges;
mod concurrency;
mod contract_rows;
mod egress;
mod examples;
mod fixtures;
mod full_heaps;
mod hook_answers;
mod hooks;
mod hostile;
#[cfg(feature = "kit")]
mod kit;
mod leak;
mod library;
mod lifecycle;
mod mixed_load;
mod network;
mod packages;
mod schedules;
mod secret_heaps;
mod stall;
mod streaming;
mod support;
mod tls;
mod web;
mod web_fetch;
mod websocket;
