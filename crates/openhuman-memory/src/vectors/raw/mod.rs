//! The only unsafe code of this crate: memory that is left out of core dumps, and loops over it for each processor.

mod kernels;
#[cfg(feature = "minilm")]
mod matrix;
mod pages;

pub(crate) use kernels::Level;
pub(crate) use pages::Pages;
