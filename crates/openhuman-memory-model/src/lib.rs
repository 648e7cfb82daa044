#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod model;
mod table;
mod unicode;
mod wordpiece;

pub use model::{DIMENSIONS, NAME, StaticModel, VERSION};
pub use table::TableError;
