//! The data files of skills, for their user.

use super::Engine;
use crate::{DataError, DataStats, SkillId, data};

impl Engine {
    /// Reads a data file of a skill; `None` when there is none. Blocks on the store.
    ///
    /// # Errors
    /// [`DataError`] when the name is none for a file, or the store cannot be read.
    pub fn read_data(&self, skill: &SkillId, name: &str) -> Result<Option<String>, DataError> {
        data::read(self.0.shared.ports.data.as_ref(), skill, name)
    }

    /// Replaces a data file of a skill, within the size it was granted. Blocks on the store.
    ///
    /// # Errors
    /// As [`Engine::read_data`], and [`DataError::Quota`] when the files would be too large together.
    pub fn write_data(&self, skill: &SkillId, name: &str, text: &str) -> Result<(), DataError> {
        let limit = self.grant(skill).map_or(0, |grant| grant.data_mb() * 1024 * 1024);
        data::write(self.0.shared.ports.data.as_ref(), skill, name, text, limit)
    }

    /// How many data files a skill has, and how large they are. Blocks on the store.
    ///
    /// # Errors
    /// [`DataError`] when the store cannot be read.
    pub fn data_stats(&self, skill: &SkillId) -> Result<DataStats, DataError> {
        self.0.shared.ports.data.stats(skill)
    }
}
