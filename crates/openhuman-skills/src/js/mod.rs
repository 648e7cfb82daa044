//! The JavaScript side: runtimes, host functions, and the library behind the globals.

mod dispatch;
pub(crate) mod host;
pub(crate) mod library;
mod modules;
pub(crate) mod ops;
#[expect(
    unsafe_code,
    reason = "parts of the QuickJS C API without a safe form; argued at each block"
)]
pub(crate) mod raw;
pub(crate) mod runtime;
