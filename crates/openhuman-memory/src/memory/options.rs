use std::fmt;
use std::sync::Arc;

use openhuman_sqlite::Anchor;
use openhuman_vault::Key;

use crate::clock::{Clock, SystemClock};
use crate::embed::Embedder;
#[cfg(doc)]
use crate::memory::Memory;

/// What seals a memory, for [`Memory::open_sealed`].
#[derive(Debug)]
pub struct Sealing<'a> {
    /// Seals `memory.db`; it can be replaced with [`openhuman_sqlite::rekey`].
    pub database_key: &'a Key,
    /// The keys of the sessions are derived from it. It does not change.
    pub key: &'a Key,
    /// Keeps the seal of `memory.db`.
    pub anchor: Option<Arc<dyn Anchor>>,
}

/// How a memory is opened.
#[derive(Clone)]
pub struct MemoryOptions {
    /// Computes the vectors. Default: `StaticEmbedder`, which needs no network.
    pub embedder: Arc<dyn Embedder>,
    /// Tells the time. Default: [`SystemClock`].
    pub clock: Arc<dyn Clock>,
}

impl MemoryOptions {
    /// Options with this embedder and the system's clock.
    pub fn new(embedder: impl Embedder + 'static) -> Self {
        Self {
            embedder: Arc::new(embedder),
            clock: Arc::new(SystemClock),
        }
    }
}

#[cfg(feature = "static-model")]
impl Default for MemoryOptions {
    fn default() -> Self {
        Self::new(crate::embed::StaticEmbedder)
    }
}

impl fmt::Debug for MemoryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOptions")
            .field("space", &self.embedder.space())
            .finish_non_exhaustive()
    }
}
