//! Whether the memory is sound, for `openhuman memory check` and the doctor.

use std::path::PathBuf;

use openhuman_memory::Stats;
use serde::Serialize;

use super::embedding::EmbeddingStatus;
use crate::{Core, CoreError};

/// What is known of the memory's state.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MemoryHealth {
    /// What it holds.
    pub stats: Stats,
    /// What does not belong together, when something does not.
    pub damage: Option<String>,
    /// Its vectors.
    pub embedding: EmbeddingStatus,
    /// Copies that hold something forgotten since.
    pub outdated_backups: Vec<PathBuf>,
}

impl MemoryHealth {
    /// Whether nothing has to be done.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_none()
            && self.embedding.problem.is_none()
            && self.embedding.stored == self.embedding.chosen
            && self.outdated_backups.is_empty()
    }
}

impl Core {
    /// Reads the whole memory and checks that documents, words and vectors belong together.
    ///
    /// # Errors
    /// When the memory or the vault cannot be read at all. Damage that was found is no error.
    pub async fn check_memory(&self) -> Result<MemoryHealth, CoreError> {
        self.blocking(|core| {
            let memory = core.memory();
            let damage = match memory.check() {
                Ok(_) => None,
                Err(openhuman_memory::MemoryError::Damaged { what }) => Some(what),
                Err(error) => return Err(error.into()),
            };
            Ok(MemoryHealth {
                stats: memory.stats()?,
                damage,
                embedding: core.embedding()?,
                outdated_backups: core.outdated_backups()?,
            })
        })
        .await
    }
}
