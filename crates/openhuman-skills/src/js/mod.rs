//! JavaScript inside an activation: creating a skill's runtime, calling into it, and what it can call.

pub(crate) mod host;
pub(crate) mod install;
pub(crate) mod runtime;
