#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod database;
mod error;
mod export;
mod format;
mod open;
#[expect(
    unsafe_code,
    reason = "the seam to SQLite's C interface; every block says why it holds"
)]
mod vfs;

pub use error::Error;
pub use export::export_plain;
pub use open::{Durability, Options, diagnose, open};
pub use rusqlite;
