//! The author's kit: a simulator with its own time and network, and what is built on it.

pub(crate) mod time;
