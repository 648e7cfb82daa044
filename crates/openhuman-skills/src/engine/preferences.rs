//! Which skills start by themselves.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Engine;
use crate::skill::Skill;
use crate::{SkillError, SkillId, SkillPreference};

impl Engine {
    /// Records whether a skill's setup is complete. A skill that requires none counts as complete until this says
    /// otherwise. Blocks while the preference is stored.
    ///
    /// # Errors
    /// [`SkillError::Unknown`] when there is no such skill; [`SkillError::Preference`] when it cannot be stored.
    pub fn set_setup_complete(&self, skill: &SkillId, complete: bool) -> Result<(), SkillError> {
        let found = self.known(skill)?;
        self.change(&found, |preference| preference.setup_complete = complete)?;
        self.setup_changed(&found, complete);
        Ok(())
    }

    /// Switches a skill on or off for the next [`Engine::auto_start_all`]; `None` leaves it to the manifest. Blocks
    /// while the preference is stored.
    ///
    /// # Errors
    /// [`SkillError::Unknown`] when there is no such skill; [`SkillError::Preference`] when it cannot be stored.
    pub fn set_enabled(&self, skill: &SkillId, enabled: Option<bool>) -> Result<(), SkillError> {
        let found = self.known(skill)?;
        self.change(&found, |preference| preference.enabled = enabled)
    }

    /// What the user decided about a skill. Blocks while the preference is read.
    ///
    /// # Errors
    /// [`SkillError::Unknown`] when there is no such skill; [`SkillError::Preference`] when it cannot be read.
    pub fn preference(&self, skill: &SkillId) -> Result<SkillPreference, SkillError> {
        let found = self.known(skill)?;
        self.load_preference(&found)
    }

    /// Whether a skill starts by itself: one that was set up does; else the user's switch counts; else the manifest's
    /// `auto_start`. Blocks while the preference is read.
    ///
    /// # Errors
    /// As [`Engine::preference`].
    pub fn should_start(&self, skill: &SkillId) -> Result<bool, SkillError> {
        let found = self.known(skill)?;
        let preference = self.load_preference(&found)?;
        Ok(preference.should_start(found.package.manifest()))
    }

    /// Starts every skill that starts by itself and does not run, all at once; returns what became of each.
    pub async fn auto_start_all(&self) -> Vec<(SkillId, Result<(), SkillError>)> {
        let starts = self.all().into_iter().map(|skill| async move {
            let (engine, id) = (self.clone(), skill.id.clone());
            let wanted = self.0.shared.blocking.run(move || engine.should_start(&id));
            let outcome = match wanted.await.unwrap_or(Err(SkillError::ShutDown)) {
                Ok(false) => return None,
                Ok(true) => self.start(&skill.id).await,
                Err(error) => Err(error),
            };
            match outcome {
                Err(SkillError::AlreadyRunning { .. }) => None,
                outcome => Some((skill.id.clone(), outcome)),
            }
        });
        join_all(starts).await.into_iter().flatten().collect()
    }

    /// Takes over what is stored about the setup of a skill that was just installed.
    pub(super) async fn restore_setup(&self, skill: &SkillId) -> Result<(), SkillError> {
        let (engine, found) = (self.clone(), self.known(skill)?);
        let loaded = self.0.shared.blocking.run(move || engine.load_preference(&found));
        let preference = loaded.await.unwrap_or(Err(SkillError::ShutDown))?;
        if preference.setup_complete {
            self.setup_changed(&*self.known(skill)?, true);
        }
        Ok(())
    }

    /// Records a completed setup without blocking this thread.
    pub(super) async fn remember_setup(&self, skill: &SkillId, complete: bool) -> Result<(), SkillError> {
        let (engine, id) = (self.clone(), skill.clone());
        let stored = self
            .0
            .shared
            .blocking
            .run(move || engine.set_setup_complete(&id, complete));
        stored.await.unwrap_or(Err(SkillError::ShutDown))
    }

    pub(super) fn known(&self, skill: &SkillId) -> Result<Arc<Skill>, SkillError> {
        self.find(skill)
            .ok_or_else(|| SkillError::Unknown { skill: skill.clone() })
    }

    pub(super) fn load_preference(&self, skill: &Skill) -> Result<SkillPreference, SkillError> {
        let loaded = self.0.shared.ports.preferences.load(&skill.id);
        loaded.map_err(|source| SkillError::Preference {
            skill: skill.id.clone(),
            source,
        })
    }

    fn change(&self, skill: &Skill, change: impl FnOnce(&mut SkillPreference)) -> Result<(), SkillError> {
        let mut preference = self.load_preference(skill)?;
        change(&mut preference);
        let stored = self.0.shared.ports.preferences.store(&skill.id, preference);
        stored.map_err(|source| SkillError::Preference {
            skill: skill.id.clone(),
            source,
        })
    }

    fn setup_changed(&self, skill: &Skill, complete: bool) {
        let changed = {
            let mut view = skill.view();
            std::mem::replace(&mut view.setup_complete, complete) != complete
        };
        if changed {
            self.0.shared.changed();
        }
    }
}
