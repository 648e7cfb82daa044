//! The vectors of a memory: bytes and bits, on disk and in memory.

mod bits;
mod catalog;
mod code;
mod flat;
mod index;
mod lists;
#[expect(
    unsafe_code,
    reason = "pages of the operating system and instructions of processors; every block says why it holds"
)]
mod raw;
mod segment;
pub(crate) mod segments;
mod tiers;

use std::sync::{PoisonError, RwLock};

pub(crate) use catalog::{Catalog, Change, Place, document_handle};
pub(crate) use code::Code;
pub use flat::VectorIndex;
#[cfg(test)]
pub(crate) use index::Vectors;
pub(crate) use index::{Slots, VectorQuery, highest};
#[cfg(feature = "minilm")]
pub(crate) use raw::Level;

use crate::error::MemoryError;

/// The catalog of a memory. Read on first use and kept in step with every write, so that a query reads few vectors
/// from disk.
#[derive(Debug, Default)]
pub(crate) struct VectorCache(RwLock<Option<Catalog>>);

impl VectorCache {
    /// Hands out the catalog; writers wait meanwhile, other readers do not. `load` must read what is committed at
    /// the time it is called: it runs while writers wait, so a write that it does not see is applied right after.
    pub(crate) fn read<T>(
        &self,
        load: impl FnOnce() -> Result<Catalog, MemoryError>,
        read: impl FnOnce(&Catalog) -> Result<T, MemoryError>,
    ) -> Result<T, MemoryError> {
        if let Some(catalog) = &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            return read(catalog);
        }
        let mut cache = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if cache.is_none() {
            *cache = Some(load()?);
        }
        let cache = std::sync::RwLockWriteGuard::downgrade(cache);
        match &*cache {
            Some(catalog) => read(catalog),
            None => Err(MemoryError::Damaged {
                what: "no catalog of vectors".to_owned(),
            }),
        }
    }

    /// Applies a write that was committed, if the catalog is in memory. Applying it twice does no harm.
    pub(crate) fn apply(&self, changes: &[Change]) {
        let mut cache = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(catalog) = &mut *cache {
            changes.iter().for_each(|change| catalog.apply(change));
        }
    }

    /// Overwrites and gives back what is in memory; the next search reads it again.
    pub(crate) fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
