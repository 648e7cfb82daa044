//! Removing a skill, and what becomes of what it leaves behind.

use openhuman_skills::{SkillError, SkillId};

use crate::bridge::{forget_credentials, forget_documents};
use crate::{Core, CoreError};

/// What becomes of what a removed skill leaves behind. The default forgets what it told the assistant and keeps its own
/// data for the same publisher's skill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removal {
    /// Whether the documents that the skill added to the memory stay there.
    pub keep_documents: bool,
    /// Whether the skill's rows, files, published state and schedules are deleted.
    pub forget_data: bool,
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// How many documents of the skill were forgotten.
    pub documents: usize,
    /// Whether its own data was deleted.
    pub data: bool,
}

impl Core {
    /// Stops and removes an installed skill, and takes its permissions, its accounts and what the user chose about it
    /// back; `None` when it was not installed. `removal` says what becomes of its documents and its data. Goes on when
    /// the future is dropped.
    ///
    /// # Errors
    /// When the disk fails, the vault or the memory cannot be written, or a database of the skill does not close within
    /// two seconds. The skill is removed then, and what could not be deleted stays: install it again and remove it.
    pub async fn remove_skill(
        &self,
        skill: &SkillId,
        removal: Removal,
    ) -> Result<Option<Removed>, CoreError> {
        let (core, skill) = (self.clone(), skill.clone());
        tokio::spawn(async move { core.remove_now(&skill, removal).await }).await?
    }

    async fn remove_now(&self, skill: &SkillId, removal: Removal) -> Result<Option<Removed>, CoreError> {
        let _one_at_a_time = self.inner().installing.lock().await;
        let id = skill.clone();
        if !self.blocking(move |core| core.uninstall(&id)).await? {
            return Ok(None);
        }
        match self.skills().remove(skill).await {
            Ok(()) | Err(SkillError::Unknown { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let id = skill.clone();
        let documents = self
            .blocking(move |core| {
                core.revoke_skill(id.as_str())?;
                forget_credentials(core.vault(), &core.inner().places.of(&id))?;
                Ok(match removal.keep_documents {
                    true => 0,
                    false => forget_documents(core.memory(), &id)?,
                })
            })
            .await?;
        if removal.forget_data {
            self.forget_data(skill).await?;
        }
        Ok(Some(Removed {
            documents,
            data: removal.forget_data,
        }))
    }

    /// Takes a skill off the list of what is installed; whether it was there. Blocks.
    fn uninstall(&self, skill: &SkillId) -> Result<bool, CoreError> {
        let removed = self.home().package_store()?.uninstall(skill)?;
        if removed && self.skills().package(skill).is_some() {
            // While the engine still knows it.
            self.skills().set_setup_complete(skill, false)?;
            self.skills().set_enabled(skill, None)?;
        }
        Ok(removed)
    }

    /// Deletes the rows and files of a skill that is not loaded any more.
    async fn forget_data(&self, skill: &SkillId) -> Result<(), CoreError> {
        let (databases, files) = (self.inner().databases.clone(), self.inner().data_files.clone());
        let place = self.inner().places.of(skill);
        let closing = place.clone();
        tokio::task::spawn_blocking(move || files.close(&closing)).await?;
        if !databases.closed_at(&place).await {
            return Err(CoreError::DataInUse {
                skill: skill.to_string(),
            });
        }
        tokio::task::spawn_blocking(move || databases.delete(&place)).await?
    }
}
