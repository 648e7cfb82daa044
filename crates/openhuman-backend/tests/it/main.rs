//! A backend, the official Socket.IO client as its desktop, and a scripted model server behind it.
//!
//! The desktop needs node and `npm ci --ignore-scripts` in `tests/node`. Where that is missing its tests say
//! so and pass, unless `OPENHUMAN_REQUIRE_NODE=1` is set, as it is in continuous integration.

mod desktop;
mod http;
