#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod copies;
mod database;
mod error;
mod export;
mod files;
mod format;
mod freshness;
#[doc(hidden)]
pub mod fuzzing;
mod open;
mod recovery;
mod rekey;
#[expect(
    unsafe_code,
    reason = "the seam to SQLite's C interface; every block says why it holds"
)]
mod vfs;

pub use copies::{attach, vacuum_into};
pub use error::Error;
pub use export::export_plain;
pub use freshness::{Anchor, AnchorError, Freshness};
pub use open::{Durability, Options, Processes, diagnose, freshness, open, opens_with, wipe_freed_memory};
pub use rekey::rekey;
pub use rusqlite;
