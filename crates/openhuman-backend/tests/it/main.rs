//! A backend, the official Socket.IO client as its desktop, and a scripted model server behind it.
//!
//! The desktop needs node and `npm ci --ignore-scripts` in `tests/node`. Where that is missing its tests say
//! so and pass, unless `OPENHUMAN_REQUIRE_NODE=1` is set, as it is in continuous integration. The tests
//! with several instances need `redis-server` the same way (`OPENHUMAN_REQUIRE_REDIS=1`).

mod client;
mod cluster;
mod desktop;
mod http;
mod node_server;
mod operating;
mod serving;
